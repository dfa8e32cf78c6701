//! Batches, their rejects and their reports.

use std::collections::BTreeMap;

use segue_model::{
    BatchNo, ContentHash, Micros, RunId, UndeliveredReason,
    work::{Acceptance, Child, Confirmation, KnownBatch, Rejects, StagedBatch, WantedJob},
};

use crate::{
    StoreError, Tx,
    sql::{Row, args, text},
};

/// Children of batches that were split are numbered from here, far behind all that are read.
const FIRST_CHILD: u32 = 1 << 31;

/// In which part of a batch's life a row was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Mapping,
    Upload,
    Confirm,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::Upload => "upload",
            Self::Confirm => "confirm",
        }
    }
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchState {
    /// No profiles: the rows behind the last batch.
    Empty,
    /// Staged, but nothing may be sent before the whole segment was read.
    Held,
    Ready,
    Accepted,
    Confirmed,
    Split,
    GivenUp,
}

impl BatchState {
    const ALL: &'static [Self] = &[
        Self::Empty,
        Self::Held,
        Self::Ready,
        Self::Accepted,
        Self::Confirmed,
        Self::Split,
        Self::GivenUp,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Held => "held",
            Self::Ready => "ready",
            Self::Accepted => "accepted",
            Self::Confirmed => "confirmed",
            Self::Split => "split",
            Self::GivenUp => "given_up",
        }
    }
}

impl std::str::FromStr for BatchState {
    type Err = &'static str;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|state| state.name() == name);
        known.copied().ok_or("no state of a batch")
    }
}

/// A batch as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    pub state: BatchState,
    pub hash: ContentHash,
    pub profiles: u64,
    /// Its body and its index are where a worker finds them.
    pub staged: bool,
}

pub async fn get(tx: &mut Tx, run: RunId, no: BatchNo) -> Result<Option<Batch>, StoreError> {
    const SQL: &str =
        "SELECT state, hash, profiles, staged FROM batches WHERE run_id = $1 AND batch_no = $2";
    let decode = |mut row: Row| {
        let (state, hash) = (row.parsed()?, row.parsed()?);
        Ok(Batch { state, hash, profiles: row.count()?, staged: row.flag()? })
    };
    tx.row(SQL, args![text(run), no.0]).await?.map(decode).transpose()
}

/// Writes down a batch that was staged. `false`: it is there already.
pub async fn stage(
    tx: &mut Tx,
    run: RunId,
    staged: &StagedBatch,
    state: BatchState,
) -> Result<bool, StoreError> {
    const SQL: &str = "INSERT INTO batches (run_id, batch_no, state, staged, hash, profiles, \
         bytes, rows_read, duplicates, warnings, sent, rejected, undelivered, accepted_bytes) \
         VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, 0, 0, 0, 0) \
         ON CONFLICT (run_id, batch_no) DO NOTHING";
    let args = args![
        text(run),
        staged.batch.0,
        state.name(),
        text(staged.hash),
        staged.profiles,
        staged.bytes,
        staged.rows,
        staged.duplicates,
        staged.warnings,
    ];
    if tx.execute(SQL, args).await? == 0 {
        return Ok(false);
    }
    reject(tx, run, staged.batch, Phase::Mapping, &staged.rejects).await?;
    if let Some(name) = &staged.warnings_report {
        report(tx, run, staged.batch, "warnings", name).await?;
    }
    Ok(true)
}

/// A batch that was lost from staging is there again.
pub async fn restage(tx: &mut Tx, run: RunId, no: BatchNo) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE batches SET staged = 1 WHERE run_id = $1 AND batch_no = $2";
    tx.execute(SQL, args![text(run), no.0]).await?;
    Ok(())
}

/// What was staged of the runs that are parked died with the process that had it in memory. The children
/// of a split are on disk: they cannot be made again by reading the source.
pub async fn lose_staged(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE batches SET staged = 0 WHERE parent IS NULL AND run_id IN \
         (SELECT run_id FROM runs WHERE ended_us IS NULL AND parked = 1)";
    tx.execute(SQL, &[]).await?;
    Ok(())
}

