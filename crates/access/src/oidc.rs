//! Identities that somebody else vouches for: JSON web tokens of one issuer, as `OpenID Connect` publishes what
//! is needed to verify them.

mod algorithm;
mod cache;
mod claims;
mod config;
mod error;
mod fetch;
mod issuer;
mod jws;
mod keys;

use std::sync::Arc;

use segue_model::Micros;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use config::{InvalidOidcConfig, OidcConfig};
pub use error::{JwtError, KeysError};
pub use fetch::{Fetch, FetchError, HttpFetch, MAX_BODY_BYTES};
pub use issuer::{InvalidIssuer, Issuer};

use crate::Principal;
use cache::KeyCache;
use jws::Jws;

/// Lets in whom the issuer vouches for. Cheap to clone; clones share their keys.
///
/// Keys are asked for again when they are older than 10 minutes and somebody comes, and when a token names a
/// key that is not known; in all at most once in 30 seconds, so that no stranger can make us a nuisance to the
/// issuer. While the issuer does not answer, known keys are good for 24 hours; then nobody is let in.
#[derive(Debug)]
pub struct Oidc<F = HttpFetch> {
    config: Arc<OidcConfig>,
    keys: Arc<KeyCache<F>>,
}

impl<F> Clone for Oidc<F> {
    fn clone(&self) -> Self {
        Self { config: Arc::clone(&self.config), keys: Arc::clone(&self.keys) }
    }
}

impl Oidc {
    /// Asks nobody yet: see [`Oidc::check`].
    pub fn new(config: OidcConfig) -> Result<Self, InvalidOidcConfig> {
        let fetch = HttpFetch::new(&config.issuer).map_err(InvalidOidcConfig::Http)?;
        Self::with_fetch(config, fetch)
    }
}

impl<F: Fetch> Oidc<F> {
    pub fn with_fetch(config: OidcConfig, fetch: F) -> Result<Self, InvalidOidcConfig> {
        config.validate()?;
        let keys = Arc::new(KeyCache::new(config.issuer.clone(), fetch));
        Ok(Self { config: Arc::new(config), keys })
    }

    /// Whether the issuer publishes keys, for a service that starts: it can say what is wrong before somebody
    /// is turned away. Takes up to 10 seconds. Needs a tokio runtime, like [`Oidc::verify`].
    pub async fn check(&self, now: Micros) -> Result<(), Arc<KeysError>> {
        self.keys.check(now).await
    }

    /// Whom the token lets in. Waits for the issuer, up to 10 seconds, if keys are needed first.
    pub async fn verify(&self, token: &str, now: Micros) -> Result<Principal, JwtError> {
        let config = &*self.config;
        let jws = Jws::parse(token, &config.algorithms)?;
        let keys = self.keys.get(jws.kid(), now).await?;
        let key = keys.choose(jws.kid(), jws.algorithm())?;
        let payload = jws.verified_by(key)?;
        claims::principal(&payload, config, now)
    }
}
