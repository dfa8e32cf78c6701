//! What Klaviyo says when it refuses.

use http::StatusCode;
use serde_json::{Map, Value, json};

/// A refusal: one status, one or more reasons.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) errors: Vec<ApiError>,
    /// A gateway answered, not the application: the body is HTML.
    pub(crate) html: bool,
}

/// One reason. `id` is added when the answer is written: it is the request's id.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    code: &'static str,
    title: &'static str,
    detail: String,
    source: Source,
    meta: Option<Value>,
}

#[derive(Debug, Clone)]
enum Source {
    Pointer(String),
    Parameter(&'static str),
}

impl ApiError {
    /// An invalid part of the body. `pointer` is where.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new("invalid", "Invalid input.", detail, Source::Pointer(pointer.into()))
    }

    fn new(
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
        source: Source,
    ) -> Self {
        Self { code, title, detail: detail.into(), source, meta: None }
    }

    fn render(self, status: StatusCode, request_id: &str) -> Value {
        let source = match self.source {
            Source::Pointer(pointer) => json!({ "pointer": pointer }),
            Source::Parameter(parameter) => json!({ "parameter": parameter }),
        };
        json!({
            "id": request_id,
            "status": status.as_u16(),
            "code": self.code,
            "title": self.title,
            "detail": self.detail,
            "source": source,
            "links": {},
            "meta": self.meta.unwrap_or_else(|| Value::Object(Map::new())),
        })
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::of(StatusCode::BAD_REQUEST, error)
    }
}

impl From<Vec<ApiError>> for Refusal {
    fn from(errors: Vec<ApiError>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, errors, html: false }
    }
}

impl Refusal {
    fn of(status: StatusCode, error: ApiError) -> Self {
        Self { status, errors: vec![error], html: false }
    }

    fn at_data(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self::of(status, ApiError::new(code, title, detail, Source::Pointer("/data/".to_owned())))
    }

    pub(crate) fn html(status: StatusCode) -> Self {
        Self { status, errors: Vec::new(), html: true }
    }

    pub(crate) fn not_authenticated() -> Self {
        Self::at_data(
            StatusCode::UNAUTHORIZED,
            "not_authenticated",
            "Authentication credentials were not provided.",
            "Missing or invalid private key.",
        )
    }

    pub(crate) fn permission_denied() -> Self {
        Self::at_data(
            StatusCode::FORBIDDEN,
            "permission_denied",
            "You do not have permission to perform this action.",
            "The private key does not have the scopes that this endpoint needs.",
        )
    }

    pub(crate) fn throttled(seconds: u64) -> Self {
        Self::at_data(
            StatusCode::TOO_MANY_REQUESTS,
            "throttled",
            "Request was throttled.",
            format!("Request was throttled. Expected available in {seconds} seconds."),
        )
    }

    pub(crate) fn throttled_without_time() -> Self {
        Self::at_data(
            StatusCode::TOO_MANY_REQUESTS,
            "throttled",
            "Request was throttled.",
            "Request was throttled.",
        )
    }

    /// `what` with its article: `A list`.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::not_found_because(format!("{what} with id `{id}` does not exist."))
    }

    /// Klaviyo quotes the ids of lists, not those of profiles.
    pub(crate) fn profile_not_found(id: &str) -> Self {
        Self::not_found_because(format!("A profile with id {id} does not exist."))
    }

    pub(crate) fn not_found_because(detail: impl Into<String>) -> Self {
        Self::at_data(StatusCode::NOT_FOUND, "not_found", "Not found.", detail)
    }

    pub(crate) fn duplicate_profile(id: &str) -> Self {
        let error = ApiError {
            meta: Some(json!({ "duplicate_profile_id": id })),
            ..ApiError::new(
                "duplicate_profile",
                "Conflict.",
                "A profile already exists with one of these identifiers.",
                Source::Pointer("/data/attributes".to_owned()),
            )
        };
        Self::of(StatusCode::CONFLICT, error)
    }

    pub(crate) fn method_not_allowed(method: &http::Method) -> Self {
        Self::at_data(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "Method not allowed.",
            format!("Method \"{method}\" not allowed."),
        )
    }

    pub(crate) fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::at_data(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Unsupported media type.",
            detail,
        )
    }

    pub(crate) fn too_large() -> Self {
        Self::at_data(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            "Payload too large.",
            "Request payload size is too large (> 5 MB)",
        )
    }

    pub(crate) fn retired_revision() -> Self {
        Self::at_data(
            StatusCode::GONE,
            "retired_revision",
            "Gone.",
            "This revision of the API has been retired.",
        )
    }

    pub(crate) fn server_error(status: StatusCode) -> Self {
        Self::at_data(status, "error", "A server error occurred.", "A server error occurred.")
    }

    /// An invalid query parameter.
    pub(crate) fn parameter(parameter: &'static str, detail: impl Into<String>) -> Self {
        let source = Source::Parameter(parameter);
        ApiError::new("invalid", "Invalid input.", detail, source).into()
    }

    /// Media type and body.
    pub(crate) fn render(self, request_id: &str) -> (&'static str, Vec<u8>) {
        if self.html {
            let reason = self.status.canonical_reason().unwrap_or("Error");
            let status = self.status.as_u16();
            let page = format!(
                "<!DOCTYPE html>\n<html><head><title>{status} {reason}</title></head>\
                 <body><h1>{status} {reason}</h1></body></html>\n"
            );
            return ("text/html; charset=UTF-8", page.into_bytes());
        }
        let status = self.status;
        let errors: Vec<Value> =
            self.errors.into_iter().map(|error| error.render(status, request_id)).collect();
        (crate::answer::JSON_API, json!({ "errors": errors }).to_string().into_bytes())
    }
}
