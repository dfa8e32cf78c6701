//! What an answer means. Pure: status, headers and body in, a decision out.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use segue_model::Pii;
use serde::de::DeserializeOwned;

use crate::{
    Ambiguity, CallError, KeyProblem, ProtocolError, Refusal, TransportError,
    refusal::ErrorDocument,
};

/// An answer as far as it arrived.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<Vec<u8>, BodyLoss>,
}

/// Why the body of an answer is not here.
pub(crate) enum BodyLoss {
    TimedOut,
    Broken(TransportError),
    TooLong,
}

/// A wait beyond this is not believed: the longest window of these endpoints is a minute, but for
/// the 150 lists a day, and there an hourly look does no harm.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

impl Answer {
    /// What a success says. A write that was accepted in words we cannot read is still a write.
    pub(crate) fn into_value<D: DeserializeOwned>(self, write: bool) -> Result<D, CallError> {
        match self.into_success().and_then(|body| parse(&body)) {
            Err(CallError::Protocol(err)) if write => {
                Err(CallError::Ambiguous(Ambiguity::Unreadable(err)))
            }
            result => result,
        }
    }

    /// The body of a success, or what kept it from being one.
    fn into_success(self) -> Result<Vec<u8>, CallError> {
        if self.status.is_success() {
            return self.body.map_err(|loss| match loss {
                BodyLoss::TimedOut => CallError::Ambiguous(Ambiguity::TimedOut),
                BodyLoss::Broken(err) => CallError::Ambiguous(Ambiguity::Broken(err)),
                BodyLoss::TooLong => CallError::Protocol(ProtocolError::TooLong),
            });
        }
        Err(self.into_error())
    }

    /// The status decides where it can. Where it cannot, an answer that is not JSON did not come
    /// from the API but from the network before it (HTML, then), and says nothing lasting.
    fn into_error(self) -> CallError {
        let status = self.status.as_u16();
        let document = self.error_document();
        let unavailable =
            || CallError::Unavailable { status, retry_after: retry_after_header(&self.headers) };
        match (self.status, document) {
            (StatusCode::UNAUTHORIZED, _) => CallError::Unauthorized(KeyProblem::Refused),
            (StatusCode::FORBIDDEN, Some(document)) => {
                CallError::Forbidden { detail: first_detail(document) }
            }
            (StatusCode::FORBIDDEN, None) => CallError::Challenged,
            (StatusCode::NOT_FOUND, Some(_)) => CallError::NotFound,
            (StatusCode::REQUEST_TIMEOUT, _) => unavailable(),
            (StatusCode::GONE, _) => CallError::RevisionRetired,
            (StatusCode::PAYLOAD_TOO_LARGE, _) => CallError::TooLarge,
            (StatusCode::TOO_MANY_REQUESTS, document) => {
                let named = retry_after_header(&self.headers);
                let retry_after = named.or_else(|| retry_after_detail(document?));
                CallError::Throttled { retry_after }
            }
            (code, Some(document)) if code.is_client_error() => {
                CallError::Refused(Refusal { status, errors: document.into_errors() })
            }
            (code, _) if code.is_client_error() || code.is_server_error() => unavailable(),
            // Informational answers never arrive here, and no status from 600 up is known.
            _ => CallError::Redirected { status },
        }
    }

    /// `None` for anything that the API would not have said, a challenge among them.
    fn error_document(&self) -> Option<ErrorDocument> {
        if self.headers.contains_key("cf-mitigated") {
            return None;
        }
        serde_json::from_slice(self.body.as_ref().ok()?).ok()
    }
}

fn parse<D: DeserializeOwned>(body: &[u8]) -> Result<D, CallError> {
    serde_json::from_slice(body).map_err(|err| {
        let (line, column) = (err.line(), err.column());
        CallError::Protocol(ProtocolError::Unreadable { line, column })
    })
}

fn first_detail(document: ErrorDocument) -> Option<Pii<String>> {
    document
        .into_errors()
        .into_iter()
        .map(|error| error.detail)
        .find(|text| !text.expose().is_empty())
}

/// `Retry-After` in seconds. A date is not understood: Klaviyo documents whole seconds
/// (developers.klaviyo.com, rate limits and error handling).
fn retry_after_header(headers: &HeaderMap) -> Option<Duration> {
    believable(headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim())
}

/// Answers without the header have been seen, with the number in words: "Request was throttled.
/// Expected available in 7 seconds." (klaviyo-api-python, issue 15).
fn retry_after_detail(document: ErrorDocument) -> Option<Duration> {
    document.into_errors().iter().find_map(|error| {
        let (_, rest) = error.detail.expose().split_once("available in ")?;
        believable(rest.split_once(' ')?.0)
    })
}

/// Zero is no answer: "immediate retries will always receive a 429" (same guide).
fn believable(seconds: &str) -> Option<Duration> {
    let seconds: u64 = seconds.parse().ok()?;
    let wait = Duration::from_secs(seconds);
    (seconds > 0 && wait <= MAX_RETRY_AFTER).then_some(wait)
}
