use jiff::Timestamp;
use segue_model::Micros;

use super::{Due, Schedule};

const DAILY: &str = r#"{"daily":{"at":["03:00","15:00"]},"time_zone":"Europe/Berlin"}"#;
const WEEKLY: &str =
    r#"{"weekly":{"on":["monday","friday"],"at":["06:30"]},"time_zone":"America/New_York"}"#;
const CRON: &str = r#"{"cron":"0 6 * * MON-FRI","time_zone":"UTC"}"#;
const EACH_MINUTE: &str = r#"{"cron":"* * * * *","time_zone":"Europe/Berlin"}"#;

fn read(json: &str) -> Schedule {
    serde_json::from_str(json).unwrap()
}

fn at(time: &str) -> Micros {
    Micros(time.parse::<Timestamp>().unwrap().as_microsecond())
}

fn due(json: &str, since: &str, now: &str) -> Option<(Micros, u64)> {
    read(json).due(at(since), at(now)).map(|Due { at, skipped }| (at, skipped))
}

#[test]
fn each_kind_is_described_in_words() {
    for (json, words) in [
        (DAILY, "daily at 03:00 and 15:00, Europe/Berlin"),
        (WEEKLY, "Mondays and Fridays at 06:30, America/New_York"),
        (CRON, "cron 0 6 * * MON-FRI, UTC"),
    ] {
        assert_eq!(read(json).to_string(), words);
    }
}

#[test]
fn each_kind_has_a_json_form_that_reads_back() {
    for json in [DAILY, WEEKLY, CRON] {
        assert_eq!(serde_json::to_string(&read(json)).unwrap(), json);
    }
}

