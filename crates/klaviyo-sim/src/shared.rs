//! What all connections of one simulator share.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{mpsc, watch};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::{
    account::Account,
    clock::Clock,
    config::Config,
    faults::{FaultState, Faults},
    import::importer::Work,
    log::RequestLog,
};

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    accounts: Vec<Arc<Account>>,
    importers: Vec<mpsc::UnboundedSender<Work>>,
    keys: HashMap<String, Key>,
    faults: Mutex<FaultState>,
    log: Mutex<RequestLog>,
    requests: AtomicU64,
    changes: watch::Sender<()>,
}

struct Key {
    account: usize,
    scopes: Option<Vec<String>>,
}

/// Whom a private key speaks for.
pub(crate) struct Caller {
    pub(crate) account: Arc<Account>,
    scopes: Option<Vec<String>>,
}

impl Caller {
    pub(crate) fn may(&self, scopes: &[&str]) -> bool {
        let Some(granted) = &self.scopes else { return true };
        scopes.iter().all(|scope| granted.iter().any(|granted| granted == scope))
    }
}

impl Shared {
    /// Also returns, for each account, where its importer receives jobs.
    pub(crate) fn new(
        config: Config,
        address: SocketAddr,
    ) -> (Arc<Self>, Vec<mpsc::UnboundedReceiver<Work>>) {
        let clock = Clock::start();
        let now = clock.now();
        let mut keys = HashMap::new();
        let mut accounts = Vec::new();
        let (importers, receivers) =
            config.accounts.iter().map(|_| mpsc::unbounded_channel()).unzip();
        for (index, account) in (0..).zip(&config.accounts) {
            for key in &account.keys {
                let scopes = key.scopes.clone();
                keys.insert(key.secret.clone(), Key { account: accounts.len(), scopes });
            }
            accounts.push(Arc::new(Account::new(index, account, &config, now)));
        }
        let shared = Self {
            faults: Mutex::new(FaultState::new(config.faults.clone(), config.seed)),
            log: Mutex::new(RequestLog::new(config.request_log)),
            requests: AtomicU64::new(0),
            changes: watch::Sender::new(()),
            config,
            address,
            clock,
            accounts,
            importers,
            keys,
        };
        (Arc::new(shared), receivers)
    }

    pub(crate) fn accounts(&self) -> &[Arc<Account>] {
        &self.accounts
    }

    pub(crate) fn account(&self, id: &str) -> Option<&Arc<Account>> {
        self.accounts.iter().find(|account| account.id == id)
    }

    /// Whom `Authorization` speaks for; `None` for a key that is missing, unknown or revoked.
    pub(crate) fn caller(&self, authorization: Option<&str>) -> Option<Caller> {
        let secret = authorization?.strip_prefix("Klaviyo-API-Key ")?.trim();
        let key = self.keys.get(secret)?;
        let faults = self.faults();
        if faults.get().revoked_keys.contains(secret) {
            return None;
        }
        let account = match faults.get().moved_keys.get(secret) {
            Some(moved_to) => self.account(moved_to)?,
            None => &self.accounts[key.account],
        };
        Some(Caller { account: Arc::clone(account), scopes: key.scopes.clone() })
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultState> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets faults and deletes the lists they name.
    pub(crate) fn set_faults(
        &self,
        set: impl FnOnce(&mut FaultState) -> Result<(), serde_json::Error>,
    ) -> Result<Faults, serde_json::Error> {
        let faults = {
            let mut state = self.faults();
            set(&mut state)?;
            state.get().clone()
        };
        for account in &self.accounts {
            let mut state = account.state(&self.clock);
            for list in &faults.deleted_lists {
                drop(state.lists.remove(list));
            }
        }
        Ok(faults)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, RequestLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an accepted job to its account's importer.
    pub(crate) fn import(&self, account: &Account, work: Work) {
        let index = self.accounts.iter().position(|known| known.id == account.id);
        if let Some(importer) = index.and_then(|index| self.importers.get(index)) {
            // Refused only while the simulator stops: the job then stays queued, as a crash would.
            importer.send(work).ok();
        }
    }

    /// A UUID, different for each request, the same for each run.
    pub(crate) fn new_request_id(&self) -> String {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        let bytes = xxh3_128_with_seed(&count.to_le_bytes(), self.config.seed).to_le_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// Something happened that a test may wait for.
    pub(crate) fn notify(&self) {
        self.changes.send_replace(());
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
