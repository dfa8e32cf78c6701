//! What only one needs to do.

use std::time::Duration;

use segue_queue::{DeadJobs, Events, Queue, QueueError};
use segue_store::write::{
    jobs,
    leaders::{self, Lead},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{ControlPlane, Error};

/// Dispatching, sweeping and publishing are one duty: whoever does one does all.
const DUTY: &str = "lead";
/// 1 while this instance leads.
const LEADER: &str = "segue_leader";
/// Who leads says so each second …
const EACH: Duration = Duration::from_secs(1);
/// … and leads no more when it has not said so for this long.
const LEASE: Duration = Duration::from_secs(5);
/// Between two tries of a duty that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

impl ControlPlane {
    /// Lets every claim live for another lease. To be called before the first worker is served: nobody could
    /// renew its claims while no control-plane was there.
    pub async fn grace(&self) -> Result<(), Error> {
        self.store.retry("grace", || self.try_grace()).await
    }

    async fn try_grace(&self) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        jobs::grace(&mut tx, self.settings.lease).await?;
        Ok(tx.commit().await?)
    }

    /// Dispatches, sweeps, publishes events and looks after dead jobs, until `stop`, whenever no other
    /// instance does. Two that do it at the same time are harmless.
    ///
    /// A store or a broker that does not answer is asked again and again. Returns an error only if nothing
    /// but another configuration would help.
    pub async fn lead<Q, E>(
        &self,
        queue: &Q,
        events: &E,
        stop: &CancellationToken,
    ) -> Result<(), Error>
    where
        Q: Queue + DeadJobs,
        E: Events,
    {
        let holder = Uuid::now_v7().to_string();
        while !stop.is_cancelled() {
            match self.take_lead(&holder).await {
                Ok(Some(_)) => {
                    tracing::info!("this instance leads");
                    metrics::gauge!(LEADER).set(1);
                    let reigned = Box::pin(self.reign(&holder, queue, events, stop)).await;
                    metrics::gauge!(LEADER).set(0);
                    reigned?;
                }
                Ok(None) => {}
                Err(err) => tracing::warn!(error = words(&err), "nobody knows who leads"),
            }
            stop.run_until_cancelled(tokio::time::sleep(EACH)).await;
        }
        Ok(())
    }

    /// Does all duties until `stop`, or until somebody else leads.
    async fn reign<Q, E>(
        &self,
        holder: &str,
        queue: &Q,
        events: &E,
        stop: &CancellationToken,
    ) -> Result<(), Error>
    where
        Q: Queue + DeadJobs,
        E: Events,
    {
        let duties = async {
            tokio::try_join!(
                persist("dispatch", stop, || self.dispatch(queue, stop)),
                persist("sweep", stop, || self.sweep(stop)),
                persist("events", stop, || self.publish_events(events, stop)),
                persist("dead jobs", stop, || self.bury(queue, stop)),
            )
        };
        // A duty that is dropped half way loses nothing: its transaction is undone.
        tokio::select! {
            done = duties => { done?; }
            () = self.hold_lead(holder) => {
                tracing::warn!("another instance leads");
                return Ok(());
            }
        }
        if let Err(err) = self.resign(holder).await {
            tracing::info!(error = words(&err), "the lead will pass on by itself");
        }
        Ok(())
    }

    /// Returns when this instance leads no more.
    async fn hold_lead(&self, holder: &str) {
        let mut held = Instant::now();
        loop {
            tokio::time::sleep(EACH).await;
            let asked = Instant::now();
            match self.take_lead(holder).await {
                Ok(Some(_)) => held = asked,
                Ok(None) => return,
                Err(err) => {
                    tracing::warn!(error = words(&err), "the lead could not be prolonged");
                    if held.elapsed() > LEASE {
                        return;
                    }
                }
            }
        }
    }

    /// `None`: somebody else leads.
    pub(crate) async fn take_lead(&self, holder: &str) -> Result<Option<Lead>, Error> {
        self.store.retry("lead", || self.try_lead(holder)).await
    }

    async fn try_lead(&self, holder: &str) -> Result<Option<Lead>, Error> {
        let mut tx = self.store.begin().await?;
        let lead = leaders::lead(&mut tx, DUTY, holder, LEASE).await?;
        if lead == Some(Lead::Taken) {
            // For a while perhaps nobody was there to renew them.
            jobs::grace(&mut tx, self.settings.lease).await?;
        }
        tx.commit().await?;
        Ok(lead)
    }

    async fn resign(&self, holder: &str) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        leaders::resign(&mut tx, DUTY, holder).await?;
        Ok(tx.commit().await?)
    }
}

/// Takes a duty up again each time that it fails for a reason that may pass.
async fn persist<F>(
    duty: &'static str,
    stop: &CancellationToken,
    mut begin: impl FnMut() -> F,
) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>>,
{
    loop {
        match begin().await {
            Ok(()) | Err(Error::Queue(QueueError::Closed)) => return Ok(()),
            Err(err @ Error::Queue(QueueError::Config { .. })) => return Err(err),
            Err(err) => tracing::warn!(duty, error = words(&err), "tried again in a second"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(AFTER_FAILURE)).await.is_none() {
            return Ok(());
        }
    }
}

/// An error with all its causes, for people.
pub(crate) fn words(err: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(err), |err| err.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
