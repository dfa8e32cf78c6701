//! Rows and fields that were left out: which, where, why, and how to mend them.

use std::{collections::BTreeMap, path::Path};

use serde_json::json;

use crate::harness::{Ended, Export, Judge, LIST, People, Sim, table};

fn reasons(ended: &Ended) -> Vec<(u64, String)> {
    ended.rejects().into_iter().map(|reject| (reject.row, reject.reason)).collect()
}

fn counted(reasons: &[(u64, String)]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (_, reason) in reasons {
        *counts.entry(reason.clone()).or_default() += 1;
    }
    counts
}

#[test]
fn each_bad_row_of_csv_is_rejected_with_its_position_and_reason() {
    let sim = Sim::free();
    let long = format!("{}@{}example.com", "a".repeat(60), "sub.".repeat(10));
    let big = "x".repeat(100_000);
    let huge = "x".repeat(10 << 20);
    let id = "i".repeat(256);
    let mut csv = b"email,external_id,note\n".to_vec();
    let mut wanted = Vec::new();
    let mut row = 1;
    let mut add = |line: &[u8], reason: Option<&str>| {
        csv.extend_from_slice(line);
        csv.push(b'\n');
        row += 1;
        wanted.extend(reason.map(|reason| (row, reason.to_owned())));
    };
    add(b"ann@example.com,1,fine", None);
    add(b",2,nobody", Some("email_missing"));
    add(b"not an address,3,", Some("email_invalid"));
    add(format!("{long},4,").as_bytes(), Some("email_too_long"));
    add(format!("id@example.com,{id},").as_bytes(), Some("external_id_too_long"));
    add(format!("big@example.com,6,{big}").as_bytes(), Some("profile_too_large"));
    add(b"ragged@example.com,7", Some("row_ragged"));
    add(b"more@example.com,8,x,y", Some("row_ragged"));
    add(b"latin1@example.com,9,caf\xe9", Some("row_not_utf8"));
    add(b"nul@example.com,10,a\0b", Some("row_has_nul"));
    add(format!("huge@example.com,11,{huge}").as_bytes(), Some("row_too_large"));
    add(b"\"quote\"@example.com,12,x", Some("quote_misplaced"));
    add(b"bob@example.com,13,fine", None);
    add(b"open@example.com,14,\"never closed", Some("quote_unclosed"));
    add(b"cyd@example.com,15,fine", None);

    let ended = Export::to(&sim).content("people.csv", csv).run().expect_code(3);
    assert_eq!(reasons(&ended), wanted);
    assert_eq!(sim.members(LIST), ["ann@example.com", "bob@example.com", "cyd@example.com"]);
    let report = ended.report();
    assert_eq!((report.rows_read, report.delivered, report.rejected), (15, 3, 12));
    assert_eq!(report.rejects_by_reason, counted(&wanted));

    let rejects = ended.rejects();
    let invalid = &rejects[1];
    assert_eq!((invalid.identifier.as_str(), invalid.field.as_str()), ("not an address", "email"));
    assert!(invalid.source.ends_with("people.csv") && invalid.detail.contains('@'), "{invalid:?}");
    assert_eq!(invalid.original["external_id"], "3");
    // What nobody can take apart stands whole in the first column.
    assert_eq!(rejects[5].original["email"], "ragged@example.com,7");
    assert!(rejects[7].original["email"].contains('\u{fffd}'), "{:?}", rejects[7]);
}

#[test]
fn each_bad_line_of_ndjson_is_rejected_with_its_position_and_reason() {
    let sim = Sim::free();
    let lines = [
        r#"{"email":"ann@example.com"}"#,
        "",
        r#"{"email":"broken@example.com""#,
        r#"["email"]"#,
        r#"{"email":null}"#,
        r#"{"email":12}"#,
        r#"{"email":"bob@example.com"}"#,
    ];
    let ended = Export::to(&sim).content("people.ndjson", lines.join("\n")).run().expect_code(3);
    let wanted =
        [(2, "json_invalid"), (3, "json_invalid"), (4, "email_missing"), (5, "email_invalid")];
    assert_eq!(reasons(&ended), wanted.map(|(row, reason)| (row, reason.to_owned())));
    assert_eq!(sim.members(LIST), ["ann@example.com", "bob@example.com"]);
}

