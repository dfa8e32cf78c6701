//! Batches.

use segue_model::{
    BatchNo, ContentHash, RejectReason, UndeliveredReason,
    work::{Child, Confirmation, Rejects, StagedBatch},
};

use crate::{
    tests::{ACCOUNT, Engine, Fixture, accepted, rejects, staged},
    write::{
        batches::{self, BatchState},
        runs,
    },
};

crate::on_both_engines! {
    batch_is_staged_once,
    batch_is_accepted_once,
    batch_is_confirmed_once,
    batch_is_split_once,
    batch_that_was_accepted_is_neither_refused_nor_given_up,
    held_batches_are_released_once,
}

async fn batch_is_staged_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let was_staged = race!(fixture, |tx, n| {
        let batch = StagedBatch { hash: ContentHash(n), ..staged(1) };
        batches::stage(tx, run, &batch, BatchState::Ready).await.unwrap()
    });
    assert_eq!(was_staged, (true, false));
    let mut tx = fixture.tx().await;
    let kept = batches::get(&mut tx, run, BatchNo(1)).await.unwrap().unwrap();
    assert_eq!(kept.hash, ContentHash(0));
    assert_eq!(runs::counts(&mut tx, run).await.unwrap().rejected, 2, "one of each batch");
}

async fn batch_is_accepted_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let was_accepted = race!(fixture, |tx, n| {
        let acceptance = accepted(["k0", "k1"][n], 9);
        let now = tx.now();
        batches::accept(tx, run, BatchNo(0), &acceptance, now).await.unwrap()
    });
    assert_eq!(was_accepted, (true, false));
    let mut tx = fixture.tx().await;
    assert_eq!(runs::counts(&mut tx, run).await.unwrap().rejected, 2);
    let wanted = batches::wanted(&mut tx, ACCOUNT).await.unwrap();
    assert_eq!(wanted[0].klaviyo_job, "k0");
}

async fn batch_is_confirmed_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    let now = tx.now();
    batches::accept(&mut tx, run, BatchNo(0), &accepted("k", 10), now).await.unwrap();
    tx.commit().await.unwrap();
    let confirmed = race!(fixture, |tx, n| {
        let confirmation = Confirmation {
            run,
            batch: BatchNo(0),
            klaviyo_job: "k".to_owned(),
            rejects: rejects(RejectReason::ImportFailed, 1 + n, "import"),
            undelivered: 0,
            undelivered_reason: UndeliveredReason::UnattributedFailure,
        };
        batches::confirm(tx, &confirmation).await.unwrap()
    });
    assert_eq!(confirmed, (true, false));
    let mut tx = fixture.tx().await;
    let counts = runs::counts(&mut tx, run).await.unwrap();
    assert_eq!((counts.rejected, counts.delivered), (2, 9));
}

async fn batch_is_split_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let was_split = race!(fixture, |tx, n| {
        let halves =
            [0, 1].map(|half| Child { hash: ContentHash(10 * n + half), profiles: 5, bytes: 500 });
        let none = Rejects::default();
        batches::split(tx, run, BatchNo(0), &halves, &none).await.unwrap().is_some()
    });
    assert_eq!(was_split, (true, false));
    let mut tx = fixture.tx().await;
    assert_eq!(batches::sendable(&mut tx, run).await.unwrap().len(), 2);
}

async fn batch_that_was_accepted_is_neither_refused_nor_given_up(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    race!(fixture, |tx, n| {
        if n == 0 {
            let now = tx.now();
            batches::accept(tx, run, BatchNo(0), &accepted("k", 10), now).await.unwrap();
        } else {
            let refused = rejects(RejectReason::RefusedByKlaviyo, 10, "refused");
            batches::give_up(tx, run, BatchNo(0), UndeliveredReason::GaveUp).await.unwrap();
            batches::refuse_all(tx, run, BatchNo(0), &refused).await.unwrap();
            batches::give_up_unsent(tx, run).await.unwrap();
        }
    });
    let mut tx = fixture.tx().await;
    let batch = batches::get(&mut tx, run, BatchNo(0)).await.unwrap().unwrap();
    assert_eq!(batch.state, BatchState::Accepted);
    assert_eq!(runs::counts(&mut tx, run).await.unwrap().rejected, 1, "that of the mapping");
}

async fn held_batches_are_released_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    batches::stage(&mut tx, run, &staged(1), BatchState::Held).await.unwrap();
    tx.commit().await.unwrap();
    let released = race!(fixture, |tx, n| batches::release_held(tx, run).await.unwrap().len());
    assert_eq!(released, (1, 0));
}
