//! A batch and a run from their beginning to their end. After every step the numbers add up.

use std::time::Duration;

use segue_model::{
    BatchNo, ContentHash, Counts, FailReason, Guards, Micros, RejectReason, RunId, RunState, Stop,
    UndeliveredReason,
    work::{Child, Confirmation, KnownBatch, Rejects},
};

use super::{
    ACCOUNT, Engine, Fixture, START, accepted, job, job_id, new_run, permit_id, rejects, run_id,
    staged,
};
use crate::{
    Tx,
    write::{
        batches::{self, BatchState, Phase},
        jobs, lanes, runs,
    },
};

crate::on_both_engines! {
    rows_are_accounted_for_at_every_step_of_a_batch,
    confirmation_of_another_job_or_of_more_than_was_sent_changes_nothing,
    batch_that_was_given_up_can_be_accepted_late_but_never_twice,
    batch_is_staged_once_and_keeps_its_first_numbers,
    refused_batch_is_all_rejects,
    halves_are_numbered_behind_all_that_is_read_and_add_up_to_the_whole,
    held_batches_are_let_go_together_in_order,
    what_a_reader_needs_to_know_depends_on_how_far_the_batch_is,
    what_was_lost_from_staging_is_neither_sent_nor_asked_about_until_it_is_back,
    stopped_run_is_asked_about_although_its_index_is_gone,
    first_reason_to_stop_stays,
    run_is_over_only_when_nothing_is_open,
    batch_that_klaviyo_may_have_taken_is_not_called_unsent,
    limit_of_profiles_holds_everything_back,
    run_reads_back_as_it_was_made,
}

async fn counts(tx: &mut Tx, run: RunId) -> Counts {
    let counts = runs::counts(tx, run).await.unwrap();
    counts.check().unwrap();
    counts
}

fn confirmed(run: RunId, job: &str, named: u64, unnamed: u64) -> Confirmation {
    let rejects = match named {
        0 => Rejects::default(),
        n => rejects(RejectReason::ImportFailed, n, "0-import"),
    };
    Confirmation {
        run,
        batch: BatchNo(0),
        klaviyo_job: job.to_owned(),
        rejects,
        undelivered: unnamed,
        undelivered_reason: UndeliveredReason::UnattributedFailure,
    }
}

async fn rows_are_accounted_for_at_every_step_of_a_batch(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    let read = Counts { rows_read: 13, duplicates: 2, warnings: 3, ..Counts::default() };
    assert_eq!(counts(&mut tx, run).await, Counts { rejected: 1, undelivered: 10, ..read });
    let now = tx.now();
    assert!(batches::accept(&mut tx, run, BatchNo(0), &accepted("k1", 8), now).await.unwrap());
    assert_eq!(counts(&mut tx, run).await, Counts { rejected: 3, undelivered: 8, ..read });
    assert!(batches::confirm(&mut tx, &confirmed(run, "k1", 3, 1)).await.unwrap());
    let end = Counts { rejected: 6, undelivered: 1, delivered: 4, ..read };
    assert_eq!(counts(&mut tx, run).await, end);
    assert!(!batches::confirm(&mut tx, &confirmed(run, "k1", 3, 1)).await.unwrap());
    assert_eq!(counts(&mut tx, run).await, end);
}

async fn confirmation_of_another_job_or_of_more_than_was_sent_changes_nothing(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    assert!(!batches::confirm(&mut tx, &confirmed(run, "k1", 1, 0)).await.unwrap(), "not accepted");
    let now = tx.now();
    batches::accept(&mut tx, run, BatchNo(0), &accepted("k1", 10), now).await.unwrap();
    let before = counts(&mut tx, run).await;
    assert!(!batches::confirm(&mut tx, &confirmed(run, "k2", 1, 0)).await.unwrap());
    assert!(!batches::confirm(&mut tx, &confirmed(run, "k1", 9, 2)).await.unwrap());
    assert_eq!(counts(&mut tx, run).await, before);
}

