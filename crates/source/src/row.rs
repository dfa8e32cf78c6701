use segue_model::{Cell, Cells, Pii, Position, RejectReason};

/// What stands at one position of a segment.
#[derive(Debug)]
pub enum Item<'a> {
    Row(Row<'a>),
    Bad(BadRow),
}

impl Item<'_> {
    pub fn position(&self) -> Position {
        match self {
            Self::Row(row) => row.position,
            Self::Bad(bad) => bad.position,
        }
    }
}

/// One row, borrowed from the reader until it moves on. Its columns are those of its object.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    position: Position,
    record: Record<'a>,
}

/// The cells of one row, without a position.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    /// The row as it stands in the file.
    pub(crate) text: &'a str,
    /// Cells that could not be borrowed from `text` because they held escapes.
    pub(crate) scratch: &'a str,
    pub(crate) slots: &'a [Slot],
    pub(crate) unknown: &'a [String],
}

/// Where a cell stands in the text of its row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Empty,
    Text,
    /// Text whose span counts in the scratch.
    Unescaped,
    Number,
    True,
    False,
    Json,
}

impl Slot {
    pub(crate) const EMPTY: Self = Self { start: 0, end: 0, kind: Kind::Empty };

    #[expect(
        clippy::cast_possible_truncation,
        reason = "rows are at most 1 GiB long: `ReadOptions::limits`"
    )]
    pub(crate) fn new(start: usize, end: usize, kind: Kind) -> Self {
        Self { start: start as u32, end: end as u32, kind }
    }

    #[inline]
    fn of<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start as usize..self.end as usize]
    }
}

impl<'a> Row<'a> {
    pub(crate) fn new(position: Position, record: Record<'a>) -> Self {
        Self { position, record }
    }

    pub fn position(&self) -> Position {
        self.position
    }

    /// How many cells the row has: as many as its object has columns.
    pub fn len(&self) -> usize {
        self.record.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.record.slots.is_empty()
    }

    /// Keys of this row that hold a value but are no column of the object, because they did not occur
    /// in its first rows ([`crate::ReadOptions::sampled_rows`]). Only NDJSON has such keys.
    pub fn unknown(&self) -> &'a [String] {
        self.record.unknown
    }

    /// Like [`Cells::cell`], borrowed from the reader and not from the row.
    #[inline]
    pub fn get(&self, column: usize) -> Cell<'a> {
        match self.record.slots.get(column) {
            // In CSV, which has the most rows, nearly all are text.
            Some(slot) if slot.kind == Kind::Text => Cell::Text(slot.of(self.record.text)),
            Some(slot) => self.get_other(*slot),
            None => Cell::Empty,
        }
    }

    fn get_other(&self, slot: Slot) -> Cell<'a> {
        let Record { text, scratch, .. } = self.record;
        match slot.kind {
            Kind::Empty => Cell::Empty,
            Kind::Text => Cell::Text(slot.of(text)),
            Kind::Unescaped => Cell::Text(slot.of(scratch)),
            Kind::Number => Cell::Number(slot.of(text)),
            Kind::True => Cell::Bool(true),
            Kind::False => Cell::Bool(false),
            Kind::Json => Cell::Json(slot.of(text)),
        }
    }

    /// All cells as text, for a report that shows the row again.
    pub fn to_cells(&self) -> Vec<String> {
        (0..self.len())
            .map(|column| match self.get(column) {
                Cell::Empty => String::new(),
                Cell::Text(text) | Cell::Number(text) | Cell::Json(text) => text.to_owned(),
                Cell::Bool(value) => value.to_string(),
            })
            .collect()
    }
}

impl Cells for Row<'_> {
    #[inline]
    fn cell(&self, column: usize) -> Cell<'_> {
        self.get(column)
    }
}

/// Without cells: they are personal data.
impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("position", &self.position)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A row that could not be read. The reader has gone on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    pub position: Position,
    pub reason: RejectReason,
    /// What exactly is wrong: counts and places, never a cell.
    pub detail: String,
    /// The text of the row, undecodable bytes replaced, at most its first 64 KiB.
    pub raw: Pii<String>,
}

/// Bytes of [`BadRow::raw`] before undecodable ones are replaced.
const RAW_BYTES: usize = 64 << 10;

/// A [`BadRow`] that does not know its position yet.
#[derive(Debug)]
pub(crate) struct Defect {
    pub(crate) reason: RejectReason,
    pub(crate) detail: String,
    raw: Pii<String>,
}

impl Defect {
    pub(crate) fn new(reason: RejectReason, detail: impl Into<String>, row: &[u8]) -> Self {
        let raw = &row[..row.len().min(RAW_BYTES)];
        let raw = Pii::new(String::from_utf8_lossy(raw).into_owned());
        Self { reason, detail: detail.into(), raw }
    }

    /// The row is text only if it has no NUL and is UTF-8.
    pub(crate) fn not_utf8(row: &[u8]) -> Self {
        let at = std::str::from_utf8(row).err().map_or(0, |err| err.valid_up_to());
        Self::new(RejectReason::RowNotUtf8, format!("byte {} of the row is not UTF-8", at + 1), row)
    }

    pub(crate) fn nul(at: usize, row: &[u8]) -> Self {
        Self::new(RejectReason::RowHasNul, format!("byte {} of the row is NUL", at + 1), row)
    }

    pub(crate) fn at(self, position: Position) -> BadRow {
        BadRow { position, reason: self.reason, detail: self.detail, raw: self.raw }
    }
}
