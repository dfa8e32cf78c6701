//! An issuer without a network.

use std::sync::{Arc, Mutex, MutexGuard};

use segue_access::{
    Principal, Role,
    oidc::{Fetch, FetchError, JwtError, Oidc, OidcConfig},
};
use segue_model::Micros;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::Url;

use crate::keys::TestKey;

pub(crate) const ISSUER: &str = "https://id.example.com";
/// What tokens have for `now`, in seconds.
pub(crate) const BEGAN: i64 = 1_790_000_000;

/// So many seconds after the beginning.
pub(crate) fn at(seconds: i64) -> Micros {
    Micros((BEGAN + seconds) * 1_000_000)
}

#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    says: Arc<Mutex<Says>>,
    /// Answers wait for a permit each.
    pub(crate) answers: Arc<Semaphore>,
}

#[derive(Debug)]
pub(crate) struct Says {
    pub(crate) discovery: Value,
    pub(crate) jwks: Value,
    pub(crate) down: bool,
    /// Requests for keys, or for where they are while it is down.
    pub(crate) asked: usize,
}

impl Issuer {
    pub(crate) fn with(keys: &[&TestKey]) -> Self {
        let discovery = json!({"issuer": ISSUER, "jwks_uri": format!("{ISSUER}/keys")});
        let says = Says { discovery, jwks: jwks(keys), down: false, asked: 0 };
        let answers = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { says: Arc::new(Mutex::new(says)), answers }
    }

    pub(crate) fn says(&self) -> MutexGuard<'_, Says> {
        self.says.lock().unwrap()
    }

    pub(crate) fn publish(&self, keys: &[&TestKey]) {
        self.says().jwks = jwks(keys);
    }

    /// Somebody who believes it.
    pub(crate) fn trusted(&self) -> Oidc<Self> {
        self.trusted_with(&json!({}))
    }

    pub(crate) fn trusted_with(&self, changes: &Value) -> Oidc<Self> {
        Oidc::with_fetch(config(ISSUER, changes), self.clone()).unwrap()
    }
}

impl Fetch for Issuer {
    async fn get(&self, url: Url) -> Result<Vec<u8>, FetchError> {
        self.answers.acquire().await.unwrap().forget();
        let mut says = self.says();
        let discovery = url.path() == "/.well-known/openid-configuration";
        says.asked += usize::from(!discovery || says.down);
        match () {
            () if says.down => Err(FetchError::Status(503)),
            () if discovery => Ok(says.discovery.to_string().into_bytes()),
            () if url.path() == "/keys" => Ok(says.jwks.to_string().into_bytes()),
            () => Err(FetchError::Status(404)),
        }
    }
}

pub(crate) fn jwks(keys: &[&TestKey]) -> Value {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    json!({"keys": keys})
}

pub(crate) fn config(issuer: &str, changes: &Value) -> OidcConfig {
    let mut config = json!({
        "issuer": issuer,
        "audience": "segue",
        "role_map": {
            "segue-readers": "viewer",
            "segue-editors": "contributor",
            "segue-admins": "administrator",
        },
    });
    merge(&mut config, changes);
    serde_json::from_value(config).unwrap()
}

/// What a token of Ann says, for five minutes.
pub(crate) fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER,
        "aud": "segue",
        "sub": "248289761001",
        "iat": BEGAN,
        "exp": BEGAN + 300,
        "roles": ["segue-editors"],
        "name": "Ann Example",
    });
    merge(&mut claims, changes);
    claims
}

/// Without `claim`.
pub(crate) fn claims_without(claim: &str) -> Value {
    let mut claims = claims(&json!({}));
    claims.as_object_mut().unwrap().remove(claim).unwrap();
    claims
}

fn merge(into: &mut Value, changes: &Value) {
    for (field, value) in changes.as_object().unwrap() {
        into[field] = value.clone();
    }
}

/// What becomes of a token of this key with these claims, at the beginning.
pub(crate) async fn verified(key: &TestKey, claims: &Value) -> Result<Principal, JwtError> {
    verified_at(key, claims, 0).await
}

pub(crate) async fn verified_at(
    key: &TestKey,
    claims: &Value,
    seconds: i64,
) -> Result<Principal, JwtError> {
    Issuer::with(&[key]).trusted().verify(&key.token(claims), at(seconds)).await
}

#[tokio::test]
async fn a_token_lets_in_whom_it_names() {
    let key = TestKey::rsa("1");
    let principal = verified(&key, &claims(&json!({}))).await.unwrap();
    assert_eq!(principal.subject.to_string(), "oidc:https://id.example.com#248289761001");
    assert_eq!((principal.name.as_str(), principal.role), ("Ann Example", Role::Contributor));
}