/// Batches of a run that were lost from staging; `all`: also those of which nothing is needed any more.
pub async fn lost(tx: &mut Tx, run: RunId, all: bool) -> Result<u64, StoreError> {
    const SQL: &str = "SELECT CAST(count(*) AS BIGINT) FROM batches \
         WHERE run_id = $1 AND staged = 0 \
         AND ($2 = 1 OR state IN ('held', 'ready', 'accepted'))";
    match tx.row(SQL, args![text(run), all]).await? {
        Some(mut row) => row.count(),
        None => Ok(0),
    }
}

/// Batches that can be sent as they are, in order.
pub async fn sendable(tx: &mut Tx, run: RunId) -> Result<Vec<BatchNo>, StoreError> {
    const SQL: &str = "SELECT batch_no FROM batches \
         WHERE run_id = $1 AND state = 'ready' AND staged = 1 ORDER BY batch_no";
    let rows = tx.rows(SQL, args![text(run)]).await?;
    rows.into_iter().map(|mut row| row.small().map(BatchNo)).collect()
}

/// Lets go of the batches that waited for the end of the reading; returns them.
pub async fn release_held(tx: &mut Tx, run: RunId) -> Result<Vec<BatchNo>, StoreError> {
    const SQL: &str = "UPDATE batches SET state = 'ready' WHERE run_id = $1 AND state = 'held' \
         RETURNING batch_no";
    let rows = tx.rows(SQL, args![text(run)]).await?;
    let mut numbers: Vec<BatchNo> =
        rows.into_iter().map(|mut row| row.small().map(BatchNo)).collect::<Result<_, _>>()?;
    numbers.sort();
    Ok(numbers)
}

/// Klaviyo made an import job of the batch. `false`: it has one already, so this was a repeated send.
pub async fn accept(
    tx: &mut Tx,
    run: RunId,
    no: BatchNo,
    acceptance: &Acceptance,
    at: Micros,
) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE batches SET state = 'accepted', klaviyo_job = $3, sent = $4, \
         rejected = rejected + $5, accepted_us = $6, accepted_bytes = $7, \
         undelivered_reason = NULL WHERE run_id = $1 AND batch_no = $2 \
         AND state IN ('ready', 'given_up') AND klaviyo_job IS NULL";
    let args = args![
        text(run),
        no.0,
        acceptance.klaviyo_job.as_str(),
        acceptance.sent,
        acceptance.refused.total(),
        at,
        acceptance.bytes,
    ];
    if tx.execute(SQL, args).await? == 0 {
        return Ok(false);
    }
    reject(tx, run, no, Phase::Upload, &acceptance.refused).await?;
    Ok(true)
}

/// Klaviyo refused every row of the batch. `false`: it was not there to be refused.
pub async fn refuse_all(
    tx: &mut Tx,
    run: RunId,
    no: BatchNo,
    refused: &Rejects,
) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE batches SET state = 'confirmed', rejected = $3 \
         WHERE run_id = $1 AND batch_no = $2 AND state = 'ready'";
    if tx.execute(SQL, args![text(run), no.0, refused.total()]).await? == 0 {
        return Ok(false);
    }
    reject(tx, run, no, Phase::Upload, refused).await?;
    Ok(true)
}

/// Replaces a batch by its halves; returns their numbers. `None`: it is not there to be split.
pub async fn split(
    tx: &mut Tx,
    run: RunId,
    no: BatchNo,
    children: &[Child; 2],
    refused: &Rejects,
) -> Result<Option<[BatchNo; 2]>, StoreError> {
    const PARENT: &str = "UPDATE batches SET state = 'split', rejected = $3 \
         WHERE run_id = $1 AND batch_no = $2 AND state = 'ready'";
    const LAST: &str = "SELECT CAST(COALESCE(max(batch_no), $2) AS BIGINT) FROM batches \
         WHERE run_id = $1 AND batch_no >= $2";
    const CHILD: &str = "INSERT INTO batches (run_id, batch_no, parent, state, staged, hash, \
         profiles, bytes, rows_read, duplicates, warnings, sent, rejected, undelivered, \
         accepted_bytes) VALUES ($1, $2, $3, 'ready', 1, $4, $5, $6, 0, 0, 0, 0, 0, 0, 0)";
    if tx.execute(PARENT, args![text(run), no.0, refused.total()]).await? == 0 {
        return Ok(None);
    }
    reject(tx, run, no, Phase::Upload, refused).await?;
    let last = match tx.row(LAST, args![text(run), FIRST_CHILD]).await? {
        Some(mut row) => row.small()?,
        None => FIRST_CHILD,
    };
    let numbers = [BatchNo(last + 1), BatchNo(last + 2)];
    for (child, number) in children.iter().zip(numbers) {
        let args = args![text(run), number.0, no.0, text(child.hash), child.profiles, child.bytes];
        tx.execute(CHILD, args).await?;
    }
    Ok(Some(numbers))
}

