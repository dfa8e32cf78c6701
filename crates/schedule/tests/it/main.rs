//! The crate from outside: by example over clock changes, and for any schedule.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

mod clock_changes;
mod properties;

use jiff::Timestamp;
use segue_model::Micros;
use segue_schedule::{Days, Recurrence, Schedule, Times};

/// An instant in UTC, to the minute: "2026-03-29 01:00".
fn utc(time: &str) -> Micros {
    let time: Timestamp = format!("{time}:00Z").parse().unwrap();
    Micros(time.as_microsecond())
}

fn schedule(recurrence: Recurrence, zone: &str) -> Schedule {
    Schedule { recurrence, zone: zone.parse().unwrap() }
}

fn daily(times: &[&str]) -> Recurrence {
    let times = times.iter().map(|time| time.parse().unwrap());
    Recurrence::Daily { times: Times::new(times).unwrap() }
}

fn weekly(days: &[&str], times: &[&str]) -> Recurrence {
    let days = Days::new(days.iter().map(|day| day.parse().unwrap())).unwrap();
    let times = Times::new(times.iter().map(|time| time.parse().unwrap())).unwrap();
    Recurrence::Weekly { days, times }
}

fn cron(expression: &str) -> Recurrence {
    Recurrence::Cron { expression: expression.parse().unwrap() }
}
