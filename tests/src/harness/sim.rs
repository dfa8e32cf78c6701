use std::{num::NonZeroU32, ops::Deref, thread};

use klaviyo_sim::{
    AccountConfig, Completion, Config, Endpoint, KeyConfig, ListConfig, LoggedRequest, Simulator,
};
use tokio::runtime::Runtime;

/// The list that the default account has.
pub const LIST: &str = "LIST01";
/// A list of the same account that no test names.
pub const OTHER_LIST: &str = "LIST02";

/// A Klaviyo that runs as long as this lives, on threads of its own.
///
/// When it goes, it is looked at once more: no test may have called an endpoint that changes consent,
/// suppression or the existence of a person.
pub struct Sim {
    simulator: Option<Simulator>,
    runtime: Runtime,
}

impl Sim {
    pub fn start(config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let simulator = Some(runtime.block_on(Simulator::start(config)).unwrap());
        Self { simulator, runtime }
    }

    /// No limits, and jobs complete at once: for tests of what is sent, not of when.
    pub fn free() -> Self {
        Self::start(free())
    }

    /// Answered requests to `endpoint`, whatever the answer was.
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.state().requests_to(endpoint)
    }

    /// Answered requests that may have changed something, oldest first.
    pub fn writes(&self) -> Vec<LoggedRequest> {
        let mut requests = self.requests();
        requests.retain(|request| request.method != "GET");
        requests
    }
}

impl Deref for Sim {
    type Target = Simulator;
    fn deref(&self) -> &Simulator {
        self.simulator.as_ref().expect("it is taken only when this is dropped")
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let consent = self.state().consent_calls;
        if let Some(simulator) = self.simulator.take() {
            self.runtime.block_on(simulator.stop());
        }
        if !thread::panicking() {
            assert_eq!(consent, [], "an export must not touch consent, suppression or existence");
        }
    }
}

/// One account with two lists and one key, `pk_sim`.
pub fn account() -> AccountConfig {
    AccountConfig {
        lists: vec![ListConfig::new(LIST, "Segue demo"), ListConfig::new(OTHER_LIST, "Others")],
        ..AccountConfig::default()
    }
}

/// Beside the account that is meant, another one that nobody may be sent to.
fn stranger() -> AccountConfig {
    AccountConfig {
        id: "OTHERS".to_owned(),
        name: "Somebody else".to_owned(),
        keys: vec![KeyConfig::all_scopes("pk_other")],
        lists: vec![ListConfig::new("ALIEN1", "Of the other account")],
        ..AccountConfig::default()
    }
}

/// See [`Sim::free`].
pub fn free() -> Config {
    Config { no_limits: true, completion: Completion::Immediate, ..limited() }
}

/// Klaviyo's limits.
pub fn limited() -> Config {
    Config { accounts: vec![account(), stranger()], request_log: 100_000, ..Config::default() }
}

/// Profiles per second.
pub fn rate(profiles: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(profiles)
}
