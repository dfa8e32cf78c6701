//! Instants in UTC, written out by hand, over the days on which clocks are changed.

use segue_schedule::Recurrence;

use crate::{cron, daily, schedule, utc, weekly};

/// The occurrences after `after` begin with `expected`.
fn assert_upcoming(zone: &str, recurrence: Recurrence, after: &str, expected: &[&str]) {
    let schedule = schedule(recurrence, zone);
    let found: Vec<_> = schedule.upcoming(utc(after)).take(expected.len()).collect();
    let expected: Vec<_> = expected.iter().map(|time| utc(time)).collect();
    assert_eq!(found, expected, "{schedule}, after {after}");
}

type Row<'a> = (Recurrence, &'a str, &'a [&'a str]);

fn assert_table(zone: &str, rows: Vec<Row<'_>>) {
    for (recurrence, after, expected) in rows {
        assert_upcoming(zone, recurrence, after, expected);
    }
}

/// At 01:00 UTC 02:00, +01:00, becomes 03:00, +02:00.
#[test]
fn berlin_in_spring_moves_what_is_skipped_to_the_end_of_the_gap() {
    let half_past_two = ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"];
    assert_table(
        "Europe/Berlin",
        vec![
            (daily(&["02:30"]), "2026-03-28 00:00", &half_past_two),
            (cron("30 2 * * *"), "2026-03-28 00:00", &half_past_two),
            (
                daily(&["02:00", "02:30", "03:00", "03:30"]),
                "2026-03-28 12:00",
                &["2026-03-29 01:00", "2026-03-29 01:30", "2026-03-30 00:00"],
            ),
            (daily(&["01:59"]), "2026-03-29 00:00", &["2026-03-29 00:59", "2026-03-29 23:59"]),
            (
                weekly(&["sunday"], &["02:30"]),
                "2026-03-22 00:00",
                &["2026-03-22 01:30", "2026-03-29 01:00", "2026-04-05 00:30"],
            ),
            (
                cron("*/15 * * * *"),
                "2026-03-29 00:30",
                &["2026-03-29 00:45", "2026-03-29 01:00", "2026-03-29 01:15", "2026-03-29 01:30"],
            ),
            (
                cron("0 * * * *"),
                "2026-03-28 23:30",
                &["2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 02:00"],
            ),
        ],
    );
}

/// At 01:00 UTC 03:00, +02:00, becomes 02:00, +01:00.
#[test]
fn berlin_in_autumn_takes_the_first_of_two() {
    let half_past_two = ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"];
    assert_table(
        "Europe/Berlin",
        vec![
            (daily(&["02:30"]), "2026-10-24 00:00", &half_past_two),
            (cron("30 2 * * *"), "2026-10-24 00:00", &half_past_two),
            // From within the hour that is repeated, before and after 02:30.
            (daily(&["02:30"]), "2026-10-25 01:15", &["2026-10-26 01:30"]),
            (daily(&["02:30"]), "2026-10-25 01:45", &["2026-10-26 01:30"]),
            (
                daily(&["02:00", "02:59", "03:00"]),
                "2026-10-24 12:00",
                &["2026-10-25 00:00", "2026-10-25 00:59", "2026-10-25 02:00", "2026-10-26 01:00"],
            ),
            (
                weekly(&["sunday"], &["02:30"]),
                "2026-10-18 00:00",
                &["2026-10-18 00:30", "2026-10-25 00:30", "2026-11-01 01:30"],
            ),
            (
                cron("*/15 * * * *"),
                "2026-10-25 00:30",
                &["2026-10-25 00:45", "2026-10-25 02:00", "2026-10-25 02:15"],
            ),
            (
                cron("0 * * * *"),
                "2026-10-24 23:30",
                &["2026-10-25 00:00", "2026-10-25 02:00", "2026-10-25 03:00"],
            ),
        ],
    );
}

/// At 07:00 UTC 02:00, -05:00, becomes 03:00, -04:00.
#[test]
fn new_york_in_spring_moves_what_is_skipped_to_the_end_of_the_gap() {
    let sundays = ["2026-03-01 07:30", "2026-03-08 07:00", "2026-03-15 06:30"];
    assert_table(
        "America/New_York",
        vec![
            (
                daily(&["02:30"]),
                "2026-03-07 00:00",
                &["2026-03-07 07:30", "2026-03-08 07:00", "2026-03-09 06:30"],
            ),
            (weekly(&["sunday"], &["02:30"]), "2026-03-01 00:00", &sundays),
            (cron("30 2 * * SUN"), "2026-03-01 00:00", &sundays),
            (
                cron("*/30 * * * *"),
                "2026-03-08 06:15",
                &["2026-03-08 06:30", "2026-03-08 07:00", "2026-03-08 07:30"],
            ),
        ],
    );
}

