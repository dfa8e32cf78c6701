use std::{error::Error, sync::Arc, time::Duration};

use segue_model::Micros;
use serde::Deserialize;
use tokio::sync::{Mutex, watch};
use url::Url;

use super::{Fetch, FetchError, Issuer, JwtError, KeysError, keys::KeySet};

/// A key that the issuer took back is good for this much longer.
const FRESH_FOR: Duration = Duration::from_mins(10);
/// How long known keys carry us while the issuer does not answer.
const USABLE_FOR: Duration = Duration::from_hours(24);
/// Between two attempts, whatever strangers send.
const ATTEMPT_EVERY: Duration = Duration::from_secs(30);
/// For each of the two documents.
const DEADLINE: Duration = Duration::from_secs(5);

/// The keys of an issuer, fetched when they are needed.
#[derive(Debug)]
pub(super) struct KeyCache<F> {
    issuer: Issuer,
    fetch: F,
    /// When the last attempt began; held by whoever makes one.
    attempt: Arc<Mutex<Option<Micros>>>,
    /// Nobody waits for a change: it is a lock that no panic can spoil.
    known: watch::Sender<Known>,
}

/// What is known of the keys. No I/O, no clock.
#[derive(Debug, Clone, Default)]
struct Known {
    keys: Option<(Arc<KeySet>, Micros)>,
    /// Why the last attempt brought nothing; `None` if it did.
    failure: Option<Arc<KeysError>>,
}

impl Known {
    fn keys(&self, not_older_than: Duration, now: Micros) -> Option<Arc<KeySet>> {
        let (keys, fetched) = self.keys.as_ref()?;
        (now.since(*fetched) < not_older_than).then(|| Arc::clone(keys))
    }

    /// Keys that will do without asking the issuer. A `kid` that is not among them may be a new one.
    fn fresh(&self, kid: Option<&str>, now: Micros) -> Option<Arc<KeySet>> {
        self.keys(FRESH_FOR, now).filter(|keys| kid.is_none_or(|kid| keys.has(kid)))
    }

    /// Keys that have to do, because the issuer was asked or must not be asked again yet. If it did not
    /// answer, nobody can say that it has no such key.
    fn settled(&self, kid: Option<&str>, now: Micros) -> Result<Arc<KeySet>, Arc<KeysError>> {
        let keys = self
            .keys(USABLE_FOR, now)
            .filter(|keys| self.failure.is_none() || kid.is_none_or(|kid| keys.has(kid)));
        keys.ok_or_else(|| self.failure.clone().unwrap_or_else(|| Arc::new(KeysError::NotFetched)))
    }
}

impl<F: Fetch> KeyCache<F> {
    pub(super) fn new(issuer: Issuer, fetch: F) -> Self {
        let (known, _) = watch::channel(Known::default());
        Self { issuer, fetch, attempt: Arc::default(), known }
    }

    /// The keys to look for `kid` in.
    pub(super) async fn get(
        self: &Arc<Self>,
        kid: Option<&str>,
        now: Micros,
    ) -> Result<Arc<KeySet>, JwtError> {
        let fresh = self.known.borrow().fresh(kid, now);
        if let Some(keys) = fresh {
            return Ok(keys);
        }
        self.refresh(now).await;
        self.known.borrow().settled(kid, now).map_err(JwtError::Keys)
    }

    pub(super) async fn check(self: &Arc<Self>, now: Micros) -> Result<(), Arc<KeysError>> {
        self.refresh(now).await;
        let known = self.known.borrow();
        match (&known.failure, known.settled(None, now)?.is_empty()) {
            (Some(failure), _) => Err(Arc::clone(failure)),
            (None, true) => Err(Arc::new(KeysError::NoKeys)),
            (None, false) => Ok(()),
        }
    }

    /// Asks the issuer, unless somebody did so a moment ago; if somebody is about to, waits for that.
    async fn refresh(self: &Arc<Self>, now: Micros) {
        let mut attempt = Arc::clone(&self.attempt).lock_owned().await;
        if attempt.is_some_and(|began| now.since(began) < ATTEMPT_EVERY) {
            return;
        }
        *attempt = Some(now);
        let this = Arc::clone(self);
        // A task of its own: a stranger who hangs up must not end the one attempt that these 30 seconds have.
        let task = tokio::spawn(async move {
            this.learn(load(&this.fetch, &this.issuer).await, now);
            drop(attempt);
        });
        if let Err(err) = task.await {
            tracing::error!(error = %err, "the keys of the issuer were not fetched");
        }
    }

    fn learn(&self, loaded: Result<KeySet, KeysError>, now: Micros) {
        match loaded {
            // Also if it is empty: keys that were taken back are not believed any more.
            Ok(keys) => {
                let keys = Some((Arc::new(keys), now));
                self.known.send_replace(Known { keys, failure: None });
            }
            Err(err) => {
                let error = &err as &(dyn Error + 'static);
                tracing::warn!(issuer = %self.issuer, error, "the keys of the issuer are not to be had");
                self.known.send_modify(|known| known.failure = Some(Arc::new(err)));
            }
        }
    }
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

async fn load<F: Fetch>(fetch: &F, issuer: &Issuer) -> Result<KeySet, KeysError> {
    let document = get(fetch, issuer.discovery()).await.map_err(KeysError::Discovery)?;
    let Discovery { issuer: named, jwks_uri } =
        serde_json::from_slice(&document).map_err(|_| KeysError::DiscoveryUnreadable)?;
    if named != issuer.as_str() {
        return Err(KeysError::OtherIssuer { wanted: issuer.clone() });
    }
    let jwks_uri = Url::parse(&jwks_uri).map_err(|_| KeysError::DiscoveryUnreadable)?;
    if !issuer.may_keep_keys_at(&jwks_uri) {
        return Err(KeysError::JwksUri);
    }
    let jwks = get(fetch, &jwks_uri).await.map_err(KeysError::Jwks)?;
    KeySet::parse(&jwks)
}

async fn get<F: Fetch>(fetch: &F, url: &Url) -> Result<Vec<u8>, FetchError> {
    let answer = tokio::time::timeout(DEADLINE, fetch.get(url.clone())).await;
    answer.unwrap_or(Err(FetchError::TimedOut(DEADLINE)))
}
