//! Requests, leaders, workers, events, remembered answers.

use std::time::Duration;

use segue_model::{BatchNo, DeathCause, Id, RunState, work::Slots};

use crate::{
    tests::{Engine, Fixture, LEASE},
    write::{
        answers,
        batches::BatchState,
        dead::{self, Death},
        events,
        leaders::{self, Lead},
        requests::{self, Made, RequestKind},
        retention::{self, Rows},
        workers,
    },
};

crate::on_both_engines! {
    request_is_noted_once,
    leader_is_one,
    worker_is_new_once,
    events_of_a_run_are_numbered_apart,
    answer_that_was_remembered_last_is_recalled,
    old_rows_are_forgotten_once,
    entry_of_a_dead_job_is_made_once_and_forgotten_once,
}

async fn request_is_noted_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let made = |n: usize| Made { made: format!("run-{n}"), content: String::new() };
    let noted = race!(fixture, |tx, n| {
        requests::note(tx, RequestKind::Run, "r", &made(n)).await.unwrap()
    });
    assert_eq!(noted, (None, Some(made(0))));
}

async fn leader_is_one(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let lead = race!(fixture, |tx, n| {
        leaders::lead(tx, "dispatch", ["a", "b"][n], LEASE).await.unwrap()
    });
    assert_eq!(lead, (Some(Lead::Taken), None));
    fixture.clock.advance(LEASE);
    let lead = race!(fixture, |tx, n| {
        leaders::lead(tx, "dispatch", ["b", "a"][n], LEASE).await.unwrap()
    });
    assert_eq!(lead, (Some(Lead::Taken), None), "the first is too late to keep it");
}

async fn worker_is_new_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let slots = Slots { read: 1, upload: 2, confirm: 1, look: 0 };
    // Both may call it new; what counts is that it is there once.
    race!(fixture, |tx, n| workers::seen(tx, "worker", slots).await.unwrap());
    let mut tx = fixture.tx().await;
    assert_eq!(workers::slots(&mut tx).await.unwrap(), slots);
}

async fn events_of_a_run_are_numbered_apart(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    race!(fixture, |tx, n| {
        let batches = [BatchNo(0), BatchNo(1)];
        events::run(tx, run, RunState::Running).await.unwrap();
        events::batches(tx, run, BatchState::Ready, &batches).await.unwrap();
    });
    let pending = events::pending(&fixture.store, 10).await.unwrap();
    let numbers: Vec<_> = pending.into_iter().map(|event| event.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

async fn answer_that_was_remembered_last_is_recalled(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    race!(fixture, |tx, n| answers::remember(tx, "list", ["a", "b"][n]).await.unwrap());
    let mut tx = fixture.tx().await;
    let answer = answers::recall(&mut tx, "list", Duration::from_hours(1)).await.unwrap();
    assert_eq!(answer.as_deref(), Some("b"));
}

async fn old_rows_are_forgotten_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    answers::remember(&mut tx, "list", "a").await.unwrap();
    tx.commit().await.unwrap();
    fixture.clock.advance(LEASE);
    let forgotten = race!(fixture, |tx, n| {
        let now = tx.now();
        retention::forget(tx, Rows::Answers, now, 9).await.unwrap()
    });
    assert_eq!(forgotten, (1, 0));
}

async fn entry_of_a_dead_job_is_made_once_and_forgotten_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let death = Death {
        cause: DeathCause::Unreadable,
        detail: String::new(),
        bytes: 1,
        sha256: "a".to_owned(),
    };
    let ids = [1, 2].map(|n| Id::from_uuid(uuid::Uuid::from_u128(n)));
    race!(fixture, |tx, n| dead::note_message(tx, ids[n], &death).await.unwrap());
    let listed = dead::list(&fixture.store, None, None, 9).await.unwrap();
    assert_eq!(listed.iter().map(|it| (it.id, it.deaths)).collect::<Vec<_>>(), [(ids[0], 2)]);
    let forgotten = race!(fixture, |tx, n| dead::forget(tx, ids[0]).await.unwrap());
    assert_eq!(forgotten, (true, false));
}
