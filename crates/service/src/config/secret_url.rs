use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// A URL that may hold a password. Formatting masks it.
#[derive(Clone)]
pub struct SecretUrl {
    text: SecretString,
    masked: String,
    scheme: String,
}

impl SecretUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, url::ParseError> {
        let url = Url::parse(text)?;
        Ok(Self {
            text: SecretString::from(text),
            masked: masked(&url),
            scheme: url.scheme().to_owned(),
        })
    }

    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The URL as it was written, password included: only for whoever connects.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

const MASK: &str = "***";

/// The URL without its password, wherever that stands.
fn masked(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return format!("{}://{MASK}", url.scheme());
    }
    let secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["password", "passwd", "pwd", "secret", "token"].iter().any(|word| name.contains(word))
    };
    if url.query_pairs().any(|(name, _)| secret(&name)) {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| {
                let value = if secret(&name) { MASK.into() } else { value };
                (name.into_owned(), value.into_owned())
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::SecretUrl;

    #[test]
    fn password_is_masked_wherever_it_stands() {
        for (url, shown) in [
            ("postgres://segue:hunter2@db/segue", "postgres://segue:***@db/segue"),
            ("amqp://guest:hunter2@mq:5672/%2f", "amqp://guest:***@mq:5672/%2f"),
            (
                "postgres://db/segue?user=u&password=hunter2",
                "postgres://db/segue?user=u&password=***",
            ),
            ("postgres://db/segue?sslmode=require", "postgres://db/segue?sslmode=require"),
            ("sqlite:///var/lib/segue.db", "sqlite:///var/lib/segue.db"),
        ] {
            let parsed = SecretUrl::parse(url).unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(format!("{parsed:?}"), shown);
            assert_eq!(parsed.expose(), url);
        }
    }
}
