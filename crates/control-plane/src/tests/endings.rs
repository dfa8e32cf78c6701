//! How runs end, and what they say of their rows.

use super::{
    Answer, BatchNo, Duration, Endpoint, Engine, JobKind, NewRun, Next, RejectReason, Rejects,
    RunState, SECOND, StagedBatch, UndeliveredReason, Verdict, Work, World, accepted, confirmation,
    halves, new_run, read_done, rejects, staged,
};
use segue_model::{FailReason, Guards};

segue_store::on_both_engines! {
    accepted_is_not_delivered_until_klaviyo_says_so,
    run_without_rejects_succeeds_and_those_who_wait_hear_of_it,
    what_klaviyo_cannot_name_is_undelivered_and_never_a_reject,
    second_confirmation_or_one_of_another_job_changes_nothing,
    nothing_is_ready_before_the_whole_segment_was_read_if_the_run_is_held,
    nothing_is_ever_sent_of_a_segment_with_too_many_profiles,
    as_many_profiles_as_allowed_are_not_too_many,
    empty_segment_fails_unless_it_is_allowed,
    segment_whose_rows_are_all_rejects_is_not_empty,
    batch_that_is_split_is_the_sum_of_its_halves_and_counts_once,
    budget_of_splits_is_never_overdrawn,
    verdict_that_does_not_add_up_fails_the_run_and_moves_no_row,
    batch_that_klaviyo_refuses_whole_is_all_rejects,
    cancelled_run_waits_for_what_is_under_way_and_for_what_was_accepted,
    batch_of_which_nobody_knows_is_not_called_unsent_when_the_run_is_cancelled,
    what_klaviyo_never_confirms_is_given_up_in_time_and_still_taken_if_it_comes,
    run_ends_at_its_deadline_with_words,
    key_that_may_ask_no_more_ends_the_runs_whose_batches_were_accepted,
    sweeper_makes_a_confirm_job_that_is_missing,
    looks_at_klaviyo_become_rarer_while_nothing_happens,
    answers_are_recalled_while_they_are_young,
    requests_of_no_run_are_forgotten_once_they_hold_no_place,
    run_that_is_not_there_is_an_error_that_names_it,
}

fn at_most(profiles: u64) -> NewRun {
    let guards = Guards { max_profiles: Some(profiles), ..Guards::default() };
    NewRun { guards, ..new_run(1) }
}

async fn accepted_is_not_delivered_until_klaviyo_says_so(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let batch = world.upload("k1").await;
    let counts = world.counts(run).await;
    assert_eq!((counts.delivered, counts.undelivered), (0, 10));
    assert_eq!(world.state(run).await, RunState::Running);
    world.confirm(run, batch, "k1", 0, 0).await;
    assert_eq!(world.counts(run).await.delivered, 10);
    assert_eq!(world.state(run).await, RunState::CompletedWithRejects, "one row was not valid");
    assert!(world.announced().await.is_empty(), "nothing is left to be done");
}

async fn run_without_rejects_succeeds_and_those_who_wait_hear_of_it(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    let waiting = tokio::spawn({
        let cp = world.cp.clone();
        async move { cp.ended(run).await.unwrap() }
    });
    let reader = world.claim(JobKind::Read).await.claim;
    let clean =
        StagedBatch { rows: 12, rejects: rejects(RejectReason::EmailInvalid, 0, ""), ..staged(0) };
    world.cp.stage(reader, &clean).await.unwrap();
    world.finish(reader, read_done()).await;
    let batch = world.upload("k1").await;
    world.confirm(run, batch, "k1", 0, 0).await;
    assert_eq!(waiting.await.unwrap(), RunState::Succeeded);
    assert_eq!(world.cp.ended(run).await.unwrap(), RunState::Succeeded);
}

async fn what_klaviyo_cannot_name_is_undelivered_and_never_a_reject(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..2).await;
    let (a, b) = (world.upload("k1").await, world.upload("k2").await);
    world.confirm(run, a, "k1", 2, 3).await;
    let counts = world.counts(run).await;
    assert_eq!((counts.delivered, counts.rejected, counts.undelivered), (5, 4, 13));
    world.clock.advance(10 * SECOND);
    let claim = world.claim(JobKind::Confirm).await.claim;
    let cancelled = segue_model::work::Confirmation {
        undelivered_reason: UndeliveredReason::CancelledByKlaviyo,
        ..confirmation(run, b, "k2", 0, 10)
    };
    world.cp.confirm(claim, &cancelled).await.unwrap();
    let report = world.report(run).await;
    let expected =
        [("unattributed_failure".to_owned(), 3), ("cancelled_by_klaviyo".to_owned(), 10)];
    assert_eq!(report.undelivered, expected.into());
    assert_eq!(report.state, RunState::Failed);
    assert_eq!(report.failure.unwrap().0, FailReason::Undelivered);
}