async fn batch_that_was_given_up_can_be_accepted_late_but_never_twice(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    batches::give_up(&mut tx, run, BatchNo(0), UndeliveredReason::GaveUp).await.unwrap();
    let now = tx.now();
    let first = accepted("k1", 9);
    assert!(batches::accept(&mut tx, run, BatchNo(0), &first, now).await.unwrap());
    fixture.clock.advance(Duration::from_secs(1));
    let before = tx.now();
    let lost = batches::give_up_unconfirmed(&mut tx, run, before).await.unwrap();
    assert_eq!(lost, [BatchNo(0)]);
    // Given up again, this time although it has an acceptance. It keeps that.
    assert!(!batches::accept(&mut tx, run, BatchNo(0), &accepted("k2", 9), now).await.unwrap());
    assert_eq!(counts(&mut tx, run).await.rejected, 2);
    // It is late, and still the truth.
    assert!(batches::confirm(&mut tx, &confirmed(run, "k1", 0, 0)).await.unwrap());
    assert_eq!(counts(&mut tx, run).await.delivered, 9);
}

async fn batch_is_staged_once_and_keeps_its_first_numbers(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    let other = segue_model::work::StagedBatch { hash: ContentHash(99), rows: 99, ..staged(0) };
    assert!(!batches::stage(&mut tx, run, &other, BatchState::Held).await.unwrap());
    let kept = batches::get(&mut tx, run, BatchNo(0)).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.hash), (BatchState::Ready, ContentHash(0)));
    assert_eq!(counts(&mut tx, run).await.rows_read, 13);
}

async fn refused_batch_is_all_rejects(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    let refused = rejects(RejectReason::RefusedByKlaviyo, 10, "0-refused");
    for _ in 0..2 {
        batches::refuse_all(&mut tx, run, BatchNo(0), &refused).await.unwrap();
        let counts = counts(&mut tx, run).await;
        assert_eq!((counts.rejected, counts.undelivered), (11, 0));
    }
}

async fn halves_are_numbered_behind_all_that_is_read_and_add_up_to_the_whole(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    batches::stage(&mut tx, run, &staged(1), BatchState::Ready).await.unwrap();
    let child = |n, profiles| Child { hash: ContentHash(n), profiles, bytes: 100 };
    let refused = rejects(RejectReason::RefusedByKlaviyo, 2, "0-refused");
    let before = counts(&mut tx, run).await;
    let halves = [child(10, 4), child(11, 4)];
    let first = batches::split(&mut tx, run, BatchNo(0), &halves, &refused).await.unwrap();
    let halves = [child(12, 5), child(13, 5)];
    let none = Rejects::default();
    let second = batches::split(&mut tx, run, BatchNo(1), &halves, &none).await.unwrap();
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first[0].0 > 1 << 31 && first[0] < first[1]);
    assert!(first[1] < second[0] && second[0] < second[1]);
    let after = counts(&mut tx, run).await;
    assert_eq!(after.rejected, before.rejected + 2);
    assert_eq!(after.undelivered, before.undelivered - 2);
    // A half is split again, and the whole no more.
    let quarters = [child(14, 2), child(15, 2)];
    let third = batches::split(&mut tx, run, first[0], &quarters, &none).await.unwrap().unwrap();
    assert!(third[0] > second[1]);
    assert_eq!(counts(&mut tx, run).await, after);
    assert!(batches::split(&mut tx, run, BatchNo(0), &quarters, &none).await.unwrap().is_none());
}

async fn held_batches_are_let_go_together_in_order(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    for no in [3, 1, 2] {
        batches::stage(&mut tx, run, &staged(no), BatchState::Held).await.unwrap();
    }
    assert_eq!(batches::ahead(&mut tx, run).await.unwrap(), (1, 1000));
    let released = batches::release_held(&mut tx, run).await.unwrap();
    assert_eq!(released, [BatchNo(1), BatchNo(2), BatchNo(3)]);
    assert_eq!(batches::ahead(&mut tx, run).await.unwrap(), (4, 4000));
    assert_eq!(batches::rows_read(&mut tx, run).await.unwrap(), 52);
    assert!(batches::release_held(&mut tx, run).await.unwrap().is_empty());
}

async fn what_a_reader_needs_to_know_depends_on_how_far_the_batch_is(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    for no in 1..=3 {
        batches::stage(&mut tx, run, &staged(no), BatchState::Ready).await.unwrap();
    }
    let now = tx.now();
    batches::accept(&mut tx, run, BatchNo(1), &accepted("k1", 10), now).await.unwrap();
    batches::give_up(&mut tx, run, BatchNo(2), UndeliveredReason::GaveUp).await.unwrap();
    let child = Child { hash: ContentHash(9), profiles: 5, bytes: 1 };
    let none = Rejects::default();
    batches::split(&mut tx, run, BatchNo(3), &[child, child], &none).await.unwrap();
    let known = batches::known(&mut tx, run).await.unwrap();
    let needs = |no: u32| {
        let KnownBatch { needs_body, needs_index, .. } = known[&BatchNo(no)];
        (needs_body, needs_index)
    };
    assert_eq!(known.len(), 4, "halves are not read");
    assert_eq!([needs(0), needs(1)], [(true, true), (false, true)]);
    assert_eq!([needs(2), needs(3)], [(false, false), (false, false)]);
}

