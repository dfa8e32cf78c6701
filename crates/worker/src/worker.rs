use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use segue_klaviyo::Client;
use segue_model::{
    Endpoint, RunId,
    work::{Answer, Claimed, Credentials, Job, JobKind, PermitReply, Slots, Verdict, Work},
};
use segue_queue::{Queue, QueueError, Receipt as _};
use segue_staging::{Key, ReportName, Staging, StagingError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::{
    ControlPlane, PortError, confirm,
    error::{Failure, words},
    lease::{Held, Leases},
    look, metrics,
    read::{self, Readers, Sources},
    sweep, upload,
};

/// What one worker may use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Segments that are read at a time.
    pub read_slots: usize,
    /// How long a claim lives without being renewed, as the control-plane has it. It is renewed five times in
    /// that time.
    pub lease: Duration,
    /// Batches that are uploaded at a time. More than the burst of the import endpoint (10) is idle for
    /// one account.
    pub upload_slots: usize,
    /// Looks at files, for somebody who waits, at a time. Each is short; 0: this worker takes none.
    pub look_slots: usize,
    /// Where segments are.
    pub sources: Sources,
    /// Bytes for remembering identities while a segment is read: for each of them.
    pub dedupe_memory: usize,
    /// Profiles in a batch, at most; [`MAX_BATCH_PROFILES`](segue_model::MAX_BATCH_PROFILES) is the most that it can be.
    /// A plan keeps what it was when the plan was frozen.
    pub batch_profiles: usize,
    /// A folder for what does not fit into memory while a segment is read.
    pub scratch: PathBuf,
    /// The segment can be read again as long as the run lives, by whoever has the staging. Otherwise what
    /// is read of it is on the disk for good before the control-plane is told.
    pub rereadable: bool,
    /// How often staging is looked through for what nobody needs any more. `None`: somebody else sees to it.
    pub sweep_each: Option<Duration>,
    /// Makes a span part of the trace that a `traceparent` names.
    pub continue_trace: Option<fn(&Span, &str)>,
}

/// How to stop: `soft` takes no more work and lets what is under way finish, `hard` drops it.
#[derive(Debug, Clone)]
pub struct Stop {
    pub soft: CancellationToken,
    pub hard: CancellationToken,
}

/// What the jobs of a worker share.
pub(crate) struct Shared<C> {
    pub(crate) control_plane: C,
    pub(crate) staging: Staging,
    pub(crate) klaviyo: Client,
    pub(crate) settings: Settings,
    pub(crate) readers: Arc<Readers>,
}

/// See the crate.
pub struct Worker<C, Q> {
    shared: Arc<Shared<C>>,
    queue: Q,
    /// By which the control-plane knows it: made anew at each start.
    id: String,
    leases: Arc<Leases>,
}

impl<C: ControlPlane, Q: Queue + Clone> Worker<C, Q> {
    pub fn new(
        control_plane: C,
        queue: Q,
        staging: Staging,
        klaviyo: Client,
        settings: Settings,
    ) -> Self {
        let readers = Arc::default();
        let shared = Shared { control_plane, staging, klaviyo, settings, readers };
        let id = Uuid::now_v7().to_string();
        let leases = Leases::new(shared.settings.lease);
        Self { shared: Arc::new(shared), queue, id, leases }
    }

