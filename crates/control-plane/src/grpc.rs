//! The control-plane over gRPC: each service converts, asks [`ControlPlane`](crate::ControlPlane), converts.

mod audit;
mod caller;
mod columns;
mod connections;
mod errors;
mod exports;
mod fields;
mod jobs;
mod lists;
mod messages;
mod page;
mod preview;
mod runs;
mod schedules;
mod sources;
mod tokens;
mod verified;
mod worker;

use std::sync::Arc;

use segue_proto::v1::{
    audit_service_server::AuditServiceServer, connection_service_server::ConnectionServiceServer,
    export_service_server::ExportServiceServer, job_service_server::JobServiceServer,
    list_service_server::ListServiceServer, run_service_server::RunServiceServer,
    schedule_service_server::ScheduleServiceServer, source_service_server::SourceServiceServer,
    token_service_server::TokenServiceServer, worker_service_server::WorkerServiceServer,
};

pub use audit::Audit;
pub use connections::Connections;
pub use exports::Exports;
pub use jobs::Jobs;
pub use lists::Lists;
pub use messages::{export_message, schedule_message};
pub use runs::Runs;
pub use schedules::Schedules;
pub use sources::Sources;
pub use tokens::Tokens;
pub use worker::Workers;

use crate::ControlPlane;

/// Bytes of the largest request: an export with many segments and a large mapping.
const LARGEST_REQUEST: usize = 256 << 10;
/// Bytes of the largest answer: a page of exports.
const LARGEST_ANSWER: usize = 4 << 20;
/// Bytes of the largest message between workers and control-plane: a plan with a long manifest.
const LARGEST_OF_WORKERS: usize = 16 << 20;

pub fn audit_service(control_plane: Arc<ControlPlane>) -> AuditServiceServer<Audit> {
    AuditServiceServer::new(Audit(control_plane))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER)
}

pub fn connection_service(
    control_plane: Arc<ControlPlane>,
) -> ConnectionServiceServer<Connections> {
    ConnectionServiceServer::new(Connections(control_plane))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER)
}

pub fn export_service(control_plane: Arc<ControlPlane>) -> ExportServiceServer<Exports> {
    ExportServiceServer::new(Exports(control_plane))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER)
}

pub fn list_service(control_plane: Arc<ControlPlane>) -> ListServiceServer<Lists> {
    ListServiceServer::new(Lists(control_plane))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER)
}

pub fn run_service(control_plane: Arc<ControlPlane>) -> RunServiceServer<Runs> {
    RunServiceServer::new(Runs(control_plane))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER)
}

pub fn job_service(control_plane: Arc<ControlPlane>) -> JobServiceServer<Jobs> {
    JobServiceServer::new(Jobs(control_plane))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER)
}

pub fn schedule_service(control_plane: Arc<ControlPlane>) -> ScheduleServiceServer<Schedules> {
    ScheduleServiceServer::new(Schedules(control_plane))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER)
}

pub fn source_service(control_plane: Arc<ControlPlane>) -> SourceServiceServer<Sources> {
    SourceServiceServer::new(Sources(control_plane))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER)
}

pub fn token_service(control_plane: Arc<ControlPlane>) -> TokenServiceServer<Tokens> {
    TokenServiceServer::new(Tokens(control_plane))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER)
}

/// Between workers and control-plane. A claim returns an API key: this service belongs on a listener of its
/// own, which asks for the workers' token.
pub fn worker_service(control_plane: Arc<ControlPlane>) -> WorkerServiceServer<Workers> {
    WorkerServiceServer::new(Workers(control_plane))
        .max_decoding_message_size(LARGEST_OF_WORKERS)
        .max_encoding_message_size(LARGEST_OF_WORKERS)
}
