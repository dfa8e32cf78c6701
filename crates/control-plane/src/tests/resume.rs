//! The process dies; another takes over.

use super::{
    Answer, BatchNo, Claimed, Duration, Endpoint, Engine, INSTANT, JobKind, NewRun, Next,
    RejectReason, RunState, SECOND, Verdict, Work, World, accepted, halves, new_run, read_done,
    rejects, run_id, staged,
};
use crate::Resumed;
use segue_model::FailReason;

segue_store::on_both_engines! {
    nothing_is_done_for_a_run_until_somebody_goes_on_with_it,
    batch_is_sent_and_asked_about_only_after_it_was_staged_again,
    reader_of_a_resumed_run_does_not_wait_for_what_only_it_can_bring_back,
    request_that_was_under_way_is_ambiguous_and_its_batch_sent_again,
    halves_of_a_split_are_on_disk_and_need_no_reading,
    second_reading_with_fewer_batches_fails_the_run,
    held_run_is_held_again,
    cancelled_run_is_only_asked_about,
    run_that_has_ended_is_not_gone_on_with,
    going_on_twice_is_going_on_once,
    clock_that_was_put_back_closes_no_lane_for_as_long_as_it_was_wrong,
}

async fn nothing_is_done_for_a_run_until_somebody_goes_on_with_it(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.stage(0..3).await;
    world.upload("k1").await;
    let world = world.die().await;
    // Another run of the same account, in the same folder, meanwhile.
    world.start(2).await;
    let jobs = world.announced().await;
    assert!(jobs.iter().all(|job| job.run != Some(run)), "{jobs:?}");
    world.heard.0.lock().unwrap().extend(jobs);
    let reader = world.claim(JobKind::Read).await.claim;
    world
        .finish(
            reader,
            Verdict::FailRun { reason: FailReason::SourceUnreadable, detail: String::new() },
        )
        .await;
    assert_eq!(world.state(run_id(2)).await, RunState::Failed);
    // Its patience does not run out while nobody could ask.
    world.clock.advance(Duration::from_hours(30));
    world.cp.sweep_runs().await.unwrap();
    assert_eq!(world.state(run).await, RunState::Running);
    assert!(world.try_claim(JobKind::Confirm).await.is_none());
    world.cp.resume_run(run).await.unwrap();
    world.cp.sweep_runs().await.unwrap();
    assert_eq!(world.state(run).await, RunState::Running);
    assert_eq!(world.counts(run).await.undelivered, 30);
}

async fn batch_is_sent_and_asked_about_only_after_it_was_staged_again(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.stage(0..3).await;
    world.upload("k1").await;
    let world = world.die().await;
    assert!(
        matches!(world.cp.resume_run(run).await.unwrap(), Resumed::GoesOn(planned) if planned.run == run)
    );
    let jobs = world.announced().await;
    assert_eq!(jobs.iter().map(|job| job.kind).collect::<Vec<_>>(), [JobKind::Read]);
    let Claimed { claim, work: Work::Read(work) } =
        world.cp.claim(jobs[0].id, jobs[0].attempt).await.unwrap().unwrap()
    else {
        panic!("no reader");
    };
    assert!(!work.known[&BatchNo(0)].needs_body && work.known[&BatchNo(0)].needs_index);
    assert!(work.known[&BatchNo(1)].needs_body);
    // The first batch was accepted: now that its rows are known again, Klaviyo is asked.
    assert_eq!(world.cp.stage(claim, &staged(0)).await.unwrap(), Next::GoOn);
    world.clock.advance(SECOND);
    let kinds: Vec<JobKind> = world.announced().await.iter().map(|job| job.kind).collect();
    assert_eq!(kinds, [JobKind::Confirm]);
    assert_eq!(world.cp.stage(claim, &staged(1)).await.unwrap(), Next::GoOn);
    assert_eq!(world.upload("k2").await, BatchNo(1));
    assert!(world.try_claim(JobKind::Upload).await.is_none(), "batch 2 is not there yet");
    world.cp.stage(claim, &staged(2)).await.unwrap();
    world.finish(claim, read_done()).await;
    world.upload("k3").await;
    for (no, job) in [(0, "k1"), (1, "k2"), (2, "k3")] {
        world.clock.advance(10 * SECOND);
        world.cp.sweep_runs().await.unwrap();
        world.confirm(run, BatchNo(no), job, 0, 0).await;
    }
    let report = world.report(run).await;
    assert_eq!((report.state, report.counts.delivered), (RunState::CompletedWithRejects, 30));
    assert_eq!((report.requests, report.repeated_sends), (3, 0));
    assert_eq!(report.reject_reports, ["0-mapping", "1-mapping", "2-mapping"]);
}

async fn reader_of_a_resumed_run_does_not_wait_for_what_only_it_can_bring_back(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    let reader = world.stage(0..1).await;
    let cp = world.cp.clone();
    // 64 ahead: as far as a reader gets. The last call waits, and dies with the process.
    for no in 1..63 {
        cp.stage(reader, &staged(no)).await.unwrap();
    }
    let last = tokio::spawn(async move { cp.stage(reader, &staged(63)).await });
    while world.counts(run).await.rows_read < 64 * 13 {
        tokio::task::yield_now().await;
    }
    last.abort();
    assert!(last.await.unwrap_err().is_cancelled());
    let world = world.die().await;
    world.cp.resume_run(run).await.unwrap();
    let all = tokio::time::timeout(Duration::from_mins(1), world.stage(0..63)).await;
    assert!(all.is_ok(), "the reader waits for itself");
}

