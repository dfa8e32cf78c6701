//! What is left behind: by a process that died, and by messages that died.

use segue_model::{JobId, work::Verdict};
use segue_queue::{DeadJob, DeadJobs, Receipt as _};
use segue_store::write::{batches, jobs, lanes, leaders, runs, workers};
use tokio_util::sync::CancellationToken;

use crate::{ControlPlane, Error};

impl ControlPlane {
    /// Goes on after a process that is known to be dead, with all of its services: claims end at once, what
    /// was under way at Klaviyo counts as ambiguous, and runs go on by themselves, because what they staged
    /// is on the disk. Runs of `segue export` are parked, as [`ControlPlane::take_over`] does. Only for
    /// whoever holds the lock of the data folder.
    pub async fn recover(&self) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        lanes::abandon_all(&mut tx).await?;
        lanes::forget_future(&mut tx).await?;
        workers::forget_all(&mut tx).await?;
        leaders::clear(&mut tx).await?;
        runs::park_command_line(&mut tx).await?;
        batches::lose_staged(&mut tx).await?;
        jobs::drop_parked(&mut tx).await?;
        jobs::restart(&mut tx).await?;
        let parked = runs::parked_of_services(&mut tx).await?;
        tx.commit().await?;
        for run in parked {
            self.resume_run(run).await?;
        }
        self.signals.work.notify_one();
        Ok(())
    }

    /// Looks after jobs whose message died, until `stop`.
    pub(crate) async fn bury<D: DeadJobs>(
        &self,
        dead: &D,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        loop {
            let Some(received) = stop.run_until_cancelled(dead.receive_dead()).await else {
                return Ok(());
            };
            let (DeadJob { id, attempt, death }, receipt) = received?;
            if let Some(job) = id {
                self.dead_job(job, attempt, &death.to_string()).await?;
            } else {
                // The store announces again whatever it was.
                tracing::error!(words = %death, "the message of a job died");
            }
            receipt.ack().await?;
        }
    }

    /// A job was announced, and no worker could take it. It is announced again after a wait that doubles
    /// from time to time; a batch for which that goes on too long is given up.
    pub async fn dead_job(
        &self,
        job: JobId,
        attempt: Option<u32>,
        words: &str,
    ) -> Result<(), Error> {
        tracing::error!(job.id = %job, words, "the message of a job died");
        let ended = self.store.retry("dead job", || self.try_dead_job(job, attempt)).await?;
        if ended {
            self.signals.stopped();
        } else {
            self.signals.work.notify_one();
        }
        Ok(())
    }

    /// Whether a run may have been changed.
    async fn try_dead_job(&self, job: JobId, attempt: Option<u32>) -> Result<bool, Error> {
        let mut tx = self.store.begin().await?;
        let run = runs::lock_of_job(&mut tx, job).await?;
        let Some(held) = jobs::unclaimed(&mut tx, job, attempt).await? else {
            return Ok(false);
        };
        let verdict = &Verdict::Retry;
        match held.run {
            Some(id) => {
                let run = run.ok_or(Error::NoRun(id))?;
                self.finish_of_run(&mut tx, &held, &run, verdict).await?;
            }
            None => self.finish_confirm(&mut tx, &held, verdict).await?,
        }
        tx.commit().await?;
        Ok(held.run.is_some())
    }
}