#[test]
fn a_json_form_that_is_not_a_schedule_is_told_what_is_wrong() {
    for (json, problem) in [
        (r#"{"daily":{"at":["03:00"]}}"#, "missing field `time_zone`"),
        (r#"{"daily":{"at":[]},"time_zone":"UTC"}"#, "at: \"\" holds no time of day"),
        (r#"{"daily":{"at":["25:00"]},"time_zone":"UTC"}"#, "at: \"25:00\" is not a time of day"),
        (r#"{"daily":{"at":[180]},"time_zone":"UTC"}"#, "expected a time of day in quotes"),
        (r#"{"daily":{"at":["03:00","03:00"]},"time_zone":"UTC"}"#, "at: \"03:00\" is there more"),
        (r#"{"weekly":{"on":[],"at":["03:00"]},"time_zone":"UTC"}"#, "on: \"\" holds no weekday"),
        (r#"{"weekly":{"at":["03:00"]},"time_zone":"UTC"}"#, "missing field `on`"),
        (r#"{"cron":"0 6 * *","time_zone":"UTC"}"#, "cron: \"0 6 * *\" has 4 fields"),
        (r#"{"cron":"0 6 * * *","time_zone":"utc"}"#, "time_zone: \"utc\" is not in the IANA"),
        (r#"{"time_zone":"UTC"}"#, "schedule: \"\" is not one kind of schedule"),
        (
            r#"{"cron":"0 6 * * *","daily":{"at":["03:00"]},"time_zone":"UTC"}"#,
            "schedule: \"daily, cron\" is not one kind of schedule",
        ),
        (r#"{"cron":"0 6 * * *","time_zone":"UTC","x":1}"#, "unknown field `x`"),
        (r#"{"daily":{"at":["03:00"],"on":[]},"time_zone":"UTC"}"#, "unknown field `on`"),
        (r#"{"weekly":{"on":["friday"],"at":["03:00"],"x":1},"time_zone":"UTC"}"#, "field `x`"),
    ] {
        let error = serde_json::from_str::<Schedule>(json).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn nothing_is_due_before_the_next_occurrence() {
    // 03:00 in Berlin.
    assert_eq!(due(DAILY, "2026-01-05T02:00:00Z", "2026-01-05T13:59:59.999999Z"), None);
    assert_eq!(due(DAILY, "2026-01-05T13:00:00Z", "2026-01-05T13:00:00Z"), None);
    assert_eq!(due(DAILY, "2026-01-05T15:00:00Z", "2026-01-05T01:00:00Z"), None);
}

#[test]
fn an_occurrence_is_due_at_its_own_instant_and_not_again() {
    let occurrence = at("2026-01-05T14:00:00Z");
    let since = "2026-01-05T02:00:00Z";
    assert_eq!(due(DAILY, since, "2026-01-05T14:00:00Z"), Some((occurrence, 0)));
    let just_before = "2026-01-05T13:59:59.999999Z";
    assert_eq!(due(DAILY, just_before, "2026-01-05T14:00:00Z"), Some((occurrence, 0)));
    assert_eq!(due(DAILY, "2026-01-05T14:00:00Z", "2026-01-05T14:00:01Z"), None);
}

#[test]
fn many_missed_occurrences_are_one_run_that_counts_them() {
    let latest = at("2026-01-08T14:00:00Z");
    // The 5th to the 8th, twice each.
    assert_eq!(due(DAILY, "2026-01-05T00:00:00Z", "2026-01-08T20:00:00Z"), Some((latest, 7)));
    // Fridays and Mondays: the 2nd, the 5th and the 9th.
    let friday = at("2026-01-09T11:30:00Z");
    assert_eq!(due(WEEKLY, "2026-01-01T00:00:00Z", "2026-01-11T00:00:00Z"), Some((friday, 2)));
}

#[test]
fn counting_stops_at_a_limit_and_the_latest_is_still_found() {
    let latest = at("2026-07-01T12:34:00Z");
    let ten_years = due(EACH_MINUTE, "2016-07-01T00:00:00Z", "2026-07-01T12:34:56Z");
    assert_eq!(ten_years, Some((latest, 10_000)));
    // A week less 86 minutes, and the latest does not count.
    let week = due(EACH_MINUTE, "2026-06-24T14:00:00Z", "2026-07-01T12:34:56Z");
    assert_eq!(week, Some((latest, 9_993)));
}

#[test]
fn while_an_hour_is_repeated_the_latest_is_the_last_before_it() {
    // 02:30 for the second time; 02:59 was the last minute that was new.
    let latest = at("2026-10-25T00:59:00Z");
    let repeated = due(EACH_MINUTE, "2026-10-25T00:00:00Z", "2026-10-25T01:30:00Z");
    assert_eq!(repeated, Some((latest, 58)));
    assert_eq!(due(EACH_MINUTE, "2026-10-25T00:59:00Z", "2026-10-25T01:59:59Z"), None);
}

#[test]
fn times_that_a_gap_skips_are_missed_once() {
    // 02:00 to 03:00 are the instant at which the gap ends.
    let latest = at("2026-03-29T01:01:00Z");
    let over_the_gap = due(EACH_MINUTE, "2026-03-29T00:57:00Z", "2026-03-29T01:01:00Z");
    assert_eq!(over_the_gap, Some((latest, 3)));
}

#[test]
fn instants_beyond_the_calendar_have_no_next_and_nothing_due() {
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let (first, last) = (first * 1_000_000, last * 1_000_000);
    for json in [DAILY, WEEKLY, CRON, EACH_MINUTE] {
        let schedule = read(json);
        for beyond in [i64::MIN, first - 1, last + 1_000_000, i64::MAX] {
            assert_eq!(schedule.next_after(Micros(beyond)), None);
            assert_eq!(schedule.due(Micros(beyond), Micros(0)), None);
            assert_eq!(schedule.due(Micros(0), Micros(beyond)), None);
        }
        assert_eq!(schedule.next_after(Micros(last)), None);
    }
    assert!(read(DAILY).next_after(Micros(first)).is_some());
    assert_eq!(read(DAILY).upcoming(Micros(last - 86_400_000_000)).count(), 2);
    let ever = read(DAILY).due(Micros(first), Micros(last)).unwrap();
    assert_eq!((ever.at, ever.skipped), (at("9999-12-30T14:00:00Z"), 10_000));
}

#[test]
fn a_leap_day_is_found_across_a_century_that_has_none() {
    let schedule = read(r#"{"cron":"0 0 29 2 *","time_zone":"UTC"}"#);
    assert_eq!(schedule.next_after(at("2096-03-01T00:00:00Z")), Some(at("2104-02-29T00:00:00Z")));
    let due = schedule.due(at("2090-01-01T00:00:00Z"), at("2104-02-28T00:00:00Z")).unwrap();
    assert_eq!((due.at, due.skipped), (at("2096-02-29T00:00:00Z"), 1));
}
