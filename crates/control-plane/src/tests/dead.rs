//! Jobs whose messages died: what happens by itself, and what people can do.

use segue_access::{Principal, Role};
use segue_model::{DeadJobId, FailReason};
use segue_queue::{DeadJob, DeadJobs, Death, MemoryQueue, Queue, QueueError};
use segue_store::{on_both_engines, test_util::Engine, write::dead};
use tokio_util::sync::CancellationToken;

use super::{
    BatchNo, Duration, Id, Job, JobKind, RunId, RunState, SECOND, UndeliveredReason, Uuid, Verdict,
    World, admin::tester,
};
use crate::{Error, Refusal};

on_both_engines!(
    job_whose_message_died_is_announced_again_and_its_batch_given_up_after_an_hour,
    job_in_other_hands_is_not_dead,
    dead_job_is_listed_until_a_worker_has_it,
    requeued_job_is_announced_at_once_and_with_new_patience,
    dropped_batch_is_undelivered_and_the_run_ends_without_it,
    run_whose_reading_is_dropped_fails_and_says_so,
    job_that_confirms_is_requeued_and_never_dropped,
    nothing_can_be_done_for_a_job_that_is_over_but_to_forget_it,
    message_that_nobody_can_read_is_listed_without_anything_that_it_says,
);

fn by() -> Principal {
    tester(Role::Administrator)
}

/// One dead job, then none.
struct Grave(std::sync::Mutex<Option<DeadJob>>);

impl DeadJobs for Grave {
    type Receipt = <MemoryQueue as Queue>::Receipt;

    async fn receive_dead(&self) -> Result<(DeadJob, Self::Receipt), QueueError> {
        let Some(dead) = self.0.lock().unwrap().take() else {
            return std::future::pending().await;
        };
        // A receipt of whatever queue serves.
        let queue = MemoryQueue::default();
        let id = Id::from_uuid(Uuid::now_v7());
        let job = Job { id, attempt: 1, kind: JobKind::Read, run: None, trace: None };
        queue.publish(job).await?;
        let (_, receipt) = queue.receive(JobKind::Read).await?;
        Ok((dead, receipt))
    }
}

fn died(job: &Job) -> DeadJob {
    DeadJob {
        id: Some(job.id),
        attempt: Some(job.attempt),
        death: Death::Deliveries,
        bytes: 90,
        sha256: "5e".repeat(32),
    }
}

fn garbage(sha256: &str) -> DeadJob {
    let death = Death::Unreadable { words: "it is not the message Job of segue.v1".to_owned() };
    DeadJob { id: None, attempt: None, death, bytes: 7, sha256: sha256.to_owned() }
}

impl World {
    async fn dies(&self, job: &Job) {
        self.cp.dead_job(&died(job)).await.unwrap();
    }

    async fn dead(&self) -> Vec<dead::DeadJob> {
        self.cp.dead_jobs(None, None, 100).await.unwrap()
    }

    /// The one that there is.
    async fn one_dead(&self) -> dead::DeadJob {
        let mut dead = self.dead().await;
        assert_eq!(dead.len(), 1, "{dead:#?}");
        dead.remove(0)
    }

    /// A run that has read one batch, whose message has died.
    async fn with_a_dead_upload(&self) -> (RunId, Job, DeadJobId) {
        let run = self.start(1).await;
        self.read(0..1).await;
        let job = self.announced().await.remove(0);
        self.dies(&job).await;
        (run, job, self.one_dead().await.id)
    }
}

#[track_caller]
fn obstacle<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    match result.unwrap_err() {
        Error::Refused(Refusal::Blocked(obstacles)) => obstacles[0].code,
        other => panic!("{other}"),
    }
}

#[track_caller]
fn is_missing<T: std::fmt::Debug>(result: Result<T, Error>) {
    let err = result.unwrap_err();
    assert!(matches!(err, Error::Refused(Refusal::NoSuch { .. })), "{err}");
}

