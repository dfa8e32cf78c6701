use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use tonic::{Code, Status};

use crate::{form::address, page::answer, seal::NoRandomness};

/// Why there is no page, for each thing that people can do about it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Sign in; then `next` is where they wanted to go.
    SignedOut { next: String },
    /// Come again from here: see [`crate::caller`].
    Elsewhere { here: String },
    /// Nothing: another site has sent this.
    Foreign,
    /// Fill in the form again: it is not of this sign-in.
    Stale,
    /// Send less.
    TooLarge,
    /// Go somewhere else.
    NoPage,
    /// Whatever the services say.
    Refused(Box<Status>),
    /// Look into the log.
    Broken,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl From<askama::Error> for Failure {
    fn from(err: askama::Error) -> Self {
        tracing::error!(error = %err, "a page was not made");
        Self::Broken
    }
}

impl From<NoRandomness> for Failure {
    fn from(err: NoRandomness) -> Self {
        tracing::error!(error = %err, "a cookie was not made");
        Self::Broken
    }
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    title: &'a str,
    words: &'a str,
    /// Whether going back to the form makes sense.
    back: bool,
}

#[derive(Template)]
#[template(path = "elsewhere.html")]
struct ElsewherePage<'a> {
    here: &'a str,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::SignedOut { next } => {
                let next = if next == "/" { "" } else { &next };
                Redirect::to(&address("/sign-in", &[("next", next)])).into_response()
            }
            Self::Elsewhere { here } => answer(StatusCode::OK, &ElsewherePage { here: &here }),
            Self::Refused(status) if status.code() == Code::Unauthenticated => {
                Redirect::to("/sign-in?ended=1").into_response()
            }
            Self::Foreign => shown(
                StatusCode::FORBIDDEN,
                "This came from another page",
                "A form was sent by a page that is not of this console, or through a proxy that changes the host. \
                 Nothing was done.",
            ),
            Self::Stale => shown(
                StatusCode::FORBIDDEN,
                "This form is out of date",
                "It was opened before the present sign-in, or the browser keeps no cookies for this site. Nothing was \
                 done. Open the page again and repeat it.",
            ),
            Self::TooLarge => shown(
                StatusCode::PAYLOAD_TOO_LARGE,
                "That is too much",
                "The form holds more than the console takes. Nothing was done.",
            ),
            Self::NoPage => shown(
                StatusCode::NOT_FOUND,
                "There is no such page",
                "The address may be mistyped, or what was there has been removed.",
            ),
            Self::Broken => shown(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The console failed",
                "Its log says why. Try again, or tell whoever looks after it.",
            ),
            Self::Refused(status) => refused(&status),
        }
    }
}

fn refused(status: &Status) -> Response {
    let (code, title) = match status.code() {
        Code::PermissionDenied => (StatusCode::FORBIDDEN, "Your role does not allow this"),
        Code::NotFound => (StatusCode::NOT_FOUND, "It is not there"),
        Code::InvalidArgument | Code::OutOfRange => {
            (StatusCode::BAD_REQUEST, "That is not possible")
        }
        Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => {
            (StatusCode::CONFLICT, "This cannot be done now")
        }
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => {
            (StatusCode::SERVICE_UNAVAILABLE, "The services do not answer")
        }
        Code::Unimplemented => (StatusCode::NOT_IMPLEMENTED, "The services cannot do this yet"),
        _ => (StatusCode::BAD_GATEWAY, "The services failed"),
    };
    shown(code, title, &words_of(status))
}

/// What a service has said, or what its silence means.
pub(crate) fn words_of(status: &Status) -> String {
    let said = status.message();
    let unreached = status.code() == Code::Unavailable
        && (said.contains("transport error") || said.contains("tcp connect"));
    if unreached {
        return "The console cannot reach the services. They may be starting: try again in a moment."
            .to_owned();
    }
    if said.is_empty() { status.code().description().to_owned() } else { said.to_owned() }
}

fn shown(code: StatusCode, title: &str, words: &str) -> Response {
    let back = code != StatusCode::NOT_FOUND;
    answer(code, &FailurePage { title, words, back })
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use http::{StatusCode, header::LOCATION};
    use http_body_util::BodyExt as _;
    use tonic::{Code, Status};

    use super::Failure;

    async fn page(failure: Failure) -> (StatusCode, String) {
        let response = failure.into_response();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn refusals_show_the_words_of_the_server_and_nothing_of_them_is_markup() {
        let words = "needs the role <b>contributor</b>";
        let (status, page) = page(Status::permission_denied(words).into()).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(page.contains("needs the role &#60;b&#62;contributor"), "{page}");
        assert!(!page.contains("<b>"), "{page}");
    }

    #[tokio::test]
    async fn whoever_is_not_known_any_more_signs_in_again() {
        let failure = Failure::from(Status::unauthenticated("the token was taken back"));
        let response = failure.into_response();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[LOCATION], "/sign-in?ended=1");
        let response =
            Failure::SignedOut { next: "/runs?state=4&x=a b".to_owned() }.into_response();
        assert_eq!(response.headers()[LOCATION], "/sign-in?next=%2Fruns%3Fstate%3D4%26x%3Da+b");
    }

    #[tokio::test]
    async fn services_that_are_not_there_are_no_fault_of_people() {
        let status = Status::new(Code::Unavailable, "tcp connect error");
        let (code, page) = page(status.into()).await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(page.contains("cannot reach the services") && !page.contains("tcp"), "{page}");
    }
}
