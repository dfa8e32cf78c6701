//! Batches that were staged, and rows that were rejected.

use segue_model::{
    RowCounts, SegmentSource,
    work::{Rejects, StagedBatch},
};

use crate::{
    Invalid,
    invalid::{batch_no, filled, inner, micros, parsed},
    timestamp, v1,
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
            objects,
        } = staged;
        let objects = objects.iter().map(|(object, counts)| {
            let RowCounts { rows, duplicates, rejected } = *counts;
            v1::ObjectCounts { object: *object, rows, duplicates, rejected }
        });
        Self {
            objects: objects.collect(),
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
            objects,
        } = staged;
        let objects = objects.into_iter().map(|counts| {
            let v1::ObjectCounts { object, rows, duplicates, rejected } = counts;
            (object, RowCounts { rows, duplicates, rejected })
        });
        Ok(Self {
            objects: objects.collect(),
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
    fn from(Rejects { by_reason, report, by_object }: &Rejects) -> Self {
        let by_reason = by_reason.iter().map(|(reason, n)| (reason.code().to_owned(), *n));
        Self {
            by_reason: by_reason.collect(),
            report: report.clone().unwrap_or_default(),
            by_object: by_object.iter().map(|(object, n)| (*object, *n)).collect(),
        }
    }
}

impl TryFrom<v1::Rejects> for Rejects {
    type Error = Invalid;

    fn try_from(rejects: v1::Rejects) -> Result<Self, Invalid> {
        let v1::Rejects { by_reason, report, by_object } = rejects;
        let reason = |(code, n): (String, u64)| Ok((parsed("by_reason", &code)?, n));
        let by_reason = by_reason.into_iter().map(reason).collect::<Result<_, Invalid>>()?;
        let by_object = by_object.into_iter().collect();
        Ok(Self { by_reason, report: filled(report), by_object })
    }
}

impl From<&SegmentSource> for v1::SegmentSource {
    fn from(SegmentSource { name, objects, modified }: &SegmentSource) -> Self {
        Self { name: name.clone(), objects: *objects, modified_at: modified.map(timestamp) }
    }
}

impl TryFrom<v1::SegmentSource> for SegmentSource {
    type Error = Invalid;

    fn try_from(segment: v1::SegmentSource) -> Result<Self, Invalid> {
        let v1::SegmentSource { name, objects, modified_at } = segment;
        let modified = modified_at.map(|at| micros("modified_at", at)).transpose()?;
        Ok(Self { name, objects, modified })
    }
}

/// What was found of each segment, in order.
pub fn segments_found(segments: Vec<v1::SegmentSource>) -> Result<Vec<SegmentSource>, Invalid> {
    let found: Result<_, Invalid> = segments.into_iter().map(SegmentSource::try_from).collect();
    found.map_err(|err| err.within("segments"))
}