async fn request_that_was_under_way_is_ambiguous_and_its_batch_sent_again(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let claim = world.claim(JobKind::Upload).await.claim;
    let permit = world.granted(claim, Endpoint::Import).await;
    let world = world.die().await;
    assert_eq!(world.renew(&[claim]).await, [claim]);
    world.cp.resume_run(run).await.unwrap();
    world.read(0..1).await;
    world.upload("k2").await;
    let report = world.report(run).await;
    assert_eq!((report.requests, report.repeated_sends), (2, 1));
    // Whoever was thought dead speaks up: a repeated send, already counted.
    world.answer(permit, accepted("k1", 10, 0)).await;
    assert_eq!(world.report(run).await.repeated_sends, 1);
}

async fn halves_of_a_split_are_on_disk_and_need_no_reading(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let claim = world.claim(JobKind::Upload).await.claim;
    let refused = rejects(RejectReason::RefusedByKlaviyo, 2, "0-refused");
    world.finish(claim, Verdict::Split { children: halves(50, 8), refused }).await;
    let first = world.upload("k1").await;
    let world = world.die().await;
    world.cp.resume_run(run).await.unwrap();
    assert!(world.try_claim(JobKind::Read).await.is_none());
    let second = world.upload("k2").await;
    world.confirm(run, first, "k1", 0, 0).await;
    world.confirm(run, second, "k2", 0, 0).await;
    assert_eq!(world.report(run).await.counts.delivered, 8);
    assert_eq!(world.state(run).await, RunState::CompletedWithRejects);
}

async fn second_reading_with_fewer_batches_fails_the_run(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..3).await;
    let world = world.die().await;
    world.cp.resume_run(run).await.unwrap();
    world.read(0..2).await;
    let report = world.report(run).await;
    assert_eq!(report.state, RunState::Failed);
    assert_eq!(report.failure.unwrap().0, FailReason::ReadNotRepeatable);
}

async fn held_run_is_held_again(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start_with(NewRun { hold: true, ..new_run(1) }).await;
    world.stage(0..2).await;
    let world = world.die().await;
    world.cp.resume_run(run).await.unwrap();
    let reader = world.stage(0..3).await;
    assert!(world.announced().await.is_empty());
    world.finish(reader, read_done()).await;
    assert_eq!(world.announced().await.len(), 3);
}

async fn cancelled_run_is_only_asked_about(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..2).await;
    let batch = world.upload("k1").await;
    world.cp.cancel_run(run).await.unwrap();
    let world = world.die().await;
    world.cp.resume_run(run).await.unwrap();
    let kinds: Vec<JobKind> = world.announced().await.iter().map(|job| job.kind).collect();
    assert!(!kinds.contains(&JobKind::Read) && !kinds.contains(&JobKind::Upload), "{kinds:?}");
    world.confirm(run, batch, "k1", 0, 0).await;
    assert_eq!(world.state(run).await, RunState::Cancelled);
}

async fn run_that_has_ended_is_not_gone_on_with(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.cp.cancel_run(run).await.unwrap();
    let world = world.die().await;
    assert!(matches!(world.cp.resume_run(run).await.unwrap(), Resumed::Ended(RunState::Cancelled)));
    assert!(world.announced().await.is_empty());
}

async fn going_on_twice_is_going_on_once(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.stage(0..1).await;
    let world = world.die().await;
    world.cp.resume_run(run).await.unwrap();
    let reader = world.stage(0..1).await;
    world.cp.resume_run(run).await.unwrap();
    assert!(world.renew(&[reader]).await.is_empty());
    world.finish(reader, read_done()).await;
    world.upload("k1").await;
    assert!(world.progress(run).await.read_done);
}

async fn clock_that_was_put_back_closes_no_lane_for_as_long_as_it_was_wrong(engine: Engine) {
    let world = World::new(engine).await;
    let right = segue_store::Clock::now(&world.clock);
    let run = world.start(1).await;
    world.read(0..2).await;
    world.clock.advance(Duration::from_hours(5));
    world.upload("k1").await;
    let claim = world.claim(JobKind::Upload).await.claim;
    for _ in 0..9 {
        let permit = world.granted(claim, Endpoint::Import).await;
        world.answer(permit, Answer::Throttled { retry_after: Some(INSTANT) }).await;
        world.clock.advance(SECOND);
        world.renew(&[claim]).await;
    }
    world.clock.set(right);
    let world = world.die().await;
    world.cp.resume_run(run).await.unwrap();
    let reader = world.stage(0..2).await;
    world.finish(reader, read_done()).await;
    world.clock.advance(Duration::from_mins(15));
    world.upload("k2").await;
    world.confirm(run, BatchNo(0), "k1", 0, 0).await;
    world.confirm(run, BatchNo(1), "k2", 0, 0).await;
    assert_eq!(world.counts(run).await.delivered, 20);
}
