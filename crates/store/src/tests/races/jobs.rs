//! Jobs and the claims on them.

use segue_model::work::Slots;

use super::{with_a_claim, with_a_job};
use crate::{
    tests::{Engine, Fixture, LEASE, claim_id, job_id, upload},
    write::{
        jobs::{self, Failures},
        workers,
    },
};

crate::on_both_engines! {
    claim_is_given_once,
    claim_is_free_again_if_the_first_is_undone,
    verdict_counts_once,
    renewal_of_a_claim_that_has_just_ended_is_refused,
    overdue_claim_is_released_once,
    dead_message_counts_only_while_nobody_has_its_job,
    job_is_announced_once,
    job_of_a_subject_is_made_once_and_brought_back_once,
}

async fn claim_is_given_once(engine: Engine) {
    let (fixture, _) = with_a_job(engine).await;
    let claims = race!(fixture, |tx, n| {
        jobs::claim(tx, job_id(1), 1, claim_id(n), LEASE).await.unwrap().is_some()
    });
    assert_eq!(claims, (true, false));
}

async fn claim_is_free_again_if_the_first_is_undone(engine: Engine) {
    let (fixture, _) = with_a_job(engine).await;
    let claims = race!(fixture, undo, |tx, n| {
        jobs::claim(tx, job_id(1), 1, claim_id(n), LEASE).await.unwrap().is_some()
    });
    assert_eq!(claims, (true, true));
}

async fn verdict_counts_once(engine: Engine) {
    let (fixture, _) = with_a_claim(engine).await;
    let held = race!(fixture, |tx, n| {
        let held = jobs::held(tx, claim_id(1)).await.unwrap();
        let now = tx.now();
        if let Some(held) = &held {
            jobs::release(tx, held.job, now, Failures::Count).await.unwrap();
        }
        held.is_some()
    });
    assert_eq!(held, (true, false));
}

async fn renewal_of_a_claim_that_has_just_ended_is_refused(engine: Engine) {
    let (fixture, _) = with_a_claim(engine).await;
    let renewed = race!(fixture, |tx, n| match n {
        0 => {
            jobs::done(tx, job_id(1)).await.unwrap();
            true
        }
        _ => jobs::renew(tx, &[claim_id(1)], LEASE).await.unwrap().is_empty(),
    });
    assert_eq!(renewed, (true, false));
}

async fn overdue_claim_is_released_once(engine: Engine) {
    let (fixture, _) = with_a_claim(engine).await;
    fixture.clock.advance(LEASE);
    let released = race!(fixture, |tx, n| {
        let job = jobs::overdue(tx, claim_id(1)).await.unwrap();
        let now = tx.now();
        if let Some(job) = job {
            jobs::release(tx, job, now, Failures::Keep).await.unwrap();
        }
        job.is_some()
    });
    assert_eq!(released, (true, false));
}

async fn dead_message_counts_only_while_nobody_has_its_job(engine: Engine) {
    let (fixture, _) = with_a_job(engine).await;
    let mut tx = fixture.tx().await;
    tx.execute("UPDATE jobs SET announced = 1", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let got = race!(fixture, |tx, n| match n {
        0 => jobs::claim(tx, job_id(1), 1, claim_id(1), LEASE).await.unwrap().is_some(),
        _ => jobs::unclaimed(tx, job_id(1), Some(1)).await.unwrap().is_some(),
    });
    assert_eq!(got, (true, false));
}

async fn job_is_announced_once(engine: Engine) {
    let (fixture, _) = with_a_job(engine).await;
    let mut tx = fixture.tx().await;
    let slots = Slots { read: 1, upload: 1, confirm: 1, look: 0 };
    workers::seen(&mut tx, "worker", slots).await.unwrap();
    tx.commit().await.unwrap();
    let announced = race!(fixture, |tx, n| jobs::announce(tx).await.unwrap().jobs.len());
    assert_eq!(announced, (1, 0));
}

async fn job_of_a_subject_is_made_once_and_brought_back_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let ensure = "SELECT attempt FROM jobs";
    for expected in [1, 2] {
        race!(fixture, |tx, n| {
            let now = tx.now();
            jobs::ensure(tx, job_id(10 * expected + n), &upload(run, 0), now).await.unwrap();
        });
        let rows = fixture.store.read(ensure, &[]).await.unwrap();
        let attempts: Vec<_> = rows.into_iter().map(|mut row| row.int().unwrap()).collect();
        assert_eq!(attempts, [i64::try_from(expected).unwrap()]);
        let mut tx = fixture.tx().await;
        jobs::done(&mut tx, job_id(10)).await.unwrap();
        tx.commit().await.unwrap();
    }
}
