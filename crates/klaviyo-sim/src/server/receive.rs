//! Reads request bodies.

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    error::Refusal,
    unknowns::{Gzip, Unknowns},
};

/// A body as it came.
pub(crate) struct Received {
    /// At most the limit and one byte.
    pub(crate) bytes: Bytes,
    pub(crate) too_large: bool,
}

/// Reads to the end and keeps at most `limit` bytes: a client that is refused early would see a
/// broken connection instead of the refusal. Klaviyo's gateway also reads before it answers.
pub(crate) async fn all(mut body: Incoming, limit: usize) -> Result<Received, hyper::Error> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(announced.min(limit));
    let mut too_large = false;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = limit - bytes.len();
        too_large |= data.len() > room;
        bytes.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok(Received { bytes: bytes.freeze(), too_large })
}

/// Reads about half of the body.
pub(crate) async fn half(mut body: Incoming) -> Result<(), hyper::Error> {
    let mut wanted = body.size_hint().lower() / 2;
    while wanted > 0 {
        let Some(frame) = body.frame().await else { return Ok(()) };
        let length = frame?.data_ref().map_or(0, Bytes::len);
        wanted = wanted.saturating_sub(length as u64);
    }
    Ok(())
}

/// The body as the application sees it: of a known media type, decompressed, not too large.
pub(crate) fn decode(
    received: Received,
    headers: &HeaderMap,
    unknowns: &Unknowns,
) -> Result<Bytes, Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !matches!(media_type, "application/vnd.api+json" | "application/json") {
        let detail = format!("Unsupported media type \"{media_type}\" in request.");
        return Err(Refusal::unsupported_media_type(detail));
    }
    match text(header::CONTENT_ENCODING).map(str::trim) {
        None | Some("" | "identity") if received.too_large => Err(Refusal::too_large()),
        None | Some("" | "identity") => Ok(received.bytes),
        Some("gzip") if unknowns.gzip == Gzip::Accepted => gunzip(&received, unknowns),
        Some(_) => Err(Refusal::unsupported_media_type("Unsupported content encoding.")),
    }
}

/// The limit counts what comes out.
fn gunzip(received: &Received, unknowns: &Unknowns) -> Result<Bytes, Refusal> {
    use std::io::Read;

    if received.too_large {
        return Err(Refusal::too_large());
    }
    let limit = unknowns.body_limit();
    let mut bytes = Vec::new();
    let read = MultiGzDecoder::new(&*received.bytes)
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| Refusal::unsupported_media_type("The body is not gzip."))?;
    if read > limit { Err(Refusal::too_large()) } else { Ok(bytes.into()) }
}
