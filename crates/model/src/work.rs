//! What control-plane and workers say to each other. Each message is one transaction of the store,
//! and each is idempotent by its key.

use std::{collections::BTreeMap, time::Duration};

use secrecy::SecretString;

use crate::{
    BatchNo, ClaimId, ContentHash, FailReason, JobId, LookId, Micros, PermitId, Pii, RejectReason,
    RowCounts, RunId, SegmentSource, UndeliveredReason,
};

/// What a job is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobKind {
    Read,
    Upload,
    Confirm,
    /// To look at files, and at what would become of them, for somebody who waits.
    Look,
}

impl JobKind {
    pub const ALL: &'static [Self] = &[Self::Read, Self::Upload, Self::Confirm, Self::Look];

    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upload => "upload",
            Self::Confirm => "confirm",
            Self::Look => "look",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// A message of work: a doorbell. Ids only, no personal data, no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    /// Counts the releases of the job. Together with the id it is the key: an older attempt is refused.
    pub attempt: u32,
    pub kind: JobKind,
    /// `None` for a confirm job, which belongs to an account, and for a look.
    pub run: Option<RunId>,
    /// The trace that it belongs to: a `traceparent` of W3C Trace Context.
    pub trace: Option<String>,
}

/// How many jobs of each kind a worker can do at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slots {
    pub read: u32,
    pub upload: u32,
    pub confirm: u32,
    /// A worker of an earlier version has none.
    pub look: u32,
}

/// A worker's hold on a job, and what to do.
#[derive(Debug)]
pub struct Claimed {
    pub claim: ClaimId,
    pub work: Work,
}

#[derive(Debug)]
pub enum Work {
    Read(ReadWork),
    Upload(UploadWork),
    Confirm(ConfirmWork),
    Look(LookWork),
}

/// Read the segment, cut it into batches, stage them.
#[derive(Debug)]
pub struct ReadWork {
    pub run: RunId,
    /// The list that the bodies name.
    pub list_id: String,
    /// What the run froze at its start, as the reader wrote it; or what is to be planned, as the
    /// control-plane wrote it, until the first reading has frozen it.
    pub plan: String,
    pub credentials: Credentials,
    /// Batches of an earlier reading of the same source.
    pub known: BTreeMap<BatchNo, KnownBatch>,
    /// What becomes of the columns, as JSON, if the export has settled it: nothing is inferred then. A worker of a
    /// version that does not know it infers, as it always did.
    pub columns: Option<String>,
    /// A source that is older is not worth a request: see [`Verdict::Stale`]. `None`: any is.
    pub source_not_before: Option<Micros>,
}

/// A batch that was staged before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBatch {
    pub hash: ContentHash,
    /// It is still to be sent.
    pub needs_body: bool,
    /// What Klaviyo made of it is still to be matched with the source.
    pub needs_index: bool,
}

/// The key of a Klaviyo account and what it is good for.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub account_id: String,
    pub key: SecretString,
}

/// Hand one batch over to Klaviyo.
#[derive(Debug)]
pub struct UploadWork {
    pub run: RunId,
    pub batch: BatchNo,
    pub hash: ContentHash,
    pub profiles: u64,
    pub credentials: Credentials,
    pub list_id: String,
    /// How many more batches of this run may be split in two.
    pub splits_left: u64,
}

/// Ask Klaviyo what became of the batches that it accepted.
#[derive(Debug)]
pub struct ConfirmWork {
    pub credentials: Credentials,
    pub wanted: Vec<WantedJob>,
}

/// Answer a question about files: see [`crate::look`].
#[derive(Debug)]
pub struct LookWork {
    pub look: LookId,
    /// An [`Asked`](crate::look::Asked), as JSON.
    pub asked: String,
    /// How long somebody waits.
    pub patience: Duration,
}

/// An import job that Klaviyo accepted and has not been seen to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedJob {
    pub run: RunId,
    pub batch: BatchNo,
    /// Klaviyo's id of the import job.
    pub klaviyo_job: String,
    /// Of the batch as it was staged.
    pub hash: ContentHash,
    /// Profiles in the body that was accepted.
    pub sent: u64,
    pub accepted: Micros,
}

/// How many rows were rejected for which reason, and the report that names them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejects {
    pub by_reason: BTreeMap<RejectReason, u64>,
    /// The object in `reports/` that holds one record for each of them; `None` if there are none.
    pub report: Option<String>,
    /// How many rows of which object of the manifest they are; empty if nobody has counted.
    pub by_object: BTreeMap<u32, u64>,
}

impl Rejects {
    pub fn total(&self) -> u64 {
        self.by_reason.values().sum()
    }
}

