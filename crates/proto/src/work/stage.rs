//! Batches that were staged, and rows that were rejected.

use segue_model::work::{Rejects, StagedBatch};

use crate::{
    Invalid,
    invalid::{batch_no, filled, inner, parsed},
    v1,
};

impl From<&StagedBatch> for v1::StagedBatch {
    fn from(staged: &StagedBatch) -> Self {
        let StagedBatch {
            batch,
            hash,
            profiles,
            bytes,
            rows,
            duplicates,
            rejects,
            warnings,
            warnings_report,
        } = staged;
        Self {
            batch: batch.0.into(),
            hash: hash.to_string(),
            profiles: *profiles,
            bytes: *bytes,
            rows: *rows,
            duplicates: *duplicates,
            rejects: Some(rejects.into()),
            warnings: *warnings,
            warnings_report: warnings_report.clone().unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::StagedBatch> for StagedBatch {
    type Error = Invalid;

    fn try_from(staged: v1::StagedBatch) -> Result<Self, Invalid> {
        let v1::StagedBatch {
            batch,
            hash,
            profiles,
            bytes,
            rows,
            duplicates,
            rejects,
            warnings,
            warnings_report,
        } = staged;
        Ok(Self {
            batch: batch_no("batch", batch)?,
            hash: parsed("hash", &hash)?,
            profiles,
            bytes,
            rows,
            duplicates,
            rejects: inner("rejects", rejects)?,
            warnings,
            warnings_report: filled(warnings_report),
        })
    }
}

impl From<&Rejects> for v1::Rejects {
    fn from(Rejects { by_reason, report }: &Rejects) -> Self {
        let by_reason = by_reason.iter().map(|(reason, n)| (reason.code().to_owned(), *n));
        Self { by_reason: by_reason.collect(), report: report.clone().unwrap_or_default() }
    }
}

impl TryFrom<v1::Rejects> for Rejects {
    type Error = Invalid;

    fn try_from(v1::Rejects { by_reason, report }: v1::Rejects) -> Result<Self, Invalid> {
        let reason = |(code, n): (String, u64)| Ok((parsed("by_reason", &code)?, n));
        let by_reason = by_reason.into_iter().map(reason).collect::<Result<_, Invalid>>()?;
        Ok(Self { by_reason, report: filled(report) })
    }
}
