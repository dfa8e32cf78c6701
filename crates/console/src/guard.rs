//! What surrounds every request: whether a form comes from a page of this console, what browsers may do with an
//! answer, a span, metrics.

use std::{sync::Arc, time::Duration, time::Instant};

use axum::{
    body::to_bytes,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use tracing::Instrument as _;

use crate::{
    DURATION, REQUESTS,
    failure::Failure,
    form::Form,
    routes::SIGN_IN,
    server::App,
    session::{Session, find_visitor},
};

/// How many bytes a form may have: some hundred segments and a mapping of as many columns.
const MAX_FORM: usize = 256 << 10;
/// How long a form may be on its way.
const FORM_TIME: Duration = Duration::from_secs(30);
/// In every form that changes something.
const CSRF: &str = "csrf";

/// Nothing is loaded from elsewhere, nothing runs that is not a file of ours, nobody frames it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    // Addresses are whatever somebody has typed; routes are ours.
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("unknown", MatchedPath::as_str).to_owned();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    };
    let span = tracing::info_span!(
        "http.serve",
        otel.name = format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    );
    let answered = async {
        match admit(&app, request).await {
            Ok(request) => next.run(request).await,
            Err(failure) => failure.into_response(),
        }
    };
    let mut response = answered.instrument(span.clone()).await;
    protect(response.headers_mut());
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    let labels = [("route", route), ("method", method.to_owned())];
    metrics::histogram!(DURATION, &labels).record(begun.elapsed().as_secs_f64());
    let [route, method] = labels;
    metrics::counter!(REQUESTS, &[route, method, ("status", status.to_string())]).increment(1);
    response
}

fn protect(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages tell about customers: they are in no cache, and not behind the button for going back once somebody has
    // signed out.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Lets through what only looks, and forms of this console; their content goes on as [`Form`].
async fn admit(app: &App, request: Request) -> Result<Request, Failure> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request);
    }
    if !is_of_this_origin(request.headers()) {
        return Err(Failure::Foreign);
    }
    let (mut parts, body) = request.into_parts();
    let now = Timestamp::now();
    let csrf = if parts.uri.path() == SIGN_IN {
        let visitor = find_visitor(&parts.headers, &app.cookies, &app.sealer, now);
        visitor.ok_or(Failure::Stale)?
    } else {
        let session = Session::find(&parts.headers, &app.cookies, &app.sealer, now);
        session.ok_or(Failure::SignedOut { next: "/".to_owned() })?.csrf
    };
    let read = tokio::time::timeout(FORM_TIME, to_bytes(body, MAX_FORM)).await;
    let Ok(Ok(content)) = read else { return Err(Failure::TooLarge) };
    let form = Form::parse(&content);
    if !csrf.is(form.text(CSRF)) {
        return Err(Failure::Stale);
    }
    parts.extensions.insert(form);
    Ok(Request::from_parts(parts, axum::body::Body::empty()))
}

/// Whether a page of this very host has sent it, as browsers say without being asked. Programs that say nothing
/// about it have services of their own to call.
fn is_of_this_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    match (text("origin"), text("host")) {
        (Some(origin), Some(host)) => {
            origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host))
        }
        (None, _) => site.is_some(),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::is_of_this_origin;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_forms_of_the_same_origin_are_taken() {
        let host = ("host", "segue.example");
        for own in [
            &[host, ("origin", "https://segue.example")][..],
            &[host, ("origin", "https://SEGUE.example"), ("sec-fetch-site", "same-origin")],
            &[host, ("sec-fetch-site", "same-origin")],
        ] {
            assert!(is_of_this_origin(&headers(own)), "{own:?}");
        }
        for foreign in [
            &[host][..],
            &[],
            &[host, ("origin", "null")],
            &[host, ("origin", "https://segue.example.evil.example")],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "https://segue.example:8443")],
            &[("origin", "https://segue.example")],
            &[host, ("origin", "https://segue.example"), ("sec-fetch-site", "same-site")],
            &[host, ("origin", "https://segue.example"), ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "none")],
        ] {
            assert!(!is_of_this_origin(&headers(foreign)), "{foreign:?}");
        }
    }
}