    /// How far the readers of this worker are.
    pub fn readers(&self) -> Arc<Readers> {
        Arc::clone(&self.shared.readers)
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    /// [`PortError::Refused`]: the control-plane does not let it work.
    pub async fn run(self, stop: Stop) -> Result<(), PortError> {
        let worker = Arc::new(self);
        let Settings { read_slots, upload_slots, look_slots, .. } = worker.shared.settings;
        let slots = [
            (JobKind::Read, read_slots),
            (JobKind::Upload, upload_slots),
            (JobKind::Confirm, 1),
            (JobKind::Look, look_slots),
        ];
        let count = |slots| u32::try_from(slots).unwrap_or(u32::MAX);
        let capacity = Slots {
            read: count(read_slots),
            upload: count(upload_slots),
            confirm: 1,
            look: count(look_slots),
        };
        let mut consumers = JoinSet::new();
        for (kind, slots) in slots.into_iter().filter(|(_, slots)| *slots > 0) {
            consumers.spawn(Arc::clone(&worker).consume(kind, slots, stop.clone()));
        }
        let work = async { while consumers.join_next().await.is_some() {} };
        tokio::select! {
            refused = worker.leases.keep(&worker.shared.control_plane, &worker.id, capacity) => {
                Err(refused)
            }
            () = sweep::regularly(&worker.shared) => Ok(()),
            () = work => Ok(()),
        }
    }

    /// A job, while the control-plane answers: what this worker takes and cannot claim, no other gets.
    async fn next(&self, kind: JobKind) -> Result<(Job, Q::Receipt), QueueError> {
        loop {
            self.leases.in_touch(true).await;
            tokio::select! {
                next = self.queue.receive(kind) => return next,
                () = self.leases.in_touch(false) => {}
            }
        }
    }

    /// Takes jobs of one kind, each only when a slot is free for it.
    async fn consume(self: Arc<Self>, kind: JobKind, slots: usize, stop: Stop) {
        let mut busy = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.soft.cancelled() => break,
                Some(done) = busy.join_next() => note_panic(done),
                next = self.next(kind), if busy.len() < slots => match next {
                    Ok((job, receipt)) => {
                        let (worker, soft) = (Arc::clone(&self), stop.soft.clone());
                        busy.spawn(async move { worker.handle(job, receipt, &soft).await });
                    }
                    Err(err) => {
                        tracing::info!(error = %err, "no more jobs");
                        break;
                    }
                },
            }
        }
        let finish = async {
            while let Some(done) = busy.join_next().await {
                note_panic(done);
            }
        };
        stop.hard.run_until_cancelled(finish).await;
    }

    /// Does a job, as a part of the trace that it belongs to.
    async fn handle(&self, job: Job, receipt: Q::Receipt, soft: &CancellationToken) {
        let span = tracing::info_span!(
            "job.run",
            job.id = %job.id,
            job.kind = job.kind.name(),
            job.attempt = job.attempt,
            run.id = job.run.map(tracing::field::display),
            claim.id = tracing::field::Empty,
        );
        let Settings { continue_trace, .. } = self.shared.settings;
        if let (Some(continue_trace), Some(trace)) = (continue_trace, &job.trace) {
            continue_trace(&span, trace);
        }
        self.claim_and_work(job, receipt, soft).instrument(span).await;
    }

    /// Claims a job, acknowledges its message, and works on it.
    async fn claim_and_work(&self, job: Job, receipt: Q::Receipt, soft: &CancellationToken) {
        kill_points::at("worker.job_received");
        let asked = Instant::now();
        let claimed = self.shared.control_plane.claim(job.id, job.attempt).await;
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(err) => {
                // The receipt is dropped, so the message comes back.
                tracing::warn!(error = words(&err), "job was not claimed");
                tokio::time::sleep(Duration::from_secs(1)).await;
                return;
            }
        };
        kill_points::at("worker.claimed");
        if let Err(err) = receipt.ack().await {
            // It will be delivered again, and the claim will be refused.
            tracing::warn!(error = %err, "message was not acknowledged");
        }
        kill_points::at("worker.job_acknowledged");
        let Some(Claimed { claim, work }) = claimed else { return };
        Span::current().record("claim.id", tracing::field::display(claim));
        let held = self.leases.hold(claim, asked);
        let ended = tokio::select! {
            result = self.work(&held, work, soft) => result,
            () = held.ended() => {
                tracing::warn!("claim ended while it was worked on");
                metrics::job_ended(job.kind, "claim_ended");
                return;
            }
        };
        let verdict = match ended {
            Ok(Some(verdict)) => verdict,
            Ok(None) => return metrics::job_ended(job.kind, "accepted"),
            Err(Failure::Staging(err)) => {
                tracing::error!(error = words(&err), "staging failed");
                Verdict::Retry
            }
            Err(Failure::Port(err)) => {
                metrics::job_ended(job.kind, "unsaid");
                return note_port(&err);
            }
        };
        metrics::job_ended(job.kind, metrics::name_of(&verdict));
        kill_points::at("worker.worked");
        if let Err(err) = self.shared.control_plane.finish(claim, verdict).await {
            note_port(&err);
        }
        kill_points::at("worker.finished");
    }

    /// `None`: the claim has ended together with the last answer.
    async fn work(
        &self,
        held: &Held,
        work: Work,
        soft: &CancellationToken,
    ) -> Result<Option<Verdict>, Failure> {
        match work {
            // To read on would take as long as the segment is large, or for ever: it waits for uploads
            // that nobody makes any more.
            Work::Read(work) => {
                let read = soft.run_until_cancelled(read::read(&self.shared, held, work)).await;
                let stopped = Verdict::Deferred { after: Duration::ZERO };
                Ok(Some(read.transpose()?.unwrap_or(stopped)))
            }
            Work::Upload(work) => upload::upload(&self.shared, held, work).await,
            Work::Confirm(work) => Ok(Some(confirm::confirm(&self.shared, held, work).await?)),
            Work::Look(work) => Ok(Some(look::look(&self.shared, work).await)),
        }
    }
}

fn note_panic(done: Result<(), tokio::task::JoinError>) {
    if let Err(err) = done {
        tracing::error!(error = %err, "a job panicked, its claim will run out");
    }
}

fn note_port(err: &PortError) {
    tracing::warn!(
        error = words(err),
        "the control-plane could not be told, the claim will run out"
    );
}

