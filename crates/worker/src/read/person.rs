//! A rejects file that comes back mended: the row of the source stands behind what was wrong with it.

use segue_model::{Cell, Cells};
use segue_source::{Object, Row};
use segue_staging::{REPORT_COLUMNS, restore};

/// Whether the object was written by `--rejects`: its first columns are exactly those of a report, and
/// more follow. They say what was wrong with a row; they are nothing about the person.
pub fn is_rejects_file(object: &Object) -> bool {
    let columns = object.columns();
    let mut begin = columns.iter().zip(REPORT_COLUMNS);
    let is_longer = columns.len() > REPORT_COLUMNS.len();
    !object.is_typed() && is_longer && begin.all(|(column, reported)| column == reported)
}

/// The columns of an object that tell about people: those that a mapping counts.
pub fn person_columns(object: &Object) -> &[String] {
    let skipped = if is_rejects_file(object) { REPORT_COLUMNS.len() } else { 0 };
    &object.columns()[skipped..]
}

/// A row by the columns that [`person_columns`] names, as it stood in the source: what a report did to
/// cells so that no spreadsheet runs them is undone.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    row: Row<'a>,
    mended: bool,
}

impl<'a> Person<'a> {
    /// `mended` says what [`is_rejects_file`] says of the object of the row.
    pub fn new(row: Row<'a>, mended: bool) -> Self {
        Self { row, mended }
    }

    /// All cells as text.
    pub fn to_cells(&self) -> Vec<String> {
        let mut cells = self.row.to_cells();
        if self.mended {
            let own = cells.split_off(REPORT_COLUMNS.len().min(cells.len()));
            cells = own.iter().map(|cell| restore(cell).to_owned()).collect();
        }
        cells
    }
}

impl Cells for Person<'_> {
    #[inline]
    fn cell(&self, column: usize) -> Cell<'_> {
        if !self.mended {
            return self.row.cell(column);
        }
        match self.row.cell(column + REPORT_COLUMNS.len()) {
            Cell::Text(text) => Cell::Text(restore(text)),
            other => other,
        }
    }
}
