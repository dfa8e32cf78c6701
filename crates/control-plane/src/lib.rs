//! Decides: runs, claims, permits, outcome.
//!
//! [`ControlPlane`] answers workers (`worker_api`, `permits`, `verdicts`), starts and cancels runs (`runs`,
//! `starts`), keeps connections and exports, announces work ([`ControlPlane::dispatch`]) and looks after what
//! nobody looks after ([`ControlPlane::sweep`]). [`grpc`] and [`ControlPlane::commands`] are for others.
//! Every answer is one transaction of the store; the rules are functions of `segue-model`.
//!
//! **Invariant:** nothing that matters is kept in memory. What is here only saves waiting.

mod ask;
mod audit;
mod columns;
mod commands;
mod connection_changes;
mod connections;
mod dead;
mod dispatch;
mod error;
mod events;
mod exports;
pub mod grpc;
mod guards;
mod key_reference;
mod keys;
mod leader;
mod lists;
mod looks;
mod mapping;
mod permits;
mod preview;
mod recover;
mod refusal;
mod retention;
mod rights;
mod runs;
mod schedules;
mod seal;
mod segments;
mod settle;
mod signals;
mod sources;
mod starts;
mod sweep;
#[cfg(test)]
mod tests;
mod tokens;
mod verdicts;
mod verify;
mod worker_api;

use std::{sync::Arc, time::Duration};

use segue_klaviyo::Client;
use segue_store::Store;

pub use audit::AuditCheck;
pub use columns::Columns;
pub use commands::Obeyed;
pub use connection_changes::{ConnectionChange, Rotated};
pub use connections::{GivenKey, NewConnection};
pub use error::Error;
pub use exports::{ExportFields, SavedExport};
pub use guards::Guards;
pub use key_reference::{Environment, KeyPlaces, ReferenceError};
pub use keys::KeyRing;
pub use lists::{ListWithFlows, ListsFound, ListsWanted};
pub use mapping::{Mapping, Properties};
pub use preview::{NewProfiles, Previewed};
pub use refusal::{Obstacle, Refusal, Thing, Violation};
pub use rights::Sharing;
pub use runs::{NewRun, Origin, Resumed};
pub use seal::{SealError, Sealer};
pub use segue_model::{Freshness, work};
pub use segue_schedule::{ExportSchedule, Schedule};
pub use segue_store::write::{
    columns::RunColumns,
    connections::{Connection, Consent, KeptElsewhere, KeyReference},
    new_lists::NewList,
    sources::Source,
};
pub use sources::SourceFields;
pub use starts::{Start, StartOptions};
pub use tokens::{KeptToken, WantedToken, token_record};
pub use verify::{LimitLeft, LimitSource, Revision, Scope, ScopeCheck, ScopeState, Verified};

use connections::Vault;
use signals::Signals;

/// Times that tests shorten.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a claim lives without being renewed.
    pub lease: Duration,
    /// A worker that asks for a permit is kept waiting for at most so long, then sent away until later. So is
    /// a reader that is too far ahead, if it asks over gRPC.
    pub permit_wait: Duration,
    /// The reader stays ahead of acceptance by at most so many batches …
    pub batches_ahead: u64,
    /// … and so many bytes.
    pub bytes_ahead: u64,
    /// A batch that has failed for so long is given up.
    pub give_up_after: Duration,
    /// First and longest wait between two looks at Klaviyo's import jobs.
    pub confirm_poll: (Duration, Duration),
    /// How soon to look for what another instance has committed, while there is work. Ten seconds is for one
    /// that is alone.
    pub poll: Duration,
    /// Somebody may listen to events, and somebody publishes them: see [`ControlPlane::publish_events`].
    pub events: bool,
    /// How long Klaviyo may take from accepting a batch of an export to confirming it.
    pub confirm_timeout: Duration,
    /// How long the run of an export may take.
    pub deadline: Duration,
    /// How many batches of the run of an export may be split in two.
    pub splits: u64,
    /// So long after the end of a run what it left undelivered can be sent by a retry.
    pub retry_window: Duration,
    /// So long after the end of a run its rejected rows and its warnings can be told.
    pub reports_kept: Duration,
    /// How long rows are kept that only have an age: requests that made something, what Klaviyo said of keys
    /// and lists, jobs of ended runs, dead jobs.
    pub rows_kept: Duration,
    /// How long somebody who wants to know something about files waits for a worker. Shorter than a call may take,
    /// so that they hear what they have waited for in vain.
    pub look_patience: Duration,
    /// Where keys are that connections refer to.
    pub key_places: KeyPlaces,
    /// The trace that the current span belongs to, if anybody traces: a `traceparent`.
    pub current_trace: fn() -> Option<String>,
    /// Makes a span that was not entered yet a child of one in another process, a `traceparent`.
    pub continue_trace: fn(&tracing::Span, &str),
}

const DAYS_30: Duration = Duration::from_hours(30 * 24);

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(5),
            permit_wait: Duration::from_secs(5),
            batches_ahead: 64,
            bytes_ahead: 1 << 30,
            give_up_after: Duration::from_hours(1),
            confirm_poll: (Duration::from_millis(250), Duration::from_secs(10)),
            poll: Duration::from_secs(10),
            events: false,
            confirm_timeout: Duration::from_hours(2),
            deadline: Duration::from_hours(24),
            splits: 256,
            retry_window: Duration::from_hours(24),
            reports_kept: DAYS_30,
            rows_kept: DAYS_30,
            look_patience: Duration::from_secs(25),
            key_places: KeyPlaces::of_process("this machine".to_owned()),
            current_trace: || None,
            continue_trace: |_, _| {},
        }
    }
}

impl Settings {
    /// For one of several instances, with events.
    pub fn of_services() -> Self {
        Self { poll: Duration::from_millis(250), events: true, ..Self::default() }
    }
}

/// See the crate.
#[derive(Debug)]
pub struct ControlPlane {
    store: Store,
    keys: KeyRing,
    /// `None` in `segue export`, which has no connections.
    vault: Option<Vault>,
    settings: Settings,
    signals: Signals,
}

impl ControlPlane {
    /// For `segue export`: the keys of its runs are in memory.
    pub fn new(store: Store, keys: KeyRing, settings: Settings) -> Arc<Self> {
        Arc::new(Self { store, keys, vault: None, settings, signals: Signals::default() })
    }

    /// For the services: runs belong to exports, and their keys to connections, which `sealer` seals and
    /// about which `klaviyo` is asked.
    pub fn for_services(
        store: Store,
        sealer: Sealer,
        klaviyo: Client,
        settings: Settings,
    ) -> Arc<Self> {
        let (keys, vault) = (KeyRing::default(), Some(Vault { sealer, klaviyo }));
        Arc::new(Self { store, keys, vault, settings, signals: Signals::default() })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }
}
