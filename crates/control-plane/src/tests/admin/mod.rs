//! What people and programs ask the control-plane, over gRPC on a real port, with Klaviyo simulated.

mod audit;
mod columns;
mod commands;
mod connections;
mod dead;
mod exports;
mod guards;
mod key_references;
mod lists;
mod looks;
mod preview;
mod races;
mod recover;
mod retries;
mod rights;
mod runs;
mod schedules;
mod sources;
mod tokens;
mod verify;

use std::sync::Arc;

use klaviyo_sim::{AccountConfig, KeyConfig, Simulator};
use segue_access::{Principal, Role, Subject, token::TokenId};
use segue_klaviyo::{Client, Config};
use segue_model::{Micros, RunId};
use segue_proto::v1::{
    self, connection_service_client::ConnectionServiceClient,
    export_service_client::ExportServiceClient, job_service_client::JobServiceClient,
    run_service_client::RunServiceClient, source_service_client::SourceServiceClient,
};
use segue_store::{
    ManualClock, Store,
    test_util::{Engine, TestDatabase},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request, Status,
    service::InterceptorLayer,
    transport::{Channel, Server},
};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;

use crate::{ControlPlane, Sealer, Settings, grpc};

const MASTER_KEY: [u8; 32] = *b"a master key of 32 bytes, random";
const KEY: &str = "pk_sim";
/// Of the same account, for a second connection.
const OTHER_KEY: &str = "pk_other";
const WEAK_KEY: &str = "pk_weak";

/// A control-plane that serves, and clients of it.
struct World {
    clock: ManualClock,
    cp: Arc<ControlPlane>,
    sim: Simulator,
    channel: Channel,
    // Dropped after the stores.
    database: TestDatabase,
}

impl World {
    async fn new() -> Self {
        Self::on(Engine::Sqlite).await
    }

    async fn on(engine: Engine) -> Self {
        Self::with(engine, AccountConfig::default()).await
    }

    /// As [`Self::on`], of another account. It has the keys of all tests besides its own.
    async fn with(engine: Engine, account: AccountConfig) -> Self {
        let mut keys = vec![
            KeyConfig::all_scopes(KEY),
            KeyConfig::all_scopes(OTHER_KEY),
            KeyConfig::with_scopes(WEAK_KEY, &["lists:read"]),
        ];
        keys.retain(|key| account.keys.iter().all(|own| own.secret != key.secret));
        keys.extend(account.keys);
        let account = AccountConfig { keys, ..account };
        let other = AccountConfig {
            id: "OTHERS".to_owned(),
            name: "Somebody else".to_owned(),
            keys: vec![KeyConfig::all_scopes("pk_elsewhere")],
            ..AccountConfig::default()
        };
        let config = klaviyo_sim::Config {
            accounts: vec![account, other],
            // It goes by the time of day, and the control-plane by a clock that the tests move.
            no_limits: true,
            ..klaviyo_sim::Config::default()
        };
        let sim = Simulator::start(config).await.unwrap();
        let database = TestDatabase::new(engine).await;
        let clock = ManualClock::at(Micros(1_790_000_000_000_000));
        let store = database.store(clock.clone()).await;
        let cp = control_plane(store, &sim, Sealer::new(&MASTER_KEY));
        let channel = serve(Arc::clone(&cp)).await;
        Self { clock, cp, sim, channel, database }
    }

    /// Another control-plane on the same database. SQLite belongs to one process, so there it has the same
    /// store.
    async fn another(&self, master_key: &[u8; 32]) -> Arc<ControlPlane> {
        self.another_with(Sealer::new(master_key)).await
    }

    async fn another_with(&self, sealer: Sealer) -> Arc<ControlPlane> {
        let store = match self.database.schema() {
            Some(_) => self.database.store(self.clock.clone()).await,
            None => self.cp.store().clone(),
        };
        control_plane(store, &self.sim, sealer)
    }

    fn connections(&self) -> ConnectionServiceClient<Channel> {
        ConnectionServiceClient::new(self.channel.clone())
    }

    fn exports(&self) -> ExportServiceClient<Channel> {
        ExportServiceClient::new(self.channel.clone())
    }

    fn runs(&self) -> RunServiceClient<Channel> {
        RunServiceClient::new(self.channel.clone())
    }

    fn sources(&self) -> SourceServiceClient<Channel> {
        SourceServiceClient::new(self.channel.clone())
    }

    async fn create_source(
        &self,
        source: v1::Source,
        request_id: &str,
    ) -> Result<v1::Source, Status> {
        let request_id = request_id.to_owned();
        let request = v1::CreateSourceRequest { source: Some(source), request_id };
        Ok(self.sources().create_source(request).await?.into_inner().source.unwrap())
    }

    async fn source(&self, name: &str, folder: &str) -> v1::Source {
        self.create_source(source(name, folder), "").await.unwrap()
    }

    fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    async fn create_connection(
        &self,
        connection: v1::Connection,
        request_id: &str,
    ) -> Result<v1::Connection, Status> {
        let request_id = request_id.to_owned();
        let request = v1::CreateConnectionRequest { connection: Some(connection), request_id };
        let response = self.connections().create_connection(request).await?;
        Ok(response.into_inner().connection.unwrap())
    }

    async fn connection(&self) -> v1::Connection {
        self.create_connection(connection(KEY), "").await.unwrap()
    }

    async fn create_export(
        &self,
        export: v1::Export,
        request_id: &str,
    ) -> Result<v1::Export, Status> {
        let request_id = request_id.to_owned();
        let request = v1::CreateExportRequest { export: Some(export), request_id };
        Ok(self.exports().create_export(request).await?.into_inner().export.unwrap())
    }

