use std::{fmt, future::Future, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use url::Url;

use super::Issuer;

/// What an issuer says about itself, and its keys, are a few KB. An answer longer than this is not read to
/// its end.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Gets documents of an issuer.
pub trait Fetch: Send + Sync + 'static {
    /// The body of a `200`. Whatever else comes is an error, a redirect in particular; the caller sets the
    /// deadline.
    fn get(&self, url: Url) -> impl Future<Output = Result<Vec<u8>, FetchError>> + Send;
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("status {0}")]
    Status(u16),
    /// Not followed, because whoever may redirect would choose the keys.
    #[error("a redirect, status {0}: give the address that it leads to")]
    Redirected(u16),
    #[error("the answer is longer than {MAX_BODY_BYTES} bytes")]
    TooLong,
    #[error("the connection failed")]
    Connection(#[source] reqwest::Error),
    #[error("the certificates of this machine cannot be used")]
    Tls(#[source] rustls::Error),
}

/// Over HTTP/1.1, and TLS with the roots that this machine trusts.
pub struct HttpFetch(reqwest::Client);

impl fmt::Debug for HttpFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFetch").finish_non_exhaustive()
    }
}

impl HttpFetch {
    /// Proxies named by the environment are not used: whom to believe is said by the configuration alone.
    pub fn new(issuer: &Issuer) -> Result<Self, FetchError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(issuer)?)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(concat!("segue/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // Asked for once in 10 minutes: a connection that was kept would be dead by then.
            .pool_max_idle_per_host(0)
            .build();
        client.map(Self).map_err(connection)
    }
}

impl Fetch for HttpFetch {
    async fn get(&self, url: Url) -> Result<Vec<u8>, FetchError> {
        let mut response = self.0.get(url).send().await.map_err(connection)?;
        match response.status() {
            reqwest::StatusCode::OK => {}
            other if other.is_redirection() => return Err(FetchError::Redirected(other.as_u16())),
            other => return Err(FetchError::Status(other.as_u16())),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(connection)? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn connection(err: reqwest::Error) -> FetchError {
    FetchError::Connection(err.without_url())
}

/// The provider is handed over and never installed, so that others in the process can have their own.
fn tls(issuer: &Issuer) -> Result<ClientConfig, FetchError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(FetchError::Tls)?;
    let mut tls = if issuer.is_plaintext() {
        // A machine without certificates will do. No root, no trust.
        versions.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    } else {
        versions.with_platform_verifier().map_err(FetchError::Tls)?.with_no_client_auth()
    };
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}
