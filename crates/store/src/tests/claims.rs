//! Jobs, claims and requests.

use std::time::Duration;

use segue_model::{
    BatchNo, Endpoint,
    work::{Job, JobKind, Slots},
};

use super::{ACCOUNT, Engine, Fixture, LEASE, claim_id, job, job_id, permit_id, run_id, upload};
use crate::{
    Tx,
    write::{
        answers,
        jobs::{self, Failures, Subject},
        lanes::{self, Send},
        workers,
    },
};

crate::on_both_engines! {
    job_is_claimed_once,
    older_attempt_and_a_job_that_is_not_due_are_not_to_be_had,
    claim_ends_with_its_lease_unless_it_is_renewed,
    failures_in_a_row_are_counted_from_the_first,
    there_is_one_job_for_a_subject_and_a_done_one_comes_back_as_a_new_attempt,
    jobs_are_announced_oldest_first_and_then_by_batch,
    end_of_a_run_ends_its_jobs_and_spares_the_accounts_confirm_job,
    places_are_held_until_a_minute_after_the_answer_and_not_by_what_was_not_sent,
    places_of_the_last_minute_are_all_seen_once_the_minute_is_full,
    answer_is_recorded_once_and_amended_only_if_it_was_unknown,
    requests_of_runs_are_kept_and_others_forgotten_once_they_hold_no_place,
    lane_reads_back_as_it_was_saved,
    remembered_answer_is_recalled_until_it_is_too_old,
}

/// What is announced while a worker has slots for all of it.
async fn announced(tx: &mut Tx) -> Vec<Job> {
    workers::seen(tx, "worker", Slots { read: 9, upload: 9, confirm: 9, look: 0 }).await.unwrap();
    jobs::announce(tx).await.unwrap().jobs
}

async fn job_is_claimed_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    job(&mut tx, run, job_id(1)).await;
    let held = jobs::claim(&mut tx, job_id(1), 1, claim_id(1), LEASE).await.unwrap().unwrap();
    assert_eq!((held.run, held.batch), (Some(run), Some(BatchNo(0))));
    assert!(jobs::claim(&mut tx, job_id(1), 1, claim_id(2), LEASE).await.unwrap().is_none());
    assert!(jobs::held(&mut tx, claim_id(2)).await.unwrap().is_none());
    assert!(jobs::held(&mut tx, claim_id(1)).await.unwrap().is_some());
}

async fn older_attempt_and_a_job_that_is_not_due_are_not_to_be_had(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    job(&mut tx, run, job_id(1)).await;
    let due = tx.now() + Duration::from_secs(2);
    jobs::release(&mut tx, job_id(1), due, Failures::Keep).await.unwrap();
    assert!(jobs::claim(&mut tx, job_id(1), 2, claim_id(1), LEASE).await.unwrap().is_none());
    fixture.clock.advance(Duration::from_secs(2));
    assert!(jobs::claim(&mut tx, job_id(1), 1, claim_id(1), LEASE).await.unwrap().is_none());
    assert!(jobs::claim(&mut tx, job_id(1), 2, claim_id(1), LEASE).await.unwrap().is_some());
}

async fn claim_ends_with_its_lease_unless_it_is_renewed(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    job(&mut tx, run, job_id(1)).await;
    jobs::claim(&mut tx, job_id(1), 1, claim_id(1), LEASE).await.unwrap().unwrap();
    fixture.clock.advance(LEASE.saturating_sub(Duration::from_micros(1)));
    assert!(jobs::renew(&mut tx, &[claim_id(1)], LEASE).await.unwrap().is_empty());
    fixture.clock.advance(LEASE.saturating_sub(Duration::from_micros(1)));
    assert!(jobs::held(&mut tx, claim_id(1)).await.unwrap().is_some());
    assert!(jobs::expired(&mut tx).await.unwrap().is_empty());
    fixture.clock.advance(Duration::from_micros(1));
    assert!(jobs::held(&mut tx, claim_id(1)).await.unwrap().is_none());
    assert_eq!(jobs::renew(&mut tx, &[claim_id(1)], LEASE).await.unwrap(), [claim_id(1)]);
    assert_eq!(jobs::expired(&mut tx).await.unwrap(), [claim_id(1)]);
    assert_eq!(jobs::overdue(&mut tx, claim_id(1)).await.unwrap(), Some(job_id(1)));
}

