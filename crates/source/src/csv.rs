//! CSV as RFC 4180 describes it, read so that one broken row costs nobody else's.
//!
//! A cell is quoted if its first byte is a quote; inside it a quote is doubled, and behind its last
//! quote comes a delimiter or a line end. Anywhere else a quote is a character like any other. Lines
//! end in LF or CRLF; a CR alone is part of its cell.
//!
//! # Where the reader goes on behind a row whose structure is broken
//!
//! If a cell or a row is larger than the limits, or a quoted cell is not ended properly, nobody can
//! know where the row was meant to end. Such a row is rejected up to the end of its *first physical
//! line*, and the next line is read as a row of its own. So a quote that is never closed costs the row
//! it stands in, and not the rest of the file up to the next quote. What an intact row with line breaks
//! would lose by this rule (a cell above the limit) is reported line by line; nothing is silent.
//!
//! A row whose structure holds but whose content does not (cells missing, NUL, not UTF-8) is rejected
//! as a whole, line breaks included.
//!
//! A file can be made so that every one of its lines seems to begin a row that goes on to its end. To look
//! for the end of each would take hours, so the reader loses its patience, see [`PATIENCE`]: from then on
//! a quoted cell ends in its line.

use std::{io, ops::Range};

use memchr::{memchr, memrchr};
use segue_model::RejectReason;

use crate::{
    error::ColumnsProblem,
    marks,
    options::Limits,
    row::{Defect, Kind, Record, Slot},
    window::Window,
};

/// Reads records from a stream that begins with a header.
pub(crate) struct CsvReader<R> {
    window: Window<R>,
    delimiter: u8,
    limits: Limits,
    /// As many cells has each row; `None` until the header is read.
    columns: Option<usize>,
    /// The records and blank lines up to here, the header included.
    row: u64,

    /// Where in the window the delimiters, line feeds and quotes stand. Finding them all at once is
    /// what makes the reader fast: see `examples/speed.rs`.
    marks: Vec<u32>,
    /// The first of `marks` at or behind the window's start.
    next_mark: usize,
    last_nul: Option<usize>,

    /// The record at hand: its bytes without line end, its cells relative to their begin.
    record: Range<usize>,
    slots: Vec<Slot>,
    has_escapes: bool,
    scratch: String,
    defect: Option<Defect>,

    /// Cells that may still be looked at in vain: see [`PATIENCE`].
    patience: usize,
}

/// Cells that are looked at in rows of several lines which turn out to be broken, in all of a file. That
/// takes about two seconds.
const PATIENCE: usize = 1 << 27;

/// What `split` found at the start of the window.
enum Split {
    Record,
    Blank,
    /// The window ends before the record does.
    More,
    /// The structure is broken: reject the first physical line.
    Broken(RejectReason, &'static str),
    End,
}

/// How a cell ended, with the number of the mark behind it.
enum CellEnd {
    Delimiter { end: usize, next_mark: usize },
    Line { end: usize, behind: usize, next_mark: usize },
    Stream { end: usize },
    More,
    Broken(RejectReason, &'static str),
}

impl<R: io::Read> CsvReader<R> {
    pub(crate) fn new(source: R, delimiter: u8, limits: Limits, capacity: usize) -> Self {
        Self {
            window: Window::new(source, capacity),
            delimiter,
            limits,
            columns: None,
            row: 0,
            marks: Vec::new(),
            next_mark: 0,
            last_nul: None,
            record: 0..0,
            slots: Vec::new(),
            has_escapes: false,
            scratch: String::new(),
            defect: None,
            patience: PATIENCE,
        }
    }

    pub(crate) fn source(&self) -> &R {
        self.window.source()
    }

    /// The number of the row at hand; the header is 1.
    pub(crate) fn row(&self) -> u64 {
        self.row
    }

