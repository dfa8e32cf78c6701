//! The crate as services use it: over sockets, signals and files.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail tests by panicking")]

mod calls;
mod echo;
mod health;
mod process;
mod stopping;
mod tls;
