//! NDJSON: one JSON object a line, and every key a column.
//!
//! The members of an object inside the row are columns named `outer.inner`. If a name comes twice in a
//! row, its last value counts, as in nearly every JSON parser. `null` is an empty cell. Lines of white
//! space alone are not rows, and are not counted.

use std::{collections::HashMap, io, ops::Range, sync::Arc};

use memchr::memchr;
use segue_model::RejectReason;

use crate::{
    ReadOptions,
    error::ColumnsProblem,
    json::{self, Invalid, Value},
    options::Limits,
    row::{Defect, Kind, Record, Slot},
    window::Window,
};

/// The columns of an object, by number and by name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) list: Vec<String>,
    index: HashMap<String, usize>,
}

impl Names {
    pub(crate) fn new(list: Vec<String>) -> Self {
        let index = list.iter().cloned().zip(0..).collect();
        Self { list, index }
    }

    fn add(&mut self, name: &str) -> usize {
        let column = self.list.len();
        self.list.push(name.to_owned());
        self.index.insert(name.to_owned(), column);
        column
    }

    fn truncate(&mut self, length: usize) {
        for name in self.list.drain(length..) {
            self.index.remove(&name);
        }
    }

    /// `hint` is where the name is likely to stand: rows of one file tend to have one order of keys.
    fn find(&self, name: &str, hint: usize) -> Option<usize> {
        match self.list.get(hint) {
            Some(likely) if likely == name => Some(hint),
            _ => self.index.get(name).copied(),
        }
    }
}

/// Keys of one row that are no columns: as many as there may be columns.
const MAX_UNKNOWN: usize = 4096;

/// Reads one JSON object a line.
pub(crate) struct NdjsonReader<R> {
    lines: Lines<R>,
    limits: Limits,
    names: Arc<Names>,
    row: u64,
    slots: Vec<Slot>,
    scratch: String,
    unknown: Vec<String>,
}

impl<R: io::Read> NdjsonReader<R> {
    pub(crate) fn new(
        source: R,
        names: Arc<Names>,
        limits: Limits,
        capacity: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            lines: Lines::new(source, limits.row, capacity)?,
            limits,
            slots: vec![Slot::EMPTY; names.list.len()],
            names,
            row: 0,
            scratch: String::new(),
            unknown: Vec::new(),
        })
    }

    pub(crate) fn source(&self) -> &R {
        self.lines.window.source()
    }

    pub(crate) fn row(&self) -> u64 {
        self.row
    }

    /// Moves to the next line that is not blank. `false`: there is none.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        let found = self.lines.advance()?;
        self.row += u64::from(found);
        Ok(found)
    }

    /// The row that `advance` moved to.
    pub(crate) fn record(&mut self) -> Result<Record<'_>, Defect> {
        let text = self.lines.text()?;
        let (names, cell_limit) = (&*self.names, self.limits.cell);
        let (slots, scratch, unknown) = (&mut self.slots, &mut self.scratch, &mut self.unknown);
        slots.fill(Slot::EMPTY);
        scratch.clear();
        unknown.clear();
        let (mut hint, mut longest) = (0, 0);
        json::scan(text, |name, value| {
            longest = longest.max(value.len());
            match names.find(name, hint) {
                Some(column) => {
                    hint = column + 1;
                    slots[column] = slot(text, value, scratch)?;
                }
                None if value == Value::Null => {}
                None if unknown.len() == MAX_UNKNOWN => {
                    return Err(Invalid::TooLarge("more than 4096 keys are no columns"));
                }
                None => unknown.push(name.to_owned()),
            }
            Ok(())
        })
        .map_err(|invalid| defect(&invalid, text))?;
        if longest > cell_limit {
            let reason = RejectReason::RowTooLarge;
            return Err(Defect::new(reason, "a value is above the limit", text.as_bytes()));
        }
        Ok(Record { text, scratch, slots, unknown })
    }
}

/// The columns of a stream: the names in its first [`ReadOptions::sampled_rows`] rows, in order of first appearance.
///
/// A name that is only ever `null` is no column if the same name is also an object in other rows:
/// `"home": null` says that there is no `home.city`.
pub(crate) fn discover<R: io::Read>(
    source: R,
    options: &ReadOptions,
) -> io::Result<Result<Option<Names>, ColumnsProblem>> {
    let max_columns = options.max_columns;
    let mut lines = Lines::new(source, options.limits().row, options.buffer_bytes)?;
    let mut names = Names::default();
    let mut has_value = Vec::new();
    let (mut bad, mut good) = (Bad::default(), 0);
    for _ in 0..options.sampled_rows {
        if !lines.advance()? {
            break;
        }
        // What is wrong with a line is reported when it is read as a row.
        let text = match lines.text() {
            Ok(text) => text,
            Err(defect) => {
                bad.count(defect.reason);
                continue;
            }
        };
        let (known, mut hint) = (names.list.len(), 0);
        let scanned = json::scan(text, |name, value| {
            let column = names.find(name, hint).unwrap_or_else(|| names.add(name));
            hint = column + 1;
            has_value.resize(names.list.len(), false);
            has_value[column] |= value != Value::Null;
            if names.list.len() > max_columns { Err(TOO_MANY) } else { Ok(()) }
        });
        match scanned {
            Ok(()) => good += 1,
            Err(TOO_MANY) => return Ok(Err(ColumnsProblem::TooMany { limit: max_columns })),
            Err(invalid) => {
                bad.count(invalid.reason());
                names.truncate(known); // what it names may be rubbish
                has_value.truncate(known);
            }
        }
    }
    match bad {
        Bad { first: Some(reason), lines } if good == 0 => {
            return Ok(Err(ColumnsProblem::NoRow { lines, reason }));
        }
        Bad { first: None, .. } if good == 0 => return Ok(Ok(None)),
        _ => {}
    }
    let objects = outer_names(&names.list);
    let list: Vec<String> = names
        .list
        .iter()
        .zip(has_value)
        .filter(|(name, has_value)| *has_value || !objects.contains(name.as_str()))
        .map(|(name, _)| name.clone())
        .collect();
    Ok(ColumnsProblem::find(&list, max_columns).map_or_else(|| Ok(Some(Names::new(list))), Err))
}

