use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header::SET_COOKIE};
use jiff::Timestamp;
use secrecy::SecretString;
use segue_proto::v1;
use tonic::Code;

use super::go_to;
use crate::{
    failure::{Failure, words_of},
    form::{Form, address, own_place},
    page::html_as,
    seal::Purpose,
    server::App,
    services::asking,
    session::{
        Csrf, MAX_TOKEN, SESSION_SECONDS, Session, VISITOR_SECONDS, find_visitor, seal_visitor,
    },
};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    csrf: &'a str,
    /// Where to go then.
    next: &'a str,
    /// What has just happened.
    note: Option<&'static str>,
    problem: Option<String>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let note = match (form.has("ended"), form.has("out")) {
        (true, _) => Some("Your sign-in has ended: the services do not know the token any more."),
        (_, true) => Some("You are signed out."),
        _ => None,
    };
    page(&app, &headers, StatusCode::OK, form.text("next"), note, None)
}

fn page(
    app: &App,
    headers: &HeaderMap,
    status: StatusCode,
    next: &str,
    note: Option<&'static str>,
    problem: Option<String>,
) -> Result<Response, Failure> {
    let now = Timestamp::now();
    // Two of these pages at a time should both work.
    let known = find_visitor(headers, &app.cookies, &app.sealer, now);
    let csrf = known.unwrap_or_else(Csrf::new);
    let next = own_place(next);
    let page = SignInPage { csrf: csrf.as_str(), next, note, problem };
    let mut response = html_as(status, &page)?;
    let sealed = seal_visitor(&app.sealer, &csrf, now)?;
    if let Some(cookie) = app.cookies.set(Purpose::Visitor, &sealed, VISITOR_SECONDS) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let next = form.text("next");
    let refused = |words: String| {
        page(&app, &headers, StatusCode::UNPROCESSABLE_ENTITY, next, None, Some(words))
    };
    let text = form.text("token");
    if text.is_empty() {
        return refused("Paste a token.".to_owned());
    }
    if text.len() > MAX_TOKEN {
        return refused(format!(
            "This token has {} characters. Browsers keep at most {MAX_TOKEN} of them: ask for one with fewer claims, \
             or use a token of Segue's.",
            text.len()
        ));
    }
    let token = SecretString::from(text);
    let Some(services) = app.services.of(&token) else {
        return refused("It has characters that no token has.".to_owned());
    };
    let asked = services.tokens().get_caller(asking(v1::GetCallerRequest {})).await;
    match asked {
        Ok(_) => {}
        Err(status) if status.code() == Code::Unauthenticated => {
            return refused(format!("The services do not know this token: {}.", status.message()));
        }
        Err(status) => return refused(words_of(&status)),
    }
    let session = Session { token, csrf: Csrf::new() };
    let sealed = session.seal(&app.sealer, Timestamp::now())?;
    let next = own_place(next);
    let mut response = if next.is_empty() { go_to("/?done=signed-in") } else { go_to(next) };
    let cookies = [
        app.cookies.set(Purpose::Session, &sealed, SESSION_SECONDS),
        app.cookies.set(Purpose::Visitor, "", 0),
    ];
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(super) async fn sign_out(State(app): State<Arc<App>>) -> Response {
    let mut response = go_to(&address(super::SIGN_IN, &[("out", "1")])).into_response();
    if let Some(cookie) = app.cookies.set(Purpose::Session, "", 0) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
