//! The numbers of runs, from the rows that say what became of each batch.

use std::collections::{BTreeMap, HashMap};

use segue_model::{Counts, RowCounts, RunId, Tally};

use crate::{
    StoreError,
    sql::{Arg, Row, args, text},
    tx::View,
};

macro_rules! batch_sums {
    () => {
        "CAST(COALESCE(sum(rows_read), 0) AS BIGINT), \
         CAST(COALESCE(sum(duplicates), 0) AS BIGINT), \
         CAST(COALESCE(sum(warnings), 0) AS BIGINT), \
         CAST(COALESCE(sum(CASE WHEN state = 'confirmed' \
             THEN profiles - rejected - undelivered ELSE 0 END), 0) AS BIGINT), \
         CAST(COALESCE(sum(CASE state WHEN 'confirmed' THEN undelivered WHEN 'split' THEN 0 \
             ELSE profiles - rejected END), 0) AS BIGINT)"
    };
}

pub(crate) const BATCH_SUMS: &str =
    concat!("SELECT ", batch_sums!(), " FROM batches WHERE run_id = $1");

pub(crate) const REJECT_SUM: &str =
    "SELECT CAST(COALESCE(sum(n), 0) AS BIGINT) FROM rejects WHERE run_id = $1";

pub(crate) fn decode_counts(mut sums: Row, mut rejects: Row) -> Result<Counts, StoreError> {
    Ok(Counts { rejected: rejects.count()?, ..decode_sums(&mut sums)? })
}

fn decode_sums(sums: &mut Row) -> Result<Counts, StoreError> {
    let (rows_read, duplicates, warnings) = (sums.count()?, sums.count()?, sums.count()?);
    let (delivered, undelivered) = (sums.count()?, sums.count()?);
    Ok(Counts { rows_read, delivered, duplicates, undelivered, warnings, ..Counts::default() })
}

pub(super) async fn counts(view: &mut View, run: RunId) -> Result<Counts, StoreError> {
    let batches = view.sums(BATCH_SUMS, args![text(run)]).await?;
    let rejects = view.sums(REJECT_SUM, args![text(run)]).await?;
    decode_counts(batches, rejects)
}

/// What gives all numbers of some runs: statements that take the same arguments and say the same of which
/// runs, so that a page of runs costs no more statements than one run.
pub(super) struct Numbers {
    pub(super) batches: &'static str,
    pub(super) rejects: &'static str,
    pub(super) sends: &'static str,
    pub(super) repeated: &'static str,
    pub(super) segments: &'static str,
}

/// The numbers of one run.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    pub(super) tally: Tally,
    /// Of those segments of which anything was counted, by number.
    pub(super) segments: BTreeMap<u32, RowCounts>,
}

/// The statements for the runs that a condition on `run_id` picks.
macro_rules! numbers {
    ($which:expr) => {
        $crate::read::numbers::Numbers {
            batches: concat!(
                "SELECT run_id, ",
                $crate::read::numbers::batch_sums!(),
                ", CAST(COALESCE(sum(CASE WHEN parent IS NULL AND profiles > 0 THEN 1 ELSE 0 END), 0) \
                 AS BIGINT), CAST(COALESCE(sum(accepted_bytes), 0) AS BIGINT) \
                 FROM batches WHERE ",
                $which,
                " GROUP BY run_id"
            ),
            rejects: concat!(
                "SELECT run_id, reason, CAST(sum(n) AS BIGINT) FROM rejects WHERE ",
                $which,
                " GROUP BY run_id, reason"
            ),
            sends: concat!(
                "SELECT run_id, \
                 CAST(COALESCE(sum(CASE WHEN endpoint = 'import' AND outcome <> 'not_sent' \
                     THEN 1 ELSE 0 END), 0) AS BIGINT), \
                 CAST(COALESCE(sum(CASE WHEN outcome = 'throttled' THEN 1 ELSE 0 END), 0) AS BIGINT) \
                 FROM sends WHERE ",
                $which,
                " GROUP BY run_id"
            ),
            // Of the sends of one batch that Klaviyo may have accepted, all but one are repetitions.
            repeated: concat!(
                "SELECT run_id, CAST(COALESCE(sum(n - 1), 0) AS BIGINT) FROM \
                 (SELECT run_id, count(*) AS n FROM sends WHERE endpoint = 'import' \
                  AND outcome IN ('accepted', 'ambiguous') AND ",
                $which,
                " GROUP BY run_id, batch_no) AS maybe GROUP BY run_id"
            ),
            segments: concat!(
                "SELECT run_id, segment, CAST(sum(rows_read) AS BIGINT), \
                 CAST(sum(duplicates) AS BIGINT), CAST(sum(rejected) AS BIGINT) \
                 FROM segment_counts WHERE ",
                $which,
                " GROUP BY run_id, segment"
            ),
        }
    };
}
pub(super) use {batch_sums, numbers};

/// The numbers of each run of which there are any. `throttled` is without the requests that were for
/// several runs, which the row of the run counts.
pub(super) async fn numbered(
    view: &mut View,
    of: &Numbers,
    args: &[Arg],
) -> Result<HashMap<RunId, Numbered>, StoreError> {
    let mut all: HashMap<RunId, Numbered> = HashMap::new();
    for mut row in view.rows(of.batches, args).await? {
        let tally = &mut all.entry(row.parsed()?).or_default().tally;
        tally.counts = decode_sums(&mut row)?;
        (tally.batches, tally.bytes) = (row.count()?, row.count()?);
    }
    for mut row in view.rows(of.rejects, args).await? {
        let tally = &mut all.entry(row.parsed()?).or_default().tally;
        let (reason, n) = (row.parsed()?, row.count()?);
        tally.rejects_by_reason.insert(reason, n);
        tally.counts.rejected += n;
    }
    for mut row in view.rows(of.sends, args).await? {
        let tally = &mut all.entry(row.parsed()?).or_default().tally;
        (tally.requests, tally.throttled) = (row.count()?, row.count()?);
    }
    for mut row in view.rows(of.repeated, args).await? {
        let tally = &mut all.entry(row.parsed()?).or_default().tally;
        tally.repeated_sends = row.count()?;
    }
    for mut row in view.rows(of.segments, args).await? {
        let segments = &mut all.entry(row.parsed()?).or_default().segments;
        let segment = row.small()?;
        let (rows, duplicates, rejected) = (row.count()?, row.count()?, row.count()?);
        segments.insert(segment, RowCounts { rows, duplicates, rejected });
    }
    Ok(all)
}

/// Why profiles of a run are undelivered, and how many.
pub(super) async fn undelivered(
    view: &mut View,
    run: RunId,
) -> Result<BTreeMap<String, u64>, StoreError> {
    const SQL: &str = "SELECT COALESCE(undelivered_reason, 'pending'), \
         CAST(sum(CASE state WHEN 'confirmed' THEN undelivered ELSE profiles - rejected END) \
             AS BIGINT) \
         FROM batches WHERE run_id = $1 AND state NOT IN ('split', 'empty') \
         GROUP BY undelivered_reason";
    let mut reasons = BTreeMap::new();
    for mut row in view.rows(SQL, args![text(run)]).await? {
        let (reason, n) = (row.string()?, row.count()?);
        if n > 0 {
            reasons.insert(reason, n);
        }
    }
    Ok(reasons)
}
