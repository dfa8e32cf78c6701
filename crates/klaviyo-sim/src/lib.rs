//! A Klaviyo that runs here: an HTTP server with the part of Klaviyo's API that an export of
//! profiles to lists needs, with its limits, its errors, and faults on demand.
//!
//! It is written from Klaviyo's documents, its OpenAPI file and recordings of live traffic, and
//! **shares no type with the client it tests**: shared types hide shared mistakes. Where nothing is
//! known about Klaviyo, [`Unknowns`] has a switch, and the default is the likeliest.
//!
//! ```no_run
//! # async fn demo() -> std::io::Result<()> {
//! let sim = klaviyo_sim::Simulator::start(klaviyo_sim::Config::default()).await?;
//! println!("Klaviyo is at {}, key pk_sim, list LIST01", sim.url());
//! # Ok(()) }
//! ```

mod account;
mod answer;
mod clock;
mod config;
mod context;
mod control;
mod endpoint;
mod error;
mod exchange;
mod faults;
mod filter;
mod handlers;
mod import;
mod lists;
mod log;
mod opaque;
mod page;
mod profiles;
mod query;
mod ratelimit;
mod readback;
mod revision;
mod scan;
mod server;
mod shared;
mod simulator;
mod unknowns;

pub use config::{
    AccountConfig, Completion, Config, FlowConfig, KeyConfig, ListConfig, Observer, WindowPhase,
};
pub use endpoint::{Endpoint, Tier};
pub use exchange::Exchange;
pub use faults::{Faults, ImportError, RetryAfter, Trigger};
pub use log::LoggedRequest;
pub use readback::{AccountState, ImportState, State};
pub use simulator::Simulator;
pub use unknowns::{
    BadPhoneWithEmail, BadRevision, BadRowPointer, EmailCase, ErrorBody, Gzip, Identifier,
    IdentifierConflict, ImportErrorText, ImportErrorTexts, LastPage, Megabyte, OriginalPayload,
    ProfileSize, RateLimitHeaders, RemoveNonMember, RetiredRevision, SeveralLists,
    UnknownListPointer, Unknowns,
};
