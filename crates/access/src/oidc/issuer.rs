use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer};
use url::{Host, Url};

/// Who vouches for others, by the URL that its tokens have as `iss`.
///
/// Kept as it was written, because a token has to say the same to the letter: some issuers end in a slash and
/// some do not, and a parsed URL no longer tells which.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issuer {
    text: String,
    discovery: Url,
}

/// Why nobody of that name can be asked for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIssuer {
    #[error("the issuer must be an https URL with a host and without user, query or fragment")]
    Form,
    #[error("the issuer is http, so anybody in between could let anybody in: use https")]
    Plaintext,
}

impl Issuer {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it says about itself what others need to know.
    pub fn discovery(&self) -> &Url {
        &self.discovery
    }

    /// Whether it runs on this machine and speaks http, as one for tests or behind a sidecar does.
    pub(super) fn is_plaintext(&self) -> bool {
        self.discovery.scheme() == "http"
    }

    /// Whether keys from there are as trustworthy as the issuer: over https, or as near as it is itself.
    pub(super) fn may_keep_keys_at(&self, url: &Url) -> bool {
        is_plain(url)
            && match url.scheme() {
                "https" => true,
                "http" => self.is_plaintext() && is_loopback(url),
                _ => false,
            }
    }
}

impl FromStr for Issuer {
    type Err = InvalidIssuer;

    fn from_str(text: &str) -> Result<Self, InvalidIssuer> {
        // The parser would drop line breaks and spaces, and the text is kept.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidIssuer::Form);
        }
        let url = Url::parse(text).map_err(|_| InvalidIssuer::Form)?;
        if !is_plain(&url) || url.query().is_some() {
            return Err(InvalidIssuer::Form);
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(InvalidIssuer::Plaintext),
            _ => return Err(InvalidIssuer::Form),
        }
        let base = text.trim_end_matches('/');
        let discovery = Url::parse(&format!("{base}/.well-known/openid-configuration"));
        let discovery = discovery.map_err(|_| InvalidIssuer::Form)?;
        Ok(Self { text: text.to_owned(), discovery })
    }
}

fn is_plain(url: &Url) -> bool {
    url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Issuer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{InvalidIssuer, Issuer};

    fn issuer(text: &str) -> Result<Issuer, InvalidIssuer> {
        text.parse()
    }

    #[test]
    fn the_text_is_kept_to_the_letter() {
        for (text, discovery) in [
            ("https://a.example", "https://a.example/.well-known/openid-configuration"),
            ("https://a.example/", "https://a.example/.well-known/openid-configuration"),
            ("https://a.example/r/x", "https://a.example/r/x/.well-known/openid-configuration"),
        ] {
            let issuer = issuer(text).unwrap();
            assert_eq!(issuer.as_str(), text);
            assert_eq!(issuer.discovery().as_str(), discovery);
        }
    }

    #[test]
    fn an_http_issuer_is_refused_unless_it_is_on_this_machine() {
        for text in ["http://localhost:8080", "http://127.0.0.1/x", "http://[::1]:1"] {
            assert!(issuer(text).is_ok(), "{text}");
        }
        for text in ["http://a.example", "http://localhost.a.example", "http://10.0.0.1"] {
            assert_eq!(issuer(text), Err(InvalidIssuer::Plaintext), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_issuer() {
        for text in [
            "",
            "a.example",
            "https://",
            "ftp://a.example",
            "file:///etc/passwd",
            "https://ann@a.example",
            "https://:pw@a.example",
            "https://a.example?x",
            "https://a.example#",
            " https://a.example",
            "https://a.example/\n",
        ] {
            assert_eq!(issuer(text), Err(InvalidIssuer::Form), "{text:?}");
        }
    }

    #[test]
    fn keys_come_over_https_or_stay_on_this_machine() {
        let url = |text| Url::parse(text).unwrap();
        let (far, near) = (issuer("https://a.example"), issuer("http://localhost:1"));
        let (far, near) = (far.unwrap(), near.unwrap());
        for issuer in [&far, &near] {
            assert!(issuer.may_keep_keys_at(&url("https://keys.example/k?v=1")));
            assert!(!issuer.may_keep_keys_at(&url("http://a.example/keys")));
            assert!(!issuer.may_keep_keys_at(&url("file:///keys")));
            assert!(!issuer.may_keep_keys_at(&url("https://ann@keys.example/k")));
        }
        assert!(near.may_keep_keys_at(&url("http://127.0.0.1:2/keys")));
        // An issuer elsewhere has no say about what runs on this machine.
        assert!(!far.may_keep_keys_at(&url("http://127.0.0.1:2/keys")));
    }
}
