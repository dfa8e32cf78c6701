//! What can be asked of a worker about its files, and what it answers.
//!
//! The control-plane has no files, so whoever wants to know something about them waits until a worker has looked.
//! Both are JSON where they are kept or sent. Sources are patterns below the workers' source folder; `within` is the
//! folder that no pattern and no link may lead out of.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{Micros, RejectReason};

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
    /// What a run would send now. Answer: [`Found::Previewed`].
    Preview {
        within: String,
        sources: Vec<String>,
        /// As in [`Asked::Settle`].
        options: String,
        /// What becomes of the columns, as JSON. `None`: the first rows decide.
        columns: Option<String>,
        list_id: String,
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
    Previewed(Box<Preview>),
}

/// What a run would send. It holds personal data.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Preview {
    /// What becomes of the columns, as JSON.
    pub mapping: String,
    pub sums: Sums,
    /// The first profiles, as they would be sent.
    pub first: Vec<String>,
    pub first_rejects: Vec<PreviewedReject>,
    /// Identities of a uniform sample of all that were read.
    pub drawn: Vec<String>,
    /// All was read. Otherwise there was no time for more.
    pub complete: bool,
    /// Of the bytes on disk, about.
    pub bytes_read: u64,
    pub source_bytes: u64,
}

/// Rows that were read, and what they give.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sums {
    pub rows: u64,
    pub profiles: u64,
    /// Those that hold a profile: each is a request.
    pub batches: u64,
    /// Of the bodies.
    pub bytes: u64,
    pub duplicates: u64,
    pub warnings: u64,
    pub rejects: BTreeMap<RejectReason, u64>,
}

impl Sums {
    pub fn rejected(&self) -> u64 {
        self.rejects.values().sum()
    }
}

/// Nothing of what it holds: that is about people.
impl fmt::Debug for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preview").field("rows", &self.sums.rows).finish_non_exhaustive()
    }
}

/// A row that would be rejected.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewedReject {
    pub file: String,
    pub row: u64,
    /// As it stands in the source.
    pub identifier: String,
    /// Empty: it is about the row.
    pub field: String,
    pub reason: RejectReason,
    pub detail: String,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{MAX_ANSWER_BYTES, Preview, Sums};
    use crate::RejectReason;

    #[test]
    fn rows_that_would_be_rejected_are_counted_over_all_reasons() {
        let rejects =
            BTreeMap::from([(RejectReason::EmailInvalid, 3), (RejectReason::RowRagged, 4)]);
        assert_eq!(Sums { rejects, ..Sums::default() }.rejected(), 7);
    }

    #[test]
    fn nothing_of_people_is_in_a_log_of_a_preview() {
        let drawn = vec!["ada@one.example".to_owned()];
        let sums = Sums { rows: 7, ..Sums::default() };
        let preview = Preview { sums, first: drawn.clone(), drawn, ..Preview::default() };
        assert_eq!(format!("{preview:?}"), "Preview { rows: 7, .. }");
    }

    /// Words of errors say so.
    #[test]
    fn answers_are_of_a_mebibyte_at_most() {
        assert_eq!(MAX_ANSWER_BYTES, 1024 * 1024);
    }
}
