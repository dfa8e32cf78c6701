//! Batches of an ended run are staged for a new one, as they are.

use std::collections::BTreeMap;

use bytes::Bytes;
use segue_dedupe::fingerprint;
use segue_klaviyo::{ListId, import};
use segue_model::{
    BatchNo, ContentHash, FailReason, RowCounts, RunId,
    work::{Next, ReadWork, Rejects, StagedBatch, Verdict},
};
use segue_staging::{Index, IndexBuilder, IndexEntry, Key, Staging, StagingError};

use super::{RetryBatch, RetryPlan, identity_at, seed_of, stage::put};
use crate::{ControlPlane, error::Failure, lease::Held, metrics, worker::Shared};

/// Stages what the plan lists. Nothing is read from a source.
pub(super) async fn stage<C: ControlPlane>(
    shared: &Shared<C>,
    held: &Held,
    work: &ReadWork,
    list: &ListId,
    plan: &RetryPlan,
) -> Result<Verdict, Failure> {
    for (no, batch) in (0..).map(BatchNo).zip(&plan.batches) {
        let known = work.known.get(&no).filter(|known| known.hash == batch.hash);
        let move_it = Move {
            run: work.run,
            of: plan.of,
            list: list.clone(),
            batch: *batch,
            needs_body: known.is_none_or(|known| known.needs_body),
            needs_index: known.is_none_or(|known| known.needs_index),
        };
        let moved = shared.staging.off_thread(move |staging| move_it.to(staging)).await?;
        let objects = match moved {
            Ok(objects) => objects,
            Err(Lost { reason, detail }) => return Ok(Verdict::FailRun { reason, detail }),
        };
        metrics::rows_read(batch.profiles);
        let staged = staged(no, batch, objects);
        if shared.control_plane.stage(held.claim(), &staged).await? == Next::Stop {
            return Ok(Verdict::Retry);
        }
        // From here on it is the new run's: whatever becomes of it, that one is retried.
        let (run, hash) = (plan.of, batch.hash);
        shared.delete(Key::Body { run, hash }).await?;
        shared.delete(Key::Index { run, hash }).await?;
    }
    Ok(Verdict::ReadDone { summary: super::summary(&segue_profile::FieldStats::default()) })
}

fn staged(no: BatchNo, batch: &RetryBatch, objects: BTreeMap<u32, RowCounts>) -> StagedBatch {
    StagedBatch {
        batch: no,
        hash: batch.hash,
        profiles: batch.profiles,
        bytes: batch.bytes,
        rows: batch.profiles,
        duplicates: 0,
        rejects: Rejects::default(),
        warnings: 0,
        warnings_report: None,
        objects,
    }
}

/// Whose rows the profiles of a batch are.
fn objects_of(index: &Index) -> BTreeMap<u32, RowCounts> {
    let mut objects: BTreeMap<u32, RowCounts> = BTreeMap::new();
    for entry in index.iter() {
        objects.entry(entry.position.object).or_default().rows += 1;
    }
    objects
}

/// One batch on its way from one run to another.
struct Move {
    run: RunId,
    of: RunId,
    list: ListId,
    batch: RetryBatch,
    needs_body: bool,
    needs_index: bool,
}

/// Why a batch cannot be staged for another run.
struct Lost {
    reason: FailReason,
    detail: String,
}

impl Move {
    /// Returns whose rows the profiles are, if that is not known already. Blocking.
    fn to(
        &self,
        staging: &Staging,
    ) -> Result<Result<BTreeMap<u32, RowCounts>, Lost>, StagingError> {
        if !self.needs_body && !self.needs_index {
            return Ok(Ok(BTreeMap::new()));
        }
        let (run, hash) = (self.of, self.batch.hash);
        let body = staging.get(&Key::Body { run, hash })?;
        let index = staging.get(&Key::Index { run, hash })?;
        let Some((body, index)) = body.zip(index) else {
            let there = self.is_there(staging)?;
            return Ok(there.ok_or_else(|| self.expired()));
        };
        let (index, objects) = match self.checked(&body, index) {
            Ok(checked) => checked,
            Err(what) => return Ok(Err(self.unfit(what))),
        };
        if self.needs_index {
            put(staging, &Key::Index { run: self.run, hash }, index, true)?;
        }
        if self.needs_body {
            put(staging, &Key::Body { run: self.run, hash }, body, true)?;
        }
        Ok(Ok(objects))
    }

    /// The index for the new run and what it counts, if body and index are what the plan says.
    fn checked(
        &self,
        body: &Bytes,
        index: Bytes,
    ) -> Result<(Bytes, BTreeMap<u32, RowCounts>), &'static str> {
        let mut begin = Vec::new();
        import::begin(&mut begin, &self.list);
        if !body.starts_with(&begin) {
            return Err("was made for another list");
        }
        let index = Index::parse(index).map_err(|_| "has no index that can be read")?;
        if index.len() as u64 != self.batch.profiles {
            return Err("has another number of profiles");
        }
        let made = reseeded(&index, body, seed_of(self.run)).ok_or("has the index of another")?;
        Ok((made, objects_of(&index)))
    }

    fn expired(&self) -> Lost {
        let RetryBatch { batch, .. } = self.batch;
        let detail = format!("batch {batch} of {} is not in staging any more", self.of);
        Lost { reason: FailReason::RetryExpired, detail }
    }

    fn unfit(&self, what: &str) -> Lost {
        let RetryBatch { batch, .. } = self.batch;
        let detail = format!("batch {batch} of {} {what}", self.of);
        Lost { reason: FailReason::StagingFailed, detail }
    }

    /// An earlier attempt may have moved it before the old run's objects were purged. Returns what it counts.
    fn is_there(
        &self,
        staging: &Staging,
    ) -> Result<Option<BTreeMap<u32, RowCounts>>, StagingError> {
        let (run, hash): (RunId, ContentHash) = (self.run, self.batch.hash);
        let body = !self.needs_body || staging.get(&Key::Body { run, hash })?.is_some();
        let index = staging.get(&Key::Index { run, hash })?.filter(|_| body);
        let objects =
            |index| Index::parse(index).map(|index| objects_of(&index)).unwrap_or_default();
        Ok(index.map(objects))
    }
}

/// The same index with the fingerprints of another run, by which its confirm job finds identities.
/// `None`: it is not that of the body.
fn reseeded(index: &Index, body: &Bytes, seed: u64) -> Option<Bytes> {
    let mut made = IndexBuilder::with_capacity(index.len());
    for entry in index.iter() {
        let identity = identity_at(entry.profile(body)?);
        let fingerprint = fingerprint(seed, identity.expose().as_bytes()).0;
        made.push(IndexEntry { fingerprint, ..entry });
    }
    Some(made.finish())
}
