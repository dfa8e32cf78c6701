use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

/// The media type of every answer, whatever the request accepts.
pub(crate) const JSON_API: &str = "application/vnd.api+json";

/// What an endpoint has to say.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[expect(clippy::expect_used, reason = "what the simulator itself made")]
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a JSON value has text keys only");
        Self { status, body }
    }

    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, body: Vec::new() }
    }
}
