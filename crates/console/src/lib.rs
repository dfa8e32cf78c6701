//! The web console: pages that are made on the server, for people who have no command line at hand.
//!
//! It is a client of the gRPC services like any other and knows neither database nor broker. What somebody may do is
//! decided by the services, who get that person's own token with every call; the console only leaves out buttons that
//! would be refused.
//!
//! **Invariant:** between two requests nothing is kept here. A sign-in lives in a sealed cookie ([`Settings::key`]).
//!
//! **Invariant:** what somebody has typed, here or in a source, reaches a page only through the escaping of the
//! templates. The few pieces of markup that are made in Rust are marked by [`shown::Markup`].
//!
//! **Invariant:** no page needs anything from another origin, and none works only with the script.

mod account;
mod assets;
mod caller;
mod chart;
mod cookies;
mod failure;
mod form;
mod guard;
mod page;
mod routes;
mod seal;
mod server;
mod services;
mod session;
mod shown;
#[cfg(test)]
mod tests;

pub use server::{Console, ConsoleError, Settings};
pub use services::Services;

/// HTTP requests that were answered, by `route`, `method` and `status`.
pub const REQUESTS: &str = "segue_console_requests_total";
/// Seconds until the head of an answer, by `route` and `method`.
pub const DURATION: &str = "segue_console_request_duration_seconds";