/// Why no call was made.
#[derive(Debug)]
pub(crate) enum NoCall {
    /// The lane is full for longer; the claim is better given back.
    Later(Duration),
    Stop,
}

impl NoCall {
    /// The verdict of a claim that cannot go on now.
    pub(crate) fn deferred(self) -> Verdict {
        /// Whoever stops a run sees to its jobs.
        const STOPPED: Duration = Duration::from_secs(1);
        match self {
            Self::Later(after) => Verdict::Deferred { after },
            Self::Stop => Verdict::Deferred { after: STOPPED },
        }
    }
}

impl<C: ControlPlane> Shared<C> {
    /// Makes one call to Klaviyo under a permit of its own, and records how it went.
    ///
    /// `call` gets the moment at which the permit was asked for; `answer` says what the result means.
    pub(crate) async fn call<T, E, Fut>(
        &self,
        held: &Held,
        credentials: &Credentials,
        endpoint: Endpoint,
        call: impl FnOnce(Instant) -> Fut,
        answer: impl FnOnce(&Result<T, E>) -> Answer,
    ) -> Result<Result<Result<T, E>, NoCall>, PortError>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        let account = credentials.account_id.as_str();
        let asked = Instant::now();
        let permit = match self.control_plane.permit(held.claim(), account, endpoint).await? {
            PermitReply::Granted(permit) => {
                metrics::permit_waited(endpoint, asked.elapsed());
                permit
            }
            PermitReply::Later(wait) => return Ok(Err(NoCall::Later(wait))),
            PermitReply::Stop => return Ok(Err(NoCall::Stop)),
        };
        kill_points::at("worker.permitted");
        let result = call(Instant::now()).await;
        kill_points::at("worker.answered");
        let answer = answer(&result);
        metrics::request(endpoint, &answer);
        self.control_plane.answer(permit, &answer).await?;
        kill_points::at("worker.answer_recorded");
        Ok(Ok(result))
    }

    /// A staged object.
    pub(crate) async fn get(&self, key: Key) -> Result<Option<Bytes>, StagingError> {
        self.staging.off_thread(move |staging| staging.get(&key)).await
    }

    pub(crate) async fn delete(&self, key: Key) -> Result<(), StagingError> {
        self.staging.off_thread(move |staging| staging.delete(&key)).await
    }

    /// Keeps reject records under a name that no other attempt has.
    pub(crate) async fn rejects(
        &self,
        run: RunId,
        name: &str,
        records: Vec<u8>,
    ) -> Result<Option<String>, StagingError> {
        let key = Key::Rejects { run, name: name.parse::<ReportName>()? };
        self.staging.off_thread(move |staging| read::put_report(staging, &key, records, true)).await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::Ordering},
        time::Duration,
    };

    use segue_model::{
        Id,
        work::{Job, JobKind},
    };
    use segue_queue::{MemoryQueue, Queue as _, Receipt as _};
    use tokio::time::{sleep, timeout};
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::{Stop, Worker};
    use crate::testing::{Scripted, shared};

    fn job(number: u128) -> Job {
        let id = Id::from_uuid(Uuid::from_u128(number));
        Job { id, kind: JobKind::Upload, attempt: 1, run: None, trace: None }
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_reach_the_control_plane_leaves_the_jobs_to_others() {
        let away = Scripted { away: true.into(), ..Scripted::default() };
        let (_folder, shared) = shared(away);
        let queue = MemoryQueue::default();
        let worker = Worker::new(
            shared.control_plane,
            queue.clone(),
            shared.staging,
            shared.klaviyo,
            shared.settings,
        );
        let at = Arc::clone(&worker.shared);
        let wanted = || at.control_plane.wanted.lock().unwrap().clone();
        let hard = CancellationToken::new();
        let stop = Stop { soft: hard.child_token(), hard };
        let running = tokio::spawn(worker.run(stop.clone()));

        queue.publish(job(1)).await.unwrap();
        sleep(Duration::from_secs(10)).await;
        let taken = timeout(Duration::from_secs(1), queue.receive(JobKind::Upload)).await;
        let (left, receipt) = taken.expect("somebody has it").unwrap();
        receipt.ack().await.unwrap();
        assert_eq!((left.id, wanted()), (job(1).id, Vec::new()));

        at.control_plane.away.store(false, Ordering::Relaxed);
        queue.publish(job(2)).await.unwrap();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(wanted(), [job(2).id]);

        // It waits for a job when the control-plane goes away.
        at.control_plane.away.store(true, Ordering::Relaxed);
        sleep(Duration::from_secs(2)).await;
        queue.publish(job(3)).await.unwrap();
        sleep(Duration::from_secs(10)).await;
        assert_eq!(wanted(), [job(2).id]);
        stop.hard.cancel();
        stop.soft.cancel();
        running.await.unwrap().unwrap();
    }
}
