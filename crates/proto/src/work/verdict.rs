//! How claims end, and what Klaviyo made of accepted batches.

use segue_model::{
    Pii,
    work::{Child, Confirmation, Looked, Verdict},
};

use super::segments_found;
use crate::{
    Invalid,
    invalid::{batch_no, duration, inner, need, parsed, wait},
    v1::{self, finish_request},
};

impl From<&Verdict> for finish_request::Verdict {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::ReadDone { summary } => {
                Self::ReadDone(v1::ReadDone { summary: summary.clone() })
            }
            Verdict::AllRefused(refused) => Self::AllRefused(refused.into()),
            Verdict::Split { children: [first, second], refused } => Self::Split(v1::Split {
                first: Some(first.into()),
                second: Some(second.into()),
                refused: Some(refused.into()),
            }),
            Verdict::Retry => Self::Retry(v1::Retry {}),
            Verdict::Deferred { after } => {
                Self::Deferred(v1::Deferred { after: Some(duration(*after)) })
            }
            Verdict::Passed { progress } => Self::Passed(v1::Passed { progress: *progress }),
            Verdict::GiveUp(reason) => Self::GiveUp(v1::GiveUp { reason: reason.to_string() }),
            Verdict::Stale { segments } => {
                Self::Stale(v1::Stale { segments: segments.iter().map(Into::into).collect() })
            }
            Verdict::FailRun { reason, detail } => {
                Self::FailRun(v1::FailRun { reason: reason.to_string(), detail: detail.clone() })
            }
            Verdict::Looked(looked) => {
                let looked = match looked {
                    Looked::Found(found) => v1::looked::Looked::Found(found.expose().clone()),
                    Looked::Failed(words) => v1::looked::Looked::Failed(words.clone()),
                };
                Self::Looked(v1::Looked { looked: Some(looked) })
            }
        }
    }
}

impl TryFrom<finish_request::Verdict> for Verdict {
    type Error = Invalid;

    fn try_from(verdict: finish_request::Verdict) -> Result<Self, Invalid> {
        Ok(match verdict {
            finish_request::Verdict::ReadDone(v1::ReadDone { summary }) => {
                Self::ReadDone { summary }
            }
            finish_request::Verdict::AllRefused(refused) => {
                Self::AllRefused(inner("all_refused", Some(refused))?)
            }
            finish_request::Verdict::Split(v1::Split { first, second, refused }) => {
                let within = |err: Invalid| err.within("split");
                let first = inner("first", first).map_err(within)?;
                let second = inner("second", second).map_err(within)?;
                let refused = inner("refused", refused).map_err(within)?;
                Self::Split { children: [first, second], refused }
            }
            finish_request::Verdict::Retry(v1::Retry {}) => Self::Retry,
            finish_request::Verdict::Deferred(v1::Deferred { after }) => {
                let after = need("deferred.after", after)?;
                Self::Deferred { after: wait("deferred.after", after)? }
            }
            finish_request::Verdict::Passed(v1::Passed { progress }) => Self::Passed { progress },
            finish_request::Verdict::GiveUp(v1::GiveUp { reason }) => {
                Self::GiveUp(parsed("give_up.reason", &reason)?)
            }
            finish_request::Verdict::Stale(v1::Stale { segments }) => {
                Self::Stale { segments: segments_found(segments)? }
            }
            finish_request::Verdict::FailRun(v1::FailRun { reason, detail }) => {
                Self::FailRun { reason: parsed("fail_run.reason", &reason)?, detail }
            }
            finish_request::Verdict::Looked(v1::Looked { looked }) => {
                Self::Looked(match need("looked.looked", looked)? {
                    v1::looked::Looked::Found(found) => Looked::Found(Pii::new(found)),
                    v1::looked::Looked::Failed(words) => Looked::Failed(words),
                })
            }
        })
    }
}

impl From<&Child> for v1::Child {
    fn from(Child { hash, profiles, bytes }: &Child) -> Self {
        Self { hash: hash.to_string(), profiles: *profiles, bytes: *bytes }
    }
}

impl TryFrom<v1::Child> for Child {
    type Error = Invalid;

    fn try_from(v1::Child { hash, profiles, bytes }: v1::Child) -> Result<Self, Invalid> {
        Ok(Self { hash: parsed("hash", &hash)?, profiles, bytes })
    }
}

impl From<&Confirmation> for v1::Confirmation {
    fn from(confirmed: &Confirmation) -> Self {
        let Confirmation { run, batch, klaviyo_job, rejects, undelivered, undelivered_reason } =
            confirmed;
        Self {
            run_id: run.to_string(),
            batch: batch.0.into(),
            klaviyo_job: klaviyo_job.clone(),
            rejects: Some(rejects.into()),
            undelivered: *undelivered,
            undelivered_reason: undelivered_reason.to_string(),
        }
    }
}

impl TryFrom<v1::Confirmation> for Confirmation {
    type Error = Invalid;

    fn try_from(confirmed: v1::Confirmation) -> Result<Self, Invalid> {
        let v1::Confirmation {
            run_id,
            batch,
            klaviyo_job,
            rejects,
            undelivered,
            undelivered_reason,
        } = confirmed;
        Ok(Self {
            run: parsed("run_id", &run_id)?,
            batch: batch_no("batch", batch)?,
            klaviyo_job,
            rejects: inner("rejects", rejects)?,
            undelivered,
            undelivered_reason: parsed("undelivered_reason", &undelivered_reason)?,
        })
    }
}