async fn job_whose_message_died_is_announced_again_and_its_batch_given_up_after_an_hour(
    engine: Engine,
) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let job = world.announced().await.remove(0);
    let (grave, stop) = (Grave(Some(died(&job)).into()), CancellationToken::new());
    let burying = tokio::spawn({
        let (cp, stop) = (world.cp.clone(), stop.clone());
        async move { cp.bury(&grave, &stop).await }
    });
    let again = loop {
        world.clock.advance(SECOND);
        // Until the dead one is taken up the message counts as lost, and is announced again as it was.
        if let Some(job) = world.announced().await.pop().filter(|job| job.attempt > 1) {
            break job;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((again.id, again.attempt), (job.id, 2));
    stop.cancel();
    burying.await.unwrap().unwrap();
    // The same message once more changes nothing: the job is another attempt by now.
    world.dies(&job).await;
    assert_eq!(world.one_dead().await.deaths, 1);
    world.clock.advance(Duration::from_mins(59));
    world.dies(&again).await;
    world.clock.advance(Duration::from_mins(2));
    let last = world.announced().await.remove(0);
    assert_eq!(last.attempt, 3);
    assert_eq!(world.state(run).await, RunState::Running, "its batch is dead, not delivered");
    world.dies(&last).await;
    let report = world.report(run).await;
    assert_eq!(report.undelivered, [("job_dead".to_owned(), 10)].into());
    assert_eq!(report.state, RunState::Failed);
}

async fn job_in_other_hands_is_not_dead(engine: Engine) {
    let world = World::new(engine).await;
    world.start(1).await;
    let job = world.announced().await.remove(0);
    let claimed = world.cp.claim(job.id, job.attempt).await.unwrap().unwrap();
    world.cp.dead_job(&DeadJob { attempt: None, ..died(&job) }).await.unwrap();
    assert!(world.renew(&[claimed.claim]).await.is_empty());
    assert_eq!(world.dead().await, []);
}

async fn dead_job_is_listed_until_a_worker_has_it(engine: Engine) {
    let world = World::new(engine).await;
    let (run, job, id) = world.with_a_dead_upload().await;
    let dead = world.one_dead().await;
    let subject = dead.subject.as_ref().unwrap();
    assert_eq!((subject.job, subject.attempt), (job.id, 1));
    assert_eq!((subject.run, subject.batch), (Some(run), Some(BatchNo(0))));
    assert_eq!((subject.kind, subject.account_id.as_str()), (JobKind::Upload, super::ACCOUNT));
    assert!(subject.next.is_some_and(|at| at > dead.last), "it is announced again by itself");
    assert_eq!((dead.deaths, dead.first), (1, dead.last));
    assert!(dead.death.detail.contains("delivered too often"), "{dead:?}");

    world.clock.advance(2 * SECOND);
    let again = world.announced().await.remove(0);
    world.dies(&again).await;
    let dead = world.one_dead().await;
    assert_eq!((dead.id, dead.deaths), (id, 2), "one job is one entry");
    assert!(dead.first < dead.last);
    assert_eq!(dead.subject.unwrap().attempt, 2);
    assert_eq!(world.cp.dead_jobs(Some(super::run_id(9)), None, 9).await.unwrap(), []);
    assert_eq!(world.cp.dead_jobs(Some(run), None, 9).await.unwrap().len(), 1);

    world.clock.advance(Duration::from_mins(1));
    world.claim(JobKind::Upload).await;
    assert_eq!(world.dead().await, []);
}

async fn requeued_job_is_announced_at_once_and_with_new_patience(engine: Engine) {
    let world = World::new(engine).await;
    let (run, _, id) = world.with_a_dead_upload().await;
    world.clock.advance(Duration::from_mins(61));
    let again = world.announced().await.remove(0);
    let first = world.cp.requeue_dead_job(id, &by()).await.unwrap();
    assert_eq!(first, again.attempt + 1);
    assert_eq!(world.dead().await, []);
    let requeued = world.announced().await.remove(0);
    assert_eq!((requeued.id, requeued.attempt), (again.id, first));
    assert!(world.cp.claim(again.id, again.attempt).await.unwrap().is_none(), "it is an old one");
    // It has failed for more than an hour, but not since somebody wanted it again.
    world.dies(&requeued).await;
    assert_eq!(world.state(run).await, RunState::Running);
    is_missing(world.cp.requeue_dead_job(id, &by()).await);
    assert_ne!(world.one_dead().await.id, id);
}

async fn dropped_batch_is_undelivered_and_the_run_ends_without_it(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..2).await;
    let job = world.announced().await.remove(0);
    world.dies(&job).await;
    let dead = world.one_dead().await;
    let dropped = dead.subject.unwrap().batch.unwrap();
    world.cp.drop_dead_job(dead.id, &by()).await.unwrap();
    assert_eq!(world.dead().await, []);
    is_missing(world.cp.drop_dead_job(dead.id, &by()).await);
    let counts = world.counts(run).await;
    assert_eq!((counts.delivered, counts.undelivered), (0, 20));
    world.clock.advance(Duration::from_mins(1));
    let other = world.upload("k1").await;
    assert_ne!(other, dropped);
    world.confirm(run, other, "k1", 0, 0).await;
    let report = world.report(run).await;
    assert_eq!(report.state, RunState::Failed);
    assert_eq!(report.undelivered, [("job_dropped".to_owned(), 10)].into());
    assert_eq!(report.counts.delivered, 10);
}

