use std::time::Duration;

use segue_model::{
    BatchNo, UndeliveredReason,
    work::{JobKind, Next, Verdict},
};
use segue_proto::v1::{self, RunState, Trigger};
use segue_store::{
    read,
    write::{batches, retries, runs},
};
use serde_json::{Value, json};

use super::{World, obstacles, run_id};
use crate::tests::{read_done, staged};

/// A run of an export that has read its segment in two batches, neither of which went.
async fn failed(world: &World) -> v1::Run {
    let export = world.export().await;
    let run = world.start(&export.id, "first").await.unwrap();
    let reader = world.claim(JobKind::Read).await.claim;
    let plan = json!({"kind": "frozen", "manifest": {"objects": ["a.csv"]}});
    assert_eq!(world.cp.plan(reader, &plan.to_string(), &[]).await.unwrap(), Next::GoOn);
    for batch in 0..2 {
        assert_eq!(world.cp.stage(reader, &staged(batch)).await.unwrap(), Next::GoOn);
    }
    world.cp.finish(reader, read_done()).await.unwrap();
    give_up(world).await;
    run
}

/// Nothing makes the batches go that are ready.
async fn give_up(world: &World) {
    for job in world.announced().await {
        assert_eq!(job.kind, JobKind::Upload);
        let claim = world.cp.claim(job.id, job.attempt).await.unwrap().unwrap().claim;
        let verdict = Verdict::GiveUp(UndeliveredReason::NotSent);
        world.cp.finish(claim, verdict).await.unwrap();
    }
}

async fn blocked(world: &World, run: &str) -> String {
    let mut found = obstacles(world.retry(run, "retry").await);
    assert_eq!(found.len(), 1);
    found.remove(0).0
}

#[tokio::test]
async fn retry_sends_what_was_left_as_it_was_staged() {
    let world = World::new().await;
    let run = failed(&world).await;
    assert_eq!(world.cancel(&run.id).await.unwrap().state(), RunState::Failed);
    let retry = world.retry(&run.id, "retry").await.unwrap();
    assert_eq!((retry.state(), retry.trigger()), (RunState::Queued, Trigger::Retry));
    assert_eq!((&retry.retry_of, &retry.export_id), (&run.id, &run.export_id));
    assert_eq!((&retry.list_id, &retry.connection_id), (&run.list_id, &run.connection_id));
    let planned = read::planned(world.cp.store(), run_id(&retry)).await.unwrap().unwrap();
    let batch = |n: u32| {
        let hash = staged(n).hash.to_string();
        json!({"batch": n, "hash": hash, "profiles": 10, "bytes": 1000})
    };
    let plan = json!({
        "kind": "retry", "of": run.id, "batches": [batch(0), batch(1)],
        "manifest": {"objects": ["a.csv"]},
    });
    assert_eq!(serde_json::from_str::<Value>(&planned.plan).unwrap(), plan);
    assert_eq!(world.retry(&run.id, "retry").await.unwrap().id, retry.id);
    assert_eq!(blocked_again(&world, &run.id).await, ["RUN_UNDER_WAY", &retry.id]);
    // A retry that has come to nothing may be made again, one that has staged something is retried itself.
    world.cancel(&retry.id).await.unwrap();
    let second = world.retry(&run.id, "second").await.unwrap();
    let reader = world.claim(JobKind::Read).await.claim;
    world.cp.stage(reader, &staged(0)).await.unwrap();
    world.cp.finish(reader, read_done()).await.unwrap();
    give_up(&world).await;
    assert_eq!(blocked_again(&world, &run.id).await, ["RETRIED", &run.id]);
    let third = world.retry(&second.id, "third").await.unwrap();
    assert_eq!(third.retry_of, second.id);
}

async fn blocked_again(world: &World, run: &str) -> [String; 2] {
    let (code, subject) = obstacles(world.retry(run, "once more").await).remove(0);
    [code, subject]
}

#[tokio::test]
async fn run_without_anything_to_send_again_is_not_retried() {
    let world = World::new().await;
    let export = world.export().await;
    let run = world.start(&export.id, "first").await.unwrap();
    assert_eq!(blocked(&world, &run.id).await, "RUN_UNDER_WAY");
    let reader = world.claim(JobKind::Read).await.claim;
    world.cp.stage(reader, &staged(0)).await.unwrap();
    world.cancel(&run.id).await.unwrap();
    // What it did not read, nobody could send.
    assert_eq!(blocked(&world, &run.id).await, "NOT_READ");

    let run = world.start(&export.id, "second").await.unwrap();
    let reader = world.claim(JobKind::Read).await.claim;
    let empty = segue_model::work::StagedBatch { profiles: 0, rows: 3, ..staged(0) };
    world.cp.stage(reader, &empty).await.unwrap();
    world.cp.finish(reader, read_done()).await.unwrap();
    assert_eq!(blocked(&world, &run.id).await, "NOTHING_TO_RETRY");
}

#[tokio::test]
async fn retry_comes_too_late_after_a_day() {
    let world = World::new().await;
    let run = failed(&world).await;
    world.clock.advance(Duration::from_hours(24));
    let mut tx = world.cp.store().begin().await.unwrap();
    let left = retries::left(&mut tx, run_id(&run)).await.unwrap();
    assert_eq!(left.iter().map(|left| left.batch).collect::<Vec<_>>(), [BatchNo(0), BatchNo(1)]);
    drop(tx);
    world.clock.advance(Duration::from_micros(1));
    assert_eq!(blocked(&world, &run.id).await, "RETRY_WINDOW_PASSED");
}

#[tokio::test]
async fn batches_that_are_lost_are_not_retried() {
    let world = World::new().await;
    let export = world.export().await;
    let run = world.start(&export.id, "first").await.unwrap();
    let reader = world.claim(JobKind::Read).await.claim;
    world.cp.stage(reader, &staged(0)).await.unwrap();
    world.cp.finish(reader, read_done()).await.unwrap();
    // As of a process that had them in memory.
    let mut tx = world.cp.store().begin().await.unwrap();
    runs::park_live(&mut tx).await.unwrap();
    batches::lose_staged(&mut tx).await.unwrap();
    runs::unpark(&mut tx, run_id(&run)).await.unwrap();
    tx.commit().await.unwrap();
    world.cancel(&run.id).await.unwrap();
    assert_eq!(blocked(&world, &run.id).await, "BATCHES_LOST");
}

#[tokio::test]
async fn retry_needs_the_export() {
    let world = World::new().await;
    let run = failed(&world).await;
    let delete = v1::DeleteExportRequest { id: run.export_id.clone() };
    world.exports().delete_export(delete).await.unwrap();
    assert_eq!(blocked(&world, &run.id).await, "EXPORT_DELETED");

    let of_command_line = crate::tests::new_run(7);
    world.cp.start_run(&of_command_line).await.unwrap();
    assert_eq!(blocked(&world, &of_command_line.run.to_string()).await, "NOT_OF_AN_EXPORT");
}
