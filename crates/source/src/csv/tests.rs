use proptest::prelude::*;
use segue_model::{Cells, Position, RejectReason};

use super::CsvReader;
use crate::{Row, error::ColumnsProblem, options::Limits, testing::Trickle};

const WIDE: Limits = Limits { cell: 1 << 20, row: 8 << 20 };

/// A row or a reject, with its number.
#[derive(Debug, Clone, PartialEq)]
enum Read {
    Row(u64, Vec<String>),
    Bad(u64, RejectReason, String),
}

#[derive(Debug, PartialEq)]
struct Outcome {
    columns: Vec<String>,
    read: Vec<Read>,
    /// Physical lines that went into `read`.
    lines: usize,
    /// The number of the last row or blank line.
    last: u64,
}

struct How {
    delimiter: u8,
    limits: Limits,
    /// Bytes a read hands out.
    step: usize,
    capacity: usize,
}

const PLAIN: How = How { delimiter: b',', limits: WIDE, step: usize::MAX, capacity: 4096 };

fn read(bytes: &[u8], how: &How) -> Result<Outcome, ColumnsProblem> {
    let source = Trickle::new(bytes, how.step);
    let mut reader = CsvReader::new(source, how.delimiter, how.limits, how.capacity);
    let columns = reader.header(100).unwrap()?.unwrap_or_default();
    let mut outcome = Outcome { columns, read: Vec::new(), lines: 0, last: 1 };
    while reader.advance().unwrap() {
        let row = reader.row();
        let (item, text) = match reader.record() {
            Ok(record) => {
                let cells = Row::new(Position { object: 0, row }, record).to_cells();
                (Read::Row(row, cells), record.text.to_owned())
            }
            Err(defect) => {
                let bad = defect.at(Position { object: 0, row });
                let raw = bad.raw.into_exposed();
                (Read::Bad(row, bad.reason, raw.clone()), raw)
            }
        };
        outcome.lines += 1 + text.matches('\n').count();
        outcome.read.push(item);
    }
    outcome.last = reader.row();
    Ok(outcome)
}

fn row(number: u64, cells: &[&str]) -> Read {
    Read::Row(number, cells.iter().map(|cell| (*cell).to_owned()).collect())
}

fn bad(number: u64, reason: RejectReason, raw: &str) -> Read {
    Read::Bad(number, reason, raw.to_owned())
}

/// What becomes of `lines` under a header of two columns.
fn two_columns(lines: &[u8]) -> Vec<Read> {
    read(&[b"a,b\n", lines].concat(), &PLAIN).unwrap().read
}

#[test]
fn cells_are_read_as_rfc_4180_says() {
    let lines =
        "1,2\r\n\"1\",\"2\"\n\"x, y\",\"say \"\"hi\"\"\"\n\"two\nlines\",\"\"\n,\n\"\"\"\",é\n";
    assert_eq!(
        two_columns(lines.as_bytes()),
        [
            row(2, &["1", "2"]),
            row(3, &["1", "2"]),
            row(4, &["x, y", "say \"hi\""]),
            row(5, &["two\nlines", ""]),
            row(6, &["", ""]),
            row(7, &["\"", "é"]),
        ]
    );
}

#[test]
fn last_row_needs_no_line_end() {
    for (lines, cells) in [
        ("1,2", ["1", "2"]),
        ("1,2\r", ["1", "2"]),
        ("1,\"2\"", ["1", "2"]),
        ("1,\"2\"\r", ["1", "2"]),
        ("1,", ["1", ""]),
        ("\"1\",", ["1", ""]),
    ] {
        assert_eq!(two_columns(lines.as_bytes()), [row(2, &cells)], "{lines:?}");
    }
}

#[test]
fn white_space_and_quotes_inside_a_bare_cell_are_kept() {
    let read = two_columns(b" 1 , \"2\"\nsize 5\",a\"b\"\none\rtwo,\t\n");
    assert_eq!(
        read,
        [row(2, &[" 1 ", " \"2\""]), row(3, &["size 5\"", "a\"b\""]), row(4, &["one\rtwo", "\t"]),]
    );
}

#[test]
fn blank_lines_are_counted_but_are_no_rows() {
    assert_eq!(two_columns(b"\n1,2\n\r\n\n3,4\n\n"), [row(3, &["1", "2"]), row(6, &["3", "4"])]);
}

#[test]
fn blank_line_is_an_empty_cell_if_there_is_one_column() {
    let outcome = read(b"\n\r\nemail\nann\n\nbob\n", &PLAIN).unwrap();
    assert_eq!(outcome.columns, ["email"]);
    assert_eq!(outcome.read, [row(2, &["ann"]), row(3, &[""]), row(4, &["bob"])]);
}

