use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use segue_model::{Cell, Position, RejectReason};
use serde_json::{Map, Value};

use super::{Names, NdjsonReader, discover};
use crate::{ReadOptions, Row, error::ColumnsProblem, json, testing::Trickle};

#[derive(Debug, Clone, PartialEq)]
enum Read {
    /// Number, cells in the notation of `show`, unknown keys.
    Row(u64, Vec<String>, Vec<String>),
    Bad(u64, RejectReason, String),
}

fn show(cell: Cell<'_>) -> String {
    match cell {
        Cell::Empty => "-".to_owned(),
        Cell::Text(text) => format!("{text:?}"),
        Cell::Number(text) => text.to_owned(),
        Cell::Bool(value) => value.to_string(),
        Cell::Json(text) => format!("json {text}"),
    }
}

fn columns(text: &[u8], options: &ReadOptions) -> Result<Option<Vec<String>>, ColumnsProblem> {
    Ok(discover(text, options).unwrap()?.map(|names| names.list))
}

fn read_in_steps(text: &[u8], options: &ReadOptions, step: usize) -> (Vec<String>, Vec<Read>) {
    let names = match columns(text, options) {
        Err(ColumnsProblem::NoRow { .. }) => Vec::new(),
        names => names.unwrap().unwrap_or_default(),
    };
    let source = Trickle::new(text, step);
    let (limits, capacity) = (options.limits(), options.buffer_bytes);
    let mut reader =
        NdjsonReader::new(source, Arc::new(Names::new(names.clone())), limits, capacity).unwrap();
    let mut read = Vec::new();
    while reader.advance().unwrap() {
        let position = Position { object: 0, row: reader.row() };
        read.push(match reader.record() {
            Ok(record) => {
                let row = Row::new(position, record);
                let cells = (0..row.len()).map(|column| show(row.get(column))).collect();
                Read::Row(position.row, cells, row.unknown().to_vec())
            }
            Err(defect) => {
                let bad = defect.at(position);
                Read::Bad(position.row, bad.reason, bad.raw.into_exposed())
            }
        });
    }
    (names, read)
}

fn read(text: &str) -> (Vec<String>, Vec<Read>) {
    read_in_steps(text.as_bytes(), &ReadOptions::default(), usize::MAX)
}

fn row(number: u64, cells: &[&str]) -> Read {
    Read::Row(number, cells.iter().map(|cell| (*cell).to_owned()).collect(), vec![])
}

#[test]
fn cells_keep_the_types_and_digits_of_json() {
    let (columns, read) = read(concat!(
        r#"{"t":"a","n":12345678901234567890.10,"b":true,"j":[1, {"x":[]}],"z":null}"#,
        "\n",
        r#" { "b" : false , "n" : -0e+5, "t" : "caf\u00e9 \"\ud83d\ude00\"\n" , "z":0 } "#,
    ));
    assert_eq!(columns, ["t", "n", "b", "j", "z"]);
    assert_eq!(
        read,
        [
            row(1, &["\"a\"", "12345678901234567890.10", "true", "json [1, {\"x\":[]}]", "-"]),
            row(2, &["\"café \\\"😀\\\"\\n\"", "-0e+5", "false", "-", "0"]),
        ]
    );
}

#[test]
fn members_of_objects_are_columns_of_their_own() {
    let (columns, read) = read(concat!(
        r#"{"home":{"city":"Ulm","at":{"lat":1}},"x":{}}"#,
        "\n",
        r#"{"home":{"at":{"lat":2},"c\u0069ty":"Ely"}}"#,
    ));
    assert_eq!(columns, ["home.city", "home.at.lat"]);
    assert_eq!(read, [row(1, &["\"Ulm\"", "1"]), row(2, &["\"Ely\"", "2"])]);
}

#[test]
fn null_instead_of_an_object_is_no_column() {
    let (columns, read) = read("{\"home\":null,\"note\":null}\n{\"home\":{\"city\":\"Ulm\"}}");
    assert_eq!(columns, ["note", "home.city"]);
    assert_eq!(read, [row(1, &["-", "-"]), row(2, &["-", "\"Ulm\""])]);
}