#[test]
fn bad_fields_are_left_out_with_a_warning_and_the_person_goes() {
    let sim = Sim::free();
    let csv = "email,phone,locale,timezone,latitude,longitude,ip\n\
               a@example.com,12,english please,Europe/Atlantis,91,181,999.0.0.1\n\
               b@example.com,+0123456789,en_GB,europe/vienna,48.2,16.4,192.0.2.1\n";
    let ended = Export::to(&sim).content("people.csv", csv).run().expect_code(0);
    let warnings: Vec<(u64, String, String)> =
        ended.warnings().into_iter().map(|line| (line.row, line.field, line.reason)).collect();
    let wanted = [
        (2, "phone_number", "phone_not_international"),
        (2, "locale", "locale_invalid"),
        (2, "location.latitude", "latitude_invalid"),
        (2, "location.longitude", "longitude_invalid"),
        (2, "location.timezone", "timezone_invalid"),
        (2, "location.ip", "ip_invalid"),
        (3, "phone_number", "phone_invalid"),
    ];
    let wanted = wanted.map(|(row, field, reason)| (row, field.to_owned(), reason.to_owned()));
    assert_eq!(warnings, wanted);
    assert_eq!(ended.report().warnings, 7);
    assert_eq!(sim.members(LIST), ["a@example.com", "b@example.com"]);
    let bob = sim.profile("b@example.com").unwrap();
    assert_eq!(bob["attributes"]["locale"], "en-GB");
    assert_eq!(bob["attributes"]["location"]["timezone"], "Europe/Vienna");
    assert_eq!(bob["attributes"]["location"]["latitude"], json!(48.2));
}

#[test]
fn first_row_that_passes_wins_and_a_duplicate_with_other_values_is_a_warning() {
    let sim = Sim::free();
    let big = "x".repeat(100_000);
    let csv = format!(
        "email,note\nann@example.com,{big}\nANN@example.com,second\nann@EXAMPLE.com,second\n\
         ann@example.com,third\n"
    );
    let ended = Export::to(&sim).content("people.csv", csv).run().expect_code(3);
    let report = ended.report();
    assert_eq!((report.delivered, report.rejected, report.duplicates), (1, 1, 2));
    assert_eq!(reasons(&ended), [(2, "profile_too_large".to_owned())]);
    let properties = sim.profile("ann@example.com").unwrap()["attributes"]["properties"].clone();
    assert_eq!(properties, json!({"note": "second"}));
    let warnings = ended.warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!((warning.row, warning.reason.as_str()), (5, "duplicate_differs"));
}

#[test]
fn summary_begins_with_a_field_that_is_lost_in_more_than_a_tenth_of_its_cells() {
    let rows = |bad: usize| {
        let row = |n| {
            let phone = if n < bad { "555 0100".to_owned() } else { format!("+1202555010{n}") };
            format!("person{n}@example.com,{phone}\n")
        };
        // Empty cells do not count.
        format!("email,phone\n{}empty@example.com,\n", (0..10).map(row).collect::<String>())
    };
    let sim = Sim::free();
    let ended = Export::to(&sim).content("people.csv", rows(2)).run().expect_code(0);
    let first = ended.stdout.lines().next().unwrap();
    assert!(
        first.contains("more than 10 %") && first.contains("phone_number (2 of 10)"),
        "{first}"
    );
    let ended = Export::to(&sim).content("people.csv", rows(1)).run().expect_code(0);
    assert!(!ended.says("more than 10 %"), "{ended}");
}

const FORMULA: &str = "=HYPERLINK(\"http://example.com\")";

/// Reads a report as a person would in a spreadsheet, changes cells, and gives it as a file again.
fn mended(report: &Path, mend: impl Fn(&[String], &mut [String])) -> Vec<u8> {
    let (header, rows) = table(report);
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(&header).unwrap();
    for mut row in rows {
        mend(&header, &mut row);
        out.write_record(&row).unwrap();
    }
    out.into_inner().unwrap()
}

#[test]
fn cell_that_a_spreadsheet_would_run_is_neutralised_in_both_reports() {
    let sim = Sim::free();
    let csv = format!(
        "email,phone,note\n=cmd|'/c calc'!A1,+12025550123,\"{}\"\n\
         @SUM(1),-5,'+x\nann@example.com,=1+1,\n",
        FORMULA.replace('"', "\"\"")
    );
    let ended = Export::to(&sim).content("people.csv", csv).run().expect_code(3);
    let dangerous = |cell: &String| cell.starts_with(['=', '@', '\t', '\r']);
    for file in ["rejects.csv", "warnings.csv"] {
        let (_, rows) = table(&ended.path(file));
        assert!(!rows.is_empty(), "{file}");
        assert!(!rows.iter().flatten().any(dangerous), "{file}: {rows:?}");
    }
    let rejects = ended.rejects();
    assert_eq!(rejects[0].identifier, "'=cmd|'/c calc'!A1");
    assert_eq!(rejects[0].original["note"], format!("'{FORMULA}"));
    // Numbers are no formulas, and must survive in any other program.
    assert_eq!(rejects[0].original["phone"], "+12025550123");
    assert_eq!(rejects[1].original["phone"], "-5");
}

