use std::{fmt::Debug, time::Duration};

use prost::Message as _;
use segue_model::{
    BatchNo, ContentHash, Pii, RejectReason, RunId, RunState, WarningReason,
    work::{Acceptance, Child, Confirmation, Rejects, StagedBatch},
};
use segue_proto::v1::{self, list_rejects_request::Kind};
use segue_staging::{Key, Record, Writer};
use segue_store::{
    test_util::Engine,
    write::{
        batches::{self, BatchState},
        retention,
        runs::Origin,
    },
};
use serde::Serialize;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{Fixture, blamed, missed, of_export, run_id, staged};

segue_store::on_both_engines! {
    rejects_of_all_phases_and_halves_come_in_the_order_of_the_source,
    retry_names_the_objects_of_the_run_that_left_its_rows,
}

const PLAN: &str = r#"{"kind":"frozen","manifest":{"objects":[
    {"name":"people/a.csv","version":{}},{"name":"people/b.csv","version":{}}]}}"#;

/// A row's place, to be compared with what is told.
type At = (String, u64);

async fn list(
    fixture: &Fixture,
    run: RunId,
    kind: Kind,
) -> Result<Vec<v1::ListRejectsResponse>, tonic::Status> {
    let request = v1::ListRejectsRequest { run_id: run.to_string(), kind: kind.into() };
    let mut stream = fixture.client().list_rejects(request).await?.into_inner();
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
    Ok(messages)
}

fn rows(messages: Vec<v1::ListRejectsResponse>) -> Vec<v1::RowReport> {
    messages.into_iter().flat_map(|message| message.rows).collect()
}

fn places(rows: &[v1::RowReport]) -> Vec<At> {
    rows.iter().map(|row| (row.source.clone(), row.row)).collect()
}

fn a(row: u64) -> At {
    ("people/a.csv".to_owned(), row)
}

fn b(row: u64) -> At {
    ("people/b.csv".to_owned(), row)
}

/// Puts a report of rows of one object; returns the name by which the store knows it.
fn put<R: Serialize + Copy + Debug>(
    fixture: &Fixture,
    key: &Key,
    object: u32,
    rows: &[u64],
    reason: R,
) -> String {
    let mut writer = Writer::new();
    for row in rows {
        let identifier = Pii::new(format!("row{row}@example.com"));
        let (field, detail) = ("email".to_owned(), format!("row {row}"));
        writer.push(&Record { object, row: *row, identifier, field, reason, detail });
    }
    fixture.staging.put(key, bytes::Bytes::from(writer.finish())).unwrap();
    key.to_string()
}

fn rejects_key(run: RunId, name: &str) -> Key {
    Key::Rejects { run, name: name.parse().unwrap() }
}

fn rejects(
    fixture: &Fixture,
    run: RunId,
    name: &str,
    (object, rows): (u32, &[u64]),
    reason: RejectReason,
) -> Rejects {
    let report = put(fixture, &rejects_key(run, name), object, rows, reason);
    Rejects {
        by_reason: [(reason, rows.len() as u64)].into(),
        report: Some(report),
        ..Rejects::default()
    }
}

async fn stage(fixture: &Fixture, run: RunId, batch: StagedBatch) {
    let mut tx = fixture.tx().await;
    assert!(batches::stage(&mut tx, run, &batch, BatchState::Ready).await.unwrap());
    tx.commit().await.unwrap();
}

async fn rejects_of_all_phases_and_halves_come_in_the_order_of_the_source(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.planned(1, of_export(1), PLAN).await;
    let mapping = |no: &str, at| {
        rejects(&fixture, run, &format!("{no}-mapping"), at, RejectReason::EmailInvalid)
    };
    // The first batch has rejects of all three phases, the second is split, the third begins a new file.
    let first = mapping("0", (0, &[3, 9]));
    stage(&fixture, run, StagedBatch { rejects: first, ..staged(0) }).await;
    let second = mapping("1", (0, &[20]));
    stage(&fixture, run, StagedBatch { rejects: second, ..staged(1) }).await;
    let third = mapping("2", (1, &[2]));
    stage(&fixture, run, StagedBatch { rejects: third, ..staged(2) }).await;
    assert_eq!(
        places(&rows(list(&fixture, run, Kind::Rejects).await.unwrap())),
        [a(3), a(9), a(20), b(2)],
        "what is known so far"
    );

    let mut tx = fixture.tx().await;
    let now = tx.now();
    let refused = rejects(&fixture, run, "0-refused", (0, &[2, 7]), RejectReason::RefusedByKlaviyo);
    let acceptance = Acceptance { klaviyo_job: "k0".to_owned(), sent: 8, bytes: 900, refused };
    assert!(batches::accept(&mut tx, run, BatchNo(0), &acceptance, now).await.unwrap());
    // Klaviyo tells import errors in an order of its own.
    let failed = rejects(&fixture, run, "0-import", (0, &[11, 5]), RejectReason::ImportFailed);
    confirm(&mut tx, run, BatchNo(0), "k0", failed).await;
    let child = |hash| Child { hash: ContentHash(hash), profiles: 5, bytes: 500 };
    let halves = [child(1), child(2)];
    let none = Rejects::default();
    let [left, right] =
        batches::split(&mut tx, run, BatchNo(1), &halves, &none).await.unwrap().unwrap();
    for (half, job, row) in [(right, "k2", 28), (left, "k1", 17)] {
        let accepted = Acceptance {
            klaviyo_job: job.to_owned(),
            sent: 5,
            bytes: 500,
            refused: Rejects::default(),
        };
        assert!(batches::accept(&mut tx, run, half, &accepted, now).await.unwrap());
        let failed = rejects(&fixture, run, job, (0, &[row]), RejectReason::ImportFailed);
        confirm(&mut tx, run, half, job, failed).await;
    }
    tx.commit().await.unwrap();
    let rows = rows(list(&fixture, run, Kind::Unspecified).await.unwrap());
    let expected = [a(2), a(3), a(5), a(7), a(9), a(11), a(17), a(20), a(28), b(2)];
    assert_eq!(places(&rows), expected);
    let expected = v1::RowReport {
        source: "people/a.csv".to_owned(),
        row: 7,
        identifier: "row7@example.com".to_owned(),
        field: "email".to_owned(),
        reason: "refused_by_klaviyo".to_owned(),
        detail: "row 7".to_owned(),
    };
    assert_eq!(rows[3], expected);
}

