use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use secrecy::SecretString;
use segue_model::work::Credentials;

use crate::Error;

/// The API keys of Klaviyo accounts, in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    keys: Arc<RwLock<HashMap<String, SecretString>>>,
}

impl KeyRing {
    pub fn insert(&self, account_id: String, key: SecretString) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(account_id, key);
    }

    pub(crate) fn credentials(&self, account_id: &str) -> Result<Credentials, Error> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys
            .get(account_id)
            .ok_or_else(|| Error::NoKey { account_id: account_id.to_owned() })?;
        Ok(Credentials { account_id: account_id.to_owned(), key: key.clone() })
    }
}