    /// Reads the header, which must come first. `None`: the stream holds nothing but blank lines.
    pub(crate) fn header(
        &mut self,
        max_columns: usize,
    ) -> io::Result<Result<Option<Vec<String>>, ColumnsProblem>> {
        self.window.begin()?;
        self.index(self.window.start()..self.window.end());
        if !self.advance()? {
            return Ok(Ok(None));
        }
        let limit_bytes = self.limits.row;
        let cells = match self.record() {
            // Nothing is made of each of a million names.
            Ok(record) if record.slots.len() > max_columns => {
                return Ok(Err(ColumnsProblem::TooMany { limit: max_columns }));
            }
            Ok(record) => header_names(&record),
            Err(defect) => {
                return Ok(Err(match defect.reason {
                    RejectReason::RowHasNul => ColumnsProblem::HasNul,
                    RejectReason::RowNotUtf8 => ColumnsProblem::NotUtf8,
                    RejectReason::RowTooLarge => ColumnsProblem::TooLong { limit_bytes },
                    RejectReason::RowRagged => ColumnsProblem::TooMany { limit: max_columns },
                    _ => ColumnsProblem::Quoting,
                }));
            }
        };
        self.columns = Some(cells.len());
        if cells.iter().any(|name| has_bare_cr(name)) {
            return Ok(Err(ColumnsProblem::CrOnly));
        }
        Ok(ColumnsProblem::find(&cells, max_columns).map_or(Ok(Some(cells)), Err))
    }

    /// Moves to the next record. `false`: there is none.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        loop {
            match self.split() {
                Split::Record => {
                    self.row += 1;
                    return Ok(true);
                }
                Split::Blank => self.row += u64::from(self.columns.is_some()),
                Split::More => self.fill()?,
                Split::Broken(reason, detail) => {
                    self.row += 1;
                    self.reject_line(reason, detail)?;
                    return Ok(true);
                }
                Split::End => return Ok(false),
            }
        }
    }