async fn confirm(
    tx: &mut segue_store::Tx,
    run: RunId,
    batch: BatchNo,
    klaviyo_job: &str,
    rejects: Rejects,
) {
    let confirmation = Confirmation {
        run,
        batch,
        klaviyo_job: klaviyo_job.to_owned(),
        rejects,
        undelivered: 0,
        undelivered_reason: segue_model::UndeliveredReason::Unconfirmed,
    };
    assert!(batches::confirm(tx, &confirmation).await.unwrap());
}

async fn retry_names_the_objects_of_the_run_that_left_its_rows(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut of = None;
    for n in 1..=3 {
        let plan = if n == 1 { PLAN } else { r#"{"kind":"retry","manifest":null}"# };
        let origin = Origin { retry_of: of, ..Origin::default() };
        of = Some(fixture.planned(n, origin, plan).await);
    }
    let run = of.unwrap();
    let rejects = rejects(&fixture, run, "0", (1, &[4]), RejectReason::ImportFailed);
    stage(&fixture, run, StagedBatch { rejects, ..staged(0) }).await;
    let rows = rows(list(&fixture, run, Kind::Rejects).await.unwrap());
    assert_eq!(places(&rows), [b(4)]);
}

#[tokio::test]
async fn warnings_are_a_list_of_their_own() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.planned(1, of_export(1), PLAN).await;
    let key = Key::Warnings { run, name: "0-mapping".parse().unwrap() };
    let warnings = put(&fixture, &key, 0, &[5, 6], WarningReason::PhoneInvalid);
    let rejects = rejects(&fixture, run, "0-mapping", (0, &[2]), RejectReason::EmailMissing);
    let warnings_report = Some(warnings);
    stage(&fixture, run, StagedBatch { rejects, warnings_report, ..staged(0) }).await;
    let warnings = rows(list(&fixture, run, Kind::Warnings).await.unwrap());
    assert_eq!(places(&warnings), [a(5), a(6)]);
    assert_eq!(warnings[0].reason, "phone_invalid");
    assert_eq!(places(&rows(list(&fixture, run, Kind::Rejects).await.unwrap())), [a(2)]);
}

#[tokio::test]
async fn many_rows_come_in_messages_of_some() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.planned(1, of_export(1), PLAN).await;
    for no in 0..4_u32 {
        let first = u64::from(no) * 400 + 2;
        let numbers: Vec<u64> = (first..first + 400).collect();
        let at = (0, &numbers[..]);
        let rejects = rejects(&fixture, run, &no.to_string(), at, RejectReason::EmailInvalid);
        stage(&fixture, run, StagedBatch { rejects, ..staged(no) }).await;
    }
    let messages = list(&fixture, run, Kind::Rejects).await.unwrap();
    let sizes: Vec<usize> = messages.iter().map(|message| message.rows.len()).collect();
    assert_eq!(sizes, [500, 500, 500, 100]);
    let expected: Vec<At> = (2..1602).map(a).collect();
    assert_eq!(places(&rows(messages)), expected);
}

/// A batch with rejects of half a megabyte each.
async fn stage_long_rows(fixture: &Fixture, run: RunId, no: u32, rows: u64) {
    let reason = RejectReason::EmailTooLong;
    let mut writer = Writer::new();
    for row in 0..rows {
        let identifier = Pii::new("x".repeat(500_000));
        let (field, detail) = (String::new(), String::new());
        writer.push(&Record { object: 0, row, identifier, field, reason, detail });
    }
    let key = rejects_key(run, &no.to_string());
    fixture.staging.put(&key, bytes::Bytes::from(writer.finish())).unwrap();
    let rejects = Rejects {
        by_reason: [(reason, rows)].into(),
        report: Some(key.to_string()),
        ..Rejects::default()
    };
    stage(fixture, run, StagedBatch { rejects, ..staged(no) }).await;
}