    /// An export with a connection of its own, of which batches go while it is still read.
    async fn export(&self) -> v1::Export {
        let connection = self.connection().await;
        let guards = v1::Guards {
            max_growth_percent: Some(0),
            max_shrinkage_percent: Some(0),
            max_rejects_percent: Some(0),
            ..v1::Guards::default()
        };
        let export = v1::Export { guards: Some(guards), ..export(&connection.id) };
        self.create_export(export, "").await.unwrap()
    }

    async fn start(&self, export: &str, request_id: &str) -> Result<v1::Run, Status> {
        let (export_id, request_id) = (export.to_owned(), request_id.to_owned());
        let request = v1::StartRunRequest { export_id, request_id, ..Default::default() };
        Ok(self.runs().start_run(request).await?.into_inner().run.unwrap())
    }

    async fn cancel(&self, run: &str) -> Result<v1::Run, Status> {
        let request = v1::CancelRunRequest { run_id: run.to_owned() };
        Ok(self.runs().cancel_run(request).await?.into_inner().run.unwrap())
    }

    async fn retry(&self, run: &str, request_id: &str) -> Result<v1::Run, Status> {
        let (run_id, request_id) = (run.to_owned(), request_id.to_owned());
        let request = v1::RetryRunRequest { run_id, request_id };
        Ok(self.runs().retry_run(request).await?.into_inner().run.unwrap())
    }
}

fn control_plane(store: Store, sim: &Simulator, sealer: Sealer) -> Arc<ControlPlane> {
    let klaviyo = Client::new(&Config::for_base_url(sim.url().parse().unwrap())).unwrap();
    ControlPlane::for_services(store, sealer, klaviyo, Settings::of_services())
}

async fn serve(cp: Arc<ControlPlane>) -> Channel {
    serve_as(cp, tester(Role::Administrator)).await
}

/// As whoever stands at the door of a real listener does, but everybody is this one.
async fn serve_as(cp: Arc<ControlPlane>, who: Principal) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder()
        .layer(InterceptorLayer::new(move |mut request: Request<()>| {
            request.extensions_mut().insert(who.clone());
            Ok(request)
        }))
        .add_service(grpc::audit_service(Arc::clone(&cp)))
        .add_service(grpc::token_service(Arc::clone(&cp)))
        .add_service(grpc::connection_service(Arc::clone(&cp)))
        .add_service(grpc::export_service(Arc::clone(&cp)))
        .add_service(grpc::list_service(Arc::clone(&cp)))
        .add_service(grpc::source_service(Arc::clone(&cp)))
        .add_service(grpc::job_service(Arc::clone(&cp)))
        .add_service(grpc::schedule_service(Arc::clone(&cp)))
        .add_service(grpc::run_service(cp))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    Channel::from_shared(url).unwrap().connect().await.unwrap()
}

/// Whoever has the token of `admin_token_file`, or a token that nobody has made.
pub(super) fn tester(role: Role) -> Principal {
    let id = u128::from(role != Role::Administrator);
    let subject = Subject::Token(TokenId::from_uuid(Uuid::from_u128(id)));
    Principal { subject, name: "Tester".to_owned(), role }
}

fn connection(key: &str) -> v1::Connection {
    v1::Connection {
        display_name: "Shop".to_owned(),
        api_key: key.to_owned(),
        consent: Some(v1::Consent {
            text_version: "2026-11".to_owned(),
            accepted_by: "somebody".to_owned(),
            accepted_at: None,
        }),
        ..v1::Connection::default()
    }
}

fn export(connection: &str) -> v1::Export {
    v1::Export {
        display_name: "Customers".to_owned(),
        connection_id: connection.to_owned(),
        list_id: "LIST01".to_owned(),
        segments: vec!["people/*.csv".to_owned()],
        ..v1::Export::default()
    }
}

fn source(name: &str, folder: &str) -> v1::Source {
    let (display_name, folder) = (name.to_owned(), folder.to_owned());
    v1::Source { display_name, folder, ..v1::Source::default() }
}

fn run_id(run: &v1::Run) -> RunId {
    run.id.parse().unwrap()
}

/// What has to be done about an error: its code and its details.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code) -> ErrorDetails {
    let status = result.unwrap_err();
    assert_eq!(status.code(), code, "{status:?}");
    assert!(!status.message().is_empty());
    status.get_error_details()
}

/// The fields that are wrong, with words.
#[track_caller]
fn fields<T: std::fmt::Debug>(result: Result<T, Status>) -> Vec<(String, String)> {
    let details = refused(result, Code::InvalidArgument);
    let violations = &details.bad_request().unwrap().field_violations;
    violations.iter().map(|it| (it.field.clone(), it.description.clone())).collect()
}

#[track_caller]
fn field_names<T: std::fmt::Debug>(result: Result<T, Status>) -> Vec<String> {
    fields(result).into_iter().map(|(field, _)| field).collect()
}

/// What stands in the way: codes and subjects.
#[track_caller]
fn obstacles<T: std::fmt::Debug>(result: Result<T, Status>) -> Vec<(String, String)> {
    let details = refused(result, Code::FailedPrecondition);
    let violations = &details.precondition_failure().unwrap().violations;
    violations.iter().map(|it| (it.r#type.clone(), it.subject.clone())).collect()
}

/// What is not there: its type and its name.
#[track_caller]
fn missing<T: std::fmt::Debug>(result: Result<T, Status>, code: Code) -> (String, String) {
    let details = refused(result, code);
    let resource = details.resource_info().unwrap();
    (resource.resource_type.clone(), resource.resource_name.clone())
}
