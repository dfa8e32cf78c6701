use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, by the store's clock: the one clock that decides.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Zero if `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// RFC 3339 in UTC with milliseconds, as the report writes times.
    pub fn rfc3339(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whole milliseconds, rounded down, so that a later instant never prints as an earlier one.
        let millis = self.0.div_euclid(1000);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl Add<Duration> for Micros {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Micros {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Micros;

    #[test]
    fn times_are_apart_by_what_was_added_or_taken_away() {
        let (early, by) = (Micros(5_000_000), Duration::from_micros(2_000_001));
        let late = early + by;
        assert_eq!(late, Micros(7_000_001));
        assert_eq!(late - by, early);
        assert_eq!(late.since(early), by);
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn times_print_in_utc_with_milliseconds() {
        assert_eq!(Micros(1_790_000_000_123_999).rfc3339(), "2026-09-21T14:13:20.123Z");
    }
}