    /// The record that `advance` moved to.
    pub(crate) fn record(&mut self) -> Result<Record<'_>, Defect> {
        if let Some(defect) = self.defect.take() {
            return Err(defect);
        }
        let bytes = &self.window.bytes()[self.record.clone()];
        if self.last_nul.is_some_and(|nul| nul >= self.record.start)
            && let Some(at) = memchr(0, bytes)
        {
            return Err(Defect::nul(at, bytes));
        }
        let Ok(text) = simdutf8::basic::from_utf8(bytes) else {
            return Err(Defect::not_utf8(bytes));
        };
        if let Some(columns) = self.columns
            && columns != self.slots.len()
        {
            return Err(ragged(self.slots.len(), columns, bytes));
        }
        if self.has_escapes {
            self.scratch.clear();
            for slot in self.slots.iter_mut().filter(|slot| slot.kind == Kind::Unescaped) {
                let start = self.scratch.len();
                undouble(&text[slot.start as usize..slot.end as usize], &mut self.scratch);
                *slot = Slot::new(start, self.scratch.len(), Kind::Unescaped);
            }
        }
        Ok(Record { text, scratch: &self.scratch, slots: &self.slots, unknown: &[] })
    }

    fn fill(&mut self) -> io::Result<()> {
        let filled = self.window.fill()?;
        self.marks.drain(..self.next_mark);
        self.next_mark = 0;
        let shift = marks::position(filled.shift);
        for mark in &mut self.marks {
            *mark -= shift;
        }
        self.last_nul = self.last_nul.and_then(|nul| nul.checked_sub(filled.shift));
        self.index(filled.fresh);
        Ok(())
    }

    fn index(&mut self, fresh: Range<usize>) {
        let (base, bytes) = (fresh.start, &self.window.bytes()[fresh]);
        marks::find(bytes, base, [b'\n', self.delimiter, b'"'], &mut self.marks);
        self.last_nul = memrchr(0, bytes).map(|at| base + at).or(self.last_nul);
    }

    /// Finds the cells of the record at the start of the window and steps over it.
    fn split(&mut self) -> Split {
        let start = self.window.start();
        if start == self.window.end() {
            return if self.window.at_end() { Split::End } else { Split::More };
        }
        self.slots.clear();
        self.has_escapes = false;
        let (mut cell, mut mark) = (start, self.next_mark);
        let (end, behind) = loop {
            (cell, mark) = self.plain_cells(start, cell, mark);
            if self.slots.len() > MAX_CELLS {
                return self.broken(RejectReason::RowRagged, TOO_MANY, cell);
            }
            match self.cell(start, cell, mark) {
                CellEnd::Delimiter { end, next_mark } => {
                    (cell, mark) = (end + 1, next_mark);
                }
                CellEnd::Line { end, behind, next_mark } => {
                    mark = next_mark;
                    break (end, behind);
                }
                CellEnd::Stream { end } => break (end, self.window.end()),
                CellEnd::More => return Split::More,
                CellEnd::Broken(reason, detail) => return self.broken(reason, detail, cell),
            }
        };
        self.record = start..end;
        self.next_mark = mark;
        self.window.consume_to(behind);
        if start == end && self.columns != Some(1) { Split::Blank } else { Split::Record }
    }

    /// Steps over the cells from `cell` on as long as there is nothing special about them: no quote, and a
    /// delimiter at the end. Returns where the next one begins, and the first mark at or behind it.
    #[inline]
    fn plain_cells(&mut self, start: usize, mut cell: usize, mut mark: usize) -> (usize, usize) {
        let bytes = self.window.bytes();
        let limit = start + self.limits.row;
        let some = self.marks.len().min(mark + MAX_CELLS);
        for at in self.marks[mark..some].iter().map(|at| *at as usize) {
            let is_plain = bytes[at] == self.delimiter && bytes[cell] != b'"';
            if !is_plain || at > limit || at - cell > self.limits.cell {
                break;
            }
            let kind = if cell == at { Kind::Empty } else { Kind::Text };
            self.slots.push(Slot::new(cell - start, at - start, kind));
            (cell, mark) = (at + 1, mark + 1);
        }
        (cell, mark)
    }

    /// Finds the end of the cell that begins at `cell`, in the row that begins at `start`; `mark` is
    /// the first mark at or behind `cell`.
    #[inline]
    fn cell(&mut self, start: usize, cell: usize, mut mark: usize) -> CellEnd {
        let bytes = self.window.bytes();
        if bytes.get(cell) == Some(&b'"') {
            return self.quoted_cell(start, cell, mark);
        }
        let limit = (start + self.limits.row).min(cell + self.limits.cell);
        loop {
            // Without a mark the cell ends with the stream, if that has ended.
            let at = self.marks.get(mark).map_or(bytes.len(), |at| *at as usize);
            if at > limit {
                return CellEnd::Broken(RejectReason::RowTooLarge, TOO_LARGE);
            }
            let (end, result) = match bytes.get(at) {
                Some(b'"') => {
                    mark += 1;
                    continue;
                }
                Some(b'\n') => {
                    let end = before_cr(bytes, cell, at);
                    (end, CellEnd::Line { end, behind: at + 1, next_mark: mark + 1 })
                }
                Some(_) => (at, CellEnd::Delimiter { end: at, next_mark: mark + 1 }),
                None if self.window.at_end() => {
                    let end = before_cr(bytes, cell, at);
                    (end, CellEnd::Stream { end })
                }
                None => return CellEnd::More,
            };
            let kind = if cell == end { Kind::Empty } else { Kind::Text };
            self.slots.push(Slot::new(cell - start, end - start, kind));
            return result;
        }
    }

    fn quoted_cell(&mut self, start: usize, cell: usize, mut mark: usize) -> CellEnd {
        let bytes = self.window.bytes();
        let limit = (start + self.limits.row).min(cell + 1 + self.limits.cell);
        let (mut has_quotes, mut has_lines) = (false, false);
        mark += 1; // the quote that opens the cell
        let quote = loop {
            let at = self.marks.get(mark).map_or(bytes.len(), |at| *at as usize);
            match bytes.get(at) {
                _ if at > limit && has_lines => {
                    return CellEnd::Broken(RejectReason::QuoteUnclosed, UNCLOSED_LIMIT);
                }
                _ if at > limit => return CellEnd::Broken(RejectReason::RowTooLarge, TOO_LARGE),
                Some(b'"') if bytes.get(at + 1) == Some(&b'"') => {
                    has_quotes = true;
                    mark += 2;
                }
                Some(b'"') => break at,
                Some(b'\n') if self.patience == 0 => {
                    return CellEnd::Broken(RejectReason::QuoteUnclosed, UNCLOSED_IMPATIENT);
                }
                Some(byte) => {
                    has_lines |= *byte == b'\n';
                    mark += 1;
                }
                None if self.window.at_end() => {
                    return CellEnd::Broken(RejectReason::QuoteUnclosed, UNCLOSED_END);
                }
                None => return CellEnd::More,
            }
        };

        let (end, next_mark) = (quote + 1, mark + 2);
        let result = match (bytes.get(end), bytes.get(end + 1)) {
            (Some(byte), _) if *byte == self.delimiter => CellEnd::Delimiter { end, next_mark },
            (Some(b'\n'), _) => CellEnd::Line { end, behind: end + 1, next_mark },
            (Some(b'\r'), Some(b'\n')) => CellEnd::Line { end, behind: end + 2, next_mark },
            (None, _) | (Some(b'\r'), None) if !self.window.at_end() => return CellEnd::More,
            (None, _) | (Some(b'\r'), None) => CellEnd::Stream { end },
            // A quote that opened lines above was closed by the opening quote of another cell.
            _ if has_lines => return CellEnd::Broken(RejectReason::QuoteUnclosed, UNCLOSED_LINES),
            _ => return CellEnd::Broken(RejectReason::QuoteMisplaced, MISPLACED),
        };
        let kind = match quote - cell - 1 {
            0 => Kind::Empty,
            _ if has_quotes => Kind::Unescaped,
            _ => Kind::Text,
        };
        self.has_escapes |= kind == Kind::Unescaped;
        self.slots.push(Slot::new(cell + 1 - start, quote - start, kind));
        result
    }

    /// The line that is to be rejected should be in memory as a whole, whatever the size of the reads.
    /// `cell`: where the cell begins that is at fault.
    fn broken(&mut self, reason: RejectReason, detail: &'static str, cell: usize) -> Split {
        let unread = self.window.unread();
        let line_end = memchr(b'\n', unread);
        let complete = self.window.at_end() || line_end.is_some();
        if complete || unread.len() > self.limits.row {
            // Cells of the lines behind the first are looked at again.
            if line_end.is_some_and(|at| self.window.start() + at < cell) {
                self.patience = self.patience.saturating_sub(self.slots.len());
            }
            Split::Broken(reason, detail)
        } else {
            Split::More
        }
    }

    fn reject_line(&mut self, reason: RejectReason, detail: &str) -> io::Result<()> {
        let unread = self.window.unread();
        let end = memchr(b'\n', unread).unwrap_or(unread.len()).min(self.limits.row);
        let line = &unread[..before_cr(unread, 0, end)];
        self.defect = Some(Defect::new(reason, detail, line));
        loop {
            if let Some(at) = memchr(b'\n', self.window.unread()) {
                self.window.consume_to(self.window.start() + at + 1);
                self.skip_marks();
                return Ok(());
            }
            self.window.consume_to(self.window.end());
            self.skip_marks();
            if self.window.at_end() {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn skip_marks(&mut self) {
        let start = marks::position(self.window.start());
        self.next_mark += self.marks[self.next_mark..].partition_point(|mark| *mark < start);
    }
}

/// Far more than any object may have columns: of a row of nothing but commas no more is remembered.
const MAX_CELLS: usize = 1 << 16;
const TOO_MANY: &str = "the row has more than 65536 cells";
const TOO_LARGE: &str = "the row or one of its cells is above the limit";
const UNCLOSED_LIMIT: &str = "a quote opens and is not closed within the limit of a cell";
const UNCLOSED_END: &str = "a quote opens and is not closed before the file ends";
const UNCLOSED_IMPATIENT: &str = "a quote opens and is not closed in its line; so many are not in this \
                                   file that cells of several lines are not read any more";
const UNCLOSED_LINES: &str =
    "a quote opens, and the next one, in a later line, is not followed by a delimiter";
const MISPLACED: &str = "a quote inside a quoted cell is not doubled";

/// The end of a line whose LF stands at `at`: without the CR of a CRLF.
fn before_cr(bytes: &[u8], start: usize, at: usize) -> usize {
    if at > start && bytes[at - 1] == b'\r' { at - 1 } else { at }
}

/// Invisible characters around a name are no part of it: white space, or the second of two marks of byte
/// order, as files have that were put together from several.
fn header_names(record: &Record<'_>) -> Vec<String> {
    let names = record.slots.iter().map(|slot| match slot.kind {
        Kind::Unescaped => &record.scratch[slot.start as usize..slot.end as usize],
        _ => &record.text[slot.start as usize..slot.end as usize],
    });
    let invisible = |letter: char| letter.is_whitespace() || letter == '\u{FEFF}';
    names.map(|name| name.trim_matches(invisible).to_owned()).collect()
}

/// Such a name has swallowed the rows of a file whose lines end in CR alone.
fn has_bare_cr(name: &str) -> bool {
    name.split("\r\n").any(|part| part.contains('\r'))
}

fn ragged(found: usize, columns: usize, row: &[u8]) -> Defect {
    let cells = if found == 1 { "cell" } else { "cells" };
    let detail = format!("{found} {cells}, the header has {columns}");
    Defect::new(RejectReason::RowRagged, detail, row)
}

/// Appends the content of a quoted cell, in which quotes only stand in pairs.
fn undouble(cell: &str, out: &mut String) {
    for (index, part) in cell.split("\"\"").enumerate() {
        if index > 0 {
            out.push('"');
        }
        out.push_str(part);
    }
}

#[cfg(test)]
mod tests;
