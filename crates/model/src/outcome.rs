use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Counts;

/// Where a run stands: queued → running → (cancelling) → one of four ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Queued,
    Running,
    /// No more is sent; what Klaviyo has accepted is still confirmed.
    Cancelling,
    /// Every row was delivered or is a duplicate, unchanged or suppressed.
    Succeeded,
    /// Every row is accounted for, and at least one was rejected.
    CompletedWithRejects,
    /// At least one row is neither delivered nor rejected, or the run could not do its work.
    Failed,
    Cancelled,
}

impl RunState {
    pub const ALL: &'static [Self] = &[
        Self::Queued,
        Self::Running,
        Self::Cancelling,
        Self::Succeeded,
        Self::CompletedWithRejects,
        Self::Failed,
        Self::Cancelled,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::CompletedWithRejects => "completed_with_rejects",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Cancelling => false,
            Self::Succeeded | Self::CompletedWithRejects | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that names no state of a run.
#[derive(Debug, thiserror::Error)]
#[error("unknown run state {0:?}")]
pub struct UnknownState(String);

impl FromStr for RunState {
    type Err = UnknownState;
    fn from_str(name: &str) -> Result<Self, UnknownState> {
        let known = Self::ALL.iter().find(|state| state.name() == name);
        known.copied().ok_or_else(|| UnknownState(name.to_owned()))
    }
}

/// Why a run sends no more although there may be more to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Somebody asked for it.
    Cancel,
    /// It cannot go on; the run row says why.
    Failure,
}

/// What the end of a run depends on, read in one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFacts {
    pub state: RunState,
    pub stop: Option<Stop>,
    /// The whole segment was read.
    pub read_done: bool,
    /// Batches that are still to be sent.
    pub unsent: u64,
    /// Requests whose answer is not recorded.
    pub in_flight: u64,
    /// Batches that Klaviyo has accepted and not yet confirmed.
    pub unconfirmed: u64,
    pub counts: Counts,
}

/// The state in which a run ends now, or `None` if it goes on.
pub fn outcome(facts: &RunFacts) -> Option<RunState> {
    if facts.state.is_terminal() || facts.in_flight > 0 || facts.unconfirmed > 0 {
        return None;
    }
    match facts.stop {
        Some(Stop::Cancel) => return Some(RunState::Cancelled),
        Some(Stop::Failure) => return Some(RunState::Failed),
        None => {}
    }
    if !facts.read_done || facts.unsent > 0 {
        return None;
    }
    let Counts { undelivered, rejected, .. } = facts.counts;
    Some(match (undelivered, rejected) {
        (1.., _) => RunState::Failed,
        (0, 1..) => RunState::CompletedWithRejects,
        (0, 0) => RunState::Succeeded,
    })
}

#[cfg(test)]
mod tests {
    use super::{RunFacts, RunState, Stop, outcome};
    use crate::Counts;

    fn done() -> RunFacts {
        RunFacts {
            state: RunState::Running,
            stop: None,
            read_done: true,
            unsent: 0,
            in_flight: 0,
            unconfirmed: 0,
            counts: Counts { rows_read: 3, delivered: 3, ..Counts::default() },
        }
    }

    #[test]
    fn a_run_succeeds_only_when_nothing_is_rejected_or_undelivered() {
        assert_eq!(outcome(&done()), Some(RunState::Succeeded));
        let mut facts = done();
        facts.counts = Counts { delivered: 2, rejected: 1, ..facts.counts };
        assert_eq!(outcome(&facts), Some(RunState::CompletedWithRejects));
        facts.counts = Counts { delivered: 1, undelivered: 1, ..facts.counts };
        assert_eq!(outcome(&facts), Some(RunState::Failed));
    }

    #[test]
    fn an_accepted_batch_is_not_delivered_so_the_run_goes_on() {
        assert_eq!(outcome(&RunFacts { unconfirmed: 1, ..done() }), None);
        let cancelled = RunFacts { stop: Some(Stop::Cancel), unconfirmed: 1, ..done() };
        assert_eq!(outcome(&cancelled), None);
    }

    #[test]
    fn a_run_goes_on_while_there_is_something_to_read_or_to_send() {
        assert_eq!(outcome(&RunFacts { read_done: false, ..done() }), None);
        assert_eq!(outcome(&RunFacts { unsent: 1, ..done() }), None);
    }

    #[test]
    fn every_state_reads_back_as_itself() {
        for state in RunState::ALL {
            assert_eq!(state.to_string().parse::<RunState>().unwrap(), *state);
        }
        assert_eq!(RunState::CompletedWithRejects.name(), "completed_with_rejects");
        assert!("done".parse::<RunState>().is_err());
    }

    #[test]
    fn a_cancelled_run_ends_once_the_last_answer_is_in() {
        let facts = RunFacts { stop: Some(Stop::Cancel), unsent: 4, in_flight: 1, ..done() };
        assert_eq!(outcome(&facts), None);
        assert_eq!(outcome(&RunFacts { in_flight: 0, ..facts }), Some(RunState::Cancelled));
    }

    #[test]
    fn a_failed_run_never_turns_into_another_end() {
        let facts = RunFacts { stop: Some(Stop::Failure), ..done() };
        assert_eq!(outcome(&facts), Some(RunState::Failed));
        assert_eq!(outcome(&RunFacts { state: RunState::Failed, ..done() }), None);
    }
}
