//! Announcements.

use super::{Engine, JobKind, SECOND, Settings, Verdict, World, read_done};
use tokio_util::sync::CancellationToken;

use segue_queue::{MemoryQueue, Queue as _, Receipt as _};

segue_store::on_both_engines! {
    job_that_nobody_claims_is_announced_again_after_10_20_and_40_seconds,
    claimed_job_is_announced_no_more_and_a_released_one_from_the_start,
    dispatcher_sleeps_until_the_next_job_is_due,
    dispatcher_wakes_for_new_work_and_ends_when_told,
    sweeper_ends_when_told_and_releases_by_itself,
}

async fn job_that_nobody_claims_is_announced_again_after_10_20_and_40_seconds(engine: Engine) {
    let world = World::new(engine).await;
    world.start(1).await;
    assert_eq!(world.announced().await.len(), 1);
    for wait in [10, 20, 40, 40] {
        world.clock.advance((wait * SECOND).saturating_sub(super::INSTANT));
        assert!(world.announced().await.is_empty(), "before {wait} s");
        world.clock.advance(super::INSTANT);
        assert_eq!(world.announced().await.len(), 1, "after {wait} s");
    }
}

async fn claimed_job_is_announced_no_more_and_a_released_one_from_the_start(engine: Engine) {
    let world = World::new(engine).await;
    world.start(1).await;
    world.announced().await;
    world.clock.advance(10 * SECOND);
    let reader = world.claim(JobKind::Read).await.claim;
    world.clock.advance(2 * SECOND);
    assert!(world.announced().await.is_empty());
    world.finish(reader, Verdict::Deferred { after: 2 * SECOND }).await;
    assert!(world.announced().await.is_empty());
    world.clock.advance(2 * SECOND);
    assert_eq!(world.announced().await[0].attempt, 2);
    world.clock.advance(10 * SECOND);
    assert_eq!(world.announced().await.len(), 1);
}

async fn dispatcher_sleeps_until_the_next_job_is_due(engine: Engine) {
    let world = World::new(engine).await;
    world.start(1).await;
    let reader = world.claim(JobKind::Read).await.claim;
    world.finish(reader, Verdict::Deferred { after: 3 * SECOND }).await;
    assert_eq!(world.cp.announce(&world.heard).await.unwrap(), 3 * SECOND);
    world.clock.advance(3 * SECOND);
    world.renew(&[]).await;
    assert_eq!(world.cp.announce(&world.heard).await.unwrap(), 10 * SECOND);
}

async fn dispatcher_wakes_for_new_work_and_ends_when_told(engine: Engine) {
    let world = World::with(engine, Settings::default()).await;
    let (queue, stop) = (MemoryQueue::default(), CancellationToken::new());
    let dispatcher = tokio::spawn({
        let (cp, queue, stop) = (world.cp.clone(), queue.clone(), stop.clone());
        async move { cp.dispatch(&queue, &stop).await }
    });
    let run = world.start(1).await;
    world.renew(&[]).await;
    let (job, receipt) = queue.receive(JobKind::Read).await.unwrap();
    receipt.ack().await.unwrap();
    let reader = world.cp.claim(job.id, job.attempt).await.unwrap().unwrap().claim;
    world.cp.stage(reader, &super::staged(0)).await.unwrap();
    let (job, _receipt) = queue.receive(JobKind::Upload).await.unwrap();
    assert_eq!(job.run, Some(run));
    world.finish(reader, read_done()).await;
    stop.cancel();
    dispatcher.await.unwrap().unwrap();
}

async fn sweeper_ends_when_told_and_releases_by_itself(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.claim(JobKind::Read).await;
    world.clock.advance(super::LEASE);
    let stop = CancellationToken::new();
    let sweeper = tokio::spawn({
        let (cp, stop) = (world.cp.clone(), stop.clone());
        async move { cp.sweep(&stop).await }
    });
    loop {
        let announced = world.announced().await;
        if announced.iter().any(|job| job.run == Some(run) && job.attempt == 2) {
            break;
        }
        tokio::task::yield_now().await;
    }
    stop.cancel();
    sweeper.await.unwrap().unwrap();
}
