use serde::{Deserialize, Serialize};

/// Where a row stands in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Index of the source object (file) in the run's manifest, from 0.
    pub object: u32,
    /// The row as a spreadsheet numbers it: the header of a CSV file is row 1, its first record row 2.
    /// In NDJSON, where there is no header, the first non-blank line is row 1.
    pub row: u64,
}

/// What one column of one row holds. Borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// No value: an empty CSV cell, a missing NDJSON key or JSON `null`.
    Empty,
    /// Text. A CSV cell is always text; what type it may have is decided by the mapping.
    Text(&'a str),
    /// A number as it stands in JSON.
    Number(&'a str),
    Bool(bool),
    /// A JSON array, verbatim (nested objects become columns of their own, named `outer.inner`).
    Json(&'a str),
}

/// A row that is addressed by the index of its column in the segment's list of columns.
pub trait Cells {
    /// A column beyond the last is [`Cell::Empty`].
    fn cell(&self, column: usize) -> Cell<'_>;
}

impl Cells for [Cell<'_>] {
    fn cell(&self, column: usize) -> Cell<'_> {
        self.get(column).copied().unwrap_or(Cell::Empty)
    }
}
