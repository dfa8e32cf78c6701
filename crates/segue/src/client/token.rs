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
            Ok(data) if is_loopback(&args.server) && data.join(ADMIN_TOKEN).is_file() => {
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

fn is_loopback(url: &str) -> bool {
    let host = Url::parse(url).ok();
    match host.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