async fn failures_in_a_row_are_counted_from_the_first(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    job(&mut tx, run, job_id(1)).await;
    let since = tx.now();
    for (attempt, how, expected) in [
        (1, Failures::Count, (1, Some(since))),
        (2, Failures::Count, (2, Some(since))),
        (3, Failures::Keep, (2, Some(since))),
        (4, Failures::Reset, (0, None)),
    ] {
        jobs::claim(&mut tx, job_id(1), attempt, claim_id(1), LEASE).await.unwrap().unwrap();
        let now = tx.now();
        jobs::release(&mut tx, job_id(1), now, how).await.unwrap();
        fixture.clock.advance(Duration::from_secs(1));
        let held = jobs::claim(&mut tx, job_id(1), attempt + 1, claim_id(2), LEASE).await.unwrap();
        let held = held.unwrap();
        assert_eq!((held.failures, held.failing_since), expected, "{how:?}");
        tx.execute("UPDATE jobs SET state = 'ready', claim_id = NULL", &[]).await.unwrap();
    }
}

async fn there_is_one_job_for_a_subject_and_a_done_one_comes_back_as_a_new_attempt(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    job(&mut tx, run, job_id(1)).await;
    job(&mut tx, run, job_id(2)).await;
    assert_eq!(announced(&mut tx).await.len(), 1);
    jobs::done(&mut tx, job_id(1)).await.unwrap();
    job(&mut tx, run, job_id(3)).await;
    let announced = announced(&mut tx).await;
    assert_eq!((announced[0].id, announced[0].attempt), (job_id(1), 2));
}

async fn jobs_are_announced_oldest_first_and_then_by_batch(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    let now = tx.now();
    for (n, no, late) in [(1, 2, 0), (2, 1, 0), (3, 0, 1), (4, 9, 60_000_000)] {
        let at = now + Duration::from_micros(late);
        jobs::ensure(&mut tx, job_id(n), &upload(run, no), at).await.unwrap();
    }
    fixture.clock.advance(Duration::from_secs(1));
    let order: Vec<_> = announced(&mut tx).await.iter().map(|job| job.id).collect();
    assert_eq!(order, [job_id(2), job_id(1), job_id(3)]);
}

async fn end_of_a_run_ends_its_jobs_and_spares_the_accounts_confirm_job(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    let now = tx.now();
    let confirm = Subject { kind: JobKind::Confirm, account_id: ACCOUNT, run: None, batch: None };
    jobs::ensure(&mut tx, job_id(2), &confirm, now).await.unwrap();
    job(&mut tx, run, job_id(1)).await;
    jobs::claim(&mut tx, job_id(1), 1, claim_id(1), LEASE).await.unwrap().unwrap();
    jobs::drop_run(&mut tx, run).await.unwrap();
    assert!(jobs::held(&mut tx, claim_id(1)).await.unwrap().is_none());
    let left: Vec<_> = announced(&mut tx).await.iter().map(|job| job.kind).collect();
    assert_eq!(left, [JobKind::Confirm]);
}

fn send(n: u128, claim: u128, granted: segue_model::Micros) -> Send {
    Send {
        permit: permit_id(n),
        account_id: ACCOUNT.to_owned(),
        endpoint: Endpoint::Import,
        run: Some(run_id(1)),
        batch: Some(BatchNo(0)),
        claim: Some(claim_id(claim)),
        granted,
    }
}

