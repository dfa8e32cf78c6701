use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use crate::{
    ConnectionId, Counts, ExportId, FailReason, Micros, RejectReason, RowCounts, RunId, RunState,
};

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A person or a program, by a call.
    OnDemand,
    /// A message on the queue of commands.
    Command,
    /// Somebody wants what an ended run left undelivered to be sent again.
    Retry,
    /// `segue export`.
    CommandLine,
    /// The schedule of its export, or of the system.
    Schedule,
}

impl Cause {
    pub const ALL: &'static [Self] =
        &[Self::OnDemand, Self::Command, Self::Retry, Self::CommandLine, Self::Schedule];

    /// As the store keeps it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on_demand",
            Self::Command => "command",
            Self::Retry => "retry",
            Self::CommandLine => "command_line",
            Self::Schedule => "schedule",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that names no cause of a run.
#[derive(Debug, thiserror::Error)]
#[error("unknown cause of a run {0:?}")]
pub struct UnknownCause(String);

impl FromStr for Cause {
    type Err = UnknownCause;
    fn from_str(name: &str) -> Result<Self, UnknownCause> {
        let known = Self::ALL.iter().find(|cause| cause.name() == name);
        known.copied().ok_or_else(|| UnknownCause(name.to_owned()))
    }
}

/// All numbers of a run. Absolute, never differences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    pub counts: Counts,
    /// Batches as first cut.
    pub batches: u64,
    /// Bulk-import requests.
    pub requests: u64,
    /// Requests that repeated what Klaviyo may have accepted before.
    pub repeated_sends: u64,
    /// Answers of 429 to any request of the run, and to any that asked for several runs at once.
    pub throttled: u64,
    /// Bytes of the bodies that Klaviyo accepted.
    pub bytes: u64,
    pub rejects_by_reason: BTreeMap<RejectReason, u64>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub reason: FailReason,
    /// Words without personal data; may be empty.
    pub detail: String,
}

/// Somebody, as the store keeps them. Nobody: both are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Who {
    /// The same for ever, as `segue-access` writes it.
    pub subject: String,
    /// What people call them; it may have changed since.
    pub name: String,
}

/// A run as others may see it: one moment of it, read from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    pub run: RunId,
    /// `None` for `segue export`.
    pub export: Option<ExportId>,
    pub state: RunState,
    pub cause: Cause,
    pub tally: Tally,
    /// In failed runs only.
    pub failure: Option<Failure>,
    /// `None` for `segue export`.
    pub connection: Option<ConnectionId>,
    pub account_id: String,
    pub list_id: String,
    /// As whoever started it gave it.
    pub request_id: Option<String>,
    /// The run of which this is a retry.
    pub retry_of: Option<RunId>,
    /// Who has started it; nobody for `segue export` and for runs of versions that did not ask.
    pub started_by: Who,
    pub created: Micros,
    pub started: Option<Micros>,
    pub first_request: Option<Micros>,
    pub last_accepted: Option<Micros>,
    pub ended: Option<Micros>,
    /// The number of its last event.
    pub seq: u64,
    /// For which time of its schedule it was started.
    pub due: Option<Micros>,
    /// How many times of its schedule it makes up for, besides that one.
    pub missed: u64,
    /// Its guards did not hold, because whoever started it wanted so.
    pub guards_overridden: bool,
    /// A trial: only so many rows were to be read.
    pub trial_rows: Option<u64>,
    /// In the order of the export; none before the first reading, or if nobody has said which there are.
    pub segments: Vec<SegmentTally>,
    /// Rows of which nobody has said of which segment they are.
    pub not_by_segment: RowCounts,
    /// Since when its source was as it was: see [`crate::source::source_modified`].
    pub source_modified: Option<Micros>,
    /// How old its source was when it was first read, by the clock of the store.
    pub source_age: Option<Duration>,
    /// Its source is the same, file by file, as that of the last good run.
    pub same_source: bool,
}

/// What became of the rows of one segment of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentTally {
    /// The file or glob, as the export had it.
    pub name: String,
    pub counts: RowCounts,
    /// `None`: not known yet, or not known by segment, because rows of the run are undelivered.
    pub delivered: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn every_cause_reads_back_as_itself() {
        for cause in Cause::ALL {
            assert_eq!(cause.to_string().parse::<Cause>().unwrap(), *cause);
        }
        assert!("whim".parse::<Cause>().is_err());
    }
}