#[test]
fn ragged_rows_are_rejected_whole_and_the_next_is_read() {
    let lines = b"1\n1,2,3\n\"two\nlines\",2,3\n4,5\n";
    assert_eq!(
        two_columns(lines),
        [
            bad(2, RejectReason::RowRagged, "1"),
            bad(3, RejectReason::RowRagged, "1,2,3"),
            bad(4, RejectReason::RowRagged, "\"two\nlines\",2,3"),
            row(5, &["4", "5"]),
        ]
    );
}

#[test]
fn bytes_that_are_not_text_cost_only_their_row() {
    let lines = b"Ren\xE9,1\nok,2\nn\0l,3\nok,4\n\xC3,5\nok,6\n";
    assert_eq!(
        two_columns(lines),
        [
            bad(2, RejectReason::RowNotUtf8, "Ren\u{FFFD},1"),
            row(3, &["ok", "2"]),
            bad(4, RejectReason::RowHasNul, "n\0l,3"),
            row(5, &["ok", "4"]),
            bad(6, RejectReason::RowNotUtf8, "\u{FFFD},5"),
            row(7, &["ok", "6"]),
        ]
    );
}

#[test]
fn quote_that_is_never_closed_costs_only_its_line() {
    let read = two_columns(b"1,\"open\n2,two\n3,three");
    assert_eq!(
        read,
        [
            bad(2, RejectReason::QuoteUnclosed, "1,\"open"),
            row(3, &["2", "two"]),
            row(4, &["3", "three"]),
        ]
    );
}

#[test]
fn quote_that_the_next_quoted_cell_closes_costs_only_its_line() {
    let read = two_columns(b"1,\"open\n2,two\n\"3\",\"three\"\n4,four\n");
    assert_eq!(
        read,
        [
            bad(2, RejectReason::QuoteUnclosed, "1,\"open"),
            row(3, &["2", "two"]),
            row(4, &["3", "three"]),
            row(5, &["4", "four"]),
        ]
    );
}

#[test]
fn quote_that_is_not_doubled_is_not_guessed_at() {
    let read = two_columns(b"1,\"say \"hi\" twice\"\n2,\"two\" \n3,three\n");
    assert_eq!(
        read,
        [
            bad(2, RejectReason::QuoteMisplaced, "1,\"say \"hi\" twice\""),
            bad(3, RejectReason::QuoteMisplaced, "2,\"two\" "),
            row(4, &["3", "three"]),
        ]
    );
}

#[test]
fn limits_reject_the_line_and_the_next_is_read() {
    let how = How { limits: Limits { cell: 10, row: 30 }, ..PLAIN };
    let long = "x".repeat(100);
    let text = format!(
        "a,b\n0123456789,ok\n0123456789a,no\n\"0123456789\",ok\n\"0123456789a\",no\n{long},no\n\
         1,2\n\"{long}\",no\n3,\"multi\nline, {long}\"\n4,5\n"
    );
    let outcome = read(text.as_bytes(), &how).unwrap();
    let too_large = RejectReason::RowTooLarge;
    // The raw text of a long line is as long as a row may be.
    assert_eq!(
        outcome.read,
        [
            row(2, &["0123456789", "ok"]),
            bad(3, too_large, "0123456789a,no"),
            row(4, &["0123456789", "ok"]),
            bad(5, too_large, "\"0123456789a\",no"),
            bad(6, too_large, &long[..30]),
            row(7, &["1", "2"]),
            bad(8, too_large, &format!("\"{}", &long[..29])),
            bad(9, RejectReason::QuoteUnclosed, "3,\"multi"),
            bad(10, too_large, &format!("line, {}", &long[..24])),
            row(11, &["4", "5"]),
        ]
    );
}

#[test]
fn row_with_many_small_cells_is_above_the_limit_too() {
    let how = How { limits: Limits { cell: 10, row: 30 }, ..PLAIN };
    for long in [["x"; 20].join(","), ["\"xxxx\""; 8].join(",")] {
        let outcome = read(format!("a,b\n{long}\n1,2\n").as_bytes(), &how).unwrap();
        assert_eq!(
            outcome.read,
            [bad(2, RejectReason::RowTooLarge, &long[..30]), row(3, &["1", "2"])]
        );
    }
}

/// Each line seems to begin a row that goes on to the end of the file, because the next lines begin within
/// a cell if it does.
const SWALLOWING: &str = "x\",\",\",\"\n";

