use std::{fmt, iter};

use jiff::civil::{Date, DateTime};

use crate::{CronExpression, Days, TimeOfDay, Times, Weekday};

/// After 400 years the calendar repeats, weekdays included.
pub(crate) const CYCLE_DAYS: usize = 146_097;

/// On which days and when on them, by the local clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recurrence {
    Daily {
        times: Times,
    },
    Weekly {
        days: Days,
        times: Times,
    },
    /// As often as it says, up to every minute. Ends with the year 5000.
    Cron {
        expression: CronExpression,
    },
}

impl Recurrence {
    /// The same on every day that it falls on, earliest first, at least one.
    fn times(&self) -> &[TimeOfDay] {
        match self {
            Self::Daily { times } | Self::Weekly { times, .. } => times.as_slice(),
            Self::Cron { expression } => expression.times(),
        }
    }

    fn falls_on(&self, day: Date) -> bool {
        match self {
            Self::Daily { .. } => true,
            Self::Weekly { days, .. } => days.as_slice().contains(&Weekday::from(day.weekday())),
            Self::Cron { expression } => expression.falls_on(day),
        }
    }

    /// The first of `days` that it falls on. Who has looked at 400 years has seen every day that
    /// there is.
    fn first_of(&self, days: impl Iterator<Item = Date>) -> Option<Date> {
        days.take(CYCLE_DAYS).find(|day| self.falls_on(*day))
    }

    fn day_after(&self, day: Date) -> Option<Date> {
        self.first_of(iter::successors(day.tomorrow().ok(), |day| day.tomorrow().ok()))
    }

    fn day_before(&self, day: Date) -> Option<Date> {
        self.first_of(iter::successors(day.yesterday().ok(), |day| day.yesterday().ok()))
    }

    /// The times of the day of `local`: up to it, and after it.
    fn split(&self, local: DateTime) -> (&[TimeOfDay], &[TimeOfDay]) {
        let times = if self.falls_on(local.date()) { self.times() } else { &[] };
        times.split_at(times.partition_point(|time| time.civil() <= local.time()))
    }

    /// The local times strictly after `local`, in order.
    pub(crate) fn after(&self, local: DateTime) -> impl Iterator<Item = DateTime> {
        let today = local.date();
        let days = iter::successors(self.day_after(today), |day| self.day_after(*day));
        let rest = iter::once((today, self.split(local).1));
        rest.chain(days.map(|day| (day, self.times())))
            .flat_map(|(day, times)| times.iter().map(move |time| day.to_datetime(time.civil())))
    }

    /// The latest local time that is not after `local`.
    pub(crate) fn at_or_before(&self, local: DateTime) -> Option<DateTime> {
        let today = local.date();
        if let Some(time) = self.split(local).0.last() {
            return Some(today.to_datetime(time.civil()));
        }
        let day = self.day_before(today)?;
        self.times().last().map(|time| day.to_datetime(time.civil()))
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daily { times } => write!(f, "daily at {times}"),
            Self::Weekly { days, times } => write!(f, "{days} at {times}"),
            Self::Cron { expression } => write!(f, "cron {expression}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;

    use super::Recurrence;

    fn twice_a_week() -> Recurrence {
        Recurrence::Cron { expression: "0 6,18 * * MON,FRI".parse().unwrap() }
    }

    fn local(time: &str) -> DateTime {
        time.parse().unwrap()
    }

    // 2026-01-05 is a Monday.

    #[test]
    fn local_times_after_another_are_strictly_after_it() {
        for (after, expected) in [
            ("2026-01-05T05:59:59", ["2026-01-05T06:00", "2026-01-05T18:00", "2026-01-09T06:00"]),
            ("2026-01-05T06:00", ["2026-01-05T18:00", "2026-01-09T06:00", "2026-01-09T18:00"]),
            ("2026-01-06T12:00", ["2026-01-09T06:00", "2026-01-09T18:00", "2026-01-12T06:00"]),
        ] {
            let found: Vec<_> = twice_a_week().after(local(after)).take(3).collect();
            assert_eq!(found, expected.map(local), "{after}");
        }
    }

    #[test]
    fn the_latest_local_time_may_be_the_given_one() {
        for (at, expected) in [
            ("2026-01-05T05:59:59", "2026-01-02T18:00"),
            ("2026-01-05T06:00", "2026-01-05T06:00"),
            ("2026-01-05T06:00:01", "2026-01-05T06:00"),
            ("2026-01-08T12:00", "2026-01-05T18:00"),
        ] {
            assert_eq!(twice_a_week().at_or_before(local(at)), Some(local(expected)), "{at}");
        }
    }
}
