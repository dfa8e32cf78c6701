//! One request and its answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use secrecy::ExposeSecret as _;
use segue_model::Endpoint;
use tokio::time::{Instant, timeout_at};
use tracing::{Span, field};
use url::Url;

use crate::{
    Ambiguity, ApiKey, CallError, InvalidRequest, KeyProblem, NotSentAt, SendGuard, TransportError,
    answer::{Answer, BodyLoss},
    body::{GuardedBody, Progress, Watch},
};

/// An answer longer than this is not read to its end. The longest in sight is a page of 100 import
/// errors that each repeat a profile of 100 KB.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Keeps a deadline like `Duration::MAX` from overflowing the clock.
const MAX_DEADLINE: Duration = Duration::from_hours(24);

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.api+json");

/// A request that is ready to go.
pub(crate) struct Exchange {
    endpoint: Endpoint,
    method: Method,
    url: Url,
    body: Option<(reqwest::Body, Watch)>,
}

impl Exchange {
    pub(crate) fn get(endpoint: Endpoint, url: Url) -> Self {
        Self { endpoint, method: Method::GET, url, body: None }
    }

    pub(crate) fn post<G>(endpoint: Endpoint, url: Url, bytes: Bytes, guard: G) -> Self
    where
        G: SendGuard + 'static,
    {
        let (body, watch) = GuardedBody::new(bytes, guard);
        let body = Some((reqwest::Body::wrap(body), watch));
        Self { endpoint, method: Method::POST, url, body }
    }

    pub(crate) fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// Without the URL: the query of one endpoint holds addresses.
    pub(crate) fn span(&self) -> Span {
        tracing::info_span!(
            "klaviyo.call",
            klaviyo.endpoint = self.endpoint.name(),
            klaviyo.outcome = field::Empty,
            klaviyo.request_id = field::Empty,
            http.response.status_code = field::Empty,
            duration_ms = field::Empty,
        )
    }

    /// Sends the request once. `Err`: there is no answer at all. `within` is for the whole of it.
    pub(crate) async fn perform(
        self,
        http: &reqwest::Client,
        revision: &HeaderValue,
        key: &ApiKey,
        within: Duration,
    ) -> Result<Answer, CallError> {
        let deadline = Instant::now() + within.min(MAX_DEADLINE);
        let mut request = reqwest::Request::new(self.method, self.url);
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, authorization(key)?);
        headers.insert(header::ACCEPT, MEDIA_TYPE);
        headers.insert("revision", revision.clone());
        // To the end of this call, however it ends: the body must not outlive it.
        let watch = self.body.map(|(body, watch)| {
            request.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
            *request.body_mut() = Some(body);
            watch
        });
        let response = match timeout_at(deadline, http.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(err)) => return Err(unanswered(Some(err), watch.as_ref())),
            Err(_) => return Err(unanswered(None, watch.as_ref())),
        };
        let status = response.status();
        let headers = response.headers().clone();
        let body = timeout_at(deadline, read(response)).await.unwrap_or(Err(BodyLoss::TimedOut));
        Ok(Answer { status, headers, body })
    }
}

/// What became of a request without an answer; no error means that the deadline passed.
/// A read has no body, so it counts as sent whole.
fn unanswered(err: Option<reqwest::Error>, watch: Option<&Watch>) -> CallError {
    let progress = watch.map_or(Progress::Whole, Watch::close);
    match (progress, err) {
        (Progress::Stopped(stop), _) => CallError::Stopped(stop),
        (_, Some(err)) if err.is_builder() => CallError::Invalid(InvalidRequest::Unwritable),
        (_, Some(err)) if err.is_connect() => not_sent(NotSentAt::Connect, Some(err)),
        (Progress::Incomplete, err) => not_sent(NotSentAt::Body, err),
        (Progress::Whole, Some(err)) => {
            CallError::Ambiguous(Ambiguity::Broken(TransportError::new(err)))
        }
        (Progress::Whole, None) => CallError::Ambiguous(Ambiguity::TimedOut),
    }
}

fn not_sent(at: NotSentAt, err: Option<reqwest::Error>) -> CallError {
    CallError::NotSent { at, source: err.map(TransportError::new) }
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, BodyLoss> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER_BYTES => {
                return Err(BodyLoss::TooLong);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(err) => return Err(BodyLoss::Broken(TransportError::new(err))),
        }
    }
}

/// A key with a space or a line break would be cut or refused on its way, in words that do not
/// mention keys.
fn authorization(key: &ApiKey) -> Result<HeaderValue, CallError> {
    let key = key.expose_secret();
    let malformed = CallError::Unauthorized(KeyProblem::Malformed);
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed);
    }
    let mut value =
        HeaderValue::try_from(format!("Klaviyo-API-Key {key}")).map_err(|_| malformed)?;
    value.set_sensitive(true);
    Ok(value)
}
