//! What is removed when its time has come.

use std::collections::HashSet;

use segue_model::{Micros, RunId};

use crate::{
    StoreError, Tx,
    sql::{Row, args, text},
};

/// A run as far as its objects in staging are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    pub run: RunId,
    /// It is of an export and has read all of its segment: what it left can be sent again by a retry.
    pub can_be_retried: bool,
    /// `None`: it goes on.
    pub ended: Option<Micros>,
    /// Its batches are not needed any more, whatever is there of them.
    pub batches_removed: bool,
    /// The same of its reports.
    pub reports_removed: bool,
}

/// `None`: there is no such run.
pub async fn standing(tx: &mut Tx, run: RunId) -> Result<Option<Standing>, StoreError> {
    const SQL: &str = "SELECT \
         CAST(CASE WHEN export_id IS NULL OR read_done = 0 THEN 0 ELSE 1 END AS BIGINT), \
         ended_us, batches_removed_us, reports_removed_us FROM runs WHERE run_id = $1";
    let decode = |mut row: Row| {
        Ok(Standing {
            run,
            can_be_retried: row.flag()?,
            ended: row.opt_time()?,
            batches_removed: row.opt_time()?.is_some(),
            reports_removed: row.opt_time()?.is_some(),
        })
    };
    tx.row(SQL, args![text(run)]).await?.map(decode).transpose()
}

/// Whether a retry of a run goes on.
pub async fn is_being_retried(tx: &mut Tx, run: RunId) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT 1 FROM runs WHERE retry_of = $1 AND ended_us IS NULL LIMIT 1";
    Ok(tx.row(SQL, args![text(run)]).await?.is_some())
}

/// Names of the report objects of a run, as far as anybody may be told of them.
pub async fn reports(tx: &mut Tx, run: RunId) -> Result<HashSet<String>, StoreError> {
    const SQL: &str = "SELECT name FROM reports WHERE run_id = $1";
    tx.rows(SQL, args![text(run)]).await?.into_iter().map(|mut row| row.string()).collect()
}

/// Nobody sends the batches of a run again. Its row has to be locked.
pub async fn remove_batches(tx: &mut Tx, run: RunId) -> Result<(), StoreError> {
    const RUN: &str = "UPDATE runs SET batches_removed_us = $2 WHERE run_id = $1";
    const BATCHES: &str = "UPDATE batches SET staged = 0 WHERE run_id = $1 AND staged = 1";
    let now = tx.now();
    tx.execute(RUN, args![text(run), now]).await?;
    tx.execute(BATCHES, args![text(run)]).await?;
    Ok(())
}

/// Nobody is told of the rows in the reports of a run any more; they are still counted. Its row has to be
/// locked.
pub async fn remove_reports(tx: &mut Tx, run: RunId) -> Result<(), StoreError> {
    const RUN: &str = "UPDATE runs SET reports_removed_us = $2 WHERE run_id = $1";
    const REPORTS: &str = "DELETE FROM reports WHERE run_id = $1";
    let now = tx.now();
    tx.execute(RUN, args![text(run), now]).await?;
    tx.execute(REPORTS, args![text(run)]).await?;
    Ok(())
}

/// Rows that have an age and nothing else to end them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Which request made what.
    Requests,
    /// Which request made which list of Klaviyo's.
    NewLists,
    /// What Klaviyo said of keys and lists.
    Answers,
    /// Jobs of runs that have ended.
    Jobs,
    /// Entries of dead jobs.
    DeadJobs,
}

impl Rows {
    pub const ALL: &'static [Self] =
        &[Self::Requests, Self::NewLists, Self::Answers, Self::Jobs, Self::DeadJobs];

    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::NewLists => "new_lists",
            Self::Answers => "answers",
            Self::Jobs => "jobs",
            Self::DeadJobs => "dead_jobs",
        }
    }

    pub(crate) fn forget(self) -> &'static str {
        match self {
            Self::Requests => {
                "DELETE FROM requests WHERE (kind, request_id) IN \
                 (SELECT kind, request_id FROM requests WHERE at_us < $1 ORDER BY at_us LIMIT $2)"
            }
            Self::NewLists => {
                "DELETE FROM new_lists WHERE request_id IN \
                 (SELECT request_id FROM new_lists WHERE at_us < $1 ORDER BY at_us LIMIT $2)"
            }
            Self::Answers => {
                "DELETE FROM answers WHERE subject IN \
                 (SELECT subject FROM answers WHERE at_us < $1 ORDER BY at_us LIMIT $2)"
            }
            // The run is asked for first: there are far more jobs than runs.
            Self::Jobs => {
                "DELETE FROM jobs WHERE job_id IN (SELECT j.job_id FROM runs r \
                 JOIN jobs j ON j.run_id = r.run_id WHERE r.ended_us < $1 LIMIT $2)"
            }
            Self::DeadJobs => {
                "DELETE FROM dead_jobs WHERE dead_id IN \
                 (SELECT dead_id FROM dead_jobs WHERE last_us < $1 ORDER BY last_us LIMIT $2)"
            }
        }
    }
}

/// Forgets at most `most` rows that are older than `before`; returns how many.
pub async fn forget(tx: &mut Tx, rows: Rows, before: Micros, most: u32) -> Result<u64, StoreError> {
    tx.execute(rows.forget(), args![before, most]).await
}
