use segue_model::{Cell, Cells};

use crate::{PropertyType, scalar};

/// So many rows decide the types of the columns.
pub const SAMPLE_ROWS: usize = 10_000;

/// What the first rows of a segment look like, column by column.
///
/// In a typed source (NDJSON) a cell has the type that JSON gives it: the text `"12"` stays text. In
/// an untyped one (CSV) all cells are text, and a column is a number when every cell looks like one.
#[derive(Debug, Clone)]
pub struct Sample {
    columns: Vec<Column>,
    typed: bool,
    rows: usize,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    seen: bool,
    candidates: Candidates,
}

/// The types, other than text, that every cell so far would fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidates(u8);

impl Candidates {
    const NONE: Self = Self(0);
    const NUMBER: Self = Self(1);
    const BOOLEAN: Self = Self(1 << 1);
    const DATE: Self = Self(1 << 2);
    const LIST: Self = Self(1 << 3);
    const ALL: Self = Self(Self::NUMBER.0 | Self::BOOLEAN.0 | Self::DATE.0 | Self::LIST.0);

    fn of(cell: Cell<'_>, typed: bool) -> Self {
        match cell {
            Cell::Empty => Self::ALL,
            Cell::Text(text) if !typed && scalar::is_decimal(text) => Self::NUMBER,
            Cell::Text(text) if !typed && scalar::boolean(text).is_some() => Self::BOOLEAN,
            Cell::Text(text) if scalar::is_iso_date(text) => Self::DATE,
            Cell::Number(literal) if scalar::is_exact_number(literal) => Self::NUMBER,
            Cell::Text(_) | Cell::Number(_) => Self::NONE,
            Cell::Bool(_) => Self::BOOLEAN,
            Cell::Json(_) => Self::LIST,
        }
    }
}

impl Sample {
    /// `typed`: whether the source itself tells text, numbers and booleans apart, as NDJSON does.
    pub fn new(columns: usize, typed: bool) -> Self {
        let unseen = Column { seen: false, candidates: Candidates::ALL };
        Self { columns: vec![unseen; columns], typed, rows: 0 }
    }

    /// Takes a row into account. Rows after the first [`SAMPLE_ROWS`] change nothing, so that the
    /// types do not depend on how a caller cuts its reading.
    pub fn see(&mut self, row: &(impl Cells + ?Sized)) {
        if self.rows == SAMPLE_ROWS {
            return;
        }
        self.rows += 1;
        for (index, column) in self.columns.iter_mut().enumerate() {
            let cell = row.cell(index);
            if !matches!(cell, Cell::Empty | Cell::Text("")) {
                column.seen = true;
                // Text that failed every type once is not looked at again.
                if column.candidates != Candidates::NONE {
                    column.candidates.0 &= Candidates::of(cell, self.typed).0;
                }
            }
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn is_typed(&self) -> bool {
        self.typed
    }

    /// The type of a column; text where the sample has nothing to go by.
    pub fn kind(&self, column: usize) -> PropertyType {
        match self.columns.get(column) {
            Some(Column { seen: true, candidates }) => match *candidates {
                Candidates::NUMBER => PropertyType::Number,
                Candidates::BOOLEAN => PropertyType::Boolean,
                Candidates::DATE => PropertyType::Date,
                Candidates::LIST => PropertyType::List,
                _ => PropertyType::Text,
            },
            _ => PropertyType::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use segue_model::Cell::{self, Bool, Empty, Json, Number, Text};

    use super::{SAMPLE_ROWS, Sample};
    use crate::PropertyType;

    fn kind(typed: bool, cells: &[Cell<'_>]) -> PropertyType {
        let mut sample = Sample::new(1, typed);
        for cell in cells {
            sample.see(&[*cell][..]);
        }
        sample.kind(0)
    }

    #[test]
    fn a_text_column_has_the_type_that_every_cell_fits() {
        for (cells, expected) in [
            (&[Text("1"), Empty, Text(""), Text("-2.5")][..], PropertyType::Number),
            (&[Text("1"), Text("007")], PropertyType::Text),
            (&[Text("true"), Text("FALSE")], PropertyType::Boolean),
            (&[Text("true"), Text("1")], PropertyType::Text),
            (&[Text("2026-01-01"), Text("2026-01-01T10:00Z")], PropertyType::Date),
            (&[Text("2026-01-01"), Text("soon")], PropertyType::Text),
            (&[Text("2026-01-01"), Text("2026")], PropertyType::Text),
            (&[Empty, Text("")], PropertyType::Text),
            (&[], PropertyType::Text),
        ] {
            assert_eq!(kind(false, cells), expected, "{cells:?}");
        }
    }

    #[test]
    fn a_typed_column_has_the_type_that_json_gave_all_cells() {
        for (cells, expected) in [
            (&[Number("1"), Empty, Number("1e5")][..], PropertyType::Number),
            (&[Number("1"), Text("2")], PropertyType::Text),
            (&[Text("1"), Text("2")], PropertyType::Text),
            (&[Number("9007199254740993")], PropertyType::Text),
            (&[Bool(true), Bool(false)], PropertyType::Boolean),
            (&[Text("true")], PropertyType::Text),
            (&[Json("[1]"), Json("[]")], PropertyType::List),
            (&[Json("[1]"), Number("1")], PropertyType::Text),
            (&[Text("2026-01-01")], PropertyType::Date),
        ] {
            assert_eq!(kind(true, cells), expected, "{cells:?}");
        }
    }

    #[test]
    fn rows_beyond_the_sample_change_nothing() {
        let mut sample = Sample::new(1, false);
        for _ in 0..SAMPLE_ROWS {
            sample.see(&[Text("1")][..]);
        }
        sample.see(&[Text("x")][..]);
        assert_eq!((sample.kind(0), sample.rows()), (PropertyType::Number, SAMPLE_ROWS));
    }
}
