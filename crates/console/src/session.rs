//! Who is signed in, as the browser keeps it.

use http::HeaderMap;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    cookies::Cookies,
    seal::{NoRandomness, Purpose, Sealer},
};

/// How long a sign-in lasts, in seconds.
pub(crate) const SESSION_SECONDS: i64 = 12 * 60 * 60;
/// How long the page for signing in can be left open, in seconds.
pub(crate) const VISITOR_SECONDS: i64 = 60 * 60;
/// How long a token may be, in bytes. Browsers keep no cookie beyond 4096 characters, and sealing makes it longer.
pub(crate) const MAX_TOKEN: usize = 2800;

/// Somebody's token, and what shows that a form comes from a page of theirs.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) token: SecretString,
    pub(crate) csrf: Csrf,
}

/// In every form. A page of somebody else knows neither it nor the cookie in which it is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Csrf(String);

impl Csrf {
    pub(crate) fn new() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// How long that takes tells nothing about it.
    pub(crate) fn is(&self, sent: &str) -> bool {
        bool::from(self.0.as_bytes().ct_eq(sent.as_bytes()))
    }
}

impl Session {
    /// As the cookie has it.
    pub(crate) fn seal(&self, sealer: &Sealer, now: Timestamp) -> Result<String, NoRandomness> {
        let ends = now.as_second().saturating_add(SESSION_SECONDS);
        let text = format!("{ends} {} {}", self.csrf.0, self.token.expose_secret());
        sealer.seal(Purpose::Session, &Zeroizing::new(text))
    }

    /// `None`: nobody is signed in, or not any more.
    pub(crate) fn find(
        headers: &HeaderMap,
        cookies: &Cookies,
        sealer: &Sealer,
        now: Timestamp,
    ) -> Option<Self> {
        let kept = cookies.find(headers, Purpose::Session)?;
        let text = sealer.open(Purpose::Session, kept)?;
        let (csrf, token) = unexpired(&text, now)?.split_once(' ')?;
        Some(Self { token: SecretString::from(token), csrf: Csrf(csrf.to_owned()) })
    }
}

/// Somebody who looks at the page for signing in: a form of it has to be theirs too, or somebody else could sign
/// them in as somebody else.
pub(crate) fn seal_visitor(
    sealer: &Sealer,
    csrf: &Csrf,
    now: Timestamp,
) -> Result<String, NoRandomness> {
    let ends = now.as_second().saturating_add(VISITOR_SECONDS);
    sealer.seal(Purpose::Visitor, &format!("{ends} {}", csrf.0))
}

pub(crate) fn find_visitor(
    headers: &HeaderMap,
    cookies: &Cookies,
    sealer: &Sealer,
    now: Timestamp,
) -> Option<Csrf> {
    let text = sealer.open(Purpose::Visitor, cookies.find(headers, Purpose::Visitor)?)?;
    Some(Csrf(unexpired(&text, now)?.to_owned()))
}

/// The browser is asked to forget the cookie, and need not obey.
fn unexpired(text: &str, now: Timestamp) -> Option<&str> {
    let (ends, rest) = text.split_once(' ')?;
    (ends.parse::<i64>().ok()? > now.as_second()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::COOKIE};
    use jiff::{SignedDuration, Timestamp};
    use secrecy::{ExposeSecret as _, SecretString};

    use super::{Csrf, Session, find_visitor, seal_visitor};
    use crate::{cookies::Cookies, seal::Sealer};

    fn now() -> Timestamp {
        "2026-11-27T12:00:00Z".parse().unwrap()
    }

    fn later(seconds: i64) -> Timestamp {
        now() + SignedDuration::from_secs(seconds)
    }

    fn cookies() -> Cookies {
        Cookies::new("127.0.0.1:7405".parse().unwrap())
    }

    fn headers(name: &str, value: &str) -> HeaderMap {
        let line = HeaderValue::from_str(&format!("{name}={value}")).unwrap();
        [(COOKIE, line)].into_iter().collect()
    }

    #[test]
    fn session_comes_back_until_it_is_over() {
        let sealer = Sealer::new(None).unwrap();
        let session = Session { token: SecretString::from("segue_a_b c"), csrf: Csrf::new() };
        let cookie = session.seal(&sealer, now()).unwrap();
        let headers = headers("segue-7405", &cookie);
        let found = Session::find(&headers, &cookies(), &sealer, later(12 * 3600 - 1)).unwrap();
        assert_eq!(found.token.expose_secret(), "segue_a_b c");
        assert_eq!(found.csrf, session.csrf);
        assert!(Session::find(&headers, &cookies(), &sealer, later(12 * 3600)).is_none());
        assert!(!format!("{session:?}").contains("segue_a_b"));
    }

    #[test]
    fn visitor_is_nobody_who_is_signed_in() {
        let sealer = Sealer::new(None).unwrap();
        let csrf = Csrf::new();
        let cookie = seal_visitor(&sealer, &csrf, now()).unwrap();
        let as_session = headers("segue-7405", &cookie);
        assert!(Session::find(&as_session, &cookies(), &sealer, now()).is_none());
        let headers = headers("segue-visitor-7405", &cookie);
        assert_eq!(find_visitor(&headers, &cookies(), &sealer, later(3599)), Some(csrf));
        assert_eq!(find_visitor(&headers, &cookies(), &sealer, later(3600)), None);
    }

    #[test]
    fn forms_of_others_are_not_taken_for_ones_own() {
        let csrf = Csrf::new();
        assert!(csrf.is(csrf.as_str()));
        assert!(!csrf.is("") && !csrf.is(Csrf::new().as_str()) && !csrf.is(&csrf.as_str()[1..]));
    }
}
