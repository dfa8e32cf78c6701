//! A worker's hold on a job, and what to do.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use segue_model::{
    BatchNo,
    work::{
        Claimed, ConfirmWork, Credentials, Job, KnownBatch, LookWork, ReadWork, UploadWork,
        WantedJob, Work,
    },
};

use crate::{
    Invalid,
    invalid::{batch_no, duration, filled, inner, micros, need, parsed, wait},
    timestamp, v1,
};

/// The version of [`v1::Job`] that this program writes and reads.
pub const JOB_SCHEMA: u32 = 1;

impl From<&Job> for v1::Job {
    /// The trace travels beside it, in a header.
    fn from(job: &Job) -> Self {
        let Job { id, attempt, kind, run, trace: _ } = job;
        Self {
            schema: JOB_SCHEMA,
            job_id: id.to_string(),
            attempt: *attempt,
            kind: v1::JobKind::from(*kind).into(),
            run_id: run.map(|run| run.to_string()).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Job> for Job {
    type Error = Invalid;

    /// Without the trace, which travels beside it.
    fn try_from(job: v1::Job) -> Result<Self, Invalid> {
        let kind = job.kind();
        let v1::Job { schema, job_id, attempt, kind: _, run_id } = job;
        if schema != JOB_SCHEMA {
            return Err(Invalid::new("schema", format_args!("{schema} is not known here")));
        }
        Ok(Self {
            id: parsed("job_id", &job_id)?,
            attempt,
            kind: kind.try_into()?,
            run: filled(run_id).map(|run| parsed("run_id", &run)).transpose()?,
            trace: None,
        })
    }
}

impl From<Claimed> for v1::ClaimedJob {
    fn from(Claimed { claim, work }: Claimed) -> Self {
        let work = match work {
            Work::Read(work) => v1::claimed_job::Work::Read(work.into()),
            Work::Upload(work) => v1::claimed_job::Work::Upload(work.into()),
            Work::Confirm(work) => v1::claimed_job::Work::Confirm(work.into()),
            Work::Look(work) => v1::claimed_job::Work::Look(work.into()),
        };
        Self { claim_id: claim.to_string(), work: Some(work) }
    }
}

impl TryFrom<v1::ClaimedJob> for Claimed {
    type Error = Invalid;

    fn try_from(v1::ClaimedJob { claim_id, work }: v1::ClaimedJob) -> Result<Self, Invalid> {
        let within = |outer: &'static str| move |err: Invalid| err.within(outer);
        Ok(Self {
            claim: parsed("claim_id", &claim_id)?,
            work: match need("work", work)? {
                v1::claimed_job::Work::Read(work) => {
                    Work::Read(work.try_into().map_err(within("read"))?)
                }
                v1::claimed_job::Work::Upload(work) => {
                    Work::Upload(work.try_into().map_err(within("upload"))?)
                }
                v1::claimed_job::Work::Confirm(work) => {
                    Work::Confirm(work.try_into().map_err(within("confirm"))?)
                }
                v1::claimed_job::Work::Look(work) => {
                    Work::Look(work.try_into().map_err(within("look"))?)
                }
            },
        })
    }
}

impl From<ReadWork> for v1::ReadWork {
    fn from(work: ReadWork) -> Self {
        let ReadWork { run, list_id, plan, credentials, known, columns, source_not_before } = work;
        let known = known.into_iter().map(|(batch, known)| {
            let KnownBatch { hash, needs_body, needs_index } = known;
            v1::KnownBatch {
                batch: batch.0.into(),
                hash: hash.to_string(),
                needs_body,
                needs_index,
            }
        });
        Self {
            run_id: run.to_string(),
            list_id,
            plan,
            known: known.collect(),
            credentials: Some(credentials.into()),
            source_not_before: source_not_before.map(timestamp),
            columns: columns.unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::ReadWork> for ReadWork {
    type Error = Invalid;

    fn try_from(work: v1::ReadWork) -> Result<Self, Invalid> {
        let v1::ReadWork { run_id, list_id, plan, known, credentials, source_not_before, columns } =
            work;
        let not_before = source_not_before.map(|at| micros("source_not_before", at));
        let known = known.into_iter().map(known_batch).collect::<Result<BTreeMap<_, _>, _>>();
        Ok(Self {
            run: parsed("run_id", &run_id)?,
            list_id,
            plan,
            credentials: inner("credentials", credentials)?,
            known: known.map_err(|err| err.within("known"))?,
            columns: filled(columns),
            source_not_before: not_before.transpose()?,
        })
    }
}

fn known_batch(known: v1::KnownBatch) -> Result<(BatchNo, KnownBatch), Invalid> {
    let v1::KnownBatch { batch, hash, needs_body, needs_index } = known;
    let known = KnownBatch { hash: parsed("hash", &hash)?, needs_body, needs_index };
    Ok((batch_no("batch", batch)?, known))
}

impl From<Credentials> for v1::Credentials {
    fn from(Credentials { account_id, key }: Credentials) -> Self {
        Self { account_id, key: key.expose_secret().to_owned() }
    }
}

impl TryFrom<v1::Credentials> for Credentials {
    type Error = Invalid;

    fn try_from(mut credentials: v1::Credentials) -> Result<Self, Invalid> {
        if credentials.key.is_empty() {
            return Err(Invalid::new("key", "is missing"));
        }
        Ok(Self {
            account_id: std::mem::take(&mut credentials.account_id),
            // Copied, because to shrink the text in place may leave it behind; the message wipes its own.
            key: SecretString::from(credentials.key.as_str()),
        })
    }
}

impl From<UploadWork> for v1::UploadWork {
    fn from(work: UploadWork) -> Self {
        let UploadWork { run, batch, hash, profiles, credentials, list_id, splits_left } = work;
        Self {
            run_id: run.to_string(),
            batch: batch.0.into(),
            hash: hash.to_string(),
            profiles,
            credentials: Some(credentials.into()),
            list_id,
            splits_left,
        }
    }
}

impl TryFrom<v1::UploadWork> for UploadWork {
    type Error = Invalid;

    fn try_from(work: v1::UploadWork) -> Result<Self, Invalid> {
        let v1::UploadWork { run_id, batch, hash, profiles, credentials, list_id, splits_left } =
            work;
        Ok(Self {
            run: parsed("run_id", &run_id)?,
            batch: batch_no("batch", batch)?,
            hash: parsed("hash", &hash)?,
            profiles,
            credentials: inner("credentials", credentials)?,
            list_id,
            splits_left,
        })
    }
}

impl From<ConfirmWork> for v1::ConfirmWork {
    fn from(ConfirmWork { credentials, wanted }: ConfirmWork) -> Self {
        let wanted = wanted.into_iter().map(v1::WantedJob::from).collect();
        Self { credentials: Some(credentials.into()), wanted }
    }
}

impl TryFrom<v1::ConfirmWork> for ConfirmWork {
    type Error = Invalid;

    fn try_from(work: v1::ConfirmWork) -> Result<Self, Invalid> {
        let v1::ConfirmWork { credentials, wanted } = work;
        let wanted = wanted.into_iter().map(WantedJob::try_from).collect::<Result<_, _>>();
        Ok(Self {
            credentials: inner("credentials", credentials)?,
            wanted: wanted.map_err(|err| err.within("wanted"))?,
        })
    }
}

impl From<LookWork> for v1::LookWork {
    fn from(LookWork { look, asked, patience }: LookWork) -> Self {
        Self { look_id: look.to_string(), asked, patience: Some(duration(patience)) }
    }
}

impl TryFrom<v1::LookWork> for LookWork {
    type Error = Invalid;

    fn try_from(work: v1::LookWork) -> Result<Self, Invalid> {
        let v1::LookWork { look_id, asked, patience } = work;
        Ok(Self {
            look: parsed("look_id", &look_id)?,
            asked,
            patience: wait("patience", need("patience", patience)?)?,
        })
    }
}

impl From<WantedJob> for v1::WantedJob {
    fn from(wanted: WantedJob) -> Self {
        let WantedJob { run, batch, klaviyo_job, hash, sent, accepted } = wanted;
        Self {
            run_id: run.to_string(),
            batch: batch.0.into(),
            klaviyo_job,
            hash: hash.to_string(),
            sent,
            accepted_at: Some(timestamp(accepted)),
        }
    }
}

impl TryFrom<v1::WantedJob> for WantedJob {
    type Error = Invalid;

    fn try_from(wanted: v1::WantedJob) -> Result<Self, Invalid> {
        let v1::WantedJob { run_id, batch, klaviyo_job, hash, sent, accepted_at } = wanted;
        let accepted = need("accepted_at", accepted_at)?;
        Ok(Self {
            run: parsed("run_id", &run_id)?,
            batch: batch_no("batch", batch)?,
            klaviyo_job,
            hash: parsed("hash", &hash)?,
            sent,
            accepted: micros("accepted_at", accepted)?,
        })
    }
}
