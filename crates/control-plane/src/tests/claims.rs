//! Whose work counts, and until when.

use super::{
    ACCOUNT, Answer, BatchNo, Claimed, ContentHash, Duration, Endpoint, Engine, INSTANT, Id,
    JobKind, LEASE, Next, PermitReply, Rejects, RunState, SECOND, StagedBatch, Uuid, Verdict, Work,
    World, accepted, confirmation, halves, read_done, staged,
};

segue_store::on_both_engines! {
    job_is_claimed_once_and_a_message_that_comes_twice_changes_nothing,
    message_of_an_older_attempt_is_refused,
    nothing_of_a_cancelled_run_is_to_be_had,
    claim_that_is_renewed_outlives_its_lease_and_one_that_is_not_is_released,
    what_an_expired_claim_says_changes_nothing,
    late_acceptance_of_an_expired_claim_counts_and_stops_the_next_attempt,
    late_acceptance_of_a_batch_that_has_one_is_a_repeated_send,
    batch_that_was_accepted_late_is_not_given_up_by_the_attempt_after,
    expired_claim_leaves_its_request_ambiguous,
    batch_is_tried_again_with_growing_waits_and_given_up_after_an_hour,
    claim_on_one_thing_says_nothing_of_another,
    other_batch_under_a_known_number_fails_the_run,
    reader_waits_while_it_is_too_far_ahead,
    answer_to_a_request_that_nobody_was_allowed_is_ignored,
}

async fn job_is_claimed_once_and_a_message_that_comes_twice_changes_nothing(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    let job = world.announced().await.remove(0);
    assert_eq!((job.kind, job.run, job.attempt), (JobKind::Read, Some(run), 1));
    let claimed = world.cp.claim(job.id, 1).await.unwrap().unwrap();
    assert!(matches!(claimed.work, Work::Read(work) if work.run == run && work.known.is_empty()));
    assert!(world.cp.claim(job.id, 1).await.unwrap().is_none());
    assert!(world.renew(&[claimed.claim]).await.is_empty());
    assert_eq!(world.state(run).await, RunState::Running);
}

async fn message_of_an_older_attempt_is_refused(engine: Engine) {
    let world = World::new(engine).await;
    world.start(1).await;
    let job = world.announced().await.remove(0);
    world.cp.claim(job.id, 1).await.unwrap().unwrap();
    world.expire().await;
    assert!(world.cp.claim(job.id, 1).await.unwrap().is_none());
    assert!(world.cp.claim(job.id, 2).await.unwrap().is_some());
}

async fn nothing_of_a_cancelled_run_is_to_be_had(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    let reader = world.stage(0..1).await;
    assert!(world.cp.cancel_run(run).await.unwrap());
    assert!(world.try_claim(JobKind::Upload).await.is_none());
    assert_eq!(world.cp.stage(reader, &staged(1)).await.unwrap(), Next::Stop);
    assert!(!world.cp.cancel_run(run).await.unwrap(), "it is cancelled already");
    assert_eq!(world.state(run).await, RunState::Cancelled);
    assert_eq!(world.renew(&[reader]).await, [reader]);
}

async fn claim_that_is_renewed_outlives_its_lease_and_one_that_is_not_is_released(engine: Engine) {
    let world = World::new(engine).await;
    world.start(1).await;
    let reader = world.stage(0..1).await;
    let uploader = world.claim(JobKind::Upload).await.claim;
    world.clock.advance(LEASE.saturating_sub(INSTANT));
    assert!(world.renew(&[uploader]).await.is_empty());
    world.clock.advance(INSTANT);
    world.cp.sweep_claims().await.unwrap();
    assert_eq!(world.renew(&[reader, uploader]).await, [reader]);
    let kinds: Vec<JobKind> = world.announced().await.iter().map(|job| job.kind).collect();
    assert_eq!(kinds, [JobKind::Read]);
}

async fn what_an_expired_claim_says_changes_nothing(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    let reader = world.stage(0..2).await;
    let uploader = world.claim(JobKind::Upload).await.claim;
    let second = world.claim(JobKind::Upload).await.claim;
    let permit = world.granted(second, Endpoint::Import).await;
    world.answer(permit, accepted("k1", 10, 0)).await;
    world.clock.advance(SECOND);
    let confirmer = world.claim(JobKind::Confirm).await.claim;
    let before = world.counts(run).await;
    // Nobody has looked yet: the clock alone ends a claim.
    world.clock.advance(LEASE);
    for swept in [false, true] {
        if swept {
            world.cp.sweep_claims().await.unwrap();
        }
        assert_eq!(world.cp.stage(reader, &staged(2)).await.unwrap(), Next::Stop);
        world.finish(reader, read_done()).await;
        let split = Verdict::Split { children: halves(90, 10), refused: Rejects::default() };
        world.finish(uploader, split).await;
        let late = confirmation(run, BatchNo(1), "k1", 1, 0);
        assert_eq!(world.cp.confirm(confirmer, &late).await.unwrap(), Next::Stop);
        assert_eq!(world.permit(uploader, Endpoint::Import).await, PermitReply::Stop);
        assert_eq!(world.counts(run).await, before);
    }
    assert!(!world.progress(run).await.read_done);
}

