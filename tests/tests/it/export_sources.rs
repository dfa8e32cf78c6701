//! What may be exported: formats, compressions, several files.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use klaviyo_sim::Endpoint;
use serde_json::json;

use crate::harness::{Export, LIST, Sim};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn with_bom(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").into_bytes()
}

const CSV: &str = "email,note,orders\nann@example.com,\"one, two; three|\n\"\"four\"\"\",3\n\
                   bob@example.com,žluťoučký,4\n";
const NDJSON: &str = r#"{"email":"ann@example.com","note":"one, two; three|\n\"four\"","orders":3}

{"orders":4,"email":"bob@example.com","note":"\u017elu\u0165ou\u010dk\u00fd"}
"#;

#[test]
fn csv_and_ndjson_of_any_dress_give_the_same_profiles() {
    let separated = |by: &str| {
        let quoted = "\"one, two; three|\n\"\"four\"\"\"";
        let rows = [
            ["email", "note", "orders"],
            ["ann@example.com", quoted, "3"],
            ["bob@example.com", "žluťoučký", "4"],
        ];
        rows.map(|row| row.join(by) + "\r\n").concat().into_bytes()
    };
    for (name, content) in [
        ("people.csv", CSV.as_bytes().to_vec()),
        ("bom.csv", with_bom(CSV)),
        ("semicolons.csv", separated(";")),
        ("pipes.txt", separated("|")),
        ("tabs.tsv", separated("\t")),
        ("people.csv.gz", gzip(CSV.as_bytes())),
        ("people.csv.zst", zstd(CSV.as_bytes())),
        ("people.ndjson", NDJSON.as_bytes().to_vec()),
        ("bom.jsonl", with_bom(NDJSON)),
        ("people.ndjson.gz", gzip(NDJSON.as_bytes())),
        ("people.ndjson.zst", zstd(NDJSON.as_bytes())),
    ] {
        let sim = Sim::free();
        let ended = Export::to(&sim).content(name, content).run().expect_code(0);
        assert_eq!((ended.report().rows_read, ended.report().warnings), (2, 0), "{name}");
        let of = |email: &str| sim.profile(email).unwrap()["attributes"]["properties"].clone();
        let note = "one, two; three|\n\"four\"";
        assert_eq!(of("ann@example.com"), json!({"note": note, "orders": 3}), "{name}");
        assert_eq!(of("bob@example.com"), json!({"note": "žluťoučký", "orders": 4}), "{name}");
    }
}

#[test]
fn json_keeps_its_types_and_nested_objects_become_columns() {
    let sim = Sim::free();
    let row = json!({
        "email": "ann@example.com", "vip": true, "score": 1.5, "code": "007", "gone": null,
        "tags": ["a", "b"], "address": {"street": "Ring 1", "floor": 2},
    });
    Export::to(&sim).content("people.ndjson", format!("{row}\n")).run().expect_code(0);
    let profile = sim.profile("ann@example.com").unwrap();
    assert_eq!(
        profile["attributes"]["properties"],
        json!({
            "vip": true, "score": 1.5, "code": "007", "tags": ["a", "b"],
            "address.street": "Ring 1", "address.floor": 2,
        })
    );
}

#[test]
fn key_that_first_occurs_after_ten_thousand_rows_is_not_sent_with_a_warning() {
    let sim = Sim::free();
    let mut text = String::new();
    for n in 0..10_000 {
        text.push_str(&json!({"email": format!("person{n}@example.com")}).to_string());
        text.push('\n');
    }
    text.push_str("{\"email\":\"late@example.com\",\"surprise\":1}\n");
    let ended = Export::to(&sim).content("people.ndjson", text).run().expect_code(0);
    let warnings = ended.warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!((warning.row, warning.field.as_str()), (10_001, "surprise"));
    assert_eq!(warning.reason, "unknown_column");
    assert_eq!(sim.profile("late@example.com").unwrap()["attributes"]["properties"], json!({}));
}

