//! What is kept for how long, by a clock that the test moves.

use segue_model::{
    ContentHash, DeadJobId,
    work::{Kept, Spent},
};
use segue_store::{
    Clock as _, on_both_engines,
    test_util::Engine,
    write::{
        answers, dead, jobs,
        requests::{self, Made, RequestKind},
    },
};

use super::{
    Duration, INSTANT, Id, JobKind, NewRun, Origin, RunId, RunState, Uuid, World, new_run, read,
    run_id, staged,
};

on_both_engines!(
    nothing_of_a_run_is_removed_before_it_has_ended_for_an_hour,
    what_a_run_left_undelivered_is_kept_for_as_long_as_it_can_be_sent_again,
    what_a_retry_that_goes_on_needs_is_kept_whatever_the_time,
    what_was_moved_to_a_retry_is_not_kept_any_longer,
    run_that_nobody_can_retry_leaves_nothing,
    run_that_is_parked_keeps_all_for_whoever_goes_on_with_it,
    reports_are_removed_30_days_after_the_end_and_rows_stay_counted,
    objects_of_a_run_that_nobody_knows_go_when_they_are_old,
    rows_that_only_have_an_age_are_forgotten_after_30_days,
);

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Of which nobody was told: a claim that was lost has written them.
const LOST: ContentHash = ContentHash(99);
const LOST_REPORT: &str = "0-refused-lost";

/// What is there of a run of two batches.
fn kept(run: RunId) -> Kept {
    Kept {
        run,
        batches: vec![staged(0).hash, staged(1).hash, LOST],
        reports: ["0-mapping", "1-mapping", LOST_REPORT].map(str::to_owned).into(),
        age: Duration::ZERO,
    }
}

impl World {
    /// What of a run can go; `None`: it is not over.
    async fn spent(&self, run: RunId) -> Option<Spent> {
        self.cp.spent(&[kept(run)]).await.unwrap().pop()
    }

    async fn spent_batches(&self, run: RunId) -> Vec<ContentHash> {
        self.spent(run).await.expect("it is over").batches
    }

    /// A run of an export that has read two batches and ended before any was sent.
    async fn cancelled(&self) -> RunId {
        let run = self.start_with(NewRun { origin: of_export(1), ..new_run(1) }).await;
        self.read(0..2).await;
        self.cp.cancel_run(run).await.unwrap();
        assert_eq!(self.state(run).await, RunState::Cancelled);
        run
    }

    async fn retry(&self, of: RunId) -> RunId {
        let origin = Origin { retry_of: Some(of), ..of_export(1) };
        self.start_with(NewRun { origin, ..new_run(2) }).await
    }
}

fn of_export(n: u128) -> Origin {
    Origin { export: Some(Id::from_uuid(Uuid::from_u128(n))), ..Origin::default() }
}

fn all() -> Vec<ContentHash> {
    kept(run_id(1)).batches
}

async fn nothing_of_a_run_is_removed_before_it_has_ended_for_an_hour(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..2).await;
    world.clock.advance(100 * DAY);
    assert_eq!(world.spent(run).await, None);
    world.cp.cancel_run(run).await.unwrap();
    world.clock.advance(HOUR);
    assert_eq!(world.spent(run).await, None, "a late answer may still name a report");
    world.clock.advance(INSTANT);
    assert!(world.spent(run).await.is_some());
}

async fn what_a_run_left_undelivered_is_kept_for_as_long_as_it_can_be_sent_again(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.cancelled().await;
    let end = world.clock.now();
    world.clock.advance(HOUR + INSTANT);
    let lost = Spent { run, batches: vec![LOST], reports: vec![LOST_REPORT.to_owned()] };
    assert_eq!(world.spent(run).await, Some(lost.clone()));
    world.clock.set(end + DAY);
    assert_eq!(world.spent(run).await, Some(lost.clone()), "a retry is possible still");
    world.clock.advance(INSTANT);
    for _ in 0..2 {
        let spent = world.spent(run).await.unwrap();
        assert_eq!((spent.batches, spent.reports), (all(), lost.reports.clone()));
    }
    // Who gives it more time later is told at once that nothing is there to be sent.
    let mut tx = world.cp.store().begin().await.unwrap();
    let left = segue_store::write::retries::left(&mut tx, run).await.unwrap();
    assert!(left.len() == 2 && left.iter().all(|left| !left.staged), "{left:?}");
    assert_eq!(world.counts(run).await.undelivered, 20);
}

async fn what_a_retry_that_goes_on_needs_is_kept_whatever_the_time(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.cancelled().await;
    world.clock.advance(DAY);
    let retry = world.retry(run).await;
    world.clock.advance(DAY);
    assert_eq!(world.spent_batches(run).await, [LOST]);
    world.cp.cancel_run(retry).await.unwrap();
    assert_eq!(world.spent_batches(run).await, all(), "it came to nothing, and is too late now");
}