async fn places_are_held_until_a_minute_after_the_answer_and_not_by_what_was_not_sent(
    engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let now = tx.now();
    for n in 1..=3 {
        lanes::grant(&mut tx, &send(n, 1, now)).await.unwrap();
    }
    assert!(lanes::answer(&mut tx, permit_id(1), "fine").await.unwrap());
    assert!(lanes::answer(&mut tx, permit_id(2), "not_sent").await.unwrap());
    let answered = |places: &[segue_model::Held]| {
        let mut at: Vec<_> = places.iter().map(|place| place.answered).collect();
        at.sort();
        at
    };
    let places = lanes::places(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap();
    assert_eq!(answered(&places), [None, Some(now)]);
    fixture.clock.advance(Duration::from_mins(1));
    let places = lanes::places(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap();
    assert_eq!(answered(&places), [None]);
    assert!(lanes::places(&mut tx, ACCOUNT, Endpoint::List).await.unwrap().is_empty());
    assert!(lanes::places(&mut tx, "other", Endpoint::Import).await.unwrap().is_empty());
}

/// Whether another request may be made is the same, whether all places of the minute are looked at or not.
async fn places_of_the_last_minute_are_all_seen_once_the_minute_is_full(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let steady = Endpoint::Import.limits().steady;
    for n in 1..=u128::from(steady) {
        let lane = lanes::lock(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap();
        let places = lanes::places(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap();
        assert!(places.len() < 10, "only the last second matters");
        let now = tx.now();
        assert_eq!(lane.grant(now, &places), segue_model::Grant::Now);
        lanes::grant(&mut tx, &send(n, 1, now)).await.unwrap();
        if n > 1 {
            lanes::answer(&mut tx, permit_id(n), "fine").await.unwrap();
        }
        fixture.clock.advance(Duration::from_millis(200));
    }
    let places = lanes::places(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap();
    assert_eq!(places.len(), steady as usize, "one of them without an answer");
}

async fn answer_is_recorded_once_and_amended_only_if_it_was_unknown(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let now = tx.now();
    for (n, claim) in [(1, 1), (2, 2), (3, 3)] {
        lanes::grant(&mut tx, &send(n, claim, now)).await.unwrap();
    }
    assert!(lanes::answer(&mut tx, permit_id(1), "accepted").await.unwrap());
    assert!(!lanes::answer(&mut tx, permit_id(1), "throttled").await.unwrap());
    lanes::amend(&mut tx, permit_id(1), "not_applied").await.unwrap();
    lanes::abandon(&mut tx, claim_id(2)).await.unwrap();
    lanes::amend(&mut tx, permit_id(2), "accepted").await.unwrap();
    lanes::abandon_all(&mut tx).await.unwrap();
    let mut outcomes = Vec::new();
    for mut row in tx.rows("SELECT outcome FROM sends ORDER BY permit_id", &[]).await.unwrap() {
        outcomes.push(row.string().unwrap());
    }
    assert_eq!(outcomes, ["accepted", "accepted", "ambiguous"]);
}

async fn requests_of_runs_are_kept_and_others_forgotten_once_they_hold_no_place(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let now = tx.now();
    lanes::grant(&mut tx, &send(1, 1, now)).await.unwrap();
    lanes::grant(&mut tx, &Send { run: None, ..send(2, 1, now) }).await.unwrap();
    lanes::grant(&mut tx, &Send { run: None, ..send(3, 2, now) }).await.unwrap();
    lanes::abandon(&mut tx, claim_id(1)).await.unwrap();
    lanes::forget(&mut tx, now).await.unwrap();
    assert!(lanes::get(&mut tx, permit_id(2)).await.unwrap().is_some());
    lanes::forget(&mut tx, now + Duration::from_secs(1)).await.unwrap();
    assert!(lanes::get(&mut tx, permit_id(1)).await.unwrap().is_some());
    assert!(lanes::get(&mut tx, permit_id(2)).await.unwrap().is_none());
    assert!(lanes::get(&mut tx, permit_id(3)).await.unwrap().is_some(), "it has no answer yet");
}

async fn lane_reads_back_as_it_was_saved(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let mut lane = lanes::lock(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap();
    assert_eq!(lane, segue_model::Lane::new(Endpoint::Import.limits()));
    let now = tx.now();
    lane.throttle(now, None);
    lane.trouble();
    lanes::save(&mut tx, ACCOUNT, Endpoint::Import, &lane).await.unwrap();
    assert_eq!(lanes::lock(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap(), lane);
}

async fn remembered_answer_is_recalled_until_it_is_too_old(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let hour = Duration::from_hours(1);
    assert_eq!(answers::recall(&mut tx, "list", hour).await.unwrap(), None);
    answers::remember(&mut tx, "list", "old").await.unwrap();
    answers::remember(&mut tx, "list", "new").await.unwrap();
    fixture.clock.advance(hour.saturating_sub(Duration::from_micros(1)));
    assert_eq!(answers::recall(&mut tx, "list", hour).await.unwrap().as_deref(), Some("new"));
    fixture.clock.advance(Duration::from_micros(1));
    assert_eq!(answers::recall(&mut tx, "list", hour).await.unwrap(), None);
}
