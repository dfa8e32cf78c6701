use std::time::Duration;

use segue_model::{BatchNo, Cause, ClaimId, Endpoint, FailReason, Id, PermitId, RunState, Who};
use segue_proto::{duration, timestamp, v1};
use segue_store::{
    test_util::Engine,
    write::{
        guards, lanes,
        runs::{self, Origin},
    },
};
use uuid::Uuid;

use super::{ACCOUNT, Fixture, LIST, START, blamed, connection_id, export_id, missed, run_id};

segue_store::on_both_engines! { run_is_told_with_all_its_numbers, failed_run_says_why }

async fn get(fixture: &Fixture, run_id: &str) -> Result<v1::Run, tonic::Status> {
    let request = v1::GetRunRequest { run_id: run_id.to_owned() };
    let answer = fixture.client().get_run(request).await?;
    Ok(answer.into_inner().run.unwrap())
}

async fn run_is_told_with_all_its_numbers(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let origin = Origin {
        cause: Cause::Retry,
        export: Some(export_id(1)),
        connection: Some(connection_id(2)),
        request_id: Some("monday".to_owned()),
        retry_of: Some(run_id(3)),
        trace: None,
        started_by: Who { subject: "token:7".to_owned(), name: "Nightly".to_owned() },
        due: Some(START),
        missed: 2,
    };
    let run = fixture.run(4, origin).await;
    let queued = get(&fixture, &run.to_string()).await.unwrap();
    assert_eq!(queued.state(), v1::RunState::Queued);
    assert_eq!(queued.counts, Some(v1::Counts::default()));
    assert_eq!((queued.started_at, queued.ended_at), (None, None));

    let second = Duration::from_secs(1);
    fixture.clock.advance(second);
    fixture.begin(run).await;
    let modified = Some(START - 5 * second);
    let segments = r#"[{"name":"a.csv","objects":1,"modified":null}]"#.to_owned();
    let mut tx = fixture.tx().await;
    let seen = guards::Sighting { segments, modified, same: true };
    guards::note_source(&mut tx, run, &seen).await.unwrap();
    tx.commit().await.unwrap();
    for no in 0..3 {
        fixture.stage(run, no).await;
    }
    send(&fixture, 1, "ambiguous").await;
    send(&fixture, 2, "accepted").await;
    send(&fixture, 3, "throttled").await;
    fixture.clock.advance(second);
    fixture.accept(run, 0).await;
    fixture.accept(run, 1).await;
    fixture.confirm(run, 0).await;
    let told = get(&fixture, &run.to_string()).await.unwrap();
    let expected = v1::Run {
        id: run.to_string(),
        export_id: export_id(1).to_string(),
        state: v1::RunState::Running.into(),
        trigger: v1::Trigger::Retry.into(),
        counts: Some(v1::Counts {
            rows_read: 39,
            delivered: 9,
            rejected: 4,
            duplicates: 6,
            unchanged: 0,
            suppressed: 0,
            undelivered: 20,
            warnings: 9,
            batches: 3,
            requests: 3,
            repeated_sends: 1,
            throttled: 1,
            bytes: 1800,
            rejects_by_reason: [("email_invalid".to_owned(), 3), ("import_failed".to_owned(), 1)]
                .into(),
        }),
        failure: None,
        connection_id: connection_id(2).to_string(),
        account_id: ACCOUNT.to_owned(),
        list_id: LIST.to_owned(),
        request_id: "monday".to_owned(),
        retry_of: run_id(3).to_string(),
        created_at: Some(timestamp(START)),
        started_at: Some(timestamp(START + second)),
        first_request_at: Some(timestamp(START + second)),
        last_accepted_at: Some(timestamp(START + second + second)),
        ended_at: None,
        seq: 0,
        due_at: Some(timestamp(START)),
        missed: 2,
        started_by: "token:7".to_owned(),
        started_by_name: "Nightly".to_owned(),
        guards_overridden: false,
        trial_rows: 0,
        segments: vec![v1::SegmentCounts { name: "a.csv".to_owned(), ..Default::default() }],
        // Nobody has counted by segment.
        not_by_segment: Some(v1::SegmentCounts {
            name: String::new(),
            rows_read: 39,
            duplicates: 6,
            rejected: 4,
            delivered: None,
        }),
        source_modified_at: modified.map(timestamp),
        source_age: Some(duration(Duration::from_secs(6))),
        same_source: true,
    };
    assert_eq!(told, expected);
}

/// A request of run 4 to Klaviyo for its batch 0.
async fn send(fixture: &Fixture, n: u128, outcome: &'static str) {
    let mut tx = fixture.tx().await;
    let permit: PermitId = Id::from_uuid(Uuid::from_u128(n));
    let claim: ClaimId = Id::from_uuid(Uuid::from_u128(n));
    let now = tx.now();
    let send = lanes::Send {
        permit,
        account_id: ACCOUNT.to_owned(),
        endpoint: Endpoint::Import,
        run: Some(run_id(4)),
        batch: Some(BatchNo(0)),
        claim: Some(claim),
        granted: now,
    };
    lanes::grant(&mut tx, &send).await.unwrap();
    lanes::answer(&mut tx, permit, outcome).await.unwrap();
    runs::note_request(&mut tx, run_id(4), now).await.unwrap();
    tx.commit().await.unwrap();
}

async fn failed_run_says_why(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run(1, Origin::default()).await;
    let mut tx = fixture.tx().await;
    runs::fail(&mut tx, run, FailReason::ListNotFound, "it was deleted").await.unwrap();
    tx.commit().await.unwrap();
    // Until it has ended it may still deliver what was accepted: nobody should take it for over.
    assert_eq!(get(&fixture, &run.to_string()).await.unwrap().failure, None);
    fixture.end(run, RunState::Failed).await;
    let told = get(&fixture, &run.to_string()).await.unwrap();
    let detail = "it was deleted".to_owned();
    assert_eq!(told.failure, Some(v1::Failure { reason: "list_not_found".to_owned(), detail }));
    assert_eq!((told.state(), told.trigger()), (v1::RunState::Failed, v1::Trigger::CommandLine));
    assert_eq!((told.export_id, told.connection_id, told.retry_of), Default::default());
    assert_eq!(told.ended_at, Some(timestamp(START)));
}

#[tokio::test]
async fn run_that_is_not_there_is_named() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let id = run_id(1).to_string();
    let status = get(&fixture, &id).await.unwrap_err();
    assert_eq!(missed(&status), ("segue.v1.Run".to_owned(), id));
}

#[tokio::test]
async fn text_that_is_no_id_is_blamed_on_its_field() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    for bad in ["", "run_7", "exp_00000000-0000-0000-0000-000000000001"] {
        assert_eq!(blamed(&get(&fixture, bad).await.unwrap_err()), "run_id", "{bad:?}");
    }
}
