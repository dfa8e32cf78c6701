//! The client against a server that answers, breaks off and misleads by script.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail tests by panicking")]

mod answers;
mod paging;
mod requests;
mod secrets;
mod server;
mod simulator;
mod transport;
