use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use segue_model::Endpoint;
use tokio::sync::Notify;

/// Who waits for what within this process. To miss a signal costs time, never correctness: everyone
/// who waits also looks again by the clock.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// A job was made or released.
    pub(crate) work: Notify,
    /// A batch was accepted or given up, or a run stopped: a reader may go on.
    pub(crate) room: Notify,
    /// The state of a run changed.
    pub(crate) run: Notify,
    /// Something was noted that is to be published.
    pub(crate) events: Notify,
    /// A look has its answer.
    pub(crate) look: Notify,
    gates: Mutex<HashMap<(String, Endpoint), Arc<Gate>>>,
}

/// The door of a lane: those who want a permit stand in line.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub(crate) line: tokio::sync::Mutex<()>,
    /// An answer was recorded. Matters to those who know no time at which a place becomes free.
    pub(crate) answered: Notify,
    /// A place became free before its time, or a run has stopped.
    pub(crate) changed: Notify,
}

impl Signals {
    pub(crate) fn gate(&self, account_id: &str, endpoint: Endpoint) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry((account_id.to_owned(), endpoint)).or_default())
    }

    /// Everyone looks again: a run has stopped.
    pub(crate) fn stopped(&self) {
        for gate in self.gates.lock().unwrap_or_else(PoisonError::into_inner).values() {
            gate.changed.notify_waiters();
        }
        self.room.notify_waiters();
        self.work.notify_one();
        self.events.notify_one();
        self.run.notify_waiters();
    }
}
