use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// The revision that the calls and the answers here were written for.
pub const DEFAULT_REVISION: &str = "2026-07-15";

/// How to reach Klaviyo.
#[derive(Debug, Clone)]
pub struct Config {
    /// Klaviyo itself, or a simulator. No user, query or fragment.
    pub base_url: Url,
    /// The `revision` header, `YYYY-MM-DD`.
    pub revision: String,
    pub user_agent: String,
    /// For name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// For a whole call, answer included, unless [`Client::within`](crate::Client::within) says
    /// otherwise.
    pub deadline: Duration,
    /// How long an unused connection is kept. A batch of 4.5 MB should find one that is warm.
    pub idle_timeout: Duration,
    /// Unused connections kept; more may be open. A lane lets 10 imports run at a time.
    pub max_idle: usize,
    /// A proxy for every call, with its credentials. Proxies named by the environment are not used:
    /// keys and profiles go where the configuration says.
    pub proxy: Option<SecretString>,
    /// Lets `http://` be used beyond the loopback interface, where others can read the key.
    pub allow_plaintext: bool,
}

#[expect(clippy::expect_used, reason = "a constant")]
impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: Url::parse("https://a.klaviyo.com").expect("a constant, parsed by a test"),
            revision: DEFAULT_REVISION.to_owned(),
            user_agent: concat!("segue/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            deadline: Duration::from_mins(1),
            idle_timeout: Duration::from_secs(90),
            max_idle: 16,
            proxy: None,
            allow_plaintext: false,
        }
    }
}

/// Why a client cannot be made. No text repeats a URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the base URL must be http or https, with a host and without user, query or fragment")]
    BaseUrl,
    #[error("the base URL is http, which shows the key to the network: use https or allow it")]
    Plaintext,
    #[error("the revision must be a date, YYYY-MM-DD")]
    Revision,
    #[error("the user agent must be printable ASCII")]
    UserAgent,
    #[error("the proxy is not a URL")]
    Proxy,
    #[error("the certificates of this machine cannot be used")]
    Tls(#[source] rustls::Error),
    #[error("the HTTP client cannot be built")]
    Http(#[source] reqwest::Error),
}

impl Config {
    /// A configuration for another base URL, with the defaults otherwise.
    pub fn for_base_url(base_url: Url) -> Self {
        Self { base_url, ..Self::default() }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let url = &self.base_url;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !bare || !url.has_host() || !matches!(url.scheme(), "http" | "https") {
            return Err(ConfigError::BaseUrl);
        }
        if url.scheme() == "http" && !self.allow_plaintext && !is_loopback(url) {
            return Err(ConfigError::Plaintext);
        }
        if !is_date(&self.revision) {
            return Err(ConfigError::Revision);
        }
        Ok(())
    }

    pub(crate) fn http_client(&self) -> Result<reqwest::Client, ConfigError> {
        self.validate()?;
        let agent = HeaderValue::from_str(&self.user_agent).map_err(|_| ConfigError::UserAgent)?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls()?)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(agent)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.idle_timeout)
            .pool_max_idle_per_host(self.max_idle)
            .tcp_nodelay(true);
        if let Some(proxy) = &self.proxy {
            let proxy =
                reqwest::Proxy::all(proxy.expose_secret()).map_err(|_| ConfigError::Proxy)?;
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|err| ConfigError::Http(err.without_url()))
    }

    /// The provider is handed over and never installed: ten clients can live in one process, beside
    /// libraries that prefer another provider.
    fn tls(&self) -> Result<ClientConfig, ConfigError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = versions(provider)?;
        let mut tls = if self.base_url.scheme() == "https" {
            versions.with_platform_verifier().map_err(ConfigError::Tls)?.with_no_client_auth()
        } else {
            // TLS is never spoken, so a machine without certificates will do. No root, no trust.
            versions.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        };
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(tls)
    }
}

fn versions(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, ConfigError> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ConfigError::Tls)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}