async fn second_confirmation_or_one_of_another_job_changes_nothing(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..2).await;
    let batch = world.upload("k1").await;
    world.clock.advance(SECOND);
    let claim = world.claim(JobKind::Confirm).await.claim;
    let before = world.counts(run).await;
    let other = confirmation(run, batch, "k9", 1, 0);
    assert_eq!(world.cp.confirm(claim, &other).await.unwrap(), Next::GoOn);
    assert_eq!(world.counts(run).await, before);
    let right = confirmation(run, batch, "k1", 1, 0);
    world.cp.confirm(claim, &right).await.unwrap();
    let after = world.counts(run).await;
    assert_eq!((after.delivered, after.rejected), (9, 3));
    world.cp.confirm(claim, &right).await.unwrap();
    assert_eq!(world.counts(run).await, after);
    assert_eq!(world.report(run).await.reject_reports, ["0-mapping", "k1-import", "1-mapping"]);
}

async fn nothing_is_ready_before_the_whole_segment_was_read_if_the_run_is_held(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start_with(NewRun { hold: true, ..new_run(1) }).await;
    let reader = world.stage(0..3).await;
    assert!(world.announced().await.is_empty());
    world.finish(reader, read_done()).await;
    let jobs = world.announced().await;
    assert_eq!(jobs.len(), 3);
    assert!(jobs.iter().all(|job| job.kind == JobKind::Upload && job.run == Some(run)));
}

async fn nothing_is_ever_sent_of_a_segment_with_too_many_profiles(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start_with(at_most(25)).await;
    let reader = world.stage(0..2).await;
    assert_eq!(world.cp.stage(reader, &staged(2)).await.unwrap(), Next::Stop);
    world.finish(reader, read_done()).await;
    assert!(world.announced().await.is_empty());
    let report = world.report(run).await;
    assert_eq!((report.state, report.requests), (RunState::Failed, 0));
    assert_eq!(report.failure.unwrap().0, FailReason::TooManyProfiles);
    assert_eq!(report.undelivered, [("not_sent".to_owned(), 30)].into());
    world.counts(run).await;
}

async fn as_many_profiles_as_allowed_are_not_too_many(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start_with(at_most(20)).await;
    world.read(0..2).await;
    assert_eq!(world.announced().await.len(), 2);
    assert_eq!(world.state(run).await, RunState::Running);
}

async fn empty_segment_fails_unless_it_is_allowed(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..0).await;
    let report = world.report(run).await;
    assert_eq!(report.state, RunState::Failed);
    assert_eq!(report.failure.unwrap().0, FailReason::SegmentEmpty);
    let guards = Guards { allow_empty: true, ..Guards::default() };
    let run = world.start_with(NewRun { guards, ..new_run(2) }).await;
    world.read(0..0).await;
    assert_eq!(world.state(run).await, RunState::Succeeded);
}

async fn segment_whose_rows_are_all_rejects_is_not_empty(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    let reader = world.claim(JobKind::Read).await.claim;
    let only = rejects(RejectReason::EmailInvalid, 4, "0-mapping");
    let tail = StagedBatch { profiles: 0, rows: 4, duplicates: 0, rejects: only, ..staged(0) };
    world.cp.stage(reader, &tail).await.unwrap();
    world.finish(reader, read_done()).await;
    assert_eq!(world.state(run).await, RunState::CompletedWithRejects);
    assert_eq!(world.counts(run).await.rejected, 4);
    assert_eq!(world.report(run).await.batches, 0);
}

async fn batch_that_is_split_is_the_sum_of_its_halves_and_counts_once(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let claim = world.claim(JobKind::Upload).await.claim;
    let refused = rejects(RejectReason::RefusedByKlaviyo, 1, "0-refused");
    world.finish(claim, Verdict::Split { children: halves(50, 9), refused }).await;
    let counts = world.counts(run).await;
    assert_eq!((counts.rejected, counts.undelivered), (2, 9));
    let (a, b) = (world.upload("k1").await, world.upload("k2").await);
    assert!(a.0 > 1 << 31 && a < b);
    world.confirm(run, a, "k1", 0, 0).await;
    world.confirm(run, b, "k2", 1, 0).await;
    let report = world.report(run).await;
    assert_eq!((report.batches, report.state), (1, RunState::CompletedWithRejects));
    assert_eq!((report.counts.delivered, report.counts.rejected), (8, 3));
}

