//! Does: read, upload, confirm, look.
//!
//! A [`Worker`] takes jobs from the queue, claims them at the control-plane and works on them. It keeps
//! nothing: whatever matters is told to the control-plane or put into staging before it counts.
//!
//! **Invariant:** it never touches the database and never talks to another worker.

mod confirm;
mod error;
mod lease;
mod look;
mod metrics;
mod port;
pub mod read;
mod remote;
mod split;
mod sweep;
mod target;
#[cfg(test)]
mod testing;
mod upload;
mod worker;

pub use error::PortError;
pub use port::ControlPlane;
pub use remote::Remote;
pub use worker::{Settings, Stop, Worker};
