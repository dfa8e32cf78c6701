//! The service as callers see it: a real server on loopback, over a store on either engine that it can only
//! read, and real report objects.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail tests by panicking")]

mod list;
mod rejects;
mod run;
mod watch;

use std::{collections::BTreeMap, time::Duration};

use segue_model::{
    BatchNo, Cause, ConnectionId, ContentHash, ExportId, Id, Micros, RejectReason, RunId, RunState,
    work::{Acceptance, Confirmation, Rejects, StagedBatch},
};
use segue_proto::v1::status_service_client::StatusServiceClient;
use segue_staging::Staging;
use segue_status::{Status, status_service};
use segue_store::{
    ManualClock, Store, Tx,
    test_util::{Engine, TestDatabase},
    write::{
        batches::{self, BatchState},
        columns::RunColumns,
        runs::{self, NewRun, Origin},
    },
};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;

const START: Micros = Micros(1_790_000_000_000_000);
const ACCOUNT: &str = "AbC123";
const LIST: &str = "XyZ789";

/// A server, and what it reads.
struct Fixture {
    client: StatusServiceClient<Channel>,
    store: Store,
    clock: ManualClock,
    staging: Staging,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    _stop: DropGuard,
    // Last, so that it is dropped after what uses it.
    _database: TestDatabase,
}

impl Fixture {
    async fn new(engine: Engine) -> Self {
        let database = TestDatabase::new(engine).await;
        let clock = ManualClock::at(START);
        let store = database.store(clock.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().to_owned(), 0).unwrap();
        let stop = CancellationToken::new();
        let reader = Store::connect_read_only(database.url()).await.unwrap();
        let status = Status::new(reader, staging.clone(), stop.clone());
        let client = serve(status, stop.clone()).await;
        let guard = stop.clone().drop_guard();
        Self { client, store, clock, staging, folder, stop, _stop: guard, _database: database }
    }

    fn client(&self) -> StatusServiceClient<Channel> {
        self.client.clone()
    }

    async fn tx(&self) -> Tx {
        self.store.begin().await.unwrap()
    }

    /// A run that is queued.
    async fn run(&self, n: u128, origin: Origin) -> RunId {
        self.planned(n, origin, "{}").await
    }

    async fn planned(&self, n: u128, origin: Origin, plan: &str) -> RunId {
        let run = run_id(n);
        let new = NewRun { run, origin, plan: plan.to_owned(), ..new_run() };
        let mut tx = self.tx().await;
        assert!(runs::create(&mut tx, &new).await.unwrap());
        tx.commit().await.unwrap();
        run
    }

    async fn begin(&self, run: RunId) {
        let mut tx = self.tx().await;
        runs::start(&mut tx, run).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn stage(&self, run: RunId, no: u32) {
        let mut tx = self.tx().await;
        assert!(batches::stage(&mut tx, run, &staged(no), BatchState::Ready).await.unwrap());
        tx.commit().await.unwrap();
    }

    /// Klaviyo takes all of a batch.
    async fn accept(&self, run: RunId, no: u32) {
        let mut tx = self.tx().await;
        let acceptance = Acceptance {
            klaviyo_job: format!("job{no}"),
            sent: 10,
            bytes: 900,
            refused: Rejects::default(),
        };
        let now = tx.now();
        assert!(batches::accept(&mut tx, run, BatchNo(no), &acceptance, now).await.unwrap());
        runs::note_acceptance(&mut tx, run, now).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Klaviyo has imported all of a batch but one profile.
    async fn confirm(&self, run: RunId, no: u32) {
        let mut tx = self.tx().await;
        let confirmation = Confirmation {
            run,
            batch: BatchNo(no),
            klaviyo_job: format!("job{no}"),
            rejects: Rejects {
                by_reason: [(RejectReason::ImportFailed, 1)].into(),
                report: None,
                ..Rejects::default()
            },
            undelivered: 0,
            undelivered_reason: segue_model::UndeliveredReason::Unconfirmed,
        };
        assert!(batches::confirm(&mut tx, &confirmation).await.unwrap());
        tx.commit().await.unwrap();
    }

    async fn end(&self, run: RunId, state: RunState) {
        let mut tx = self.tx().await;
        assert!(runs::end(&mut tx, run, state).await.unwrap());
        tx.commit().await.unwrap();
    }
}

/// Starts a server for `status`, and connects with it.
async fn serve(status: Status, stop: CancellationToken) -> StatusServiceClient<Channel> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(status_service(status));
    tokio::spawn(async move {
        let incoming = TcpListenerStream::new(listener);
        server.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await.unwrap();
    });
    StatusServiceClient::connect(format!("http://{address}")).await.unwrap()
}

fn run_id(n: u128) -> RunId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn export_id(n: u128) -> ExportId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn connection_id(n: u128) -> ConnectionId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn of_export(n: u128) -> Origin {
    let connection = Some(connection_id(1));
    Origin { cause: Cause::OnDemand, export: Some(export_id(n)), connection, ..Origin::default() }
}

fn new_run() -> NewRun {
    NewRun {
        run: run_id(0),
        account_id: ACCOUNT.to_owned(),
        list_id: LIST.to_owned(),
        plan: String::new(),
        hold: false,
        guards: segue_model::Guards::default(),
        guards_overridden: false,
        trial_rows: None,
        freshness: None,
        segments: None,
        columns: RunColumns::default(),
        confirm_timeout: Duration::from_hours(2),
        deadline: Duration::from_hours(24),
        splits: 10,
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
        rejects: Rejects {
            by_reason: [(RejectReason::EmailInvalid, 1)].into(),
            report: None,
            ..Rejects::default()
        },
        warnings: 3,
        warnings_report: None,
        objects: BTreeMap::new(),
    }
}

/// The field that an error blames, which has to be one that says that an argument is invalid.
fn blamed(status: &tonic::Status) -> String {
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let details: ErrorDetails = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    assert!(!violations[0].description.is_empty());
    violations[0].field.clone()
}

/// The resource that an error says is not there.
fn missed(status: &tonic::Status) -> (String, String) {
    assert_eq!(status.code(), tonic::Code::NotFound, "{status:?}");
    let details = status.get_error_details();
    let info = details.resource_info().unwrap();
    (info.resource_type.clone(), info.resource_name.clone())
}