/// At 06:00 UTC 02:00, -04:00, becomes 01:00, -05:00.
#[test]
fn new_york_in_autumn_takes_the_first_of_two() {
    let sundays = ["2026-10-25 05:30", "2026-11-01 05:30", "2026-11-08 06:30"];
    assert_table(
        "America/New_York",
        vec![
            (
                daily(&["01:30"]),
                "2026-10-31 00:00",
                &["2026-10-31 05:30", "2026-11-01 05:30", "2026-11-02 06:30"],
            ),
            (weekly(&["sunday"], &["01:30"]), "2026-10-25 00:00", &sundays),
            (cron("30 1 * * SUN"), "2026-10-25 00:00", &sundays),
            (
                cron("*/30 * * * *"),
                "2026-11-01 05:00",
                &["2026-11-01 05:30", "2026-11-01 07:00", "2026-11-01 07:30"],
            ),
        ],
    );
}

/// At 15:30 UTC of the day before 02:00, +10:30, becomes 02:30, +11:00.
#[test]
fn lord_howe_in_spring_skips_half_an_hour() {
    assert_table(
        "Australia/Lord_Howe",
        vec![
            (
                daily(&["02:15"]),
                "2026-10-02 00:00",
                &["2026-10-02 15:45", "2026-10-03 15:30", "2026-10-04 15:15"],
            ),
            (
                weekly(&["sunday"], &["02:15"]),
                "2026-09-26 00:00",
                &["2026-09-26 15:45", "2026-10-03 15:30", "2026-10-10 15:15"],
            ),
            (
                cron("*/15 1,2 * * *"),
                "2026-10-03 15:00",
                &["2026-10-03 15:15", "2026-10-03 15:30", "2026-10-03 15:45", "2026-10-04 14:00"],
            ),
        ],
    );
}

/// At 15:00 UTC of the day before 02:00, +11:00, becomes 01:30, +10:30.
#[test]
fn lord_howe_in_autumn_repeats_half_an_hour() {
    assert_table(
        "Australia/Lord_Howe",
        vec![
            (
                daily(&["01:45", "02:00"]),
                "2026-04-03 00:00",
                &[
                    "2026-04-03 14:45",
                    "2026-04-03 15:00",
                    "2026-04-04 14:45",
                    "2026-04-04 15:30",
                    "2026-04-05 15:15",
                ],
            ),
            (
                weekly(&["sunday"], &["01:45"]),
                "2026-03-28 00:00",
                &["2026-03-28 14:45", "2026-04-04 14:45", "2026-04-11 15:15"],
            ),
            (
                cron("*/15 1,2 * * *"),
                "2026-04-04 14:40",
                &["2026-04-04 14:45", "2026-04-04 15:30", "2026-04-04 15:45"],
            ),
        ],
    );
}

/// At 10:00 UTC on the 30th, -10:00 becomes +14:00: after the 29th comes the 31st.
#[test]
fn apia_in_2011_moves_a_day_that_is_skipped_to_the_next_midnight() {
    assert_table(
        "Pacific/Apia",
        vec![
            (
                daily(&["09:00"]),
                "2011-12-29 00:00",
                &["2011-12-29 19:00", "2011-12-30 10:00", "2011-12-30 19:00", "2011-12-31 19:00"],
            ),
            // The 30th was a Friday.
            (
                weekly(&["friday"], &["09:00"]),
                "2011-12-25 00:00",
                &["2011-12-30 10:00", "2012-01-05 19:00"],
            ),
            (
                weekly(&["friday", "saturday"], &["00:00"]),
                "2011-12-25 00:00",
                &["2011-12-30 10:00", "2012-01-05 10:00", "2012-01-06 10:00"],
            ),
            (
                cron("0 */6 * * *"),
                "2011-12-30 03:30",
                &["2011-12-30 04:00", "2011-12-30 10:00", "2011-12-30 16:00", "2011-12-30 22:00"],
            ),
            (cron("0 9 30 12 *"), "2011-12-01 00:00", &["2011-12-30 10:00", "2012-12-29 19:00"]),
        ],
    );
}
