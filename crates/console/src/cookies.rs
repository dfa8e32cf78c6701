//! Cookies, as headers have them.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::seal::Purpose;

/// How the cookies of this console are called and protected.
#[derive(Debug, Clone)]
pub(crate) struct Cookies {
    /// Browsers send them over TLS only, to this host only.
    secure: bool,
    port: u16,
}

impl Cookies {
    /// On loopback there is no TLS in front. Everywhere else there has to be.
    pub(crate) fn new(listen: SocketAddr) -> Self {
        let secure = !listen.ip().to_canonical().is_loopback();
        Self { secure, port: listen.port() }
    }

    fn name(&self, purpose: Purpose) -> String {
        let name = match purpose {
            Purpose::Session => "segue",
            Purpose::Visitor => "segue-visitor",
        };
        if self.secure {
            format!("__Host-{name}")
        } else {
            // Cookies know no ports: two consoles on one machine would sign each other out.
            format!("{name}-{}", self.port)
        }
    }

    /// What the browser has kept.
    pub(crate) fn find<'a>(&self, headers: &'a HeaderMap, purpose: Purpose) -> Option<&'a str> {
        let name = self.name(purpose);
        let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';'));
        pairs.find_map(|pair| {
            let (found, value) = pair.split_once('=')?;
            (found.trim() == name).then(|| value.trim())
        })
    }

    /// `Set-Cookie` that keeps `value` for `seconds`; for none, that removes it.
    pub(crate) fn set(&self, purpose: Purpose, value: &str, seconds: i64) -> Option<HeaderValue> {
        let name = self.name(purpose);
        let secure = if self.secure { "; Secure" } else { "" };
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::COOKIE};

    use super::{Cookies, Purpose};

    fn cookies(listen: &str) -> Cookies {
        Cookies::new(listen.parse().unwrap())
    }

    #[test]
    fn cookie_is_bound_to_host_and_tls_unless_the_console_is_on_loopback() {
        for listen in ["0.0.0.0:7405", "192.0.2.1:7405", "[::]:7405"] {
            let set = cookies(listen).set(Purpose::Session, "x", 60).unwrap();
            let text = set.to_str().unwrap();
            assert!(text.starts_with("__Host-segue=x; Path=/; Max-Age=60;"), "{text}");
            for part in ["; HttpOnly", "; SameSite=Strict", "; Secure"] {
                assert!(text.contains(part), "{text}");
            }
            assert!(!text.contains("Domain"), "{text}");
        }
        for listen in ["127.0.0.1:7405", "[::1]:7405"] {
            let set = cookies(listen).set(Purpose::Session, "x", 60).unwrap();
            let text = set.to_str().unwrap();
            assert!(text.starts_with("segue-7405=x;") && !text.contains("Secure"), "{text}");
            assert!(text.contains("; HttpOnly") && text.contains("; SameSite=Strict"), "{text}");
        }
        let set = cookies("0.0.0.0:7405").set(Purpose::Session, "x", 60).unwrap();
        assert!(!format!("{set:?}").contains('x'), "it would be in a log of headers");
    }

    #[test]
    fn cookie_is_found_among_others_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        let line = "a=b; xsegue-7405=no; segue-visitor-7405=v; segue-7405=yes=; segue-74055=no";
        headers.append(COOKIE, HeaderValue::from_static(line));
        let cookies = cookies("127.0.0.1:7405");
        assert_eq!(cookies.find(&headers, Purpose::Session), Some("yes="));
        assert_eq!(cookies.find(&headers, Purpose::Visitor), Some("v"));
        assert_eq!(cookies.find(&HeaderMap::new(), Purpose::Session), None);
    }
}