fn impatient(text: &str, patience: usize) -> Vec<Read> {
    let mut reader = CsvReader::new(text.as_bytes(), b',', WIDE, 64);
    reader.patience = patience;
    assert!(reader.header(9).unwrap().is_ok());
    let mut read = Vec::new();
    while reader.advance().unwrap() {
        let (number, position) = (reader.row(), Position { object: 0, row: reader.row() });
        read.push(match reader.record() {
            Ok(record) => Read::Row(number, Row::new(position, record).to_cells()),
            Err(defect) => {
                let bad = defect.at(position);
                Read::Bad(number, bad.reason, bad.raw.into_exposed())
            }
        });
    }
    read
}

#[test]
fn lines_that_all_seem_to_go_on_are_not_looked_through_for_ever() {
    let lines = 200;
    let rows = "\"two\nlines\",2\n3,4\n";
    let text = format!("a,b\n{}{rows}", SWALLOWING.repeat(lines));
    let swallowed = SWALLOWING.trim_end();
    let read = impatient(&text, usize::MAX);
    assert_eq!(read[0], bad(2, RejectReason::QuoteUnclosed, swallowed));
    assert_eq!(read.len(), lines + 2, "with patience the row of two lines is one");
    // The cells of ten such lines are looked at, and not those of two hundred times two hundred.
    let read = impatient(&text, 10 * lines);
    assert_eq!(read.len(), lines + 3);
    for (nth, row) in read[..lines].iter().enumerate() {
        assert_eq!(row, &bad(nth as u64 + 2, RejectReason::QuoteUnclosed, swallowed));
    }
    let last = lines as u64 + 2;
    assert_eq!(
        read[lines..],
        [
            bad(last, RejectReason::QuoteUnclosed, "\"two"),
            row(last + 1, &["lines\"", "2"]),
            row(last + 2, &["3", "4"]),
        ]
    );
}

#[test]
fn patience_is_not_lost_over_rows_of_one_line() {
    let text = format!("a,b\n{}\"two\nlines\",2\n", "\"x\"y,2\n1,2,\"x\"y\n".repeat(1000));
    let read = impatient(&text, 1);
    assert_eq!(read.last(), Some(&row(2002, &["two\nlines", "2"])));
}

#[test]
fn raw_text_of_a_reject_is_bounded() {
    let text = [b"a,b\n".as_slice(), &vec![b'x'; 100_000], b"\n"].concat();
    let Read::Bad(_, RejectReason::RowRagged, raw) = &read(&text, &PLAIN).unwrap().read[0] else {
        panic!("one cell is ragged");
    };
    assert_eq!(raw.len(), 64 << 10);
}

#[test]
fn header_is_trimmed_and_its_mark_of_byte_order_left_out() {
    let outcome = read("\u{FEFF} a ,\" b \"\"c\"\" \"\n1,2".as_bytes(), &PLAIN).unwrap();
    assert_eq!(outcome.columns, ["a", "b \"c\""]);
    assert_eq!(outcome.read, [row(2, &["1", "2"])]);
}

#[test]
fn header_without_rows_is_a_segment_of_none() {
    let outcome = read(b"a,b\n", &PLAIN).unwrap();
    assert_eq!((outcome.columns.len(), outcome.read.len()), (2, 0));
}

#[test]
fn header_that_cannot_name_the_columns_is_an_error() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let long = "x".repeat(WIDE.cell + 1);
    for (header, problem) in [
        ("a, b ,b,a,a,c", ColumnsProblem::Duplicate { names: names(&["b", "a"]) }),
        ("a,, ,\n", ColumnsProblem::Unnamed { columns: vec![2, 3, 4] }),
        ("a,\"b\n1,2\n", ColumnsProblem::Quoting),
        ("a\0,b\n", ColumnsProblem::HasNul),
        (&long, ColumnsProblem::TooLong { limit_bytes: WIDE.row }),
    ] {
        assert_eq!(read(header.as_bytes(), &PLAIN).unwrap_err(), problem);
    }
    assert_eq!(read(b"a,\xFF\n", &PLAIN).unwrap_err(), ColumnsProblem::NotUtf8);
    let many: Vec<String> = (0..101).map(|column| format!("c{column}")).collect();
    let problem = read(many.join(",").as_bytes(), &PLAIN).unwrap_err();
    assert_eq!(problem, ColumnsProblem::TooMany { limit: 100 });
    for swallowed in ["a,b\r1,2\r3,4\n", "a\rx,\"b\n\"\n"] {
        assert_eq!(read(swallowed.as_bytes(), &PLAIN).unwrap_err(), ColumnsProblem::CrOnly);
    }
    assert!(read(b"a\r,\"b\r\nc\"\r\n", &PLAIN).is_ok());
}

