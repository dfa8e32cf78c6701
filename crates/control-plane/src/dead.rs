//! Jobs whose messages died. A message is a doorbell: the job outlives it, and is announced again by itself.

use segue_access::Principal;
use segue_model::{
    DeadJobId, DeathCause, FailReason, Id, JobId, Micros, RunId, UndeliveredReason,
    work::{JobKind, Verdict},
};
use segue_queue::{DeadJobs, Death, Receipt as _};
use segue_store::{
    Tx,
    write::{
        dead::{self, DeadJob},
        jobs::{self, Failures, Held},
        runs,
    },
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    ControlPlane, Error, Refusal, Thing,
    audit::{Action, note},
};

/// Messages that died.
const DEAD_JOBS: &str = "segue_dead_jobs_total";

impl ControlPlane {
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
            let (dead, receipt) = received?;
            self.dead_job(&dead).await?;
            receipt.ack().await?;
        }
    }

    /// A job was announced, and no worker could take it. That is written down, and the job is announced again
    /// after a wait that doubles from time to time; a batch for which that goes on too long is given up.
    pub async fn dead_job(&self, dead: &segue_queue::DeadJob) -> Result<(), Error> {
        let death = written(dead);
        let job = dead.id.map(tracing::field::display);
        let (cause, words) = (death.cause.name(), death.detail.as_str());
        tracing::error!(
            job.id = job,
            cause,
            words,
            message.sha256 = death.sha256,
            "a message died"
        );
        metrics::counter!(DEAD_JOBS, "cause" => cause).increment(1);
        let note = || self.try_dead_job(dead, &death);
        if self.store.retry("dead job", note).await? {
            self.signals.stopped();
        } else {
            self.signals.work.notify_one();
        }
        Ok(())
    }

    /// Whether a run may have been changed.
    async fn try_dead_job(
        &self,
        dead: &segue_queue::DeadJob,
        death: &dead::Death,
    ) -> Result<bool, Error> {
        let id: DeadJobId = Id::from_uuid(Uuid::now_v7());
        let mut tx = self.store.begin().await?;
        let known = match dead.id {
            Some(job) => jobs::attempt(&mut tx, job).await?.map(|attempt| (job, attempt)),
            None => None,
        };
        let Some((job, attempt)) = known else {
            // The store announces again whatever it was.
            dead::note_message(&mut tx, id, death).await?;
            tx.commit().await?;
            return Ok(false);
        };
        let run = runs::lock_of_job(&mut tx, job).await?;
        let Some(held) = jobs::unclaimed(&mut tx, job, dead.attempt).await? else {
            // In other hands by now: it was an old message, or the same one once more.
            return Ok(false);
        };
        if let Some(look) = held.look {
            // It is gone before anybody could read of it.
            self.finish_look(&mut tx, &held, look, &Verdict::Retry).await?;
            tx.commit().await?;
            return Ok(false);
        }
        dead::note(&mut tx, id, &held, dead.attempt.unwrap_or(attempt), death).await?;
        match held.run {
            Some(id) => {
                let run = run.ok_or(Error::NoRun(id))?;
                let verdict = self.verdict_of_death(&held, tx.now());
                self.finish_of_run(&mut tx, &held, &run, &verdict).await?;
            }
            None => self.finish_confirm(&mut tx, &held, &Verdict::Retry).await?,
        }
        tx.commit().await?;
        Ok(held.run.is_some())
    }

    fn verdict_of_death(&self, held: &Held, now: Micros) -> Verdict {
        let patience = self.settings.give_up_after;
        let too_long = held.failing_since.is_some_and(|since| since + patience < now);
        if too_long && held.batch.is_some() {
            Verdict::GiveUp(UndeliveredReason::JobDead)
        } else {
            Verdict::Retry
        }
    }

    /// At most `most` dead jobs behind `after`, oldest first; `run`: only those of this run.
    pub(crate) async fn dead_jobs(
        &self,
        run: Option<RunId>,
        after: Option<DeadJobId>,
        most: u32,
    ) -> Result<Vec<DeadJob>, Error> {
        Ok(dead::list(&self.store, run, after, most).await?)
    }

    /// Announces a dead job now, as a new attempt with all the patience of a new job; returns the attempt.
    pub async fn requeue_dead_job(&self, id: DeadJobId, by: &Principal) -> Result<u32, Error> {
        let attempt = self.store.retry("requeue", || self.try_requeue(id, by)).await?;
        self.signals.work.notify_one();
        Ok(attempt)
    }

    async fn try_requeue(&self, id: DeadJobId, by: &Principal) -> Result<u32, Error> {
        let mut tx = self.store.begin().await?;
        let (job, held) = match Dead::lock(&mut tx, id).await? {
            Dead::Waiting { job, held } => (job, held),
            Dead::Over(run) => return Err(over(id, run).into()),
            Dead::NoJob => {
                let words = format!(
                    "{id} belongs to no job that anybody knows: whatever it was to announce is announced again \
                     by itself"
                );
                return Err(Refusal::blocked("NO_JOB", id, words).into());
            }
        };
        let now = tx.now();
        jobs::release(&mut tx, held.job, now, Failures::Reset).await?;
        let attempt = jobs::attempt(&mut tx, job).await?.unwrap_or_default();
        if !dead::forget(&mut tx, id).await? {
            return Err(Refusal::no_such(Thing::DeadJob, id).into());
        }
        note(&mut tx, by, Action::JobRequeue, job, &json!({ "run": held.run })).await?;
        tx.commit().await?;
        tracing::info!(job.id = %job, job.attempt = attempt, "dead job requeued");
        Ok(attempt)
    }

    /// Gives up what a dead job was for.
    pub async fn drop_dead_job(&self, id: DeadJobId, by: &Principal) -> Result<(), Error> {
        self.store.retry("drop", || self.try_drop(id, by)).await?;
        self.signals.stopped();
        Ok(())
    }

    async fn try_drop(&self, id: DeadJobId, by: &Principal) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        if let Dead::Waiting { held, .. } = Dead::lock(&mut tx, id).await? {
            let Some(run) = held.run else { return Err(confirms(id).into()) };
            let run = runs::lock(&mut tx, run).await?.ok_or(Error::NoRun(run))?;
            let verdict = match held.kind {
                JobKind::Upload => Verdict::GiveUp(UndeliveredReason::JobDropped),
                JobKind::Read => Verdict::FailRun {
                    reason: FailReason::JobDropped,
                    detail: "the job that was to read the segment".to_owned(),
                },
                JobKind::Confirm | JobKind::Look => return Err(confirms(id).into()),
            };
            self.finish_of_run(&mut tx, &held, &run, &verdict).await?;
        }
        if !dead::forget(&mut tx, id).await? {
            return Err(Refusal::no_such(Thing::DeadJob, id).into());
        }
        note(&mut tx, by, Action::JobDrop, id, &json!({})).await?;
        tx.commit().await?;
        tracing::info!(dead.id = %id, "dead job dropped");
        Ok(())
    }
}

