//! By what the server knows who asks.

use std::path::Path;

use anyhow::{Context as _, ensure};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};
use url::Url;

use super::args::ServerArgs;
use crate::data::{ADMIN_TOKEN, default_path};

const VARIABLE: &str = "SEGUE_TOKEN";

/// Whoever asks: with a token, or a stranger.
#[derive(Clone)]
pub(super) struct Caller(Option<MetadataValue<Ascii>>);

impl Caller {
    /// `--token-file` or its variable, then `SEGUE_TOKEN`, then what `segue serve` has left on this machine.
    pub(super) fn find(args: &ServerArgs) -> anyhow::Result<Self> {
        if let Some(file) = &args.token_file {
            return Self::with(&read(file)?)
                .with_context(|| format!("{} holds no token", file.display()));
        }
        if let Some(token) = std::env::var(VARIABLE).ok().filter(|token| !token.is_empty()) {
            let token = SecretString::from(token);
            return Self::with(&token).with_context(|| format!("{VARIABLE} holds no token"));
        }
        match default_path() {
            // A token goes nowhere but where it was made, unless somebody says so.
            Ok(data) if is_here(args) && data.join(ADMIN_TOKEN).is_file() => {
                Self::with(&read(&data.join(ADMIN_TOKEN))?)
            }
            _ => Ok(Self(None)),
        }
    }

    /// Refuses to let a token leave this machine in the clear, unless somebody wants that.
    pub(super) fn may_go_to(&self, url: &str, insecure_http: bool) -> anyhow::Result<()> {
        let is_safe = insecure_http || self.0.is_none() || is_loopback(url) || is_https(url);
        ensure!(
            is_safe,
            "nothing was sent: {url} is another machine, and your token would travel there in the clear; use https, \
             or allow it with --insecure-http (SEGUE_INSECURE_HTTP=true)"
        );
        Ok(())
    }

    fn with(token: &SecretString) -> anyhow::Result<Self> {
        let text = Zeroizing::new(format!("Bearer {}", token.expose_secret().trim()));
        let mut value: MetadataValue<Ascii> =
            text.parse().context("it has characters that no token has")?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

fn read(file: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read the token in {}", file.display()))?;
    Ok(SecretString::from(text))
}

/// Whether all that is asked is on this machine.
fn is_here(args: &ServerArgs) -> bool {
    is_loopback(&args.server) && args.status_url.as_deref().is_none_or(is_loopback)
}

fn is_loopback(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| segue_service::config::is_loopback(&url))
}

fn is_https(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https")
}

#[cfg(test)]
mod tests {
    use super::{Caller, SecretString, ServerArgs, is_here};
    use crate::client::args::Output;

    #[test]
    fn token_of_this_machine_goes_nowhere_else() {
        let asked = |server: &str, status: Option<&str>| {
            is_here(&ServerArgs {
                server: server.to_owned(),
                status_url: status.map(str::to_owned),
                tls_ca_file: None,
                insecure_http: false,
                token_file: None,
                output: Output::Table,
            })
        };
        for here in ["http://127.0.0.1:7400", "http://localhost:7400", "https://[::1]:7400"] {
            assert!(asked(here, None) && asked(here, Some(here)), "{here}");
            for away in
                ["http://127.0.0.1.example:7400", "https://example.com", "", "http://10.0.0.1"]
            {
                assert!(!asked(away, None) && !asked(here, Some(away)), "{away}");
            }
        }
    }

    #[test]
    fn token_travels_in_the_clear_within_this_machine_only_unless_it_is_allowed() {
        let known = Caller::with(&SecretString::from("segue_a_b")).unwrap();
        for url in ["http://127.0.0.1:7400", "http://[::1]:1", "http://localhost", "https://segue"]
        {
            known.may_go_to(url, false).unwrap();
        }
        for url in
            ["http://segue:7400", "http://10.0.0.1", "http://localhost.example", "segue:7400"]
        {
            let words = known.may_go_to(url, false).unwrap_err().to_string();
            assert!(words.contains(url) && words.contains("--insecure-http"), "{words}");
            assert!(!words.contains("segue_a_b"), "{words}");
            known.may_go_to(url, true).unwrap();
            // Whoever has no token has none to lose.
            Caller(None).may_go_to(url, false).unwrap();
        }
    }
}