#[test]
fn words_about_many_columns_are_few() {
    let problem = read(",".repeat(99).as_bytes(), &PLAIN).unwrap_err().to_string();
    assert!(problem.contains("19, 20 and 80 more have no name"), "{problem}");
    let long = "é".repeat(200);
    let problem = read(format!("{long},{long}").as_bytes(), &PLAIN).unwrap_err().to_string();
    assert!(problem.contains(&format!("\"{}\"…;", "é".repeat(100))), "{problem}");
}

#[test]
fn every_split_of_the_stream_gives_the_same_rows() {
    let text =
        "\u{FEFF}naïve,б\r\n\"日本\"\"語\"\"\",\"a\r\nb\"\r\n\r\n1\r\n\"x\"y,2\r\nœ,\"ø\r\nz";
    let whole = read(text.as_bytes(), &PLAIN).unwrap();
    assert_eq!(whole.read.len(), 5);
    for step in 1..=text.len() {
        for capacity in [1, 16, 17, 31, 64] {
            let split = read(text.as_bytes(), &How { step, capacity, ..PLAIN }).unwrap();
            assert_eq!(split, whole, "{step} bytes a read, a window of {capacity}");
        }
    }
}

#[test]
fn cell_beyond_the_last_is_empty() {
    let mut reader = CsvReader::new(&b"a\n1\n"[..], b',', WIDE, 64);
    assert!(reader.header(9).unwrap().is_ok() && reader.advance().unwrap());
    let row = Row::new(Position { object: 0, row: 2 }, reader.record().unwrap());
    assert_eq!(row.cell(1), segue_model::Cell::Empty);
}

/// Bytes among which the ones that matter to the reader are frequent.
fn nasty_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(b'"'),
        4 => Just(b','),
        4 => Just(b'\n'),
        2 => Just(b'\r'),
        6 => Just(b'x'),
        1 => prop::sample::select(&b"\0\xC3\xA9\xFF\xEF\xBB\xBF"[..]),
    ];
    prop::collection::vec(byte, 0..200)
}

proptest! {
    #[test]
    fn well_formed_files_are_read_as_the_csv_crate_reads_them(
        rows in (1..5_usize).prop_flat_map(|columns| {
            prop::collection::vec(prop::collection::vec("[a\",;\r\nœ日 ]{0,8}", columns), 1..8)
        }),
        delimiter in prop::sample::select(&b",;\t|"[..]),
        crlf in any::<bool>(),
        always_quoted in any::<bool>(),
        step in 1..64_usize,
        capacity in 1..64_usize,
    ) {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .quote_style(if always_quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
            .from_writer(Vec::new());
        writer.write_record((0..rows[0].len()).map(|column| format!("c{column}"))).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let text = writer.into_inner().unwrap();

        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(&*text);
        let expected: Vec<Read> = (2..)
            .zip(reader.records())
            .map(|(number, record)| row(number, &record.unwrap().iter().collect::<Vec<_>>()))
            .collect();
        prop_assert_eq!(expected.len(), rows.len());
        let how = How { delimiter, limits: WIDE, step, capacity };
        prop_assert_eq!(read(&text, &how).unwrap().read, expected);
    }

    #[test]
    fn every_line_of_any_bytes_ends_in_a_row_or_a_reject(
        tail in nasty_bytes(),
        columns in 1..4_usize,
        step in 1..300_usize,
        capacity in 1..300_usize,
        narrow in any::<bool>(),
    ) {
        let header = &"a,b,c"[..2 * columns - 1];
        let text = [header.as_bytes(), b"\n", &tail].concat();
        let limits = if narrow { Limits { cell: 9, row: 20 } } else { WIDE };
        let whole = read(&text, &How { limits, ..PLAIN }).unwrap();
        let split = read(&text, &How { limits, step, capacity, ..PLAIN }).unwrap();
        prop_assert_eq!(&split, &whole);

        let lines = memchr::memchr_iter(b'\n', &tail).count()
            + usize::from(!tail.is_empty() && !tail.ends_with(b"\n"));
        let blank = usize::try_from(whole.last).unwrap() - 1 - whole.read.len();
        prop_assert_eq!(whole.lines + blank, lines);
    }

    #[test]
    fn any_bytes_are_a_segment_or_an_error(bytes in nasty_bytes(), step in 1..300_usize) {
        let whole = read(&bytes, &PLAIN);
        let split = read(&bytes, &How { step, capacity: 1, ..PLAIN });
        prop_assert_eq!(whole, split);
    }
}
