//! By what the server knows who asks.

use std::path::Path;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};
use url::{Host, Url};

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
    let host = Url::parse(url).ok();
    match host.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{ServerArgs, is_here};
    use crate::client::args::Output;

    #[test]
    fn token_of_this_machine_goes_nowhere_else() {
        let asked = |server: &str, status: Option<&str>| {
            is_here(&ServerArgs {
                server: server.to_owned(),
                status_url: status.map(str::to_owned),
                tls_ca_file: None,
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
}
