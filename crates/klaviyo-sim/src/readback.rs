//! What tests read back: the truth about what the simulated Klaviyo holds.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Endpoint, LoggedRequest,
    account::Account,
    profiles::{Number, Profiles, render},
    query::Query,
    shared::Shared,
    unknowns::Identifier,
};

/// Everything that can be counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// By account id.
    pub accounts: BTreeMap<String, AccountState>,
    /// Requests by endpoint and status.
    pub requests: BTreeMap<Endpoint, BTreeMap<u16, u64>>,
    /// How many of them were answered with 429.
    pub throttled: u64,
    /// Every call that would have changed somebody's consent or existence.
    pub consent_calls: Vec<LoggedRequest>,
}

/// What one account holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccountState {
    /// All profiles.
    pub profiles: usize,
    /// Members by list id.
    pub members: BTreeMap<String, usize>,
    /// Every accepted import, in the order of acceptance.
    pub imports: Vec<ImportState>,
}

/// One accepted import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportState {
    /// The job's id.
    pub job: String,
    /// Milliseconds since the Unix epoch.
    pub accepted_at_ms: u64,
    /// `queued`, `processing`, `complete` or `cancelled`.
    pub status: String,
    /// Profiles in its body.
    pub profiles: usize,
    /// Of these, imported so far.
    pub completed: usize,
    /// Of these, failed so far.
    pub failed: usize,
    /// Bytes of its body, decompressed.
    pub bytes: usize,
    /// Lists it adds to.
    pub lists: Vec<String>,
}

impl State {
    /// Requests to `endpoint`, whatever their answer.
    pub fn requests_to(&self, endpoint: Endpoint) -> u64 {
        self.requests.get(&endpoint).map_or(0, |statuses| statuses.values().sum())
    }

    /// Members of a list, in whichever account it is.
    pub fn members(&self, list: &str) -> usize {
        self.accounts.values().filter_map(|account| account.members.get(list)).sum()
    }

    /// Every accepted import of every account.
    pub fn imports(&self) -> impl Iterator<Item = &ImportState> {
        self.accounts.values().flat_map(|account| &account.imports)
    }
}

pub(crate) fn state(shared: &Shared) -> State {
    let account = |account: &Arc<Account>| (account.id.clone(), account_state(shared, account));
    let accounts = shared.accounts().iter().map(account).collect();
    let log = shared.log();
    let requests = log.counts();
    let throttled = requests.values().filter_map(|statuses| statuses.get(&429)).sum();
    State { accounts, requests, throttled, consent_calls: log.consent().to_vec() }
}

fn account_state(shared: &Shared, account: &Account) -> AccountState {
    let state = account.state(&shared.clock);
    let imports = state.jobs.all().iter().map(|job| ImportState {
        job: job.id.clone(),
        accepted_at_ms: job.created,
        status: job.status().to_owned(),
        profiles: job.total,
        completed: job.completed,
        failed: job.errors.len(),
        bytes: job.bytes,
        lists: job.lists.clone(),
    });
    AccountState {
        profiles: state.profiles.len(),
        members: state.lists.iter().map(|list| (list.id.clone(), list.members().len())).collect(),
        imports: imports.collect(),
    }
}

/// Members of a list in the order in which the profiles were created, a few at a time, so that the
/// account is never locked for long.
pub(crate) struct MemberPieces {
    shared: Arc<Shared>,
    account: Arc<Account>,
    list: String,
    next: Option<Number>,
}

impl MemberPieces {
    /// `None` when no account has such a list.
    pub(crate) fn new(shared: &Arc<Shared>, list: &str) -> Option<Self> {
        let has_list =
            |account: &&Arc<Account>| account.state(&shared.clock).lists.get(list).is_some();
        let account = shared.accounts().iter().find(has_list)?;
        Some(Self {
            shared: Arc::clone(shared),
            account: Arc::clone(account),
            list: list.to_owned(),
            next: Some(0),
        })
    }

    /// The next members, each shown by `show`; `None` at the end.
    pub(crate) fn next_piece<T>(
        &mut self,
        show: impl Fn(&Profiles, Number) -> T,
    ) -> Option<Vec<T>> {
        const PIECE: usize = 4_096;
        let first = self.next?;
        let state = self.account.state(&self.shared.clock);
        let list = state.lists.get(&self.list)?;
        let numbers: Vec<Number> = list.members().from(first).take(PIECE).collect();
        self.next = numbers.last().map(|last| last + 1);
        (!numbers.is_empty())
            .then(|| numbers.into_iter().map(|number| show(&state.profiles, number)).collect())
    }
}

/// The identifier people know a profile by: its address, else its number, else its external id.
pub(crate) fn known_as(profiles: &Profiles, number: Number) -> String {
    let known = profiles
        .email(number)
        .or_else(|| profiles.phone_number(number))
        .or_else(|| profiles.external_id(number));
    known.unwrap_or_default().to_owned()
}

/// A profile as the API shows it, and the lists it is on.
pub(crate) fn profile(shared: &Shared, identifier: Identifier, text: &str) -> Option<Value> {
    shared.accounts().iter().find_map(|account| {
        let state = account.state(&shared.clock);
        let number = state.profiles.find(identifier, text)?;
        let base = format!("http://{}", shared.address);
        let profile = render::profile(&state.profiles, number, &base, &Query::default(), None);
        let on = state.lists.iter().filter(|list| list.members().joined(number).is_some());
        let lists: Vec<&str> = on.map(|list| list.id.as_str()).collect();
        Some(json!({
            "account": account.id,
            "id": profile["id"],
            "attributes": profile["attributes"],
            "lists": lists,
        }))
    })
}
