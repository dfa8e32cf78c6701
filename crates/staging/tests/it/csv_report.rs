use proptest::prelude::*;
use segue_model::{Pii, RejectReason};
use segue_staging::{CsvReport, RejectRecord, neutralise, restore};

fn reject(identifier: &str, detail: &str) -> RejectRecord {
    RejectRecord {
        object: 0,
        row: 7,
        identifier: Pii::new(identifier.to_owned()),
        field: "email".to_owned(),
        reason: RejectReason::EmailInvalid,
        detail: detail.to_owned(),
    }
}

fn cells(csv: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv);
    let row = |row: csv::Result<csv::StringRecord>| {
        row.expect("a CSV row").iter().map(str::to_owned).collect()
    };
    reader.records().map(row).collect()
}

/// Said again in other words than the code's.
fn is_dangerous(cell: &str) -> bool {
    let Some(first) = cell.chars().next() else { return false };
    let harmless = |c: char| c.is_ascii_digit() || c == '.' || c == ' ';
    "=@\t\r\n＝＋－＠".contains(first)
        || ("+-".contains(first) && (cell.len() == 1 || !cell.chars().skip(1).all(harmless)))
}

/// Texts in which signs and quotes come first far more often than by chance.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof!["['=+@\t\r\n＝＋－＠-]{0,4}.{0,8}", "[+-]?[0-9. ]{0,8}", any::<String>()]
}

proptest! {
    #[test]
    fn no_cell_of_a_report_is_run_and_every_cell_can_be_restored(
        columns in proptest::collection::vec(cell(), 1..4),
        original in proptest::collection::vec(cell(), 0..4),
        (source, identifier, detail) in (cell(), cell(), cell()),
    ) {
        let mut report = CsvReport::new(Vec::new(), columns.iter().map(String::as_str))?;
        report.write(&source, &reject(&identifier, &detail), original.iter().map(String::as_str))?;
        let rows = cells(&report.finish()?);
        for cell in rows.iter().flatten() {
            prop_assert!(!is_dangerous(cell), "{:?}", cell);
        }
        let restored: Vec<_> = rows[1].iter().map(|cell| restore(cell)).collect();
        let mut expected = vec![&source, "7", &identifier, "email", "email_invalid", &detail];
        expected.extend(original.iter().map(String::as_str).take(columns.len()));
        expected.resize(6 + columns.len(), "");
        prop_assert_eq!(restored, expected);
    }

    #[test]
    fn restoring_undoes_neutralising(cell in cell()) {
        let safe = neutralise(&cell);
        prop_assert_eq!(restore(&safe), &cell);
    }
}

#[test]
fn numbers_and_phone_numbers_stay_as_they_are() {
    for cell in
        ["-5", "+12025550123", "-12.50", "+44 7700 900123", "12", "", "ann@example.com", "'s"]
    {
        assert_eq!(neutralise(cell), cell);
    }
}

#[test]
fn what_a_spreadsheet_would_run_gets_a_quote() {
    for cell in [
        "=1+1",
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "-",
        "+",
        "+1 (202) 555-0123",
        "-1e5",
        "-1..2",
        "- 5",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "＝1+1",
        "＋1",
        "－1",
        "＠a",
        "'=1",
    ] {
        assert_eq!(neutralise(cell), format!("'{cell}"));
    }
}

#[test]
fn report_is_a_table_with_the_row_as_it_stands_in_the_source() {
    let mut report = CsvReport::new(Vec::new(), ["email", "note"]).unwrap();
    let record = reject("bob@example", "no dot, says \"Klaviyo\"");
    report.write("a.csv", &record, ["bob@example", "two\nlines"]).unwrap();
    report.write("a.csv", &record, ["bob@example"]).unwrap();
    report.write("a.csv", &record, ["bob@example", "x", "one too many"]).unwrap();
    let text = String::from_utf8(report.finish().unwrap()).unwrap();
    let start =
        "a.csv,7,bob@example,email,email_invalid,\"no dot, says \"\"Klaviyo\"\"\",bob@example";
    let expected = format!(
        "source,row,identifier,field,reason,detail,email,note\n\
         {start},\"two\nlines\"\n{start},\n{start},x\n"
    );
    assert_eq!(text, expected);
}