#[test]
fn last_value_counts_if_a_key_comes_twice() {
    let (_, read) = read(r#"{"a":1,"b":2,"a":"x","b":null}"#);
    assert_eq!(read, [row(1, &["\"x\"", "-"])]);
}

#[test]
fn keys_that_turn_up_late_are_reported_with_their_row() {
    let options = ReadOptions { sampled_rows: 1, ..ReadOptions::default() };
    let text = b"{\"a\":1}\n{\"b\":2,\"c\":null,\"d\":{\"e\":3}}\n{\"a\":4}";
    let (columns, read) = read_in_steps(text, &options, usize::MAX);
    assert_eq!(columns, ["a"]);
    let unknown = ["b", "d.e"].map(str::to_owned).to_vec();
    assert_eq!(read, [row(1, &["1"]), Read::Row(2, vec!["-".to_owned()], unknown), row(3, &["4"])]);
}

#[test]
fn line_that_is_rejected_names_no_columns() {
    let (columns, read) = read("{\"rubbish\":1,\"b\":?}\n{\t\"b\":1,\t\"a\":2}");
    assert_eq!(columns, ["b", "a"]);
    assert!(matches!(read[0], Read::Bad(1, RejectReason::JsonInvalid, _)));
    assert_eq!(read[1], row(2, &["1", "2"]));
}

#[test]
fn blank_lines_are_neither_rows_nor_counted() {
    let (_, read) = read("\u{FEFF}\n \t\r\n{\"a\":1}\r\n\n{\"a\":2}\n\n");
    assert_eq!(read, [row(1, &["1"]), row(2, &["2"])]);
}

#[test]
fn lines_that_are_no_object_are_rejected_and_the_next_is_read() {
    let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let brackets =
        |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    for line in [
        "[1]",
        "\"a\"",
        "1",
        "nul",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":NaN}",
        "{\"a\":\"open}",
        "{\"a\":\"tab\there\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\",
        "{\"a\":\"half \\ud83d\"}",
        "{\"a\":[1,]}",
        "{\"a\":[\"\\udc00\"]}",
        "{\"a\":[1}",
        "{\"a\":1} {\"a\":2}",
        &deep(9),
        &deep(100_000),
        &brackets(65),
        &brackets(100_000),
    ] {
        let (_, read) = read(&format!("{line}\n{{\"a\":7}}"));
        assert!(
            matches!(&read[..], [Read::Bad(1, RejectReason::JsonInvalid, _), Read::Row(2, cells, _)]
                if cells.last().unwrap() == "7" || cells.contains(&"7".to_owned())),
            "{line:.40}: {read:?}"
        );
    }
    assert!(matches!(read(&deep(8)).1[..], [Read::Row(..)]));
    assert!(matches!(read(&brackets(64)).1[..], [Read::Row(..)]));
}

#[test]
fn nul_is_rejected_in_every_disguise() {
    for line in ["{\"a\":\"\0\"}", r#"{"a":"\u0000"}"#, r#"{"\u0000":1}"#, r#"{"a":["x\u0000"]}"#] {
        let (_, read) = read(line);
        assert!(matches!(read[..], [Read::Bad(1, RejectReason::RowHasNul, _)]), "{line:?}");
    }
    assert!(matches!(read(r#"{"a":["x\\u0000"]}"#).1[..], [Read::Row(..)]));
}

#[test]
fn bytes_that_are_not_utf8_cost_only_their_row() {
    let text = b"{\"a\":\"Ren\xE9\"}\n{\"a\":1}";
    let (_, read) = read_in_steps(text, &ReadOptions::default(), usize::MAX);
    let raw = "{\"a\":\"Ren\u{FFFD}\"}".to_owned();
    assert_eq!(read, [Read::Bad(1, RejectReason::RowNotUtf8, raw), row(2, &["1"])]);
}

#[test]
fn limits_reject_the_line_and_the_next_is_read() {
    let options = ReadOptions { max_cell_bytes: 10, max_row_bytes: 40, ..ReadOptions::default() };
    let long = "x".repeat(100);
    let text = format!(
        "{{\"a\":\"0123456789\"}}\n{{\"a\":\"0123456789a\"}}\n{{\"a\":\"{long}\"}}\n{{\"a\":1}}"
    );
    for step in [1, 7, usize::MAX] {
        let (_, read) = read_in_steps(text.as_bytes(), &options, step);
        assert_eq!(
            read,
            [
                row(1, &["\"0123456789\""]),
                Read::Bad(2, RejectReason::RowTooLarge, "{\"a\":\"0123456789a\"}".to_owned()),
                Read::Bad(3, RejectReason::RowTooLarge, format!("{{\"a\":\"{}", "x".repeat(34))),
                row(4, &["1"]),
            ]
        );
    }
}

#[test]
fn names_that_would_fill_the_memory_cost_only_their_row() {
    let long = "n".repeat(600);
    let nested = format!("{{\"{long}\":{{\"{long}\":1}}}}");
    let flat = format!("{{\"{long}{long}\":1}}");
    let escaped = format!("{{\"\\u00e9{long}{long}\":1}}");
    let many = (0..4097).map(|n| format!("\"k{n}\":1,")).collect::<Vec<_>>().concat();
    let many = format!("{{{many}\"a\":1}}");
    let options = ReadOptions { sampled_rows: 1, ..ReadOptions::default() };
    for line in [&nested, &flat, &escaped, &many] {
        let text = format!("{{\"a\":1}}\n{line}\n{{\"a\":2}}");
        let (_, read) = read_in_steps(text.as_bytes(), &options, usize::MAX);
        let [first, Read::Bad(2, RejectReason::RowTooLarge, _), last] = &read[..] else {
            panic!("{line:.40}: {read:?}");
        };
        assert_eq!((first, last), (&row(1, &["1"]), &row(3, &["2"])), "{line:.40}");
    }
    let problem = columns(many.as_bytes(), &options).unwrap_err();
    assert_eq!(problem, ColumnsProblem::TooMany { limit: 4096 }, "in a row that decides");
}

#[test]
fn lines_of_which_none_is_a_row_are_an_error_that_says_why() {
    let none = |lines, reason| Err(ColumnsProblem::NoRow { lines, reason });
    let options = ReadOptions::default();
    assert_eq!(columns(b"{\n\n\0\n", &options), none(2, RejectReason::JsonInvalid));
    assert_eq!(columns(b"{\0}\n{", &options), none(2, RejectReason::RowHasNul));
    assert_eq!(columns(b"{\n{}\n", &options), Ok(Some(vec![])), "one is enough");
    assert_eq!(columns(b"\n \n", &options), Ok(None));
}

#[test]
fn object_with_too_many_keys_is_an_error() {
    let options = ReadOptions { max_columns: 3, ..ReadOptions::default() };
    let keys = |count: usize| {
        (0..count).map(|key| format!("{{\"k{key}\":1}}")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(columns(keys(3).as_bytes(), &options).unwrap().unwrap().len(), 3);
    let problem = columns(keys(4).as_bytes(), &options).unwrap_err();
    assert_eq!(problem, ColumnsProblem::TooMany { limit: 3 });
    let problem = columns(b"{\"a\":1,\"\":2}", &options).unwrap_err();
    assert_eq!(problem, ColumnsProblem::Unnamed { columns: vec![2] });
}

/// What a row should be, by way of a tree of values.
fn flatten(prefix: &str, object: &Map<String, Value>, into: &mut BTreeMap<String, String>) {
    for (key, value) in object {
        let name = format!("{prefix}{key}");
        match value {
            Value::Object(inner) => flatten(&format!("{name}."), inner, into),
            Value::Null => {}
            Value::Bool(value) => drop(into.insert(name, value.to_string())),
            Value::Number(value) => drop(into.insert(name, value.to_string())),
            Value::String(value) => drop(into.insert(name, format!("{value:?}"))),
            Value::Array(_) => drop(into.insert(name, format!("json {value}"))),
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a\"\\\\\n\tœ😀 ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            members(inner).prop_map(Value::from),
        ]
    })
}

/// Keys have no dot: `{"a.b":…}` and `{"a":{"b":…}}` are one name, and then the order decides.
fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("[a-c\"\\\\é]{1,2}", value, 0..5)
        .prop_map(|members| members.into_iter().collect())
}

/// Text in which what matters to a JSON parser is frequent.
fn nasty_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(
        &[
            "{", "}", "[", "]", "\"", "\"", "\"a\":", "\"b\":", ",", "\\", "\\u00e9", "1", "-",
            ".", "e", "0", "true", "null", "x", " ", "é", "{\"a\":", "}",
        ][..],
    );
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn rows_hold_what_serde_json_reads(
        rows in prop::collection::vec(members(any_json()), 1..5),
        step in 1..64_usize,
        buffer_bytes in 1..64_usize,
    ) {
        let text: String =
            rows.iter().map(|row| Value::Object(row.clone()).to_string() + "\n").collect();
        let options = ReadOptions { buffer_bytes, ..ReadOptions::default() };
        let (columns, read) = read_in_steps(text.as_bytes(), &options, step);
        prop_assert_eq!(read.len(), rows.len());
        for (read, row) in read.iter().zip(&rows) {
            let Read::Row(_, cells, unknown) = read else { panic!("a valid row: {read:?}") };
            prop_assert!(unknown.is_empty());
            let found: BTreeMap<String, String> = columns
                .iter()
                .zip(cells)
                .filter(|(_, cell)| *cell != "-")
                .map(|(name, cell)| (name.clone(), cell.clone()))
                .collect();
            let mut expected = BTreeMap::new();
            flatten("", row, &mut expected);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn any_line_is_an_object_exactly_if_serde_json_says_so(line in nasty_text()) {
        let scanned = json::scan(&line, |_, _| Ok(())).is_ok();
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&line).is_ok();
        prop_assert!(!scanned || is_json, "only the scanner accepts it");
        let is_object = serde_json::from_str::<Map<String, Value>>(&line).is_ok();
        prop_assert!(scanned || !is_object, "only serde_json accepts it");
    }

    #[test]
    fn every_line_of_any_bytes_ends_in_a_row_or_a_reject(
        bytes in prop::collection::vec(prop::sample::select(&b"{}\"a:1,\n\n \r\0\xC3\xA9\xFF[]\\"[..]), 0..200),
        step in 1..64_usize,
        buffer_bytes in 1..64_usize,
    ) {
        let options = ReadOptions { max_row_bytes: 24, ..ReadOptions::default() };
        prop_assume!(!matches!(columns(&bytes, &options), Err(ColumnsProblem::Unnamed { .. })));
        let whole = read_in_steps(&bytes, &options, usize::MAX);
        let options = ReadOptions { buffer_bytes, ..options };
        prop_assert_eq!(&read_in_steps(&bytes, &options, step), &whole);
        let lines = bytes.split(|byte| *byte == b'\n');
        let rows = lines.filter(|line| line.len() > 24 || !line.trim_ascii().is_empty()).count();
        prop_assert_eq!(whole.1.len(), rows);
    }
}
