//! What goes wrong on demand.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderValue;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Endpoint, import::jobs::Fate, unknowns::ImportErrorText};

/// When a fault strikes: the next `next` times, then with `probability`.
///
/// In JSON also a plain number, which is the probability.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, from = "TriggerForm")]
pub struct Trigger {
    /// From 0 to 1.
    pub probability: f64,
    /// This many times for certain.
    pub next: u32,
    /// Only requests to this endpoint.
    pub endpoint: Option<Endpoint>,
}

impl Trigger {
    /// Strikes each time with this probability.
    pub fn probability(probability: f64) -> Self {
        Self { probability, ..Self::default() }
    }

    /// Strikes the next `next` times.
    pub fn next(next: u32) -> Self {
        Self { next, ..Self::default() }
    }

    /// Strikes only at `endpoint`.
    #[must_use]
    pub fn at(self, endpoint: Endpoint) -> Self {
        Self { endpoint: Some(endpoint), ..self }
    }

    fn strikes(&mut self, endpoint: Endpoint, rng: &mut StdRng) -> bool {
        if self.endpoint.is_some_and(|only| only != endpoint) {
            return false;
        }
        if self.next > 0 {
            self.next -= 1;
            return true;
        }
        self.probability > 0.0 && rng.random_bool(self.probability.min(1.0))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TriggerForm {
    Probability(f64),
    Full(FullTrigger),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullTrigger {
    #[serde(default)]
    probability: f64,
    #[serde(default)]
    next: u32,
    #[serde(default)]
    endpoint: Option<Endpoint>,
}

impl From<TriggerForm> for Trigger {
    fn from(form: TriggerForm) -> Self {
        match form {
            TriggerForm::Probability(probability) => Self::probability(probability),
            TriggerForm::Full(FullTrigger { probability, next, endpoint }) => {
                Self { probability, next, endpoint }
            }
        }
    }
}

/// What an injected 429 says in `Retry-After`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// One second.
    #[default]
    OneSecond,
    /// No header at all, as in a recording of 2023.
    Absent,
    /// These very words: `0`, `-5`, `99999999999`, a date …
    Text(String),
}

/// Everything that can go wrong. Each request meets at most one of them.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Only requests with one of these keys meet a fault; none: all requests.
    pub only_keys: BTreeSet<String>,
    /// A 403 of the bot protection: HTML with `cf-mitigated: challenge`. Nothing is done.
    pub challenge: Trigger,
    /// A 503 of the gateway, in HTML. Nothing is done.
    pub unavailable: Trigger,
    /// A 500, 502 or 503 in HTML or JSON, by chance. Nothing is done.
    pub fail: Trigger,
    /// A 429 although the limit is not reached. Nothing is done.
    pub throttle: Trigger,
    /// What such a 429 says.
    pub retry_after: RetryAfter,
    /// The connection is reset in the middle of the request's body. Nothing is done.
    pub reset: Trigger,
    /// The request is carried out, then the connection is reset before the answer.
    pub drop: Trigger,
    /// The request is carried out, and the connection ends in the middle of the answer.
    pub truncate: Trigger,
    /// Every answer is this many milliseconds late.
    pub slow_ms: u64,
    /// An accepted job that never completes.
    pub stuck: Trigger,
    /// An accepted job that ends `cancelled`, with nothing imported.
    pub cancel: Trigger,
    /// A profile that fails inside of its job.
    pub import_fail: Trigger,
    /// What the error of such a profile says; by default what `Unknowns` says for invalid ones.
    pub import_error: Option<ImportError>,
    /// Keys that are no longer valid.
    pub revoked_keys: BTreeSet<String>,
    /// Keys that now belong to the account with this id.
    pub moved_keys: BTreeMap<String, String>,
    /// Lists that are deleted when these faults are set.
    pub deleted_lists: BTreeSet<String>,
}

/// The words of an injected import error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportError {
    /// For example `duplicate_profile`.
    pub code: String,
    /// For example `Conflict.`
    pub title: String,
    /// The sentence for people.
    pub detail: String,
}

impl From<ImportError> for ImportErrorText {
    fn from(ImportError { code, title, detail }: ImportError) -> Self {
        Self { code, title, detail }
    }
}

/// What this request meets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    Challenge,
    Unavailable,
    Fail {
        status: u16,
        html: bool,
    },
    Throttle(RetryAfter),
    Reset,
    Drop,
    Truncate,
}

/// The faults that are set, and the dice.
pub(crate) struct FaultState {
    faults: Faults,
    rng: StdRng,
}