#[test]
fn files_are_one_segment_in_the_order_of_arguments_then_of_names() {
    let sim = Sim::free();
    let export = Export::to(&sim);
    let file = |name: &str, from: &str, people: &[&str]| {
        let rows = people.iter().map(|who| format!("{who}@example.com,{from}\n"));
        let rows = rows.collect::<Vec<_>>().concat();
        std::fs::write(export.path(name), format!("email,file\n{rows}")).unwrap();
    };
    file("zero.csv", "zero", &["ann"]);
    file("part-2.csv", "part-2", &["ann", "bob", "cyd"]);
    file("part-10.csv", "part-10", &["bob", "dan"]);
    file("a.csv", "a", &["cyd", "eve"]);
    file(".part-0.csv", "hidden", &["ann", "bob", "cyd", "dan", "eve", "fay"]);
    let ended = export.args(["zero.csv", "part-*.csv", "a.csv"]).run().expect_code(0);
    let members = ["ann", "bob", "dan", "cyd", "eve"].map(|who| format!("{who}@example.com"));
    assert_eq!(sim.members(LIST), members);
    for (who, from) in
        [("ann", "zero"), ("bob", "part-10"), ("dan", "part-10"), ("cyd", "part-2"), ("eve", "a")]
    {
        let profile = sim.profile(&format!("{who}@example.com")).unwrap();
        assert_eq!(profile["attributes"]["properties"]["file"], from, "{who}");
    }
    let report = ended.report();
    assert_eq!((report.rows_read, report.duplicates, report.warnings), (8, 3, 3));
    let places: Vec<(String, u64)> =
        ended.warnings().into_iter().map(|warning| (warning.source, warning.row)).collect();
    let place = |file: &str, row| (file.to_owned(), row);
    assert_eq!(places, [place("part-2.csv", 2), place("part-2.csv", 3), place("a.csv", 2)]);
}

#[test]
fn files_may_have_their_columns_in_another_order() {
    let sim = Sim::free();
    let export = Export::to(&sim)
        .content("one.csv", "email,first_name,score\nann@example.com,Ann,1\n")
        .content("two.csv", "score;first_name;email\n2;Bob;bob@example.com\n");
    export.run().expect_code(0);
    let profile = sim.profile("bob@example.com").unwrap();
    assert_eq!(profile["attributes"]["first_name"], "Bob");
    assert_eq!(profile["attributes"]["properties"], json!({"score": 2}));
}

#[test]
fn files_that_do_not_fit_together_fail_with_nothing_sent() {
    const FIRST: &str = "email,first_name\nann@example.com,Ann\n";
    for (name, second, words) in [
        ("two.csv", "email,score\nbob@example.com,2\n", &["two.csv", "\"first_name\""][..]),
        ("two.csv", "first_name\nBob\n", &["two.csv", "email"]),
        ("two.csv", "email,first_name,x\nb@example.com,B,2\n", &["two.csv", "\"x\""]),
        ("two.ndjson", "{\"email\":\"bob@example.com\"}\n", &["two.ndjson", "different kinds"]),
        ("two.csv", "", &["two.csv is empty"]),
    ] {
        let sim = Sim::free();
        let export = Export::to(&sim).content("one.csv", FIRST).content(name, second);
        export.run().expect_code(1).expect_words(words);
        assert_eq!(sim.calls(Endpoint::Import), 0, "{name} {second:?}");
    }
}

#[test]
fn what_is_no_segment_is_a_clear_error() {
    let broken = &gzip("email\nann@example.com\n".repeat(1000).as_bytes())[..60];
    let utf16: Vec<u8> =
        "\u{feff}email\nann@example.com\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, content, words) in [
        ("book.csv", &b"PK\x03\x04 and so on"[..], "a ZIP archive or an Excel workbook"),
        ("people.csv", &utf16, "UTF-16"),
        ("people.csv.gz", broken, "damaged"),
        ("people.json", b"[{\"email\":\"ann@example.com\"}]", "one JSON array"),
        ("people.csv", b"email,email\nann@example.com,\n", "two columns have the same name"),
        ("people.csv", b"email,\nann@example.com,\n", "no name"),
    ] {
        let sim = Sim::free();
        Export::to(&sim).content(name, content).run().expect_code(1).expect_words(&[words]);
        assert_eq!(sim.writes(), [], "{name}");
    }
    let sim = Sim::free();
    for (source, words) in [
        ("missing.csv", "there is no such file"),
        ("missing-*.csv", "matches no file"),
        (".", "is a folder"),
    ] {
        Export::to(&sim).arg(source).run().expect_code(1).expect_words(&[words]);
    }
    let twice = Export::to(&sim).content("people.csv", CSV).arg("people.csv");
    twice.run().expect_code(1).expect_words(&["named twice"]);
    assert_eq!(sim.writes(), []);
}

#[test]
fn archive_that_unfolds_without_end_is_an_error() {
    let row = format!("ann@example.com,{}\n", "x".repeat(1_000_000));
    let bomb = format!("email,note\n{}", row.repeat(80));
    for (name, content) in
        [("people.csv.gz", gzip(bomb.as_bytes())), ("people.csv.zst", zstd(bomb.as_bytes()))]
    {
        let sim = Sim::free();
        let ended = Export::to(&sim).content(name, content).run();
        ended.expect_code(1).expect_words(&["unfolds to more than"]);
        assert_eq!(sim.writes(), []);
    }
}
