//! gRPC as every service serves and calls it.

mod body;
mod call;
mod client;
mod deadline;
mod gate;
mod server;
mod tls;
mod token;

pub use self::{
    client::{Client, ClientError, Target},
    gate::{Admission, Gate},
    server::{Health, Limits, ServeError, Server},
    tls::{Identity, TlsError, require_tls_or_loopback},
    token::Token,
};

/// Calls by `service`, `method` and `code`.
pub const REQUESTS: &str = "segue_grpc_requests_total";
/// Seconds by `service` and `method`.
pub const DURATION: &str = "segue_grpc_request_duration_seconds";
pub const IN_FLIGHT: &str = "segue_grpc_requests_in_flight";