async fn budget_of_splits_is_never_overdrawn(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start_with(NewRun { splits: 1, ..new_run(1) }).await;
    world.read(0..2).await;
    // Both were told that one split is left.
    let (first, second) =
        (world.claim(JobKind::Upload).await.claim, world.claim(JobKind::Upload).await.claim);
    for (claim, seed) in [(first, 50), (second, 60)] {
        let split = Verdict::Split { children: halves(seed, 10), refused: Rejects::default() };
        world.finish(claim, split).await;
    }
    let report = world.report(run).await;
    assert_eq!(report.state, RunState::Failed);
    assert_eq!(report.failure.unwrap().0, FailReason::RequestRefused);
    assert_eq!(world.counts(run).await.undelivered, 20);
}

async fn verdict_that_does_not_add_up_fails_the_run_and_moves_no_row(engine: Engine) {
    let whole = rejects(RejectReason::RefusedByKlaviyo, 9, "0-refused");
    let short = Verdict::Split { children: halves(50, 8), refused: Rejects::default() };
    for verdict in [Verdict::AllRefused(whole), short] {
        let world = World::new(engine).await;
        let run = world.start(1).await;
        world.read(0..1).await;
        let claim = world.claim(JobKind::Upload).await.claim;
        world.finish(claim, verdict).await;
        assert_eq!(world.state(run).await, RunState::Failed);
        let counts = world.counts(run).await;
        assert_eq!((counts.rejected, counts.undelivered), (1, 10));
    }
}

async fn batch_that_klaviyo_refuses_whole_is_all_rejects(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let claim = world.claim(JobKind::Upload).await.claim;
    let refused = rejects(RejectReason::RefusedByKlaviyo, 10, "0-refused");
    world.finish(claim, Verdict::AllRefused(refused)).await;
    let report = world.report(run).await;
    assert_eq!((report.state, report.counts.rejected), (RunState::CompletedWithRejects, 11));
    assert_eq!(report.reject_reports, ["0-mapping", "0-refused"]);
}

async fn cancelled_run_waits_for_what_is_under_way_and_for_what_was_accepted(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..3).await;
    let accepted_before = world.upload("k1").await;
    let Work::Upload(second) = ({
        let claimed = world.claim(JobKind::Upload).await;
        let permit = world.granted(claimed.claim, Endpoint::Import).await;
        world.cp.cancel_run(run).await.unwrap();
        assert_eq!(world.state(run).await, RunState::Cancelling);
        // It was under way when the run was cancelled.
        world.answer(permit, accepted("k2", 10, 0)).await;
        claimed.work
    }) else {
        panic!("no upload");
    };
    assert_eq!(world.state(run).await, RunState::Cancelling);
    world.confirm(run, accepted_before, "k1", 0, 0).await;
    assert_eq!(world.state(run).await, RunState::Cancelling);
    world.confirm(run, second.batch, "k2", 0, 0).await;
    let report = world.report(run).await;
    assert_eq!((report.state, report.counts.delivered), (RunState::Cancelled, 20));
    assert_eq!(report.undelivered, [("not_sent".to_owned(), 10)].into());
}

async fn batch_of_which_nobody_knows_is_not_called_unsent_when_the_run_is_cancelled(
    engine: Engine,
) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let claim = world.claim(JobKind::Upload).await.claim;
    let permit = world.granted(claim, Endpoint::Import).await;
    world.answer(permit, Answer::Ambiguous).await;
    world.cp.cancel_run(run).await.unwrap();
    let report = world.report(run).await;
    assert_eq!(report.undelivered, [("maybe_sent".to_owned(), 10)].into());
}

async fn what_klaviyo_never_confirms_is_given_up_in_time_and_still_taken_if_it_comes(
    engine: Engine,
) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..2).await;
    let batch = world.upload("k1").await;
    world.clock.advance(Duration::from_hours(2));
    world.cp.sweep_runs().await.unwrap();
    assert_eq!(world.report(run).await.undelivered, [("pending".to_owned(), 20)].into());
    let claim = world.claim(JobKind::Confirm).await.claim;
    world.clock.advance(SECOND);
    world.cp.sweep_runs().await.unwrap();
    let expected = [("unconfirmed".to_owned(), 10), ("pending".to_owned(), 10)];
    assert_eq!(world.report(run).await.undelivered, expected.into());
    let late = confirmation(run, batch, "k1", 0, 0);
    world.cp.confirm(claim, &late).await.unwrap();
    assert_eq!(world.counts(run).await.delivered, 10);
}

