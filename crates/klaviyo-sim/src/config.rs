use std::{fmt, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use crate::{exchange::Exchange, faults::Faults, unknowns::Unknowns};

/// Receives every exchange with the API, after the answer was made and before it is sent.
pub type Observer = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// What to simulate. The default is one account with one key and one list, Klaviyo's limits, no
/// faults, and every undocumented behaviour at its likeliest.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Every account, with its keys and lists.
    pub accounts: Vec<AccountConfig>,
    /// Turns all rate limits off, the daily cap of new lists too.
    pub no_limits: bool,
    /// Where the one-second and one-minute windows of the rate limits start.
    pub window_phase: WindowPhase,
    /// Profiles per second that an account imports; without it as fast as this machine can.
    pub process_rate: Option<NonZeroU32>,
    /// When a processed job says `complete`.
    pub completion: Completion,
    /// How long a job and its errors can be read after it was created; Klaviyo: 7 days.
    pub job_lifetime: Duration,
    /// Keeps only the identifiers of imported profiles: for lists of millions.
    pub forget_payloads: bool,
    /// Seeds every random choice, so that a run with faults can be repeated.
    pub seed: u64,
    /// What goes wrong from the start; can be changed while running.
    pub faults: Faults,
    /// The choices where Klaviyo's behaviour is not known.
    pub unknowns: Unknowns,
    /// A local part that starts like this makes the e-mail address invalid when a job is posted.
    pub refuse_prefix: String,
    /// A local part that starts like this makes the profile fail inside of the job.
    pub import_fail_prefix: String,
    /// How many requests `/__requests` remembers.
    pub request_log: usize,
    /// Sees every exchange with the API.
    pub observer: Option<Observer>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            accounts: vec![AccountConfig::default()],
            no_limits: false,
            window_phase: WindowPhase::FirstRequest,
            process_rate: None,
            completion: Completion::default(),
            job_lifetime: Duration::from_hours(7 * 24),
            forget_payloads: false,
            seed: 0,
            faults: Faults::default(),
            unknowns: Unknowns::default(),
            refuse_prefix: "refuse".to_owned(),
            import_fail_prefix: "importfail".to_owned(),
            request_log: 10_000,
            observer: None,
        }
    }
}

/// When a job that has been processed says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// Before the job is even answered for: the first poll sees `complete`.
    Immediate,
    /// Once some poll has seen the job unfinished, or, if nobody looks, this long after.
    AfterPoll {
        /// How long a processed job waits for its first poll.
        unwatched: Duration,
    },
}

impl Default for Completion {
    fn default() -> Self {
        Self::AfterPoll { unwatched: Duration::from_secs(1) }
    }
}

/// Where fixed windows start. Klaviyo does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WindowPhase {
    /// With the first request after the last window ended.
    #[default]
    FirstRequest,
    /// With each second and minute of the clock, the same for all endpoints.
    WallClock,
    /// This much after each second and minute of the clock.
    Shifted(Duration),
}

/// One Klaviyo account.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    /// The public key: six letters or digits.
    pub id: String,
    /// The organization's name.
    pub name: String,
    /// Private keys; all share the account's limits.
    pub keys: Vec<KeyConfig>,
    /// Lists that exist from the start.
    pub lists: Vec<ListConfig>,
    /// Flows that lists trigger.
    pub flows: Vec<FlowConfig>,
    /// SMS is set up; without it a profile with nothing but a phone number fails.
    pub sms: bool,
}

impl Default for AccountConfig {
    fn default() -> Self {
        Self {
            id: "SIMULA".to_owned(),
            name: "Simulated account".to_owned(),
            keys: vec![KeyConfig::all_scopes("pk_sim")],
            lists: vec![ListConfig::new("LIST01", "Segue demo")],
            flows: Vec::new(),
            sms: true,
        }
    }
}

/// A private key and what it may do.
#[derive(Clone)]
pub struct KeyConfig {
    /// The key itself, for example `pk_sim`.
    pub secret: String,
    /// Scopes such as `lists:read`; `None` allows everything.
    pub scopes: Option<Vec<String>>,
}

impl KeyConfig {
    /// A key that may do everything.
    pub fn all_scopes(secret: impl Into<String>) -> Self {
        Self { secret: secret.into(), scopes: None }
    }

    /// A key that may do only what `scopes` say.
    pub fn with_scopes(secret: impl Into<String>, scopes: &[&str]) -> Self {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Self { secret: secret.into(), scopes: Some(scopes) }
    }
}

impl fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyConfig").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// A list that exists from the start.
#[derive(Debug, Clone)]
pub struct ListConfig {
    /// Six letters or digits.
    pub id: String,
    /// What people call it.
    pub name: String,
}

impl ListConfig {
    /// A list without members.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into() }
    }
}

/// A flow that a list triggers.
#[derive(Debug, Clone)]
pub struct FlowConfig {
    /// Six letters or digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `live`, `draft` or `manual`.
    pub status: String,
    /// Put away by its owner.
    pub archived: bool,
    /// The list whose new members enter it.
    pub list: String,
}