async fn what_was_moved_to_a_retry_is_not_kept_any_longer(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.cancelled().await;
    let retry = world.retry(run).await;
    let reader = world.claim(JobKind::Read).await.claim;
    world.cp.stage(reader, &staged(0)).await.unwrap();
    world.clock.advance(HOUR + INSTANT);
    assert_eq!(world.spent_batches(run).await, [LOST]);
    world.cp.cancel_run(retry).await.unwrap();
    assert_eq!(world.spent_batches(run).await, all(), "the retry is retried from now on");
}

async fn run_that_nobody_can_retry_leaves_nothing(engine: Engine) {
    let world = World::new(engine).await;
    // Of `segue export`.
    let run = world.start(1).await;
    world.read(0..2).await;
    world.cp.cancel_run(run).await.unwrap();
    // Not read to its end.
    let half = world.start_with(NewRun { origin: of_export(1), ..new_run(2) }).await;
    world.stage(0..2).await;
    world.cp.cancel_run(half).await.unwrap();
    world.clock.advance(HOUR + INSTANT);
    for run in [run, half] {
        assert_eq!(world.spent_batches(run).await, all());
    }
}

async fn run_that_is_parked_keeps_all_for_whoever_goes_on_with_it(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.stage(0..2).await;
    let world = world.die().await;
    world.clock.advance(100 * DAY);
    world.cp.sweep_runs().await.unwrap();
    assert_eq!(world.spent(run).await, None);
}

async fn reports_are_removed_30_days_after_the_end_and_rows_stay_counted(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.cancelled().await;
    let before = world.counts(run).await;
    world.clock.advance(30 * DAY);
    assert_eq!(world.spent(run).await.unwrap().reports, [LOST_REPORT]);
    let reports = async || {
        let reports = read::reports(world.cp.store(), run, read::ReportKind::Rejects).await;
        reports.unwrap().unwrap()
    };
    assert_eq!((reports().await.groups.len(), reports().await.removed), (2, None));
    world.clock.advance(INSTANT);
    for _ in 0..2 {
        assert_eq!(world.spent(run).await.unwrap().reports, kept(run).reports);
    }
    let removed = read::Removed { after: 30 * DAY + INSTANT, rows: 2 };
    assert_eq!(reports().await.removed, Some(removed));
    assert!(reports().await.groups.is_empty());
    assert_eq!(world.counts(run).await, before);
    assert_eq!(world.report(run).await.rejects_by_reason.values().sum::<u64>(), 2);
}

async fn objects_of_a_run_that_nobody_knows_go_when_they_are_old(engine: Engine) {
    let world = World::new(engine).await;
    let of_age = |age| Kept { age, ..kept(run_id(8)) };
    assert_eq!(world.cp.spent(&[of_age(DAY)]).await.unwrap(), []);
    let spent = world.cp.spent(&[of_age(DAY + INSTANT)]).await.unwrap();
    assert_eq!((&spent[0].batches, &spent[0].reports), (&all(), &kept(run_id(8)).reports));
}

/// One row of each kind that only has an age; `n` tells them apart.
async fn note_rows(world: &World, n: u128) {
    let mut tx = world.cp.store().begin().await.unwrap();
    let made = Made { made: n.to_string(), content: String::new() };
    requests::note(&mut tx, RequestKind::Run, &n.to_string(), &made).await.unwrap();
    answers::remember(&mut tx, &n.to_string(), "yes").await.unwrap();
    let death = dead::Death {
        cause: segue_model::DeathCause::Unreadable,
        detail: String::new(),
        bytes: 1,
        sha256: n.to_string(),
    };
    let id: DeadJobId = Id::from_uuid(Uuid::from_u128(n));
    dead::note_message(&mut tx, id, &death).await.unwrap();
    tx.commit().await.unwrap();
}

async fn rows_that_only_have_an_age_are_forgotten_after_30_days(engine: Engine) {
    let world = World::new(engine).await;
    note_rows(&world, 1).await;
    let run = world.start_with(NewRun { origin: of_export(1), ..new_run(1) }).await;
    let job = world.announced().await.remove(0);
    world.cp.cancel_run(run).await.unwrap();
    let knows_job = async || {
        let mut tx = world.cp.store().begin().await.unwrap();
        jobs::attempt(&mut tx, job.id).await.unwrap().is_some()
    };
    world.clock.advance(30 * DAY);
    note_rows(&world, 2).await;
    world.cp.forget_rows().await.unwrap();
    let there = async |n: u128| {
        let (mut tx, n) = (world.cp.store().begin().await.unwrap(), n.to_string());
        let request = requests::find(&mut tx, RequestKind::Run, &n).await.unwrap();
        let answer = answers::recall(&mut tx, &n, 100 * DAY).await.unwrap();
        drop(tx);
        let dead = world.cp.dead_jobs(None, None, 9).await.unwrap();
        let dead = dead.iter().any(|dead| dead.death.sha256 == n);
        [request.is_some(), answer.is_some(), dead]
    };
    assert_eq!((there(1).await, knows_job().await), ([true; 3], true));
    world.clock.advance(INSTANT);
    for _ in 0..2 {
        world.cp.forget_rows().await.unwrap();
        assert_eq!((there(1).await, there(2).await), ([false; 3], [true; 3]));
        assert!(!knows_job().await);
    }
    assert_eq!(world.state(run).await, RunState::Cancelled, "what happened is not forgotten");
}