/// Klaviyo said what became of the batch. `false`: it was said before, or of another import job, or of
/// more profiles than were sent.
pub async fn confirm(tx: &mut Tx, confirmed: &Confirmation) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE batches SET state = 'confirmed', rejected = rejected + $4, \
         undelivered = $5, undelivered_reason = $6 \
         WHERE run_id = $1 AND batch_no = $2 AND klaviyo_job = $3 AND $4 + $5 <= sent \
         AND (state = 'accepted' OR (state = 'given_up' AND undelivered_reason = 'unconfirmed'))";
    let Confirmation { run, batch, klaviyo_job, rejects, undelivered, undelivered_reason } =
        confirmed;
    let reason = (*undelivered > 0).then(|| undelivered_reason.code().to_owned());
    let args =
        args![text(run), batch.0, klaviyo_job.as_str(), rejects.total(), *undelivered, reason];
    if tx.execute(SQL, args).await? == 0 {
        return Ok(false);
    }
    reject(tx, *run, *batch, Phase::Confirm, rejects).await?;
    Ok(true)
}

/// Nothing will make a batch go. `false`: one that was accepted meanwhile stays so, because its request had
/// come through after all.
pub async fn give_up(
    tx: &mut Tx,
    run: RunId,
    no: BatchNo,
    reason: UndeliveredReason,
) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE batches SET state = 'given_up', undelivered_reason = $3 \
         WHERE run_id = $1 AND batch_no = $2 AND state IN ('held', 'ready')";
    Ok(tx.execute(SQL, args![text(run), no.0, reason.code()]).await? > 0)
}

/// Nobody can be asked any more what became of an accepted batch. `false`: it is known already.
pub async fn give_up_asking(tx: &mut Tx, run: RunId, no: BatchNo) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE batches SET state = 'given_up', undelivered_reason = \
         'unconfirmed' WHERE run_id = $1 AND batch_no = $2 AND state = 'accepted'";
    Ok(tx.execute(SQL, args![text(run), no.0]).await? > 0)
}

/// Gives up what Klaviyo accepted before `before` and never confirmed; returns it.
pub async fn give_up_unconfirmed(
    tx: &mut Tx,
    run: RunId,
    before: Micros,
) -> Result<Vec<BatchNo>, StoreError> {
    const SQL: &str = "UPDATE batches SET state = 'given_up', undelivered_reason = \
         'unconfirmed' WHERE run_id = $1 AND state = 'accepted' AND accepted_us < $2 \
         RETURNING batch_no";
    let rows = tx.rows(SQL, args![text(run), before]).await?;
    rows.into_iter().map(|mut row| row.small().map(BatchNo)).collect()
}

/// Says of what was not accepted whether it was never sent, or may have been; returns it. Part of the end
/// of a run.
pub async fn give_up_unsent(tx: &mut Tx, run: RunId) -> Result<Vec<BatchNo>, StoreError> {
    const SQL: &str = "UPDATE batches SET state = 'given_up', undelivered_reason = CASE WHEN EXISTS \
             (SELECT 1 FROM sends s WHERE s.run_id = batches.run_id AND s.endpoint = 'import' \
              AND s.batch_no = batches.batch_no AND s.outcome IN ('ambiguous', 'accepted')) \
             THEN 'maybe_sent' ELSE 'not_sent' END \
         WHERE run_id = $1 AND state IN ('held', 'ready') RETURNING batch_no";
    let rows = tx.rows(SQL, args![text(run)]).await?;
    rows.into_iter().map(|mut row| row.small().map(BatchNo)).collect()
}

