//! What pages are made of besides themselves. All of it is part of the program.

use std::fmt;

use axum::extract::Path;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{failure::Failure, form::Form};

/// A file that is served under its name.
pub(crate) struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
    version: u64,
}

impl Asset {
    const fn new(name: &'static str, kind: &'static str, content: &'static str) -> Self {
        Self { name, kind, content, version: fingerprint(content.as_bytes()) }
    }
}

/// Its address: another content has another one, so that browsers may keep it for as long as they like.
impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/assets/{}?v={:016x}", self.name, self.version)
    }
}

pub(crate) const STYLE: Asset =
    Asset::new("console.css", "text/css; charset=utf-8", include_str!("../assets/console.css"));
pub(crate) const SCRIPT: Asset = Asset::new(
    "console.js",
    "text/javascript; charset=utf-8",
    include_str!("../assets/console.js"),
);
pub(crate) const ICON: Asset =
    Asset::new("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg"));

/// FNV-1a: it tells versions apart and protects nothing.
const fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

pub(crate) async fn serve(
    Path(name): Path<String>,
    form: Form,
) -> Result<(StatusCode, HeaderMap, &'static str), Failure> {
    let found = [STYLE, SCRIPT, ICON].into_iter().find(|asset| asset.name == name);
    let asset = found.ok_or(Failure::NoPage)?;
    // While versions change, an old page may ask a new console: what it gets must not be kept as the old one.
    let is_asked_for = form.text("v") == format!("{:016x}", asset.version);
    let keep = if is_asked_for { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(keep)),
    ];
    Ok((StatusCode::OK, headers.into_iter().collect(), asset.content))
}

#[cfg(test)]
mod tests {
    use super::{SCRIPT, STYLE, fingerprint};

    #[test]
    fn another_content_has_another_address() {
        assert_ne!(fingerprint(b"a"), fingerprint(b"b"));
        assert_ne!(STYLE.version, SCRIPT.version);
        assert!(STYLE.to_string().starts_with("/assets/console.css?v="));
    }

    /// The policy of the pages forbids it, and nobody is told where else people are.
    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for content in [STYLE.content, SCRIPT.content] {
            assert!(!content.contains("http://") && !content.contains("https://"));
            assert!(!content.contains("url(") && !content.contains("@import"));
        }
    }
}