async fn what_was_lost_from_staging_is_neither_sent_nor_asked_about_until_it_is_back(
    engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    batches::stage(&mut tx, run, &staged(1), BatchState::Ready).await.unwrap();
    let now = tx.now();
    batches::accept(&mut tx, run, BatchNo(0), &accepted("k1", 10), now).await.unwrap();
    job(&mut tx, run, job_id(1)).await;
    assert!(batches::any_wanted(&mut tx, ACCOUNT).await.unwrap());
    runs::park_live(&mut tx).await.unwrap();
    batches::lose_staged(&mut tx).await.unwrap();
    jobs::drop_all(&mut tx).await.unwrap();
    assert!(runs::live(&mut tx).await.unwrap().is_empty());
    assert!(jobs::announce(&mut tx).await.unwrap().jobs.is_empty());
    runs::unpark(&mut tx, run).await.unwrap();
    assert_eq!(runs::live(&mut tx).await.unwrap(), [run]);
    assert!(!batches::any_wanted(&mut tx, ACCOUNT).await.unwrap());
    assert!(batches::wanted(&mut tx, ACCOUNT).await.unwrap().is_empty());
    assert!(batches::sendable(&mut tx, run).await.unwrap().is_empty());
    assert_eq!(batches::ahead(&mut tx, run).await.unwrap(), (0, 0));
    assert_eq!(batches::lost(&mut tx, run, false).await.unwrap(), 2);
    for no in [0, 1] {
        batches::restage(&mut tx, run, BatchNo(no)).await.unwrap();
    }
    assert_eq!(batches::lost(&mut tx, run, true).await.unwrap(), 0);
    let wanted = batches::wanted(&mut tx, ACCOUNT).await.unwrap();
    assert_eq!((wanted[0].batch, wanted[0].klaviyo_job.as_str()), (BatchNo(0), "k1"));
    assert_eq!(batches::sendable(&mut tx, run).await.unwrap(), [BatchNo(1)]);
}

async fn stopped_run_is_asked_about_although_its_index_is_gone(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    let now = tx.now();
    batches::accept(&mut tx, run, BatchNo(0), &accepted("k1", 10), now).await.unwrap();
    tx.execute("UPDATE batches SET staged = 0", &[]).await.unwrap();
    assert!(!batches::any_wanted(&mut tx, ACCOUNT).await.unwrap());
    runs::fail(&mut tx, run, FailReason::SourceChanged, "").await.unwrap();
    assert!(batches::any_wanted(&mut tx, ACCOUNT).await.unwrap());
    assert_eq!(batches::wanted(&mut tx, ACCOUNT).await.unwrap().len(), 1);
}

async fn first_reason_to_stop_stays(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    runs::fail(&mut tx, run, FailReason::ListNotFound, "list").await.unwrap();
    runs::fail(&mut tx, run, FailReason::KeyRefused, "key").await.unwrap();
    assert!(!runs::cancel(&mut tx, run).await.unwrap());
    let locked = runs::lock(&mut tx, run).await.unwrap().unwrap();
    assert_eq!((locked.stop, locked.state), (Some(Stop::Failure), RunState::Running));
    assert!(runs::end(&mut tx, run, RunState::Failed).await.unwrap());
    tx.commit().await.unwrap();
    let report = crate::read::report(&fixture.store, run).await.unwrap().unwrap();
    assert_eq!(report.failure, Some((FailReason::ListNotFound, "list".to_owned())));
    assert_eq!(report.ended, Some(START));
}