async fn run_ends_at_its_deadline_with_words(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    world.clock.advance(Duration::from_hours(24));
    world.cp.sweep_runs().await.unwrap();
    assert_eq!(world.state(run).await, RunState::Running);
    world.clock.advance(SECOND);
    world.cp.sweep_runs().await.unwrap();
    let report = world.report(run).await;
    assert_eq!(report.state, RunState::Failed);
    assert_eq!(report.failure, Some((FailReason::DeadlinePassed, "24 hours".to_owned())));
}

async fn key_that_may_ask_no_more_ends_the_runs_whose_batches_were_accepted(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..2).await;
    world.upload("k1").await;
    world.upload("k2").await;
    world.clock.advance(SECOND);
    let claim = world.claim(JobKind::Confirm).await.claim;
    let reason = FailReason::KeyRefused;
    world.finish(claim, Verdict::FailRun { reason, detail: "no".to_owned() }).await;
    let report = world.report(run).await;
    assert_eq!((report.state, report.failure), (RunState::Failed, Some((reason, "no".to_owned()))));
    assert_eq!(report.undelivered, [("unconfirmed".to_owned(), 20)].into());
}

async fn sweeper_makes_a_confirm_job_that_is_missing(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let batch = world.upload("k1").await;
    let mut tx = world.cp.store().begin().await.unwrap();
    let job = super::jobs::announce(&mut tx).await.unwrap().jobs;
    assert!(job.is_empty(), "it is not due yet");
    tx.commit().await.unwrap();
    world.clock.advance(SECOND);
    let job = world.announced().await.remove(0);
    let mut tx = world.cp.store().begin().await.unwrap();
    super::jobs::done(&mut tx, job.id).await.unwrap();
    tx.commit().await.unwrap();
    world.cp.sweep_runs().await.unwrap();
    world.confirm(run, batch, "k1", 0, 0).await;
    assert_eq!(world.counts(run).await.delivered, 10);
}

async fn looks_at_klaviyo_become_rarer_while_nothing_happens(engine: Engine) {
    let world = World::new(engine).await;
    world.start(1).await;
    world.read(0..1).await;
    world.upload("k1").await;
    let mut waits = Vec::new();
    for _ in 0..12 {
        let wait = world.cp.announce(&world.heard).await.unwrap();
        waits.push(wait.as_millis());
        world.clock.advance(wait);
        let claim = world.claim(JobKind::Confirm).await.claim;
        world.finish(claim, Verdict::Passed { progress: false }).await;
    }
    assert_eq!(waits[..4], [250, 250, 375, 562]);
    assert!(waits.is_sorted() && waits[11] == 10_000, "{waits:?}");
}

async fn answers_are_recalled_while_they_are_young(engine: Engine) {
    let world = World::new(engine).await;
    let hour = Duration::from_hours(1);
    world.cp.remember("list XyZ789", "Newsletter").await.unwrap();
    world.clock.advance(hour.saturating_sub(super::INSTANT));
    let recalled = world.cp.recall("list XyZ789", hour).await.unwrap();
    assert_eq!(recalled.as_deref(), Some("Newsletter"));
    world.clock.advance(super::INSTANT);
    assert_eq!(world.cp.recall("list XyZ789", hour).await.unwrap(), None);
    assert_eq!(world.cp.recall("list other", hour).await.unwrap(), None);
}

async fn requests_of_no_run_are_forgotten_once_they_hold_no_place(engine: Engine) {
    let world = World::new(engine).await;
    let reply = world.cp.free_permit(super::ACCOUNT, Endpoint::Accounts).await.unwrap();
    let super::PermitReply::Granted(permit) = reply else { panic!("{reply:?}") };
    world.answer(permit, Answer::Fine).await;
    let there = async || {
        let mut tx = world.cp.store().begin().await.unwrap();
        super::lanes::get(&mut tx, permit).await.unwrap().is_some()
    };
    world.clock.advance(Duration::from_mins(1));
    world.cp.sweep_runs().await.unwrap();
    assert!(there().await);
    world.clock.advance(Duration::from_mins(1) + super::INSTANT);
    world.cp.sweep_runs().await.unwrap();
    assert!(!there().await);
}

async fn run_that_is_not_there_is_an_error_that_names_it(engine: Engine) {
    let world = World::new(engine).await;
    let missing = super::run_id(404);
    assert!(
        matches!(world.cp.cancel_run(missing).await, Err(crate::Error::NoRun(id)) if id == missing)
    );
    assert!(matches!(world.cp.resume_run(missing).await, Err(crate::Error::NoRun(_))));
    assert!(matches!(world.cp.ended(missing).await, Err(crate::Error::NoRun(_))));
    assert_eq!(BatchNo(0).to_string(), "0");
}
