//! A segment as a stream of borrowed rows.
//!
//! [`Segment::open`] opens files (CSV or NDJSON, plain, gzip or Zstandard), reads their headers and
//! remembers their versions. [`Segment::rows`] starts a pass. Each row of a file comes out once, as a
//! [`Row`] or as a [`BadRow`] that says what is wrong with it.
//!
//! **Invariant:** blocking I/O only, no clock, no logging, no state outside the values. A cell is never
//! changed: no encoding is guessed, no white space is trimmed, no type is inferred.

mod below;
mod csv;
mod error;
mod input;
mod json;
mod marks;
mod ndjson;
mod options;
mod row;
mod rows;
pub mod sample;
mod segment;
mod sniff;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod version;
mod window;

pub use below::{FolderEntry, list_within};
pub use error::{ColumnsProblem, Difference, SourceError};
pub use options::{Expansion, ReadOptions};
pub use row::{BadRow, Item, Row};
pub use rows::Rows;
pub use segment::{Compression, Format, Object, Segment};
pub use version::{Manifest, ManifestObject, Version};