/// How far the reader is ahead of Klaviyo: batches and bytes that are staged and not accepted. What was lost
/// from staging does not count: only the reader can bring it back, so it must not wait for it.
pub async fn ahead(tx: &mut Tx, run: RunId) -> Result<(u64, u64), StoreError> {
    match tx.row(AHEAD, args![text(run)]).await? {
        Some(mut row) => Ok((row.count()?, row.count()?)),
        None => Ok((0, 0)),
    }
}

pub(crate) const AHEAD: &str = "SELECT CAST(count(*) AS BIGINT), CAST(COALESCE(sum(bytes), 0) AS BIGINT) \
     FROM batches WHERE run_id = $1 AND state = 'ready' AND staged = 1";

/// Rows read so far.
pub async fn rows_read(tx: &mut Tx, run: RunId) -> Result<u64, StoreError> {
    const SQL: &str =
        "SELECT CAST(COALESCE(sum(rows_read), 0) AS BIGINT) FROM batches WHERE run_id = $1";
    match tx.row(SQL, args![text(run)]).await? {
        Some(mut row) => row.count(),
        None => Ok(0),
    }
}

/// The batches of an earlier reading, for a reader that starts again.
pub async fn known(tx: &mut Tx, run: RunId) -> Result<BTreeMap<BatchNo, KnownBatch>, StoreError> {
    const SQL: &str = "SELECT batch_no, hash, state FROM batches \
         WHERE run_id = $1 AND parent IS NULL";
    let decode = |mut row: Row| {
        let (no, hash) = (BatchNo(row.small()?), row.parsed()?);
        let state: BatchState = row.parsed()?;
        let needs_body = matches!(state, BatchState::Held | BatchState::Ready);
        let needs_index = needs_body || state == BatchState::Accepted;
        Ok((no, KnownBatch { hash, needs_body, needs_index }))
    };
    tx.rows(SQL, args![text(run)]).await?.into_iter().map(decode).collect()
}

/// All that Klaviyo accepted from an account and has not been seen to end, oldest first, as far as errors
/// can be matched with rows: either the index of the batch is in staging, or nobody will bring it back.
pub async fn wanted(tx: &mut Tx, account_id: &str) -> Result<Vec<WantedJob>, StoreError> {
    let decode = |mut row: Row| {
        Ok(WantedJob {
            run: row.parsed()?,
            batch: BatchNo(row.small()?),
            klaviyo_job: row.string()?,
            hash: row.parsed()?,
            sent: row.count()?,
            accepted: row.time()?,
        })
    };
    tx.rows(WANTED, args![account_id]).await?.into_iter().map(decode).collect()
}

pub(crate) const WANTED: &str = "SELECT b.run_id, b.batch_no, b.klaviyo_job, b.hash, b.sent, b.accepted_us \
     FROM runs r JOIN batches b ON b.run_id = r.run_id AND b.state = 'accepted' \
     WHERE r.account_id = $1 AND r.ended_us IS NULL AND r.parked = 0 \
     AND (b.staged = 1 OR r.stop IS NOT NULL) \
     ORDER BY b.accepted_us, b.batch_no";

/// Whether [`wanted`] would return anything.
pub async fn any_wanted(tx: &mut Tx, account_id: &str) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT 1 FROM runs r JOIN batches b ON b.run_id = r.run_id \
         AND b.state = 'accepted' WHERE r.account_id = $1 AND r.ended_us IS NULL \
         AND r.parked = 0 AND (b.staged = 1 OR r.stop IS NOT NULL) LIMIT 1";
    Ok(tx.row(SQL, args![account_id]).await?.is_some())
}

async fn reject(
    tx: &mut Tx,
    run: RunId,
    no: BatchNo,
    phase: Phase,
    rejects: &Rejects,
) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT INTO rejects (run_id, batch_no, phase, reason, n) VALUES ($1, $2, $3, $4, $5)";
    for (reason, n) in &rejects.by_reason {
        tx.execute(SQL, args![text(run), no.0, phase.name(), reason.code(), *n]).await?;
    }
    match &rejects.report {
        Some(name) => report(tx, run, no, phase.name(), name).await,
        None => Ok(()),
    }
}

async fn report(
    tx: &mut Tx,
    run: RunId,
    no: BatchNo,
    phase: &str,
    name: &str,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO reports (run_id, batch_no, phase, name) VALUES ($1, $2, $3, $4)";
    tx.execute(SQL, args![text(run), no.0, phase, name]).await?;
    Ok(())
}