impl FaultState {
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        Self { faults, rng: StdRng::seed_from_u64(seed) }
    }

    pub(crate) fn get(&self) -> &Faults {
        &self.faults
    }

    pub(crate) fn set(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Changes only the fields that `patch` names.
    pub(crate) fn patch(&mut self, patch: Value) -> Result<(), serde_json::Error> {
        let mut all = serde_json::to_value(&self.faults)?;
        if let (Value::Object(all), Value::Object(patch)) = (&mut all, patch) {
            all.extend(patch);
        }
        self.faults = serde_json::from_value(all)?;
        Ok(())
    }

    /// Whether a request with this `Authorization` may meet a fault.
    pub(crate) fn concerns(&self, authorization: Option<&HeaderValue>) -> bool {
        let keys = &self.faults.only_keys;
        let key = authorization.and_then(|it| it.to_str().ok()?.strip_prefix("Klaviyo-API-Key "));
        keys.is_empty() || key.is_some_and(|key| keys.contains(key))
    }

    /// Rolls the dice for one request: the first fault that strikes is the one it meets.
    pub(crate) fn draw(&mut self, endpoint: Endpoint) -> Fault {
        let Self { faults, rng } = self;
        if faults.challenge.strikes(endpoint, rng) {
            Fault::Challenge
        } else if faults.unavailable.strikes(endpoint, rng) {
            Fault::Unavailable
        } else if faults.fail.strikes(endpoint, rng) {
            let status = [500, 502, 503][rng.random_range(0..3)];
            Fault::Fail { status, html: rng.random_bool(0.5) }
        } else if faults.throttle.strikes(endpoint, rng) {
            Fault::Throttle(faults.retry_after.clone())
        } else if faults.reset.strikes(endpoint, rng) {
            Fault::Reset
        } else if faults.drop.strikes(endpoint, rng) {
            Fault::Drop
        } else if faults.truncate.strikes(endpoint, rng) {
            Fault::Truncate
        } else {
            Fault::None
        }
    }

    pub(crate) fn fate_of_job(&mut self) -> Fate {
        if self.faults.stuck.strikes(Endpoint::Import, &mut self.rng) {
            Fate::Stuck
        } else if self.faults.cancel.strikes(Endpoint::Import, &mut self.rng) {
            Fate::Cancelled
        } else {
            Fate::Complete
        }
    }

    /// One answer for each of `count` profiles; `None` when none of them can fail.
    pub(crate) fn failing_profiles(&mut self, count: usize) -> Option<Vec<bool>> {
        let Self { faults, rng } = self;
        if faults.import_fail == Trigger::default() {
            return None;
        }
        Some((0..count).map(|_| faults.import_fail.strikes(Endpoint::Import, rng)).collect())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::{Fault, FaultState, Faults, Trigger};
    use crate::Endpoint;

    #[test]
    fn next_faults_strike_exactly_that_often_and_only_at_their_endpoint() {
        let faults = Faults { drop: Trigger::next(2).at(Endpoint::Import), ..Faults::default() };
        let mut state = FaultState::new(faults, 1);
        assert_eq!(state.draw(Endpoint::Lists), Fault::None);
        let drawn: Vec<_> = (0..3).map(|_| state.draw(Endpoint::Import)).collect();
        assert_eq!(drawn, [Fault::Drop, Fault::Drop, Fault::None]);
    }

    #[test]
    fn faults_of_some_keys_are_no_concern_of_others() {
        let mut state = FaultState::new(Faults::default(), 1);
        let key = |key: &str| HeaderValue::try_from(format!("Klaviyo-API-Key {key}")).unwrap();
        assert!(state.concerns(Some(&key("pk_a"))) && state.concerns(None));
        state.set(Faults { only_keys: ["pk_a".to_owned()].into(), ..Faults::default() });
        assert!(state.concerns(Some(&key("pk_a"))));
        assert!(!state.concerns(Some(&key("pk_b"))) && !state.concerns(None));
    }

    #[test]
    fn same_seed_draws_the_same_faults() {
        let faults = Faults { fail: Trigger::probability(0.5), ..Faults::default() };
        let draw = |seed| {
            let mut state = FaultState::new(faults.clone(), seed);
            (0..64).map(|_| state.draw(Endpoint::Import)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn patch_leaves_the_other_faults_alone_and_refuses_unknown_ones() {
        let faults = Faults { slow_ms: 20, ..Faults::default() };
        let mut state = FaultState::new(faults, 0);
        state.patch(json!({"fail": 0.25, "drop": {"next": 3, "endpoint": "import"}})).unwrap();
        assert_eq!(state.get().slow_ms, 20);
        assert_eq!(state.get().fail, Trigger::probability(0.25));
        assert_eq!(state.get().drop, Trigger::next(3).at(Endpoint::Import));
        assert!(state.patch(json!({"explode": 1})).is_err());
    }
}