async fn late_acceptance_of_an_expired_claim_counts_and_stops_the_next_attempt(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let first = world.claim(JobKind::Upload).await.claim;
    let permit = world.granted(first, Endpoint::Import).await;
    world.expire().await;
    // Somebody else has the batch by now, and has not sent it.
    let second = world.claim(JobKind::Upload).await.claim;
    world.answer(permit, accepted("k1", 9, 1)).await;
    assert_eq!(world.permit(second, Endpoint::Import).await, PermitReply::Stop);
    world.finish(second, Verdict::Deferred { after: SECOND }).await;
    world.clock.advance(SECOND);
    assert!(world.try_claim(JobKind::Upload).await.is_none());
    world.confirm(run, BatchNo(0), "k1", 0, 0).await;
    let counts = world.counts(run).await;
    assert_eq!((counts.delivered, counts.rejected), (9, 2));
    let report = world.report(run).await;
    assert_eq!((report.requests, report.repeated_sends), (1, 0));
    assert_eq!(report.state, RunState::CompletedWithRejects);
}

async fn late_acceptance_of_a_batch_that_has_one_is_a_repeated_send(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let first = world.claim(JobKind::Upload).await.claim;
    let permit = world.granted(first, Endpoint::Import).await;
    world.expire().await;
    world.upload("k2").await;
    world.answer(permit, accepted("k1", 10, 0)).await;
    world.answer(permit, accepted("k1", 10, 0)).await;
    let report = world.report(run).await;
    assert_eq!((report.requests, report.repeated_sends, report.bytes), (2, 1, 900));
    world.confirm(run, BatchNo(0), "k2", 0, 0).await;
    assert_eq!(world.counts(run).await.delivered, 10);
}

async fn batch_that_was_accepted_late_is_not_given_up_by_the_attempt_after(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let first = world.claim(JobKind::Upload).await.claim;
    let permit = world.granted(first, Endpoint::Import).await;
    world.expire().await;
    let second = world.claim(JobKind::Upload).await.claim;
    world.answer(permit, accepted("k1", 10, 0)).await;
    world.finish(second, Verdict::GiveUp(segue_model::UndeliveredReason::GaveUp)).await;
    world.confirm(run, BatchNo(0), "k1", 0, 0).await;
    assert_eq!(world.counts(run).await.delivered, 10);
}

async fn expired_claim_leaves_its_request_ambiguous(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let claim = world.claim(JobKind::Upload).await.claim;
    world.granted(claim, Endpoint::Import).await;
    world.expire().await;
    let report = world.report(run).await;
    assert_eq!((report.requests, report.repeated_sends), (1, 0));
    world.upload("k1").await;
    assert_eq!(world.report(run).await.repeated_sends, 1);
}

async fn batch_is_tried_again_with_growing_waits_and_given_up_after_an_hour(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let mut tries = 0;
    while world.state(run).await == RunState::Running {
        let claim = world.claim(JobKind::Upload).await.claim;
        world.finish(claim, Verdict::Retry).await;
        world.clock.advance(Duration::from_mins(1));
        tries += 1;
    }
    assert!((60..=63).contains(&tries), "{tries} tries, one a minute, in an hour");
    let report = world.report(run).await;
    assert_eq!(report.undelivered, [("gave_up".to_owned(), 10)].into());
    assert_eq!(report.state, RunState::Failed);
}

async fn claim_on_one_thing_says_nothing_of_another(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.stage(0..2).await;
    world.upload("k1").await;
    let uploader = world.claim(JobKind::Upload).await.claim;
    let wrong = confirmation(run, BatchNo(0), "k1", 0, 0);
    assert_eq!(world.cp.confirm(uploader, &wrong).await.unwrap(), Next::Stop);
    assert_eq!(world.counts(run).await.delivered, 0);
    // The end of the segment is not for an uploader to say; the batch is tried again.
    world.finish(uploader, read_done()).await;
    assert!(!world.progress(run).await.read_done);
    world.clock.advance(SECOND);
    world.upload("k2").await;
}

async fn other_batch_under_a_known_number_fails_the_run(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.stage(0..1).await;
    world.expire().await;
    let Claimed { claim, work: Work::Read(work) } = world.claim(JobKind::Read).await else {
        panic!("no reader");
    };
    assert_eq!(work.known[&BatchNo(0)].hash, ContentHash(0));
    assert_eq!(world.cp.stage(claim, &staged(0)).await.unwrap(), Next::GoOn, "the same again");
    assert_eq!(world.counts(run).await.rows_read, 13);
    let other = StagedBatch { hash: ContentHash(7), ..staged(0) };
    assert_eq!(world.cp.stage(claim, &other).await.unwrap(), Next::Stop);
    world.finish(claim, Verdict::Retry).await;
    let report = world.report(run).await;
    assert_eq!(report.state, RunState::Failed);
    assert_eq!(report.failure.unwrap().0, segue_model::FailReason::ReadNotRepeatable);
}

async fn reader_waits_while_it_is_too_far_ahead(engine: Engine) {
    let settings = crate::Settings { batches_ahead: 2, ..super::settings() };
    let world = World::with(engine, settings).await;
    let run = world.start(1).await;
    let reader = world.claim(JobKind::Read).await.claim;
    assert_eq!(world.cp.stage(reader, &staged(0)).await.unwrap(), Next::GoOn);
    let cp = world.cp.clone();
    let waiting = tokio::spawn(async move { cp.stage(reader, &staged(1)).await.unwrap() });
    while world.counts(run).await.rows_read < 26 {
        tokio::task::yield_now().await;
    }
    world.upload("k1").await;
    assert_eq!(waiting.await.unwrap(), Next::GoOn);
}

async fn answer_to_a_request_that_nobody_was_allowed_is_ignored(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    let unknown = Id::from_uuid(Uuid::from_u128(9));
    world.answer(unknown, Answer::Fine).await;
    assert_eq!(world.report(run).await.requests, 0);
    assert!(world.cp.permit(Id::from_uuid(Uuid::nil()), ACCOUNT, Endpoint::Import).await.is_ok());
}
