//! CSV and NDJSON: every row has one fate, however the bytes arrive.

use segue_model::{Cell, RejectReason};
use segue_source::{
    Format, ReadOptions,
    testing::{Pass, Read, read},
};
use serde_json::{Map, Value};

/// More of a bad row is not kept, and its lines cannot be counted.
const RAW_BYTES: usize = 64 << 10;

/// Limits that a small input meets.
fn narrow() -> ReadOptions {
    ReadOptions { max_cell_bytes: 16, max_row_bytes: 64, max_columns: 8, ..ReadOptions::default() }
}

/// Any bytes as a CSV file, and as the rows of one.
pub fn csv(data: &[u8]) {
    let rows = [b"a,b,c\n", data].concat();
    for (delimiter, options) in [(b',', ReadOptions::default()), (b';', narrow())] {
        let format = Format::Csv { delimiter };
        read_in_pieces(data, format, &options);
        if let Some(pass) = read_in_pieces(&rows, format, &options) {
            every_line_has_one_fate(data, &pass);
            if delimiter == b',' {
                as_the_csv_crate_reads(&rows, &pass);
            }
        }
    }
}

/// Any bytes as an NDJSON file.
pub fn ndjson(data: &[u8]) {
    for options in [ReadOptions::default(), narrow()] {
        if let Some(pass) = read_in_pieces(data, Format::Ndjson, &options) {
            every_line_is_what_serde_json_says(data, &pass, &options);
        }
    }
}

/// `None`: the bytes are not a file of this format. The same comes out twice, and byte by byte.
fn read_in_pieces(data: &[u8], format: Format, options: &ReadOptions) -> Option<Pass> {
    let whole = read(data, format, options, usize::MAX);
    assert_eq!(read(data, format, options, usize::MAX), whole, "the second time");
    let smallest = ReadOptions { buffer_bytes: 1, ..options.clone() };
    assert_eq!(read(data, format, &smallest, 1), whole, "byte by byte");
    if let Err(problem) = &whole {
        assert!(problem.to_string().len() < 4096, "{problem}");
    }
    let pass = whole.ok()?;
    assert!(pass.columns.len() <= options.max_columns);
    assert!(pass.rows.iter().map(number).is_sorted_by(|one, next| one < next));
    assert!(pass.rows.last().is_none_or(|last| number(last) <= pass.last));
    for row in &pass.rows {
        match row {
            Read::Row { cells, .. } => assert_eq!(cells.len(), pass.columns.len()),
            Read::Bad { detail, .. } => assert!(!detail.is_empty()),
        }
    }
    Some(pass)
}

fn number(row: &Read) -> u64 {
    match row {
        Read::Row { number, .. } | Read::Bad { number, .. } => *number,
    }
}

/// `data` stands behind a header of one line.
fn every_line_has_one_fate(data: &[u8], pass: &Pass) {
    if data.len() > RAW_BYTES {
        return;
    }
    let lines = data.split(|byte| *byte == b'\n').count()
        - usize::from(data.is_empty() || data.ends_with(b"\n"));
    let read: usize = pass
        .rows
        .iter()
        .map(|row| match row {
            Read::Row { lines, .. } | Read::Bad { lines, .. } => *lines,
        })
        .sum();
    let blank = usize::try_from(pass.last).unwrap() - 1 - pass.rows.len();
    assert_eq!(read + blank, lines, "{pass:#?}");
}

/// Where both mean the same: nothing is wrong with the file, and no line ends in CR alone.
fn as_the_csv_crate_reads(file: &[u8], pass: &Pass) {
    let bare_cr = |at: usize| file[at] == b'\r' && file.get(at + 1) != Some(&b'\n');
    let mut cells = Vec::new();
    for row in &pass.rows {
        match row {
            Read::Row { cells: here, .. } => cells.push(here),
            Read::Bad { .. } => return,
        }
    }
    if (0..file.len()).any(bare_cr) {
        return;
    }
    let mut reader = csv::ReaderBuilder::new().from_reader(file);
    let records: Vec<Vec<String>> =
        reader.records().map(|record| record.unwrap().iter().map(shown).collect()).collect();
    assert_eq!(records.iter().collect::<Vec<_>>(), cells);
}

fn shown(text: &str) -> String {
    let cell = if text.is_empty() { Cell::Empty } else { Cell::Text(text) };
    format!("{cell:?}")
}

fn every_line_is_what_serde_json_says(data: &[u8], pass: &Pass, options: &ReadOptions) {
    let data = data.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(data);
    let lines = data.split(|byte| *byte == b'\n');
    let limit = options.max_row_bytes;
    let lines: Vec<&[u8]> =
        lines.filter(|line| line.len() > limit || !line.trim_ascii().is_empty()).collect();
    assert_eq!(lines.len(), pass.rows.len(), "each line that is not blank has one fate");
    for (line, row) in lines.into_iter().zip(&pass.rows) {
        match row {
            Read::Row { .. } => {
                let json = serde_json::from_slice::<serde::de::IgnoredAny>(line);
                assert!(
                    json.is_ok(),
                    "only the reader takes {:?}",
                    line.escape_ascii().to_string()
                );
            }
            // How deep an object may be is the reader's own rule.
            Read::Bad { reason: RejectReason::JsonInvalid, detail, .. }
                if !detail.contains("nested") =>
            {
                let json = serde_json::from_slice::<Map<String, Value>>(line);
                assert!(json.is_err(), "{detail}: {:?}", line.escape_ascii().to_string());
            }
            Read::Bad { .. } => {}
        }
    }
}
