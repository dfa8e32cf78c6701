//! Batches and reports at rest, in one folder.
//!
//! ```text
//! <folder>/staging/<run>/<hash>.body       a request body, byte for byte as it is sent
//! <folder>/staging/<run>/<hash>.index      for each profile in it: source position, byte range, identity
//! <folder>/reports/<run>/<name>.rejects    rows that were not delivered, one JSON object a line
//! <folder>/reports/<run>/<name>.warnings   fields that were left out, likewise
//! <folder>/incoming/                       files being written; what was never finished is removed
//! ```
//!
//! Bodies and indexes stay in memory while there is room and are never copied; a file is their second
//! choice. Reports are always files. What cannot be made again is put by
//! [`Staging::put_on_disk`]. Several processes may share a folder: see [`Staging::open_shared`].
//!
//! **Invariants:** an object is there whole or not at all, and never changes. Content that was damaged at
//! rest is an error, never an answer. No key leads out of the folder. No error and no `Debug` output holds
//! personal data.

mod csv_report;
mod error;
mod file;
mod index;
mod key;
mod purge;
mod record;
mod staging;

pub use csv_report::{CsvReport, REPORT_COLUMNS, neutralise, restore};
pub use error::StagingError;
pub use file::{Hashed, hash as content_hash};
pub use index::{Index, IndexBuilder, IndexEntry, InvalidIndex};
pub use key::{InvalidKey, Key, ReportName};
pub use purge::Found;
pub use record::{InvalidRecord, Record, RejectRecord, WarningRecord, Writer, read};
pub use staging::{Staging, Usage};
