//! What is removed when its time has come, and dead jobs.

use std::time::Duration;

use segue_model::{BatchNo, DeadJobId, DeathCause, Id, Micros, RunState};
use uuid::Uuid;

use super::{Engine, Fixture, START, claim_id, job, job_id, new_run, run_id};
use crate::{
    read,
    write::{
        dead::{self, Death},
        jobs, requests,
        requests::{Made, RequestKind},
        retention::{self, Rows},
        runs,
    },
};

crate::on_both_engines! {
    oldest_rows_are_forgotten_first_and_only_so_many,
    jobs_are_forgotten_with_runs_that_have_ended_only,
    removed_batches_cannot_be_sent_and_removed_reports_cannot_be_told,
    dead_jobs_of_a_run_are_read_page_by_page,
    dead_job_that_a_worker_has_is_not_one,
}

fn dead_id(n: u128) -> DeadJobId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn death(sha256: &str) -> Death {
    let detail = "it was delivered too often".to_owned();
    Death { cause: DeathCause::Deliveries, detail, bytes: 9, sha256: sha256.to_owned() }
}

async fn oldest_rows_are_forgotten_first_and_only_so_many(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    for n in 0..5 {
        let made = Made { made: "run".to_owned(), content: String::new() };
        requests::note(&mut tx, RequestKind::Run, &format!("r{n}"), &made).await.unwrap();
        dead::note_message(&mut tx, dead_id(n), &death(&n.to_string())).await.unwrap();
        crate::write::answers::remember(&mut tx, &n.to_string(), "yes").await.unwrap();
        fixture.clock.advance(Duration::from_secs(1));
    }
    // Those of the first four seconds.
    let before = START + Duration::from_secs(4);
    for rows in [Rows::Requests, Rows::Answers, Rows::DeadJobs] {
        for expected in [3, 1, 0] {
            let forgotten = retention::forget(&mut tx, rows, before, 3).await.unwrap();
            assert_eq!(forgotten, expected, "{}", rows.name());
        }
    }
    let left = requests::find(&mut tx, RequestKind::Run, "r4").await.unwrap();
    assert!(left.is_some());
}

async fn jobs_are_forgotten_with_runs_that_have_ended_only(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    job(&mut tx, run, job_id(1)).await;
    let later = START + Duration::from_secs(1);
    assert_eq!(retention::forget(&mut tx, Rows::Jobs, later, 9).await.unwrap(), 0);
    runs::end(&mut tx, run, RunState::Failed).await.unwrap();
    assert_eq!(retention::forget(&mut tx, Rows::Jobs, START, 9).await.unwrap(), 0);
    assert_eq!(retention::forget(&mut tx, Rows::Jobs, later, 9).await.unwrap(), 1);
    assert_eq!(jobs::attempt(&mut tx, job_id(1)).await.unwrap(), None);
}

async fn removed_batches_cannot_be_sent_and_removed_reports_cannot_be_told(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    let standing = retention::standing(&mut tx, run).await.unwrap().unwrap();
    assert!(standing.ended.is_none() && !standing.can_be_retried);
    runs::end(&mut tx, run, RunState::Failed).await.unwrap();
    let named = retention::reports(&mut tx, run).await.unwrap();
    assert_eq!(named, ["0-mapping", "0-warnings"].map(str::to_owned).into());
    fixture.clock.advance(Duration::from_hours(48));
    retention::remove_batches(&mut tx, run).await.unwrap();
    retention::remove_reports(&mut tx, run).await.unwrap();
    let standing = retention::standing(&mut tx, run).await.unwrap().unwrap();
    assert!(standing.batches_removed && standing.reports_removed);
    assert!(retention::reports(&mut tx, run).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    for (kind, rows) in [(read::ReportKind::Rejects, 1), (read::ReportKind::Warnings, 3)] {
        let reports = read::reports(&fixture.store, run, kind).await.unwrap().unwrap();
        let removed = read::Removed { after: Duration::from_hours(48), rows };
        assert_eq!((reports.removed, reports.groups.len()), (Some(removed), 0));
    }
}

async fn dead_jobs_of_a_run_are_read_page_by_page(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    runs::create(&mut tx, &new_run(run_id(2))).await.unwrap();
    job(&mut tx, run, job_id(1)).await;
    job(&mut tx, run_id(2), job_id(2)).await;
    for n in [1, 2] {
        let held = jobs::waiting(&mut tx, job_id(n)).await.unwrap().unwrap();
        for _ in 0..2 {
            dead::note(&mut tx, dead_id(n), &held, 1, &death("x")).await.unwrap();
        }
    }
    dead::note_message(&mut tx, dead_id(3), &death("y")).await.unwrap();
    tx.commit().await.unwrap();
    let ids = async |run, after, most| {
        let found = dead::list(&fixture.store, run, after, most).await.unwrap();
        found.into_iter().map(|dead| (dead.id, dead.deaths)).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, None, 2).await, [(dead_id(1), 2), (dead_id(2), 2)]);
    assert_eq!(ids(None, Some(dead_id(2)), 2).await, [(dead_id(3), 1)]);
    assert_eq!(ids(Some(run_id(2)), None, 9).await, [(dead_id(2), 2)]);
    assert_eq!(ids(Some(run_id(2)), Some(dead_id(2)), 9).await, []);
    let mut tx = fixture.tx().await;
    let found = dead::get(&mut tx, dead_id(1)).await.unwrap().unwrap();
    let subject = found.subject.unwrap();
    assert_eq!((subject.run, subject.batch), (Some(run), Some(BatchNo(0))));
    assert_eq!(subject.next, Some(START), "it is to be announced");
    jobs::done(&mut tx, job_id(1)).await.unwrap();
    let found = dead::get(&mut tx, dead_id(1)).await.unwrap().unwrap();
    assert_eq!(found.subject.unwrap().next, None);
    assert_eq!(dead::get(&mut tx, dead_id(9)).await.unwrap(), None);
}

async fn dead_job_that_a_worker_has_is_not_one(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    job(&mut tx, run, job_id(1)).await;
    let held = jobs::waiting(&mut tx, job_id(1)).await.unwrap().unwrap();
    dead::note(&mut tx, dead_id(1), &held, 1, &death("x")).await.unwrap();
    jobs::claim(&mut tx, job_id(1), 1, claim_id(1), super::LEASE).await.unwrap().unwrap();
    assert!(jobs::waiting(&mut tx, job_id(1)).await.unwrap().is_none());
    dead::revive(&mut tx, job_id(1)).await.unwrap();
    assert!(!dead::forget(&mut tx, dead_id(1)).await.unwrap());
}

/// The rows that are forgotten are found without going through all that there are.
#[tokio::test]
async fn age_is_looked_up_in_an_index() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let mut tx = fixture.tx().await;
    for rows in Rows::ALL {
        let explain = format!("EXPLAIN QUERY PLAN {}", rows.forget());
        let args = crate::sql::args![Micros(1), 9_u32];
        let mut steps = String::new();
        for mut row in tx.rows(Box::leak(explain.into_boxed_str()), args).await.unwrap() {
            for _ in 0..3 {
                row.int().unwrap();
            }
            steps.push_str(&row.string().unwrap());
            steps.push('\n');
        }
        assert!(!steps.contains("SCAN"), "{}:\n{steps}", rows.name());
    }
}
