use std::time::Duration;

use segue_model::{ClaimId, FailReason, Limits, RunId};
use segue_store::write::{
    batches::{self, BatchState},
    jobs::{self, Failures},
    lanes, runs, workers,
};
use tokio_util::sync::CancellationToken;

use crate::{ControlPlane, Error, runs::want_confirming};

const EACH: Duration = Duration::from_secs(5);
/// Schedules go by the minute.
const DUE: Duration = Duration::from_secs(1);
/// What is too old is looked for seldom: it does no harm.
const OLD: Duration = Duration::from_hours(1);

impl ControlPlane {
    /// Looks after claims that nobody renews, runs that nobody moves and exports that are due, until `stop`.
    pub async fn sweep(&self, stop: &CancellationToken) -> Result<(), Error> {
        // Claims that ran out are looked for more often than the rest, because work waits for them.
        let mut claims = tokio::time::interval(self.settings.lease / 5);
        let mut live = tokio::time::interval(EACH);
        let mut old = tokio::time::interval(OLD);
        let mut due = tokio::time::interval(DUE);
        for late in [&mut claims, &mut live, &mut old, &mut due] {
            late.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = claims.tick() => self.sweep_claims().await?,
                _ = live.tick() => {
                    self.sweep_runs().await?;
                    self.sweep_removed().await?;
                    self.sweep_looks().await?;
                }
                _ = old.tick() => self.forget_rows().await?,
                _ = due.tick() => self.sweep_schedules().await?,
            }
        }
    }

    /// Releases what expired claims held.
    pub(crate) async fn sweep_claims(&self) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let expired = jobs::expired(&mut tx).await?;
        tx.commit().await?;
        for claim in &expired {
            self.store.retry("expire", || self.expire(*claim)).await?;
        }
        if !expired.is_empty() {
            self.signals.work.notify_one();
        }
        Ok(())
    }

    pub(crate) async fn expire(&self, claim: ClaimId) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        runs::lock_of_claim(&mut tx, claim).await?;
        lanes::abandon(&mut tx, claim).await?;
        let Some(job) = jobs::overdue(&mut tx, claim).await? else { return Ok(()) };
        let now = tx.now();
        jobs::release(&mut tx, job, now, Failures::Keep).await?;
        kill_points::at("control_plane.expire");
        tx.commit().await?;
        kill_points::at("control_plane.expire_committed");
        tracing::warn!(claim.id = %claim, job.id = %job, "claim expired, job released");
        Ok(())
    }

    pub(crate) async fn sweep_runs(&self) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let live = runs::live(&mut tx).await?;
        // Twice the longest window: what is older holds no place, whatever its phase.
        let old = tx.now() - 2 * Limits::STEADY_WINDOW;
        lanes::forget(&mut tx, old).await?;
        // A request has to end within a minute; whoever was allowed this one has forgotten it.
        lanes::abandon_stale(&mut tx, old).await?;
        workers::forget(&mut tx, old).await?;
        tx.commit().await?;
        for run in live {
            self.store.retry("sweep", || self.sweep_run(run)).await?;
        }
        Ok(())
    }

    async fn sweep_run(&self, id: RunId) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let Some(run) = runs::lock(&mut tx, id).await? else {
            return Ok(());
        };
        let now = tx.now();
        // A run that was left and is gone on with may take as long again.
        if run.resumed + run.deadline < now {
            let detail = format!("{} hours", run.deadline.as_secs() / 3600);
            runs::fail(&mut tx, id, FailReason::DeadlinePassed, &detail).await?;
        }
        // Nobody could ask before the run was gone on with.
        let patience_ended = now - run.confirm_timeout;
        if run.resumed < patience_ended {
            let lost = batches::give_up_unconfirmed(&mut tx, id, patience_ended).await?;
            if !lost.is_empty() {
                self.note_batches(&mut tx, id, BatchState::GivenUp, &lost).await?;
                tracing::warn!(run.id = %id, batches = lost.len(), "klaviyo did not confirm in time");
            }
        }
        let ended = self.settle(&mut tx, id).await?;
        want_confirming(&mut tx, &run.account_id, id, Duration::ZERO).await?;
        tx.commit().await?;
        if ended.is_some() {
            self.signals.stopped();
        }
        Ok(())
    }
}