/// A batch that was read and put into staging, together with all rows since the batch before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedBatch {
    pub batch: BatchNo,
    pub hash: ContentHash,
    /// 0: the rows behind the last batch gave no profile.
    pub profiles: u64,
    /// Of the whole body.
    pub bytes: u64,
    /// Rows read for it: profiles + rejects + duplicates.
    pub rows: u64,
    pub duplicates: u64,
    pub rejects: Rejects,
    pub warnings: u64,
    /// The object in `reports/` that names the warnings.
    pub warnings_report: Option<String>,
    /// How its rows are spread over the objects of the manifest; empty if nobody has counted.
    pub objects: BTreeMap<u32, RowCounts>,
}

/// What of a run is in the files of staging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub run: RunId,
    /// Batches of which the body or the index is there.
    pub batches: Vec<ContentHash>,
    /// Names of report objects.
    pub reports: Vec<String>,
    /// How long ago something of it was last written, by the clock of the file system.
    pub age: Duration,
}

/// What of a run that is over is not needed any more: some of what was [`Kept`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    pub run: RunId,
    pub batches: Vec<ContentHash>,
    pub reports: Vec<String>,
}

/// What a worker may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    GoOn,
    /// The run has stopped, or the claim is somebody else's by now.
    Stop,
}

/// The answer to a request for a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermitReply {
    Granted(PermitId),
    /// The lane is full or closed for longer than the control-plane lets a worker wait.
    Later(Duration),
    Stop,
}

/// What came of the one request that a permit allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Klaviyo made an import job of the batch.
    Accepted(Acceptance),
    /// A well-formed answer to a call that changes nothing.
    Fine,
    /// 429. `retry_after`: what Klaviyo asked for, if it said so in a sane way.
    Throttled { retry_after: Option<Duration> },
    /// Klaviyo refused, or could not work: certainly nothing was applied.
    NotApplied { status: u16 },
    /// Nobody knows whether it was applied: reset, timeout, truncated answer.
    Ambiguous,
    /// The request was never made.
    NotSent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// Klaviyo's id of the import job.
    pub klaviyo_job: String,
    /// Profiles in the accepted body.
    pub sent: u64,
    /// Bytes of the accepted body.
    pub bytes: u64,
    /// Rows that Klaviyo refused before and that were left out of the accepted body.
    pub refused: Rejects,
}

/// How a claim ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The segment was read to its end. `summary`: what the reader has to say of its fields, as JSON.
    ReadDone { summary: String },
    /// Klaviyo refused every row of the batch.
    AllRefused(Rejects),
    /// The batch is replaced by two smaller ones, which are staged; `refused` were left out before.
    Split { children: [Child; 2], refused: Rejects },
    /// Try again after a wait that doubles from failure to failure.
    Retry,
    /// Nothing went wrong, but it is not the time.
    Deferred { after: Duration },
    /// A pass over Klaviyo's import jobs. `progress`: at least one was seen to end.
    Passed { progress: bool },
    /// Nothing will make this batch go.
    GiveUp(UndeliveredReason),
    /// The source is older than [`ReadWork::source_not_before`]. Nothing was asked of Klaviyo.
    Stale { segments: Vec<SegmentSource> },
    /// Nothing will make this run go. `detail`: words for the user without personal data.
    FailRun { reason: FailReason, detail: String },
    /// The question of a look has its answer.
    Looked(Looked),
}

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// A [`Found`](crate::look::Found), as JSON. It may hold personal data.
    Found(Pii<String>),
    /// Why there is no answer: words for the user without personal data.
    Failed(String),
}

/// One half of a batch that was split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    pub hash: ContentHash,
    pub profiles: u64,
    pub bytes: u64,
}

/// What Klaviyo made of an accepted batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    pub run: RunId,
    pub batch: BatchNo,
    /// The import job that was seen to end.
    pub klaviyo_job: String,
    /// Profiles that failed and could be named.
    pub rejects: Rejects,
    /// Profiles that are neither delivered nor named.
    pub undelivered: u64,
    pub undelivered_reason: UndeliveredReason,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{JobKind, Rejects};
    use crate::RejectReason;

    #[test]
    fn rejects_are_counted_over_all_reasons() {
        let by_reason =
            BTreeMap::from([(RejectReason::EmailInvalid, 3), (RejectReason::RowRagged, 4)]);
        assert_eq!(Rejects { by_reason, ..Rejects::default() }.total(), 7);
        assert_eq!(Rejects::default().total(), 0);
    }

    /// Rows hold these words, so a new version must write and read them as the old one did.
    #[test]
    fn kinds_are_kept_by_their_words() {
        for (kind, word) in
            [(JobKind::Read, "read"), (JobKind::Upload, "upload"), (JobKind::Confirm, "confirm")]
        {
            assert_eq!(kind.name(), word);
            assert_eq!(JobKind::from_name(word), Some(kind));
        }
        assert_eq!(JobKind::from_name("Read"), None);
        assert_eq!(JobKind::from_name(""), None);
    }
}