async fn run_is_over_only_when_nothing_is_open(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    let may_end = async |tx: &mut Tx| {
        let locked = runs::lock(tx, run).await.unwrap().unwrap();
        runs::may_end(tx, &locked).await.unwrap()
    };
    assert!(!may_end(&mut tx).await, "still reading");
    runs::read_done(&mut tx, run, "{}").await.unwrap();
    assert!(!may_end(&mut tx).await, "a batch is ready");
    let now = tx.now();
    batches::accept(&mut tx, run, BatchNo(0), &accepted("k1", 10), now).await.unwrap();
    assert!(!may_end(&mut tx).await, "a batch is unconfirmed");
    batches::confirm(&mut tx, &confirmed(run, "k1", 0, 0)).await.unwrap();
    assert!(may_end(&mut tx).await);
    let locked = runs::lock(&mut tx, run).await.unwrap().unwrap();
    let facts = runs::facts(&mut tx, &locked).await.unwrap();
    assert_eq!((facts.unsent, facts.unconfirmed, facts.in_flight), (0, 0, 0));
    runs::end(&mut tx, run, RunState::CompletedWithRejects).await.unwrap();
    assert!(!may_end(&mut tx).await, "it has ended");
}

async fn batch_that_klaviyo_may_have_taken_is_not_called_unsent(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    batches::stage(&mut tx, run, &staged(1), BatchState::Held).await.unwrap();
    let send = lanes::Send {
        permit: permit_id(1),
        account_id: ACCOUNT.to_owned(),
        endpoint: segue_model::Endpoint::Import,
        run: Some(run),
        batch: Some(BatchNo(0)),
        claim: None,
        granted: START,
    };
    lanes::grant(&mut tx, &send).await.unwrap();
    lanes::abandon_all(&mut tx).await.unwrap();
    batches::give_up_unsent(&mut tx, run).await.unwrap();
    tx.commit().await.unwrap();
    let report = crate::read::report(&fixture.store, run).await.unwrap().unwrap();
    let expected = [("maybe_sent".to_owned(), 10), ("not_sent".to_owned(), 10)];
    assert_eq!(report.undelivered, expected.into());
}

async fn limit_of_profiles_holds_everything_back(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let guards = Guards { max_profiles: Some(5), ..Guards::default() };
    let new = runs::NewRun { guards, ..new_run(run_id(7)) };
    runs::create(&mut tx, &new).await.unwrap();
    let run = runs::lock(&mut tx, run_id(7)).await.unwrap().unwrap();
    assert!(run.hold);
    assert_eq!(run.guards, guards);
    assert_eq!(runs::add_profiles(&mut tx, run.run, 4).await.unwrap(), 4);
    assert_eq!(runs::add_profiles(&mut tx, run.run, 3).await.unwrap(), 7);
}

async fn run_reads_back_as_it_was_made(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    runs::create(&mut tx, &new_run(run_id(7))).await.unwrap();
    let run = runs::lock(&mut tx, run_id(7)).await.unwrap().unwrap();
    assert_eq!((run.state, run.stop, run.read_done), (RunState::Queued, None, false));
    assert_eq!((run.guards, run.hold), (Guards::default(), false));
    assert_eq!(
        (run.confirm_timeout, run.deadline),
        (Duration::from_hours(2), Duration::from_hours(24))
    );
    assert_eq!((run.resumed, run.parked, run.splits_left), (START, false, 1));
    assert!(runs::lock(&mut tx, run_id(8)).await.unwrap().is_none());
    runs::note_request(&mut tx, run.run, Micros(5)).await.unwrap();
    runs::note_request(&mut tx, run.run, Micros(6)).await.unwrap();
    for at in [7, 8] {
        runs::note_acceptance(&mut tx, run.run, Micros(at)).await.unwrap();
    }
    runs::read_done(&mut tx, run.run, "{\"fields\":1}").await.unwrap();
    tx.commit().await.unwrap();
    let report = crate::read::report(&fixture.store, run.run).await.unwrap().unwrap();
    assert_eq!((report.first_request, report.last_accepted), (Some(Micros(5)), Some(Micros(8))));
    assert_eq!(report.summary.as_deref(), Some("{\"fields\":1}"));
}

#[test]
fn names_of_states_and_phases_are_those_of_the_schema() {
    for name in ["empty", "held", "ready", "accepted", "confirmed", "split", "given_up"] {
        assert_eq!(name.parse::<BatchState>().unwrap().name(), name);
    }
    assert!("gone".parse::<BatchState>().is_err());
    let phases = [Phase::Mapping, Phase::Upload, Phase::Confirm].map(Phase::name);
    assert_eq!(phases, ["mapping", "upload", "confirm"]);
}
