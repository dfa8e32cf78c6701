//! Runs.

use segue_model::{BatchNo, FailReason, RunState, Stop, UndeliveredReason, work::JobKind};

use crate::{
    tests::{ACCOUNT, Engine, Fixture, job_id, new_run, run_id, staged},
    write::{
        batches::{self, BatchState},
        jobs::{self, Subject},
        runs,
    },
};

crate::on_both_engines! {
    last_split_of_the_budget_is_used_once,
    plan_is_frozen_once,
    run_starts_is_cancelled_and_ends_once,
    first_reason_of_a_failure_stays,
    profiles_of_two_batches_add_up,
    run_that_is_locked_is_seen_as_it_was_left,
}

async fn last_split_of_the_budget_is_used_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let used = race!(fixture, |tx, n| runs::use_split(tx, run).await.unwrap());
    assert_eq!(used, (true, false));
}

async fn plan_is_frozen_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let run = run_id(1);
    runs::create(&mut tx, &runs::NewRun { frozen: false, ..new_run(run) }).await.unwrap();
    tx.commit().await.unwrap();
    let frozen = race!(fixture, |tx, n| {
        runs::freeze(tx, run, ["{\"n\":0}", "{\"n\":1}"][n]).await.unwrap()
    });
    assert_eq!(frozen, (true, false));
    let mut tx = fixture.tx().await;
    assert_eq!(runs::lock(&mut tx, run).await.unwrap().unwrap().plan, "{\"n\":0}");
}

async fn run_starts_is_cancelled_and_ends_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = run_id(1);
    let mut tx = fixture.tx().await;
    runs::create(&mut tx, &new_run(run)).await.unwrap();
    tx.commit().await.unwrap();
    let started = race!(fixture, |tx, n| runs::start(tx, run).await.unwrap());
    assert_eq!(started, (true, false));
    let cancelled = race!(fixture, |tx, n| runs::cancel(tx, run).await.unwrap());
    assert_eq!(cancelled, (true, false));
    let ended = race!(fixture, |tx, n| {
        let state = [RunState::Cancelled, RunState::Failed][n];
        runs::end(tx, run, state).await.unwrap()
    });
    assert_eq!(ended, (true, false));
    let mut tx = fixture.tx().await;
    let run = runs::lock(&mut tx, run).await.unwrap().unwrap();
    assert_eq!((run.state, run.stop), (RunState::Cancelled, Some(Stop::Cancel)));
}

async fn first_reason_of_a_failure_stays(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    race!(fixture, |tx, n| {
        let reason = [FailReason::SegmentEmpty, FailReason::StagingFailed][n];
        runs::fail(tx, run, reason, "words").await.unwrap();
    });
    let mut rows = fixture.store.read("SELECT fail_reason FROM runs", &[]).await.unwrap();
    assert_eq!(rows[0].parsed::<FailReason>().unwrap(), FailReason::SegmentEmpty);
}

async fn profiles_of_two_batches_add_up(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let sums = race!(fixture, |tx, n| runs::add_profiles(tx, run, 10 + n).await.unwrap());
    assert_eq!(sums, (10, 21));
}

/// What decides the end of a run is read behind the lock of its row, so it is what the first left.
async fn run_that_is_locked_is_seen_as_it_was_left(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    batches::stage(&mut tx, run, &staged(1), BatchState::Ready).await.unwrap();
    runs::read_done(&mut tx, run, "{}").await.unwrap();
    let subject = Subject { kind: JobKind::Confirm, account_id: ACCOUNT, run: None, batch: None };
    let now = tx.now();
    jobs::ensure(&mut tx, job_id(9), &subject, now).await.unwrap();
    tx.commit().await.unwrap();
    let may_end = race!(fixture, |tx, n| {
        let locked = runs::lock(tx, run).await.unwrap().unwrap();
        let no = BatchNo(n);
        batches::give_up(tx, run, no, UndeliveredReason::GaveUp).await.unwrap();
        runs::may_end(tx, &locked).await.unwrap()
    });
    assert_eq!(may_end, (false, true));
}
