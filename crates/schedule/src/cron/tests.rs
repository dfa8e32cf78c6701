use jiff::civil::date;

use super::CronExpression;

fn read(text: &str) -> CronExpression {
    text.parse().unwrap()
}

fn problem(text: &str) -> String {
    let error = text.parse::<CronExpression>().unwrap_err();
    assert_eq!(error.field, "cron");
    assert!(error.to_string().starts_with(&format!("cron: {text:?} ")), "{error}");
    error.problem
}

#[test]
fn an_expression_is_kept_as_it_was_written() {
    for text in ["0 6 * * MON-FRI", "*/15 9-17 1,15 jan-Mar ?", "0 0 LW * FRI#2", "5 4 L * +FRIL"] {
        assert_eq!(read(text).to_string(), text);
    }
    assert_eq!(read("  0\t6  * * * \n").as_str(), "0 6 * * *");
}

#[test]
fn the_field_that_is_wrong_is_named_with_what_it_takes() {
    for (text, expected) in [
        ("61 * * * *", "has \"61\" for the minute: number out of bounds; write 0 to 59"),
        ("* 24 * * *", "has \"24\" for the hour: number out of bounds; write 0 to 23"),
        (
            "* * 0 * *",
            "has \"0\" for the day of the month: number out of bounds; write 1 to 31, or L for the \
             last",
        ),
        (
            "* * * 13 *",
            "has \"13\" for the month: number out of bounds; write 1 to 12, or JAN to DEC",
        ),
        (
            "* * * * 8",
            "has \"8\" for the day of the week: number out of bounds; write 0 to 7, where 0 and 7 \
             are Sunday, or SUN to SAT",
        ),
        ("*/0 * * * *", "has \"*/0\" for the minute: step cannot be zero; write 0 to 59"),
        ("* 17-9 * * *", "has \"17-9\" for the hour: range out of bounds; write 0 to 23"),
    ] {
        assert_eq!(problem(text), expected);
    }
}

#[test]
fn a_name_is_taken_in_its_own_field_only() {
    for text in [
        "MON * * * *",
        "0 JAN * * *",
        "0 0 MON * *",
        "0 0 * MON *",
        "0 0 * * JAN",
        "0 0 * JAN1 *",
        "0 0 * JANFEB *",
        "0 0 * * MONDAY",
        "0 0 15 * L",
        "0 0 5L * *",
        "0 0 * 5W *",
        "0 0 W * *",
    ] {
        assert!(problem(text).contains("does not belong there"), "{text}");
    }
}

#[test]
fn an_element_that_is_missing_is_an_error() {
    for text in [", * * * *", "1,,2 * * * *", "* 5, * * *", "-5 * * * *", "*/ * * * *", "* * * * +"]
    {
        assert!(problem(text).contains("something is missing"), "{text}");
    }
    assert!(problem("/5 * * * *").contains("for the minute: something is missing"));
}

#[test]
fn fields_are_five() {
    let five = "give five: minute, hour, day of the month, month, day of the week";
    for (text, expected) in [
        ("", format!("is empty; {five}")),
        ("@daily", format!("is a nickname; {five}")),
        ("0", format!("has 1 field; {five}")),
        ("0 6 * *", format!("has 4 fields; {five}")),
        ("0 0 6 * * *", format!("has 6 fields; {five}; seconds and years are not taken")),
        ("0 0 6 * * * 2026", format!("has 7 fields; {five}; seconds and years are not taken")),
    ] {
        assert_eq!(problem(text), expected);
    }
}

#[test]
fn a_day_that_never_comes_is_refused() {
    for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30 2 +MON", "0 0 8 * +MON#1"] {
        assert!(problem(text).starts_with("never occurs"), "{text}");
    }
    // Every 28 years, and not in 2100.
    assert!(read("0 0 29 2 +MON").falls_on(date(2044, 2, 29)));
}

#[test]
fn an_expression_that_is_too_long_is_refused() {
    let minutes = vec!["1"; 248].join(",");
    let longest = format!("{minutes}  * * * *");
    assert_eq!(longest.len(), CronExpression::LONGEST + 4);
    let error = longest.parse::<CronExpression>().unwrap_err();
    assert_eq!(error.problem, "is longer than 500 bytes");
    assert!(longest[4..].parse::<CronExpression>().is_ok());
}

#[test]
fn times_of_day_are_every_hour_with_every_minute_in_order() {
    let times: Vec<String> =
        read("45,15 17,9 * * *").times().iter().map(ToString::to_string).collect();
    assert_eq!(times, ["09:15", "09:45", "17:15", "17:45"]);
    assert_eq!(read("* * * * *").times().len(), 1440);
}

/// Days of a table of expressions in March 2026, which begins on a Sunday.
#[test]
fn days_are_those_of_either_field_or_of_both() {
    for (text, days) in [
        ("0 0 1,15 * *", &[1, 15][..]),
        ("0 0 * * SUN", &[1, 8, 15, 22, 29]),
        ("0 0 * * 7", &[1, 8, 15, 22, 29]),
        ("0 0 13 * FRI", &[6, 13, 20, 27]),
        ("0 0 2 * MON", &[2, 9, 16, 23, 30]),
        ("0 0 9 * +MON", &[9]),
        ("0 0 L * ?", &[31]),
        ("0 0 LW * *", &[31]),
        ("0 0 15W * *", &[16]),
        ("0 0 * * FRI#2", &[13]),
        ("0 0 * * FRIL", &[27]),
        ("0 0 * * 5#L", &[27]),
        ("0 0 * 3 WED#1", &[4]),
        ("0 0 * APR *", &[]),
    ] {
        let expression = read(text);
        let found: Vec<i8> =
            (1..=31).filter(|day| expression.falls_on(date(2026, 3, *day))).collect();
        assert_eq!(found, days, "{text}");
    }
}
