use std::{borrow::Cow, fmt, io::BufRead, marker::PhantomData};

use segue_model::{Field, Pii, RejectReason, WarningReason};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// One row of a report: what happened to one field of one row of the source.
#[derive(Clone, PartialEq, Eq)]
pub struct Record<R> {
    /// Index of the source object in the run's manifest, from 0.
    pub object: u32,
    /// As [`segue_model::Position::row`] counts.
    pub row: u64,
    /// What identifies the person, as it stands in the source; empty if there is nothing.
    pub identifier: Pii<String>,
    /// The attribute or column that it is about; empty if it is about the row.
    pub field: Field,
    pub reason: R,
    /// In words, possibly Klaviyo's own, which quote values: personal data too.
    pub detail: String,
}

/// A row that was not delivered.
pub type RejectRecord = Record<RejectReason>;
/// A field that was left out, or what else the user should know of a row.
pub type WarningRecord = Record<WarningReason>;

/// A line that is not a record. It does not repeat the line: that holds personal data.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    #[error("line {line} of the report is not a record")]
    Line { line: u64 },
    #[error("the report cannot be read")]
    Io(#[from] std::io::Error),
}

/// A record as a line: names are short because a report may have a line for each of millions of rows.
#[derive(Serialize, Deserialize)]
struct Line<'a, R> {
    o: u32,
    r: u64,
    #[serde(borrow)]
    i: Cow<'a, str>,
    #[serde(borrow)]
    f: Cow<'a, str>,
    c: R,
    #[serde(borrow)]
    d: Cow<'a, str>,
}

/// Collects records as lines of JSON, ready for [`Staging::put`](crate::Staging::put).
pub struct Writer<R> {
    lines: Vec<u8>,
    records: u64,
    reason: PhantomData<fn(R)>,
}

impl<R> Default for Writer<R> {
    fn default() -> Self {
        Self { lines: Vec::new(), records: 0, reason: PhantomData }
    }
}

impl<R: Serialize + Copy> Writer<R> {
    pub fn new() -> Self {
        Self::default()
    }

    #[expect(clippy::expect_used, reason = "any text is JSON, and memory takes every write")]
    pub fn push(&mut self, record: &Record<R>) {
        // Destructured, so that no field is forgotten here.
        let Record { object, row, identifier, field, reason, detail } = record;
        let line = Line {
            o: *object,
            r: *row,
            i: identifier.expose().into(),
            f: field.into(),
            c: *reason,
            d: detail.into(),
        };
        serde_json::to_writer(&mut self.lines, &line)
            .expect("numbers and texts are JSON, and memory takes every write");
        self.lines.push(b'\n');
        self.records += 1;
    }

    /// How many records were pushed.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn finish(self) -> Vec<u8> {
        self.lines
    }
}

/// Reads records one after the other, in constant memory. After an error of the reader it ends; a broken
/// line is an error of its own, and the next line is tried.
pub fn read<R: DeserializeOwned>(
    mut lines: impl BufRead,
) -> impl Iterator<Item = Result<Record<R>, InvalidRecord>> {
    let mut buffer = Vec::new();
    let mut line = 0;
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        buffer.clear();
        match lines.read_until(b'\n', &mut buffer) {
            Ok(0) => None,
            Ok(_) => {
                line += 1;
                Some(parse(&buffer).ok_or(InvalidRecord::Line { line }))
            }
            Err(err) => {
                ended = true;
                Some(Err(err.into()))
            }
        }
    })
}

fn parse<R: DeserializeOwned>(line: &[u8]) -> Option<Record<R>> {
    // The parser's own words may quote the line, so they go no further.
    let Line { o, r, i, f, c, d } = serde_json::from_slice::<Line<'_, R>>(line).ok()?;
    Some(Record {
        object: o,
        row: r,
        identifier: Pii::new(i.into_owned()),
        field: f.into_owned(),
        reason: c,
        detail: d.into_owned(),
    })
}

impl<R: fmt::Debug> fmt::Debug for Record<R> {
    /// Without `detail`, which may quote what the person's row holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("object", &self.object)
            .field("row", &self.row)
            .field("field", &self.field)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for Writer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("records", &self.records).finish_non_exhaustive()
    }
}
