//! What guards go by: what was read of a run, and what the last good run has sent.

use segue_model::{ExportId, Micros, RunId, guards::SegmentRead};

use super::runs::as_time;
use crate::{
    StoreError, Tx,
    sql::{args, text},
};

/// A run that another is measured by.
#[derive(Debug, Clone)]
pub struct LastGood {
    pub run: RunId,
    /// As they were cut: those that would be sent.
    pub profiles: u64,
    pub plan: String,
}

/// The last run of an export that ended well and had anybody to send. Neither a trial, which read a part, nor a
/// retry, which sent one. It may have read other segments or filled another list: a change of those that nobody
/// meant is what a guard is for.
pub async fn last_good(tx: &mut Tx, export: ExportId) -> Result<Option<LastGood>, StoreError> {
    let row = tx.row(LAST_GOOD, args![text(export)]).await?;
    row.map(|mut row| {
        Ok(LastGood { run: row.parsed()?, profiles: row.count()?, plan: row.string()? })
    })
    .transpose()
}

pub(crate) const LAST_GOOD: &str = "SELECT run_id, profiles, plan FROM runs WHERE export_id = $1 \
     AND state IN ('succeeded', 'completed_with_rejects') AND retry_of IS NULL AND trial_rows = 0 \
     AND profiles > 0 ORDER BY created_us DESC, run_id DESC LIMIT 1";

/// What was read of a run so far. What Klaviyo rejected is not among the rejects.
pub async fn read_so_far(tx: &mut Tx, run: RunId) -> Result<SegmentRead, StoreError> {
    const SQL: &str = "SELECT \
         (SELECT CAST(COALESCE(sum(rows_read), 0) AS BIGINT) FROM batches WHERE run_id = $1), \
         (SELECT CAST(COALESCE(sum(n), 0) AS BIGINT) FROM rejects \
          WHERE run_id = $1 AND phase = 'mapping'), \
         profiles FROM runs WHERE run_id = $1";
    match tx.row(SQL, args![text(run)]).await? {
        Some(mut row) => {
            Ok(SegmentRead { rows: row.count()?, rejected: row.count()?, profiles: row.count()? })
        }
        None => Ok(SegmentRead::default()),
    }
}

/// What a reading found of the source of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The segments, as JSON.
    pub segments: String,
    /// Since when the source is as it is.
    pub modified: Option<Micros>,
    /// It is the source of the last good run.
    pub same: bool,
}

/// As [`note_source`], by a worker that does not say how old the source is.
pub async fn note_same(tx: &mut Tx, run: RunId, same: bool) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET same_source = $2 WHERE run_id = $1";
    tx.execute(SQL, args![text(run), same]).await?;
    Ok(())
}

/// Notes what a reading found; how old it is says the clock of the store.
pub async fn note_source(tx: &mut Tx, run: RunId, seen: &Sighting) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET segments = $2, source_us = $3, source_age_us = $4, \
         same_source = $5 WHERE run_id = $1";
    let age = seen.modified.map(|at| as_time(tx.now().since(at)));
    let args = args![text(run), seen.segments.as_str(), seen.modified, age, seen.same];
    tx.execute(SQL, args).await?;
    Ok(())
}
