//! What every service shares: configuration, signals and drain, gRPC serving and calling, health, metrics,
//! logs and traces. It knows no other crate of Segue.
//!
//! `main` of a service is [`run`]; its command line has a [`config::ConfigArgs`] for its role.

pub mod config;
mod drain;
pub mod grpc;
mod health;
mod http_server;
mod recorder;
mod run;
mod secrets;
pub mod telemetry;
pub mod trace;

pub use crate::{
    drain::{Drain, Ending},
    health::Checks,
    http_server::HttpServer,
    recorder::{Recorder, RecorderError},
    run::{Context, Service, ServiceError, Started, report, run, sentence},
    secrets::{SecretFileError, admin_token, console_key, master_key, worker_token},
};
