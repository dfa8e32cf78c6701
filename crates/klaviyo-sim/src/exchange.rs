use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::Endpoint;

/// One request and its answer, as they were on the wire; the private key is masked.
#[derive(Clone)]
pub struct Exchange {
    /// What was asked for; `None` for a path that Klaviyo does not have.
    pub endpoint: Option<Endpoint>,
    /// `GET`, `POST` …
    pub method: Method,
    /// Path and query as sent.
    pub target: String,
    /// Of the request; `authorization` holds its scheme and a mask.
    pub headers: HeaderMap,
    /// Of the request, as sent (still compressed if it was); cut off where reading stopped.
    pub body: Bytes,
    /// Of the answer that was made, even when a fault kept it from being sent.
    pub status: StatusCode,
    /// Of the answer.
    pub response_headers: HeaderMap,
    /// Of the answer.
    pub response_body: Bytes,
}

impl fmt::Debug for Exchange {
    /// Without query and bodies: they hold personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{} {path} -> {}", self.method, self.status)
    }
}
