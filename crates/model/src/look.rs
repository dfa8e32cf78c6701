//! What can be asked of a worker about its files, and what it answers.
//!
//! The control-plane has no files, so whoever wants to know something about them waits until a worker has looked.
//! Both are JSON where they are kept or sent. Sources are patterns below the workers' source folder; `within` is the
//! folder that no pattern and no link may lead out of.

use serde::{Deserialize, Serialize};

use crate::Micros;

/// An answer has at most so many bytes.
pub const MAX_ANSWER_BYTES: usize = 1 << 20;
/// A listing names at most so many files and folders.
pub const MAX_LISTED: usize = 1000;

/// What somebody wants to know. It holds no personal data and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Asked {
    /// What is in a folder. Answer: [`Found::Listed`].
    List {
        within: String,
        /// Below `within`; empty: `within` itself.
        path: String,
    },
    /// What columns a segment has, and what would become of them unless somebody says otherwise. Answer:
    /// [`Found::Described`].
    Describe { within: String, sources: Vec<String> },
    /// What becomes of each column of a segment, for an export to keep. Answer: [`Found::Settled`].
    Settle {
        within: String,
        sources: Vec<String>,
        /// What the export says of its columns, as JSON.
        options: String,
    },
}

/// What a worker has found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Found {
    Listed(Listing),
    Described(Description),
    /// The mapping, as JSON.
    Settled {
        mapping: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listing {
    /// Folders first, then files, each by name.
    pub entries: Vec<Entry>,
    /// There are more than [`MAX_LISTED`].
    pub truncated: bool,
}

/// A file or a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path below the folder that was asked about.
    pub path: String,
    pub folder: bool,
    /// Bytes on disk; 0 for a folder.
    pub size: u64,
    /// `None`: the file system does not tell.
    pub modified: Option<Micros>,
    /// `None`: it is no segment, or to count them would take long.
    pub rows: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    pub objects: Vec<DescribedObject>,
    pub columns: Vec<DescribedColumn>,
    /// Rows that the types were taken from.
    pub sampled_rows: u64,
    /// Why this cannot be exported as it is: words without personal data.
    pub problem: Option<String>,
}

/// One file of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedObject {
    pub name: String,
    /// `csv` or `ndjson`.
    pub format: String,
    /// `gzip`, `zstd`, or empty.
    pub compression: String,
    pub size: u64,
}

/// What can be said of a column without quoting a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedColumn {
    pub name: String,
    /// `text`, `number`, `boolean`, `date` or `list`.
    pub kind: String,
    /// Of the sampled rows, those in which it holds something.
    pub filled: u64,
    /// Characters of its longest cell.
    pub longest: u64,
    /// What it becomes by default, such as `first_name` or `properties.tier`; empty: it is not sent.
    pub attribute: String,
}