const TOO_MANY: Invalid = Invalid::TooLarge("more columns than the file may have");

/// Lines that are no rows.
#[derive(Default)]
struct Bad {
    lines: usize,
    first: Option<RejectReason>,
}

impl Bad {
    fn count(&mut self, reason: RejectReason) {
        self.lines += 1;
        self.first.get_or_insert(reason);
    }
}

fn outer_names(names: &[String]) -> std::collections::HashSet<&str> {
    names.iter().flat_map(|name| name.match_indices('.').map(|(dot, _)| &name[..dot])).collect()
}

impl Value {
    fn len(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 0,
            Self::Number(span) | Self::Text(span) | Self::Escaped(span) | Self::Array(span) => {
                span.len()
            }
        }
    }
}

fn slot(text: &str, value: Value, scratch: &mut String) -> Result<Slot, Invalid> {
    Ok(match value {
        Value::Null => Slot::EMPTY,
        Value::Bool(true) => Slot { kind: Kind::True, ..Slot::EMPTY },
        Value::Bool(false) => Slot { kind: Kind::False, ..Slot::EMPTY },
        Value::Number(span) => Slot::new(span.start, span.end, Kind::Number),
        Value::Text(span) => Slot::new(span.start, span.end, Kind::Text),
        Value::Array(span) => Slot::new(span.start, span.end, Kind::Json),
        Value::Escaped(span) => {
            let start = scratch.len();
            json::unescape(text, &span, scratch)?;
            Slot::new(start, scratch.len(), Kind::Unescaped)
        }
    })
}

impl Invalid {
    fn reason(&self) -> RejectReason {
        match self {
            Self::Nul(_) => RejectReason::RowHasNul,
            Self::Json(..) => RejectReason::JsonInvalid,
            Self::TooLarge(_) => RejectReason::RowTooLarge,
        }
    }
}

fn defect(invalid: &Invalid, text: &str) -> Defect {
    let words = match *invalid {
        Invalid::Nul(at) => return Defect::nul(at, text.as_bytes()),
        Invalid::Json(what, at) => format!("{what}, at byte {}", at + 1),
        Invalid::TooLarge(what) => what.to_owned(),
    };
    Defect::new(invalid.reason(), words, text.as_bytes())
}

/// The lines of a stream that are not blank.
struct Lines<R> {
    window: Window<R>,
    limit: usize,
    line: Range<usize>,
    defect: Option<Defect>,
}

impl<R: io::Read> Lines<R> {
    fn new(source: R, limit: usize, capacity: usize) -> io::Result<Self> {
        let mut window = Window::new(source, capacity);
        window.begin()?;
        Ok(Self { window, limit, line: 0..0, defect: None })
    }

    fn advance(&mut self) -> io::Result<bool> {
        let mut scanned = 0;
        loop {
            let unread = self.window.unread();
            let end = memchr(b'\n', &unread[scanned..]).map(|at| scanned + at);
            let length = end.unwrap_or(unread.len());
            if length > self.limit {
                self.reject()?;
                return Ok(true);
            }
            if end.is_none() && !self.window.at_end() {
                scanned = length;
                self.window.fill()?;
                continue;
            }
            let is_blank = unread[..length].trim_ascii().is_empty();
            let start = self.window.start();
            self.line = start..start + length;
            self.window.consume_to((start + length + 1).min(self.window.end()));
            if !is_blank {
                return Ok(true);
            }
            if end.is_none() {
                return Ok(false);
            }
            scanned = 0;
        }
    }

    fn text(&mut self) -> Result<&str, Defect> {
        if let Some(defect) = self.defect.take() {
            return Err(defect);
        }
        let bytes = &self.window.bytes()[self.line.clone()];
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if let Some(at) = memchr(0, bytes) {
            return Err(Defect::nul(at, bytes));
        }
        simdutf8::basic::from_utf8(bytes).map_err(|_| Defect::not_utf8(bytes))
    }

    /// Steps over a line that is too long to be held.
    fn reject(&mut self) -> io::Result<()> {
        let line = &self.window.unread()[..self.limit];
        self.defect =
            Some(Defect::new(RejectReason::RowTooLarge, "the line is above the limit", line));
        loop {
            if let Some(at) = memchr(b'\n', self.window.unread()) {
                self.window.consume_to(self.window.start() + at + 1);
                return Ok(());
            }
            self.window.consume_to(self.window.end());
            if self.window.at_end() {
                return Ok(());
            }
            self.window.fill()?;
        }
    }
}

#[cfg(test)]
mod tests;
