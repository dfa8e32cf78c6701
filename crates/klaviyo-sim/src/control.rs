//! `/__…`: what tests and people ask the simulator itself. No key is needed.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Method, Response, StatusCode, header, request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Serialize;

use crate::{
    query::Query,
    readback::{self, MemberPieces},
    server::SimBody,
    shared::Shared,
    unknowns::Identifier,
};

pub(crate) async fn answer(
    shared: &Arc<Shared>,
    head: &request::Parts,
    body: Incoming,
) -> io::Result<Response<SimBody>> {
    let query = Query::parse(head.uri.query());
    Ok(match (&head.method, head.uri.path()) {
        (&Method::GET, "/__state") => json(StatusCode::OK, &readback::state(shared)),
        (&Method::GET, "/__requests") => json(StatusCode::OK, &shared.log().recent()),
        (&Method::GET, "/__faults") => json(StatusCode::OK, shared.faults().get()),
        (&Method::GET, "/__members") => members(shared, &query),
        (&Method::GET, "/__profile") => profile(shared, &query),
        (&Method::POST, "/__faults") => {
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            set_faults(shared, &body)
        }
        _ => problem(
            StatusCode::NOT_FOUND,
            "try /__state, /__members?list=, /__profile?email=, \
                                             /__requests or /__faults",
        ),
    })
}

/// One line of JSON for each member: the text it is known by.
#[expect(clippy::expect_used, reason = "any text is JSON")]
fn members(shared: &Arc<Shared>, query: &Query) -> Response<SimBody> {
    let Some(mut pieces) = query.get("list").and_then(|list| MemberPieces::new(shared, list))
    else {
        return problem(StatusCode::NOT_FOUND, "no account has this list");
    };
    let lines = std::iter::from_fn(move || {
        let names = pieces.next_piece(readback::known_as)?;
        let mut lines = Vec::with_capacity(names.len() * 32);
        for name in names {
            serde_json::to_writer(&mut lines, &name).expect("a text is written to memory");
            lines.push(b'\n');
        }
        Some(Bytes::from(lines))
    });
    let mut response = Response::new(SimBody::Streamed(Box::new(lines)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-ndjson"));
    response
}

fn profile(shared: &Shared, query: &Query) -> Response<SimBody> {
    let by = [
        ("email", Identifier::Email),
        ("phone_number", Identifier::PhoneNumber),
        ("external_id", Identifier::ExternalId),
        ("id", Identifier::Id),
    ];
    let mut given =
        by.iter().filter_map(|(name, identifier)| Some((*identifier, query.get(name)?)));
    match given.next().and_then(|(identifier, text)| readback::profile(shared, identifier, text)) {
        Some(profile) => json(StatusCode::OK, &profile),
        None => problem(StatusCode::NOT_FOUND, "no such profile"),
    }
}

fn set_faults(shared: &Shared, body: &[u8]) -> Response<SimBody> {
    let set = serde_json::from_slice(body)
        .and_then(|patch| shared.set_faults(|faults| faults.patch(patch)));
    match set {
        Ok(faults) => json(StatusCode::OK, &faults),
        Err(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn problem(status: StatusCode, what: &str) -> Response<SimBody> {
    json(status, &serde_json::json!({ "problem": what }))
}

#[expect(clippy::expect_used, reason = "what the simulator itself made")]
fn json(status: StatusCode, value: &impl Serialize) -> Response<SimBody> {
    let body = serde_json::to_vec(value).expect("no map here has keys that are not text");
    let mut response = Response::new(SimBody::full(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
