use std::{borrow::Cow, fmt, io};

use crate::record::Record;

/// The columns with which every report begins.
pub const REPORT_COLUMNS: [&str; 6] = ["source", "row", "identifier", "field", "reason", "detail"];

/// A report as a CSV file for people: what is wrong, then the row as it stands in the source, so that it
/// can be mended in a spreadsheet and exported again.
///
/// The file is UTF-8 without a byte order mark, separated by commas, and begins with the columns `source`
/// (the name of the source object), `row`, `identifier`, `field`, `reason` and `detail`. Those of the
/// source follow, under their own names and in their own order.
///
/// # What is changed
///
/// A spreadsheet runs a cell that looks like a formula, and these cells come from strangers. So a cell
/// gets a leading `'`, see [`neutralise`], and [`restore`] takes it away again: whoever reads the mended
/// file back applies it to every cell. Numbers such as `-5` and phone numbers such as `+12025550123` are
/// no formulas and stay as they are, so that they survive in any other program, too. Nothing else of a
/// cell is changed.
pub struct CsvReport<W: io::Write> {
    out: csv::Writer<W>,
    /// Columns of the source.
    width: usize,
}

impl<W: io::Write> CsvReport<W> {
    /// Begins a report on rows that have these columns in the source; none if the rows are not shown.
    pub fn new<'a>(out: W, columns: impl IntoIterator<Item = &'a str>) -> Result<Self, io::Error> {
        let mut report = Self { out: csv::Writer::from_writer(out), width: 0 };
        report.cells(REPORT_COLUMNS)?;
        for column in columns {
            report.cell(column)?;
            report.width += 1;
        }
        report.end_row()?;
        Ok(report)
    }

    /// Writes one record with the cells of its row in the source.
    ///
    /// A row with too few cells is filled up with empty ones; cells beyond the last column are left out,
    /// because a CSV file has no place for them: the reason says that the row was ragged.
    pub fn write<'a, R: fmt::Display>(
        &mut self,
        source: &str,
        record: &Record<R>,
        original: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), io::Error> {
        let Record { row, identifier, field, reason, detail, object: _ } = record;
        let (row, reason) = (row.to_string(), reason.to_string());
        self.cells([source, &row, identifier.expose(), field, &reason, detail])?;
        let padded = original.into_iter().chain(std::iter::repeat(""));
        self.cells(padded.take(self.width))?;
        self.end_row()
    }

    /// Everything that was written so far, without the last buffer's worth, is in `out` already.
    pub fn finish(self) -> Result<W, io::Error> {
        self.out.into_inner().map_err(csv::IntoInnerError::into_error)
    }

    fn cells<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> Result<(), io::Error> {
        cells.into_iter().try_for_each(|cell| self.cell(cell))
    }

    fn cell(&mut self, cell: &str) -> Result<(), io::Error> {
        self.out.write_field(neutralise(cell).as_bytes()).map_err(io::Error::from)
    }

    fn end_row(&mut self) -> Result<(), io::Error> {
        self.out.write_record(None::<&[u8]>).map_err(io::Error::from)
    }
}

/// A cell as a spreadsheet may safely see it: with one more `'` in front if it would run it.
///
/// That is a cell that begins with `=`, `+`, `-`, `@`, a tab, a line end or the full-width form of a sign
/// (`＝＋－＠`), unless it is a plain number: a sign, then digits with single points or spaces between
/// them. A cell that begins with `'` before such a sign gets another `'`, so that [`restore`] is exact.
pub fn neutralise(cell: &str) -> Cow<'_, str> {
    if begins_like_a_formula(cell.trim_start_matches('\'')) && !is_number(cell) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// The cell that [`neutralise`] was given. Cells that it left alone stay alone.
pub fn restore(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if begins_like_a_formula(rest.trim_start_matches('\'')) => rest,
        _ => cell,
    }
}

fn begins_like_a_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// `-5`, `+12025550123`, `-12.50`, `+44 7700 900123`: nothing in it can be called or referred to.
fn is_number(cell: &str) -> bool {
    cell.strip_prefix(['+', '-']).is_some_and(|digits| {
        digits
            .split(['.', ' '])
            .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()))
    })
}