async fn run_whose_reading_is_dropped_fails_and_says_so(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    let job = world.announced().await.remove(0);
    world.dies(&job).await;
    assert_eq!(world.state(run).await, RunState::Queued);
    let dead = world.one_dead().await;
    assert_eq!(dead.subject.as_ref().unwrap().batch, None);
    world.cp.drop_dead_job(dead.id, &by()).await.unwrap();
    let report = world.report(run).await;
    assert_eq!(report.state, RunState::Failed);
    assert_eq!(report.failure.unwrap().0, FailReason::JobDropped);
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(world.announced().await, []);
}

async fn job_that_confirms_is_requeued_and_never_dropped(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let batch = world.upload("k1").await;
    world.clock.advance(SECOND);
    let job = world.announced().await.remove(0);
    assert_eq!(job.kind, JobKind::Confirm);
    world.dies(&job).await;
    let dead = world.one_dead().await;
    assert_eq!(dead.subject.unwrap().run, None);
    assert_eq!(obstacle(world.cp.drop_dead_job(dead.id, &by()).await), "CONFIRM_JOB");
    world.cp.requeue_dead_job(dead.id, &by()).await.unwrap();
    world.confirm(run, batch, "k1", 0, 0).await;
    assert_eq!(world.state(run).await, RunState::CompletedWithRejects);
}

async fn nothing_can_be_done_for_a_job_that_is_over_but_to_forget_it(engine: Engine) {
    let world = World::new(engine).await;
    let (run, _, id) = world.with_a_dead_upload().await;
    world.cp.cancel_run(run).await.unwrap();
    assert_eq!(world.state(run).await, RunState::Cancelled);
    assert_eq!(world.one_dead().await.subject.unwrap().next, None);
    assert_eq!(obstacle(world.cp.requeue_dead_job(id, &by()).await), "JOB_OVER");
    assert_eq!(world.report(run).await.undelivered, [("not_sent".to_owned(), 10)].into());
    world.cp.drop_dead_job(id, &by()).await.unwrap();
    assert_eq!(world.dead().await, []);
    assert_eq!(world.report(run).await.undelivered, [("not_sent".to_owned(), 10)].into());
}

async fn message_that_nobody_can_read_is_listed_without_anything_that_it_says(engine: Engine) {
    let world = World::new(engine).await;
    for sha256 in ["aa", "bb", "aa"] {
        world.cp.dead_job(&garbage(sha256)).await.unwrap();
    }
    // It looks like a job, but nobody has ever made it.
    let id = Some(Id::from_uuid(Uuid::from_u128(77)));
    world.cp.dead_job(&DeadJob { id, attempt: Some(3), ..garbage("cc") }).await.unwrap();
    let dead = world.dead().await;
    let seen: Vec<_> = dead.iter().map(|it| (it.death.sha256.as_str(), it.deaths)).collect();
    assert_eq!(seen, [("aa", 2), ("bb", 1), ("cc", 1)]);
    assert!(dead.iter().all(|it| it.subject.is_none() && it.death.bytes == 7));
    assert_eq!(obstacle(world.cp.requeue_dead_job(dead[0].id, &by()).await), "NO_JOB");
    world.cp.drop_dead_job(dead[0].id, &by()).await.unwrap();
    assert_eq!(world.dead().await.len(), 2);
}

/// A batch that fails for an hour because of Klaviyo is not the fault of its messages.
#[tokio::test]
async fn batch_that_klaviyo_does_not_take_is_not_called_dead() {
    let world = World::new(Engine::Sqlite).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    for wait in [Duration::ZERO, Duration::from_mins(61)] {
        world.clock.advance(wait);
        let claim = world.claim(JobKind::Upload).await.claim;
        world.finish(claim, Verdict::Retry).await;
    }
    let code = UndeliveredReason::GaveUp.code().to_owned();
    assert_eq!(world.report(run).await.undelivered, [(code, 10)].into());
}
