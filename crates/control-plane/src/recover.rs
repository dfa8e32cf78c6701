//! What a process that died has left behind.

use segue_store::write::{batches, jobs, lanes, leaders, runs, workers};

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
}
