//! The CSV files that an export writes, read by the `csv` crate.

use std::{collections::BTreeMap, path::Path};

/// A row of `--rejects`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    pub source: String,
    pub row: u64,
    pub identifier: String,
    pub field: String,
    pub reason: String,
    pub detail: String,
    /// The original cells, by the name of their column.
    pub original: BTreeMap<String, String>,
}

/// A row of `--warnings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarningLine {
    pub source: String,
    pub row: u64,
    pub identifier: String,
    pub field: String,
    pub reason: String,
    pub detail: String,
}

const COLUMNS: [&str; 6] = ["source", "row", "identifier", "field", "reason", "detail"];

/// Header and rows of a CSV file.
pub fn table(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
    let mut rows =
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>());
    let header = rows.next().expect("a header");
    (header, rows.collect())
}

pub(super) fn rejects(path: &Path) -> Vec<Reject> {
    let (header, rows) = table(path);
    assert_eq!(header[..6], COLUMNS);
    let reject = |row: Vec<String>| {
        let original = header.iter().cloned().zip(row.iter().cloned()).skip(6).collect();
        let WarningLine { source, row, identifier, field, reason, detail } = line(&row);
        Reject { source, row, identifier, field, reason, detail, original }
    };
    rows.into_iter().map(reject).collect()
}

pub(super) fn warnings(path: &Path) -> Vec<WarningLine> {
    let (header, rows) = table(path);
    assert_eq!(header, COLUMNS);
    rows.iter().map(|row| line(row)).collect()
}

fn line(row: &[String]) -> WarningLine {
    let [source, number, identifier, field, reason, detail, ..] = row else {
        panic!("a row of {} cells", row.len())
    };
    WarningLine {
        source: source.clone(),
        row: number.parse().unwrap(),
        identifier: identifier.clone(),
        field: field.clone(),
        reason: reason.clone(),
        detail: detail.clone(),
    }
}
