use std::time::Duration;

use segue_model::work::Job;
use segue_queue::Queue;
use segue_store::write::jobs::{self, Announced};
use tokio_util::sync::CancellationToken;

use crate::{ControlPlane, Error};

/// Nothing is to be done, and nobody waits long for what comes.
const IDLE: Duration = Duration::from_secs(1);

impl ControlPlane {
    /// Announces jobs that are due, until `stop`.
    pub async fn dispatch<Q: Queue>(
        &self,
        queue: &Q,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        loop {
            let next = self.announce(queue).await?;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.signals.work.notified() => {}
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// One round; returns how long there is nothing to do but for a signal.
    pub(crate) async fn announce<Q: Queue>(&self, queue: &Q) -> Result<Duration, Error> {
        let (due, wait) = self.store.retry("announce", || self.take_due()).await?;
        // A message that is lost between the commit and here is announced again.
        for job in due {
            queue.publish(job).await?;
            kill_points::at("control_plane.job_published");
        }
        Ok(wait)
    }

    async fn take_due(&self) -> Result<(Vec<Job>, Duration), Error> {
        let mut tx = self.store.begin().await?;
        let Announced { jobs, next, any } = jobs::announce(&mut tx).await?;
        let now = tx.now();
        kill_points::at("control_plane.announce");
        tx.commit().await?;
        kill_points::at("control_plane.announce_committed");
        // While there is work, another instance may commit more at any time.
        let poll = self.settings.poll;
        let poll = if any { poll } else { poll.max(IDLE) };
        Ok((jobs, next.map_or(poll, |at| at.since(now).min(poll))))
    }
}
