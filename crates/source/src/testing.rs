//! What tests share: those of both formats, and those that read any bytes.

use std::{io, sync::Arc};

use segue_model::{Position, RejectReason};

use crate::{
    ColumnsProblem, Format, ReadOptions, Row,
    csv::CsvReader,
    ndjson::{self, NdjsonReader},
    row::{Defect, Record},
};

/// A stream that hands out at most `step` bytes at a time, and is interrupted now and then.
pub(crate) struct Trickle<'a> {
    bytes: &'a [u8],
    step: usize,
    reads: usize,
}

impl<'a> Trickle<'a> {
    pub(crate) fn new(bytes: &'a [u8], step: usize) -> Self {
        Self { bytes, step, reads: 0 }
    }
}

impl io::Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        if self.reads.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = self.step.min(buf.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(count);
        buf[..count].copy_from_slice(now);
        self.bytes = later;
        Ok(count)
    }
}

/// All that was read of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    pub columns: Vec<String>,
    pub rows: Vec<Read>,
    /// The number of the last row or counted blank line.
    pub last: u64,
}

/// The fate of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    Row {
        number: u64,
        /// Physical lines that it takes.
        lines: usize,
        /// As `Debug` writes a [`Cell`](segue_model::Cell), which tells text from numbers.
        cells: Vec<String>,
        unknown: Vec<String>,
    },
    Bad {
        number: u64,
        lines: usize,
        reason: RejectReason,
        detail: String,
        raw: String,
    },
}

/// Reads `bytes` as a file of this format, `step` bytes at a time.
pub fn read(
    bytes: &[u8],
    format: Format,
    options: &ReadOptions,
    step: usize,
) -> Result<Pass, ColumnsProblem> {
    match format {
        Format::Csv { delimiter } => read_csv(bytes, delimiter, options, step),
        Format::Ndjson => read_ndjson(bytes, options, step),
    }
}

fn read_csv(
    bytes: &[u8],
    delimiter: u8,
    options: &ReadOptions,
    step: usize,
) -> Result<Pass, ColumnsProblem> {
    let source = Trickle::new(bytes, step);
    let mut reader = CsvReader::new(source, delimiter, options.limits(), options.buffer_bytes);
    let columns = whole(reader.header(options.max_columns))?.unwrap_or_default();
    let mut rows = Vec::new();
    while whole(reader.advance()) {
        let number = reader.row();
        rows.push(fate(number, reader.record()));
    }
    Ok(Pass { columns, rows, last: reader.row() })
}

fn read_ndjson(bytes: &[u8], options: &ReadOptions, step: usize) -> Result<Pass, ColumnsProblem> {
    let names = whole(ndjson::discover(Trickle::new(bytes, step), options))?;
    let names = Arc::new(names.unwrap_or_default());
    let columns = names.list.clone();
    let source = Trickle::new(bytes, step);
    let reader = NdjsonReader::new(source, names, options.limits(), options.buffer_bytes);
    let (mut reader, mut rows) = (whole(reader), Vec::new());
    while whole(reader.advance()) {
        let number = reader.row();
        rows.push(fate(number, reader.record()));
    }
    Ok(Pass { columns, rows, last: reader.row() })
}

/// A stream in memory has no errors.
fn whole<T>(result: io::Result<T>) -> T {
    result.unwrap_or_else(|err| panic!("{err}"))
}

fn fate(number: u64, record: Result<Record<'_>, Defect>) -> Read {
    let position = Position { object: 0, row: number };
    match record {
        Ok(record) => {
            let row = Row::new(position, record);
            Read::Row {
                number,
                lines: 1 + record.text.matches('\n').count(),
                cells: (0..row.len()).map(|column| format!("{:?}", row.get(column))).collect(),
                unknown: row.unknown().to_vec(),
            }
        }
        Err(defect) => {
            let bad = defect.at(position);
            let raw = bad.raw.into_exposed();
            let lines = 1 + raw.matches('\n').count();
            Read::Bad { number, lines, reason: bad.reason, detail: bad.detail, raw }
        }
    }
}
