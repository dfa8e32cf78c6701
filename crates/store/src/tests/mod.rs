//! What the statements do, on a real database of their own, of either engine.

mod admin;
mod claims;
mod engine;
mod klaviyo;
mod life;
mod plans;
mod postgres;
mod races;
mod retention;
mod views;

use std::{collections::BTreeMap, time::Duration};

use segue_model::{
    BatchNo, ClaimId, ContentHash, Id, JobId, Micros, PermitId, RejectReason, RunId,
    work::{Acceptance, JobKind, Rejects, StagedBatch},
};
use uuid::Uuid;

use crate::{
    ManualClock, Store, Tx,
    test_util::{Engine, TestDatabase},
    write::{
        batches::{self, BatchState},
        columns::RunColumns,
        jobs::{self, Subject},
        runs::{self, NewRun, Origin},
    },
};

const LEASE: Duration = Duration::from_secs(5);
const START: Micros = Micros(1_790_000_000_000_000);
const ACCOUNT: &str = "AbC123";

/// A database of its own, with a clock that stands still.
struct Fixture {
    store: Store,
    clock: ManualClock,
    database: TestDatabase,
}

impl Fixture {
    async fn new(engine: Engine) -> Self {
        let clock = ManualClock::at(START);
        let database = TestDatabase::new(engine).await;
        let store = database.store(clock.clone()).await;
        Self { store, clock, database }
    }

    async fn tx(&self) -> Tx {
        self.store.begin().await.unwrap()
    }

    /// A run that has begun, with one batch of 10 profiles that is ready.
    async fn run_with_a_batch(&self) -> RunId {
        let run = run_id(1);
        let mut tx = self.tx().await;
        runs::create(&mut tx, &new_run(run)).await.unwrap();
        runs::start(&mut tx, run).await.unwrap();
        assert!(batches::stage(&mut tx, run, &staged(0), BatchState::Ready).await.unwrap());
        tx.commit().await.unwrap();
        run
    }
}

fn run_id(n: u128) -> RunId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn job_id(n: u128) -> JobId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn claim_id(n: u128) -> ClaimId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn permit_id(n: u128) -> PermitId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn new_run(run: RunId) -> NewRun {
    NewRun {
        run,
        account_id: ACCOUNT.to_owned(),
        list_id: "XyZ789".to_owned(),
        plan: "{}".to_owned(),
        hold: false,
        guards: segue_model::Guards::default(),
        guards_overridden: false,
        trial_rows: None,
        freshness: None,
        segments: None,
        columns: RunColumns::default(),
        confirm_timeout: Duration::from_hours(2),
        deadline: Duration::from_hours(24),
        splits: 1,
        frozen: true,
        origin: Origin::default(),
    }
}

/// 13 rows: 10 profiles, 2 duplicates, 1 reject.
fn staged(no: u32) -> StagedBatch {
    StagedBatch {
        batch: BatchNo(no),
        hash: ContentHash(no.into()),
        profiles: 10,
        bytes: 1000,
        rows: 13,
        duplicates: 2,
        rejects: rejects(RejectReason::EmailInvalid, 1, &format!("{no}-mapping")),
        warnings: 3,
        warnings_report: Some(format!("{no}-warnings")),
        objects: BTreeMap::new(),
    }
}

fn rejects(reason: RejectReason, n: u64, report: &str) -> Rejects {
    Rejects {
        by_reason: [(reason, n)].into(),
        report: Some(report.to_owned()),
        ..Rejects::default()
    }
}

fn accepted(klaviyo_job: &str, sent: u64) -> Acceptance {
    let refused = match 10 - sent {
        0 => Rejects::default(),
        n => rejects(RejectReason::RefusedByKlaviyo, n, "0-refused"),
    };
    Acceptance { klaviyo_job: klaviyo_job.to_owned(), sent, bytes: 900, refused }
}

fn upload(run: RunId, no: u32) -> Subject<'static> {
    Subject { kind: JobKind::Upload, account_id: ACCOUNT, run: Some(run), batch: Some(BatchNo(no)) }
}

/// An upload job for batch 0 that is due now.
async fn job(tx: &mut Tx, run: RunId, id: JobId) {
    let now = tx.now();
    jobs::ensure(tx, id, &upload(run, 0), now).await.unwrap();
}
