//! The words of Segue as types, and its rules as pure functions.
//!
//! **Invariant:** no I/O, no async, no clock, no logging. Everything here is a function of its arguments.

pub mod backoff;
mod batch;
mod cell;
mod counts;
mod dead;
mod endpoint;
pub mod estimate;
pub mod guards;
mod id;
mod lane;
pub mod look;
mod outcome;
mod pii;
mod reason;
mod run;
pub mod source;
mod time;
pub mod turns;
pub mod work;

pub use batch::{BatchNo, ContentHash, MAX_BATCH_BYTES, MAX_BATCH_PROFILES, MAX_PROFILE_BYTES};
pub use cell::{Cell, Cells, Position};
pub use counts::{Counts, CountsError};
pub use dead::DeathCause;
pub use endpoint::{Endpoint, Limits};
pub use guards::Guards;
pub use id::{
    ClaimId, ConnectionId, DeadJobId, ExportId, Id, InvalidId, JobId, Kind, LookId, PermitId,
    RunId, SourceId,
};
pub use lane::{Grant, Held, Lane};
pub use outcome::{RunFacts, RunState, Stop, UnknownState, outcome};
pub use pii::Pii;
pub use reason::{
    FailReason, Field, RefusalReason, RejectReason, UndeliveredReason, UnknownReason, WarningReason,
};
pub use run::{Cause, Failure, RunView, SegmentTally, Tally, UnknownCause, Who};
pub use source::{Freshness, RowCounts, SegmentSource};
pub use time::Micros;
