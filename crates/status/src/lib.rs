//! Tells how runs fare: answers and watches over gRPC, read from the store.
//!
//! **Invariant:** nothing here writes, and nothing that matters is kept in memory: any number of these may
//! run side by side, and any may be killed. A database role that can only read is enough.

mod deadline;
mod error;
mod page;
mod rejects;
mod service;
mod watch;

pub use service::{Status, status_service};
