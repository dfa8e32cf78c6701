use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{body::SimBody, gate::Passage};
use crate::{
    answer::{Answer, JSON_API},
    error::Refusal,
    faults::{Fault, RetryAfter},
};

/// An answer that is ready to be sent.
pub(crate) struct Reply(Response<Bytes>);

impl Reply {
    pub(crate) fn empty(status: StatusCode) -> Self {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        Self(response)
    }

    pub(crate) fn of(answer: Answer) -> Self {
        let mut reply = Self::empty(answer.status);
        if !answer.body.is_empty() {
            reply.set(header::CONTENT_TYPE, JSON_API);
            *reply.0.body_mut() = answer.body.into();
        }
        reply
    }

    pub(crate) fn refusing(refusal: Refusal, request_id: &str) -> Self {
        let mut reply = Self::empty(refusal.status);
        let (media_type, body) = refusal.render(request_id);
        reply.set(header::CONTENT_TYPE, media_type);
        *reply.0.body_mut() = body.into();
        reply
    }

    /// What Klaviyo's application adds. A gateway's answer has none of it.
    pub(crate) fn set_headers(&mut self, request_id: &str, passage: &Passage, fault: &Fault) {
        self.set("x-klaviyo-req-id", request_id);
        if let Some(served) = passage.served {
            self.set("x-klaviyo-api-revision", served.revision);
            self.set("x-klaviyo-api-retirement-date", served.retires);
        }
        if let Some(account) = &passage.account {
            self.set("cid", &account.id);
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            self.set(header::WWW_AUTHENTICATE, "Bearer, Klaviyo-API-Key");
        }
        match (fault, passage.retry_after, &passage.rate) {
            (Fault::Throttle(retry_after), _, _) => match retry_after {
                RetryAfter::OneSecond => self.set(header::RETRY_AFTER, "1"),
                RetryAfter::Absent => {}
                RetryAfter::Text(text) => self.set(header::RETRY_AFTER, text),
            },
            (_, Some(seconds), _) => self.set(header::RETRY_AFTER, &seconds.to_string()),
            (_, None, Some(rate)) => {
                self.set("ratelimit-limit", &rate.limit);
                self.set("ratelimit-remaining", &rate.remaining.to_string());
                self.set("ratelimit-reset", &rate.reset.to_string());
            }
            (_, None, None) => {}
        }
    }

    /// What the bot protection in front of Klaviyo adds to its page.
    pub(crate) fn set_challenge(&mut self) {
        self.set("cf-mitigated", "challenge");
    }

    /// A value that cannot stand in a header is left out.
    fn set(&mut self, name: impl TryInto<HeaderName>, value: &str) {
        if let (Ok(name), Ok(value)) = (name.try_into(), HeaderValue::from_str(value)) {
            self.0.headers_mut().insert(name, value);
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    pub(crate) fn body(&self) -> Bytes {
        self.0.body().clone()
    }

    pub(crate) fn whole(self) -> Response<SimBody> {
        self.0.map(SimBody::full)
    }

    /// Announces the whole body and sends half of it.
    pub(crate) fn truncated(self) -> Response<SimBody> {
        self.0.map(|bytes| SimBody::truncated(&bytes))
    }
}

/// The headers without the key: its scheme stays.
pub(crate) fn masked(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    if let Some(value) = headers.get_mut(header::AUTHORIZATION) {
        let known = value.as_bytes().starts_with(b"Klaviyo-API-Key ");
        *value = HeaderValue::from_static(if known { "Klaviyo-API-Key ***" } else { "***" });
    }
    headers
}