/// How it stands with an entry.
enum Dead {
    /// The job waits to be announced, or for a worker. Its row and that of its run are locked.
    Waiting {
        job: JobId,
        held: Held,
    },
    /// There is nothing left to do for it.
    Over(Option<RunId>),
    NoJob,
}

impl Dead {
    async fn lock(tx: &mut Tx, id: DeadJobId) -> Result<Self, Error> {
        let dead = dead::get(tx, id).await?;
        let dead = dead.ok_or_else(|| Refusal::no_such(Thing::DeadJob, id))?;
        let Some(subject) = dead.subject else { return Ok(Self::NoJob) };
        let job = subject.job;
        runs::lock_of_job(tx, job).await?;
        Ok(match jobs::waiting(tx, job).await? {
            Some(held) => Self::Waiting { job, held },
            None => Self::Over(subject.run),
        })
    }
}

fn over(id: DeadJobId, run: Option<RunId>) -> Refusal {
    let words = match run {
        Some(run) => format!(
            "there is nothing left to do for the job of {id}: its batch was given up, or {run} has ended. Once it \
             has, `segue runs retry {run}` sends what it left"
        ),
        None => format!("there is nothing left to do for the job of {id}"),
    };
    Refusal::blocked("JOB_OVER", id, words)
}

fn confirms(id: DeadJobId) -> Refusal {
    let words = format!(
        "{id} asks Klaviyo what became of all that an account sent: requeue it, or cancel the runs of the account"
    );
    Refusal::blocked("CONFIRM_JOB", id, words)
}

/// How a message died, without anything that it says.
fn written(dead: &segue_queue::DeadJob) -> dead::Death {
    let cause = match dead.death {
        Death::Deliveries => DeathCause::Deliveries,
        Death::Unreadable { .. } => DeathCause::Unreadable,
        Death::UnknownSchema { .. } => DeathCause::UnknownSchema,
    };
    dead::Death {
        cause,
        detail: dead.death.to_string(),
        bytes: dead.bytes,
        sha256: dead.sha256.clone(),
    }
}