#[test]
fn mended_rejects_file_delivers_exactly_those_people_with_their_cells_as_they_were() {
    let sim = Sim::free();
    let csv = format!(
        "email,note,score\nann@example.com,fine,1\nbob(at)example.com,\"{}\",2\n\
         cyd@,''=x,3\ndan.example.com,-x,4\n",
        FORMULA.replace('"', "\"\"")
    );
    let first = Export::to(&sim).content("people.csv", csv).run().expect_code(3);
    assert_eq!(sim.members(LIST), ["ann@example.com"]);

    // Two of three are mended.
    let content = mended(&first.path("rejects.csv"), |header, row| {
        let email = header.iter().position(|name| name == "email").unwrap();
        row[email] = match row[email].as_str() {
            "bob(at)example.com" => "bob@example.com".to_owned(),
            "cyd@" => "cyd@example.com".to_owned(),
            other => other.to_owned(),
        };
    });
    let second = Export::to(&sim).content("mended.csv", content).run().expect_code(3);
    let second = second.expect_words(&["mended.csv", "first 6 columns are not sent"]);
    assert_eq!(sim.members(LIST), ["ann@example.com", "bob@example.com", "cyd@example.com"]);
    let of = |email: &str| sim.profile(email).unwrap()["attributes"]["properties"].clone();
    assert_eq!(of("bob@example.com"), json!({"note": FORMULA, "score": 2}));
    assert_eq!(of("cyd@example.com"), json!({"note": "''=x", "score": 3}));

    // What is left of it is again a file that can be mended, with each column once.
    let (header, rows) = table(&second.path("rejects.csv"));
    assert_eq!(header[6..], ["email", "note", "score"]);
    assert_eq!(rows.len(), 1);
    let content = mended(&second.path("rejects.csv"), |_, row| {
        row[6] = "dan@example.com".to_owned();
    });
    Export::to(&sim).content("again.csv", content).run().expect_code(0);
    assert_eq!(of("dan@example.com"), json!({"note": "-x", "score": 4}));
    assert_eq!(sim.members(LIST).len(), 4);
}

#[test]
fn mended_file_and_an_ordinary_one_are_one_segment() {
    let sim = Sim::free();
    let ordinary = "email,note\nann@example.com,fine\n";
    let mended = "source,row,identifier,field,reason,detail,note,email\n\
                  people.csv,2,bob,email,email_invalid,there is no @,'=1+1,bob@example.com\n\
                  people.csv,3,cyd,email,email_invalid,there is no @,x,cyd\n";
    let export = Export::to(&sim).content("one.csv", ordinary).content("two.csv", mended);
    let ended = export.run().expect_code(3);
    assert_eq!(sim.members(LIST), ["ann@example.com", "bob@example.com"]);
    let properties = sim.profile("bob@example.com").unwrap()["attributes"]["properties"].clone();
    assert_eq!(properties, json!({"note": "=1+1"}));
    let rejects = ended.rejects();
    let [reject] = &rejects[..] else { panic!("{rejects:?}") };
    assert!(reject.source.ends_with("two.csv") && reject.row == 3, "{reject:?}");
    assert_eq!((&reject.original["email"][..], &reject.original["note"][..]), ("cyd", "x"));
    assert_eq!(reject.original.len(), 2);
}

#[test]
fn original_cells_stand_under_their_columns_whatever_the_order_in_each_file() {
    let sim = Sim::free();
    let one = "email,first_name,note\nann,Ann,a\nann@example.com,Ann,a\n";
    let two = "note;email;first_name\nb;bob;Bob\n";
    let export = Export::to(&sim).content("one.csv", one).content("two.csv", two);
    let ended = export.run().expect_code(3);
    let originals: Vec<Vec<String>> =
        ended.rejects().into_iter().map(|reject| reject.original.into_values().collect()).collect();
    assert_eq!(originals, [["ann", "Ann", "a"], ["bob", "Bob", "b"]]);

    let lines = "{\"email\":\"eve\",\"b\":1}\n{\"a\":[1],\"email\":\"eve@example.com\"}\n";
    let ended = Export::to(&sim).content("people.ndjson", lines).run().expect_code(3);
    let rejects = ended.rejects();
    let [reject] = &rejects[..] else { panic!("{rejects:?}") };
    let original = ["a", "b", "email"].map(|column| reject.original[column].as_str());
    assert_eq!((reject.row, original), (1, ["", "1", "eve"]));
}

#[test]
fn columns_named_like_those_of_a_report_are_ordinary_unless_they_lead_it() {
    let sim = Sim::free();
    let csv = "email,source,reason\nann@example.com,shop,'=x\n";
    Export::to(&sim).content("people.csv", csv).run().expect_code(0);
    let properties = sim.profile("ann@example.com").unwrap()["attributes"]["properties"].clone();
    assert_eq!(properties, json!({"source": "shop", "reason": "'=x"}));
}

#[test]
fn rejects_of_reader_and_klaviyo_and_several_batches_are_in_the_order_of_the_source() {
    let sim = Sim::free();
    // What Klaviyo says of rows is reported apart, and belongs between the rows of the reader's reports.
    let people = People::good(5_000)
        .and_rejected("refuse1@example.com", "refused_by_klaviyo")
        .and_good(1_500)
        .and_rejected("importfail1@example.com", "import_failed")
        .and_good(4_000)
        .spoil(900, |n| format!("nobody{n}"), "email_invalid");
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
    Judge::new(&sim, &people).verify(&ended);
    let rejects = ended.rejects();
    assert!(rejects.iter().map(|reject| reject.row).is_sorted());
    assert_eq!(rejects.len(), 13);
}
