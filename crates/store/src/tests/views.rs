//! Progress and report.

use std::time::Duration;

use segue_model::{BatchNo, Endpoint, RejectReason, RunState};

use super::{ACCOUNT, Engine, Fixture, accepted, claim_id, permit_id, rejects, run_id, staged};
use crate::{
    read,
    write::{
        batches::{self, BatchState},
        lanes, runs,
    },
};

crate::on_both_engines! {
    run_that_is_not_there_has_no_view,
    report_names_each_reject_once_in_the_order_of_the_source,
    requests_that_may_have_arrived_twice_are_counted_as_repeated,
    numbers_add_up_in_every_view_while_batches_are_confirmed,
    unfinished_runs_are_listed_oldest_first,
}

async fn run_that_is_not_there_has_no_view(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    assert!(read::progress(&fixture.store, run_id(1)).await.unwrap().is_none());
    assert!(read::report(&fixture.store, run_id(1)).await.unwrap().is_none());
    assert!(read::planned(&fixture.store, run_id(1)).await.unwrap().is_none());
    assert!(read::batches(&fixture.store, run_id(1)).await.unwrap().is_empty());
}

async fn report_names_each_reject_once_in_the_order_of_the_source(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    batches::stage(&mut tx, run, &staged(1), BatchState::Ready).await.unwrap();
    let now = tx.now();
    batches::accept(&mut tx, run, BatchNo(0), &accepted("k1", 9), now).await.unwrap();
    let refused = rejects(RejectReason::RefusedByKlaviyo, 10, "1-refused");
    batches::refuse_all(&mut tx, run, BatchNo(1), &refused).await.unwrap();
    tx.commit().await.unwrap();
    let report = read::report(&fixture.store, run).await.unwrap().unwrap();
    assert_eq!(report.reject_reports, ["0-mapping", "0-refused", "1-mapping", "1-refused"]);
    assert_eq!(report.warning_reports, ["0-warnings", "1-warnings"]);
    let by_reason = [(RejectReason::EmailInvalid, 2), (RejectReason::RefusedByKlaviyo, 11)];
    assert_eq!(report.rejects_by_reason, by_reason.into());
    assert_eq!((report.batches, report.bytes), (2, 900));
    assert_eq!(report.counts.rejected, 13);
    assert_eq!(report.undelivered, [("pending".to_owned(), 9)].into());
    let progress = read::progress(&fixture.store, run).await.unwrap().unwrap();
    assert_eq!((progress.staged, progress.accepted, progress.confirmed), (20, 9, 0));
    assert_eq!((progress.state, progress.read_done), (RunState::Running, false));
}

async fn requests_that_may_have_arrived_twice_are_counted_as_repeated(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    let outcomes = ["ambiguous", "ambiguous", "accepted", "throttled", "not_applied", "not_sent"];
    for (n, outcome) in (1..).zip(outcomes) {
        let send = lanes::Send {
            permit: permit_id(n),
            account_id: ACCOUNT.to_owned(),
            endpoint: Endpoint::Import,
            run: Some(run),
            batch: Some(BatchNo(0)),
            claim: Some(claim_id(n)),
            granted: tx.now(),
        };
        lanes::grant(&mut tx, &send).await.unwrap();
        lanes::answer(&mut tx, permit_id(n), outcome).await.unwrap();
    }
    runs::note_throttled(&mut tx, ACCOUNT).await.unwrap();
    tx.commit().await.unwrap();
    let report = read::report(&fixture.store, run).await.unwrap().unwrap();
    assert_eq!((report.requests, report.repeated_sends, report.throttled), (5, 2, 2));
}

/// Batches and rejects are two statements; both must show the same moment.
async fn numbers_add_up_in_every_view_while_batches_are_confirmed(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let writer = tokio::spawn({
        let store = fixture.store.clone();
        async move {
            for no in 1..200 {
                let mut tx = store.begin().await.unwrap();
                batches::stage(&mut tx, run, &staged(no), BatchState::Ready).await.unwrap();
                let refused = rejects(RejectReason::RefusedByKlaviyo, 10, "refused");
                batches::refuse_all(&mut tx, run, BatchNo(no), &refused).await.unwrap();
                tx.commit().await.unwrap();
            }
        }
    });
    let mut looks = 0;
    while !writer.is_finished() {
        let progress = read::progress(&fixture.store, run).await.unwrap().unwrap();
        progress.counts.check().unwrap();
        looks += 1;
    }
    writer.await.unwrap();
    assert!(looks > 1, "nothing was looked at while it changed");
}

async fn unfinished_runs_are_listed_oldest_first(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    fixture.clock.advance(Duration::from_secs(1));
    let mut tx = fixture.tx().await;
    runs::create(&mut tx, &super::new_run(run_id(0))).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(read::unfinished(&fixture.store).await.unwrap(), [run, run_id(0)]);
    let mut tx = fixture.tx().await;
    runs::end(&mut tx, run, RunState::Cancelled).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(read::unfinished(&fixture.store).await.unwrap(), [run_id(0)]);
    let planned = read::planned(&fixture.store, run).await.unwrap().unwrap();
    assert_eq!((planned.state, planned.account_id.as_str()), (RunState::Cancelled, ACCOUNT));
    let batches = read::batches(&fixture.store, run).await.unwrap();
    assert_eq!((batches[0].batch, batches[0].state.as_str()), (BatchNo(0), "ready"));
}
