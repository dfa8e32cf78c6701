//! Keys stay secret. A binary of its own: what is logged at all is decided for a whole process.

#![expect(clippy::unwrap_used, reason = "in the helpers of tests a panic is the failure")]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use klaviyo_sim::{Faults, Simulator};
use segue_access::{Principal, Role, Subject, token::TokenId};
use segue_control_plane::{ControlPlane, Sealer, Settings, grpc, work::JobKind};
use segue_klaviyo::{Client, Config};
use segue_model::work::Slots;
use segue_proto::v1::{
    self, connection_service_client::ConnectionServiceClient,
    export_service_client::ExportServiceClient, run_service_client::RunServiceClient,
};
use segue_queue::{MemoryQueue, Queue as _};
use segue_store::{
    ManualClock, read_admin,
    test_util::{Engine, TestDatabase},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request,
    service::InterceptorLayer,
    transport::{Channel, Server},
};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};
use uuid::Uuid;

const KEY: &str = "pk_sim";
const MASTER_KEY: &[u8; 32] = b"a master key of 32 bytes, random";

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

async fn serve(cp: Arc<ControlPlane>) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let who = Principal {
        subject: Subject::Token(TokenId::from_uuid(Uuid::nil())),
        name: "Tester".to_owned(),
        role: Role::Administrator,
    };
    let server = Server::builder()
        .layer(InterceptorLayer::new(move |mut request: Request<()>| {
            request.extensions_mut().insert(who.clone());
            Ok(request)
        }))
        .add_service(grpc::connection_service(Arc::clone(&cp)))
        .add_service(grpc::export_service(Arc::clone(&cp)))
        .add_service(grpc::run_service(cp))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    Channel::from_shared(url).unwrap().connect().await.unwrap()
}

fn create(key: &str, request_id: &str) -> v1::CreateConnectionRequest {
    let consent = v1::Consent {
        text_version: "2026-11".to_owned(),
        accepted_by: "somebody".to_owned(),
        accepted_at: None,
    };
    let connection = v1::Connection {
        display_name: "Shop".to_owned(),
        api_key: key.to_owned(),
        consent: Some(consent),
        ..v1::Connection::default()
    };
    let request_id = request_id.to_owned();
    v1::CreateConnectionRequest { connection: Some(connection), request_id }
}

fn export(connection: &str) -> v1::CreateExportRequest {
    let export = v1::Export {
        display_name: "Customers".to_owned(),
        connection_id: connection.to_owned(),
        list_id: "LIST01".to_owned(),
        segments: vec!["people.csv".to_owned()],
        ..v1::Export::default()
    };
    v1::CreateExportRequest { export: Some(export), request_id: String::new() }
}

/// What a worker is told with the read job.
async fn claim(cp: &Arc<ControlPlane>) -> String {
    let slots = Slots { read: 1, upload: 1, confirm: 1, look: 0 };
    cp.renew("worker", slots, &[]).await.unwrap();
    let (queue, stop) = (MemoryQueue::default(), CancellationToken::new());
    let dispatcher = tokio::spawn({
        let (cp, queue, stop) = (Arc::clone(cp), queue.clone(), stop.clone());
        async move { cp.dispatch(&queue, &stop).await }
    });
    let (job, _receipt) = queue.receive(JobKind::Read).await.unwrap();
    stop.cancel();
    dispatcher.await.unwrap().unwrap();
    let claimed = cp.claim(job.id, job.attempt).await.unwrap();
    assert!(claimed.is_some());
    format!("{claimed:?}")
}

#[tokio::test]
async fn keys_are_in_no_log_no_error_no_answer_and_not_in_the_database() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let config = klaviyo_sim::Config { no_limits: true, ..klaviyo_sim::Config::default() };
    let sim = Simulator::start(config).await.unwrap();
    let database = TestDatabase::new(Engine::Sqlite).await;
    let clock = ManualClock::at(segue_model::Micros(1_790_000_000_000_000));
    let store = database.store(clock.clone()).await;
    let klaviyo = Client::new(&Config::for_base_url(sim.url().parse().unwrap())).unwrap();
    let sealer = Sealer::new(MASTER_KEY);
    let cp = ControlPlane::for_services(store, sealer, klaviyo, Settings::of_services());
    let channel = serve(Arc::clone(&cp)).await;
    let mut connections = ConnectionServiceClient::new(channel.clone());

    let mut said = Vec::new();
    let revoked = "pk_revoked_0123456789";
    said.push(format!("{:?}", connections.create_connection(create(revoked, "")).await));
    let padded = format!("{KEY} with words");
    said.push(format!("{:?}", connections.create_connection(create(&padded, "")).await));
    let made = connections.create_connection(create(KEY, "once")).await;
    said.push(format!("{made:?}"));
    let made = made.unwrap().into_inner().connection.unwrap();
    said.push(format!("{:?}", connections.create_connection(create("pk_not_it", "once")).await));
    let mut exports = ExportServiceClient::new(channel.clone());
    let saved = exports.create_export(export(&made.id)).await.unwrap().into_inner();
    let start = v1::StartRunRequest {
        export_id: saved.export.unwrap().id,
        request_id: "r".to_owned(),
        ..Default::default()
    };
    RunServiceClient::new(channel).start_run(start).await.unwrap();
    said.push(claim(&cp).await);
    clock.advance(Duration::from_secs(5));
    let revoked_keys = [KEY.to_owned()].into();
    sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    let verify = v1::VerifyConnectionRequest { id: made.id.clone() };
    said.push(format!("{:?}", connections.verify_connection(verify).await));
    let delete = v1::DeleteConnectionRequest { id: made.id.clone(), detach: false };
    said.push(format!("{:?}", connections.delete_connection(delete).await));
    said.push(format!("{cp:?}"));
    let record = cp.audit(None, "", 100).await.unwrap();
    assert_eq!(record.len(), 3, "of a connection, an export and a run");
    said.push(format!("{record:?}"));
    let row = read_admin::connection(cp.store(), made.id.parse().unwrap()).await.unwrap().unwrap();
    said.push(format!("{row:?}"));

    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    for line in ["connection made", "run started", "claim"] {
        assert!(log.contains(line), "nothing was logged of {line:?}");
    }
    said.push(log);
    let master_key = str::from_utf8(MASTER_KEY).unwrap();
    for secret in [KEY, revoked, "pk_not_it", master_key] {
        for said in &said {
            let found = said.lines().find(|line| line.contains(secret));
            assert!(found.is_none(), "{secret} is in {found:?}");
        }
    }
}
