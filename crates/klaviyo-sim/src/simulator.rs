use std::{io, net::SocketAddr, sync::Arc};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    Identifier, LoggedRequest, State,
    config::Config,
    faults::Faults,
    import::importer,
    readback::{self, MemberPieces},
    server,
    shared::Shared,
};

/// A running simulator. It stops when this is dropped: requests in flight are answered, idle
/// connections closed.
pub struct Simulator {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Simulator {
    /// Listens, and serves on the current Tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let (shared, works) = Shared::new(config, listener.local_addr()?);
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        for (account, works) in shared.accounts().iter().zip(works) {
            let account = Arc::clone(account);
            tasks.spawn(importer::run(Arc::clone(&shared), account, works, stop.clone()));
        }
        tasks.spawn(server::run(Arc::clone(&shared), listener, tasks.clone(), stop.clone()));
        Ok(Self { shared, tasks, stop: stop.drop_guard() })
    }

    /// `http://127.0.0.1:12345`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Stops and waits until every request in flight is answered.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Everything that can be counted, as `GET /__state` shows it.
    pub fn state(&self) -> State {
        readback::state(&self.shared)
    }

    /// Waits until the state is as wanted, and returns it. Wrap it in a timeout.
    pub async fn until(&self, mut wanted: impl FnMut(&State) -> bool) -> State {
        let mut changes = self.shared.changes();
        loop {
            changes.mark_unchanged();
            let state = self.state();
            if wanted(&state) {
                return state;
            }
            // Jobs that nobody polls complete by the clock: look again even if nothing happened.
            let again = std::time::Duration::from_millis(20);
            drop(tokio::time::timeout(again, changes.changed()).await);
        }
    }

    /// Members of a list in the order in which the profiles were created: the e-mail address of
    /// each, or what else it is known by. Empty when no account has the list.
    pub fn members(&self, list: &str) -> Vec<String> {
        let Some(mut pieces) = MemberPieces::new(&self.shared, list) else { return Vec::new() };
        let pieces = std::iter::from_fn(|| pieces.next_piece(readback::known_as));
        pieces.flatten().collect()
    }

    /// A profile by its e-mail address, as `GET /__profile` shows it: `id`, `account`,
    /// `attributes` and `lists`.
    pub fn profile(&self, email: &str) -> Option<Value> {
        readback::profile(&self.shared, Identifier::Email, email)
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.log().recent()
    }

    /// What goes wrong now.
    pub fn faults(&self) -> Faults {
        self.shared.faults().get().clone()
    }

    /// Replaces all faults.
    pub fn set_faults(&self, faults: Faults) {
        let set = self.shared.set_faults(|state| {
            state.set(faults);
            Ok(())
        });
        debug_assert!(set.is_ok(), "nothing was parsed");
    }

    /// Deletes a list, as somebody would in Klaviyo's pages. `false` when there is none.
    pub fn delete_list(&self, list: &str) -> bool {
        let delete = |account: &Arc<crate::account::Account>| {
            account.state(&self.shared.clock).lists.remove(list).is_some()
        };
        self.shared.accounts().iter().any(delete)
    }
}
