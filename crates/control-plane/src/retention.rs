//! What is kept for how long, and what a crash has left.
//!
//! Workers have the staging and ask what of it can go ([`ControlPlane::spent`]); rows are forgotten here. What
//! is decided is committed before anybody removes anything, so whoever asks for it later is told the truth.

use std::{collections::HashSet, time::Duration};

use segue_model::{
    ContentHash, Micros,
    work::{Kept, Spent},
};
use segue_store::{
    Tx,
    write::{
        retention::{self, Rows, Standing},
        retries, runs,
    },
};

use crate::{ControlPlane, Error};

/// For so long after the end of a run a claim of its last moments may still name a report of it.
const SETTLING: Duration = Duration::from_hours(1);
/// Rows that one transaction forgets.
const MOST_ROWS: u32 = 1000;

impl ControlPlane {
    /// What of the files of staging nobody needs any more. Nothing is of a run that goes on or may be gone on
    /// with, and nothing that a retry needs, or still may.
    pub async fn spent(&self, kept: &[Kept]) -> Result<Vec<Spent>, Error> {
        let mut all = Vec::new();
        for kept in kept {
            all.extend(self.store.retry("spent", || self.try_spent(kept)).await?);
        }
        Ok(all)
    }

    /// `None`: the run is not over.
    async fn try_spent(&self, kept: &Kept) -> Result<Option<Spent>, Error> {
        let all =
            Spent { run: kept.run, batches: kept.batches.clone(), reports: kept.reports.clone() };
        let mut tx = self.store.begin().await?;
        let Some(run) = retention::standing(&mut tx, kept.run).await? else {
            // Of a database that was lost, or of nobody: a run is written down before its first object is.
            return Ok((kept.age > self.settings.retry_window).then_some(all));
        };
        let Some(ended) = run.ended.filter(|ended| *ended + SETTLING < tx.now()) else {
            return Ok(None);
        };
        let batches = match self.needed_batches(&mut tx, &run, ended, kept).await? {
            None => all.batches,
            Some(left) => all.batches.into_iter().filter(|hash| !left.contains(hash)).collect(),
        };
        let reports = match self.needed_reports(&mut tx, &run, ended, kept).await? {
            None => all.reports,
            Some(named) => all.reports.into_iter().filter(|name| !named.contains(name)).collect(),
        };
        tx.commit().await?;
        Ok(Some(Spent { run: kept.run, batches, reports }))
    }

    /// `None`: none.
    async fn needed_batches(
        &self,
        tx: &mut Tx,
        run: &Standing,
        ended: Micros,
        kept: &Kept,
    ) -> Result<Option<HashSet<ContentHash>>, Error> {
        if kept.batches.is_empty() || run.batches_removed {
            return Ok(None);
        }
        // A retry locks it, too: it has begun by now, or finds that there is nothing to send.
        runs::lock(tx, run.run).await?;
        let left = retries::left(tx, run.run).await?.into_iter().map(|left| left.hash).collect();
        if retention::is_being_retried(tx, run.run).await? {
            return Ok(Some(left));
        }
        let in_time = tx.now() <= ended + self.settings.retry_window;
        if run.can_be_retried && in_time && retries::retried_as(tx, run.run).await?.is_none() {
            return Ok(Some(left));
        }
        retention::remove_batches(tx, run.run).await?;
        tracing::info!(run.id = %run.run, "what the run left can be sent again no more");
        Ok(None)
    }

    /// `None`: none.
    async fn needed_reports(
        &self,
        tx: &mut Tx,
        run: &Standing,
        ended: Micros,
        kept: &Kept,
    ) -> Result<Option<HashSet<String>>, Error> {
        if kept.reports.is_empty() || run.reports_removed {
            return Ok(None);
        }
        if tx.now() <= ended + self.settings.reports_kept {
            // What is not named was written by a claim that was lost.
            return Ok(Some(retention::reports(tx, run.run).await?));
        }
        runs::lock(tx, run.run).await?;
        retention::remove_reports(tx, run.run).await?;
        tracing::info!(run.id = %run.run, "the reports of the run are kept no more");
        Ok(None)
    }

    /// Forgets rows that are of no use any more, some in each transaction.
    pub(crate) async fn forget_rows(&self) -> Result<(), Error> {
        for rows in Rows::ALL {
            let mut all = 0;
            loop {
                let forgotten = self.store.retry("forget", || self.try_forget_rows(*rows)).await?;
                all += forgotten;
                if forgotten < u64::from(MOST_ROWS) {
                    break;
                }
            }
            if all > 0 {
                tracing::info!(rows = rows.name(), forgotten = all, "old rows were forgotten");
            }
        }
        Ok(())
    }

    async fn try_forget_rows(&self, rows: Rows) -> Result<u64, Error> {
        let mut tx = self.store.begin().await?;
        let before = tx.now() - self.settings.rows_kept;
        let forgotten = retention::forget(&mut tx, rows, before, MOST_ROWS).await?;
        tx.commit().await?;
        Ok(forgotten)
    }
}