#[tokio::test]
async fn long_rows_make_no_long_messages() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.planned(1, of_export(1), PLAN).await;
    stage_long_rows(&fixture, run, 0, 12).await;
    let messages = list(&fixture, run, Kind::Rejects).await.unwrap();
    assert!(messages.iter().all(|message| message.encoded_len() <= 1 << 20));
    assert_eq!(messages.len(), 6);
    assert_eq!(places(&rows(messages)), (0..12).map(a).collect::<Vec<_>>());
}

#[tokio::test]
async fn run_without_reports_has_an_empty_list() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.run(1, of_export(1)).await;
    assert_eq!(list(&fixture, run, Kind::Rejects).await.unwrap(), []);
}

#[tokio::test]
async fn report_that_is_gone_or_damaged_is_data_loss_and_not_a_shorter_list() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.planned(1, of_export(1), PLAN).await;
    for no in 0..2_u32 {
        let at = (0, &[u64::from(no) + 2][..]);
        let rejects = rejects(&fixture, run, &no.to_string(), at, RejectReason::EmailInvalid);
        stage(&fixture, run, StagedBatch { rejects, ..staged(no) }).await;
    }
    let path = fixture.folder.path().join(rejects_key(run, "1").to_string());
    let mut content = std::fs::read(&path).unwrap();
    *content.last_mut().unwrap() ^= 1;
    std::fs::write(&path, content).unwrap();
    let damaged = list(&fixture, run, Kind::Rejects).await.unwrap_err();
    assert_eq!((damaged.code(), damaged.message().contains("damaged")), (Code::DataLoss, true));
    fixture.staging.delete(&rejects_key(run, "1")).unwrap();
    let gone = list(&fixture, run, Kind::Rejects).await.unwrap_err();
    assert_eq!((gone.code(), gone.message().contains("is gone")), (Code::DataLoss, true));
}

#[tokio::test]
async fn reports_that_were_removed_are_told_so_and_not_an_empty_list() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.planned(1, of_export(1), PLAN).await;
    let rejects = rejects(&fixture, run, "0", (0, &[2, 3]), RejectReason::EmailInvalid);
    let batch = StagedBatch { rejects, warnings: 0, ..staged(0) };
    stage(&fixture, run, batch).await;
    fixture.end(run, RunState::Failed).await;
    fixture.clock.advance(Duration::from_hours(31 * 24));
    let mut tx = fixture.tx().await;
    retention::remove_reports(&mut tx, run).await.unwrap();
    tx.commit().await.unwrap();
    fixture.staging.delete_reports(run).unwrap();
    let removed = list(&fixture, run, Kind::Rejects).await.unwrap_err();
    assert_eq!(removed.code(), Code::FailedPrecondition);
    for words in [&run.to_string(), "2 of them", "removed 31 days after"] {
        assert!(removed.message().contains(words), "{words}: {removed:?}");
    }
    let details = removed.get_error_details();
    let violation = &details.precondition_failure().unwrap().violations[0];
    assert_eq!(
        (violation.r#type.as_str(), &violation.subject),
        ("REPORTS_REMOVED", &run.to_string())
    );
    // There never was a warning to be told of.
    assert_eq!(rows(list(&fixture, run, Kind::Warnings).await.unwrap()), []);
}

#[tokio::test]
async fn what_makes_no_list_is_blamed_on_its_field() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let request = v1::ListRejectsRequest { run_id: "run".to_owned(), kind: 0 };
    assert_eq!(blamed(&fixture.client().list_rejects(request).await.unwrap_err()), "run_id");
    let request = v1::ListRejectsRequest { run_id: run_id(1).to_string(), kind: 9 };
    assert_eq!(blamed(&fixture.client().list_rejects(request).await.unwrap_err()), "kind");
    let status = list(&fixture, run_id(1), Kind::Rejects).await.unwrap_err();
    assert_eq!(missed(&status).1, run_id(1).to_string());
}

/// Each stream has a batch's reports in memory, so there are only so many; one that is dropped makes room.
#[tokio::test]
async fn too_many_lists_at_once_are_refused_until_one_ends() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.planned(1, of_export(1), PLAN).await;
    // More than the transport takes of a stream that nobody reads.
    for no in 0..12_u32 {
        stage_long_rows(&fixture, run, no, 1).await;
    }
    let request = v1::ListRejectsRequest { run_id: run.to_string(), kind: 0 };
    let mut streams = Vec::new();
    let refused = loop {
        match fixture.client().list_rejects(request.clone()).await {
            Ok(stream) => streams.push(stream),
            Err(status) => break status,
        }
        assert!(streams.len() <= 32);
    };
    assert_eq!((streams.len(), refused.code()), (32, Code::ResourceExhausted));
    streams.pop();
    let again = async {
        while fixture.client().list_rejects(request.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), again).await.unwrap();
}
