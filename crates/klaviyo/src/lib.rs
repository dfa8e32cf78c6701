//! A client of the Klaviyo API: one call is one request.
//!
//! **Invariant:** nothing here sleeps, retries, paces or follows a redirect. A call returns the
//! answer, or a [`CallError`] that says what the caller can do next; when to call again is decided
//! elsewhere, because a rate limit belongs to an account and not to a process.
//!
//! **Invariant:** personal data and keys are in no `Debug`, `Display`, span or log line. Addresses
//! travel in the query of one endpoint, so no URL is ever printed.
//!
//! Facts about Klaviyo are cited from its `OpenAPI` file, revision 2026-07-15, and from its guides at
//! developers.klaviyo.com. What neither says is read tolerantly, and the item's doc says so.

mod answer;
mod body;
mod client;
mod config;
mod error;
mod exchange;
mod id;
pub mod import;
mod lenient;
mod page;
mod rate;
mod refusal;
mod reply;
mod resource;
mod revision;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;

pub use body::{GuardStop, PIECE_BYTES, SendGuard, Unguarded};
pub use client::{ApiKey, Client, MAX_EMAILS, MAX_LISTS};
pub use config::{Config, ConfigError, DEFAULT_REVISION};
pub use error::{
    Ambiguity, CallError, InvalidRequest, KeyProblem, NotSentAt, ProtocolError, TransportError,
};
pub use id::{InvalidKlaviyoId, KlaviyoJobId, ListId};
pub use import::ImportBody;
pub use page::{Cursor, InvalidPosition, ListsPage, Page, Position};
pub use rate::{RateLimit, RateWindow};
pub use refusal::{ApiError, Refusal, RefusedRows};
pub use reply::{Reply, ReplyMeta};
pub use resource::{
    Account, Flow, Identifiers, ImportError, ImportJob, JobStatus, List, ProfileRef,
};
pub use revision::RevisionState;
