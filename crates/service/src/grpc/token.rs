use std::fmt;

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const SCHEME: &str = "Bearer ";

/// A bearer token, as a header has it. Formatting prints a marker.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

impl Token {
    /// `None`: it has characters that no header may have, which [`crate::worker_token`] does not let through.
    pub fn new(token: &SecretString) -> Option<Self> {
        let text = Zeroizing::new(format!("{SCHEME}{}", token.expose_secret()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// Whether the caller has it. How long that takes tells nothing about the token but its length.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let (sent_scheme, sent) = sent.split_at_checked(SCHEME.len()).unwrap_or_default();
        let (_, wanted) = self.0.as_bytes().split_at_checked(SCHEME.len()).unwrap_or_default();
        // The scheme is no secret, and its case does not matter.
        sent_scheme.eq_ignore_ascii_case(SCHEME.as_bytes()) && bool::from(sent.ct_eq(wanted))
    }

    pub(crate) fn put_into(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.0.clone());
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
    use secrecy::SecretString;

    use super::Token;

    #[test]
    fn only_the_whole_token_passes_and_formatting_does_not_show_it() {
        let token = Token::new(&SecretString::from("0123456789abcdef")).unwrap();
        let is_in = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            token.is_in(&headers)
        };
        assert!(is_in("Bearer 0123456789abcdef") && is_in("bearer 0123456789abcdef"));
        for other in [
            "",
            "Bearer ",
            "Bearer",
            "0123456789abcdef",
            "Basic  0123456789abcdef",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcdef0",
        ] {
            assert!(!is_in(other), "{other}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
        assert!(!format!("{token:?}").contains("0123"));
        let mut headers = HeaderMap::new();
        token.put_into(&mut headers);
        assert!(token.is_in(&headers) && !format!("{headers:?}").contains("0123"));
    }
}
