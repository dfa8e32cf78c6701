//! How long to wait before trying again. Randomness is an argument: these are functions.

use std::time::Duration;

/// First wait before an upload is tried again.
pub const FIRST: Duration = Duration::from_secs(1);
/// No single wait is longer.
pub const CAP: Duration = Duration::from_mins(1);

/// The ceiling for the wait after `failures` failures in a row: 1 s, 2 s, 4 s … 60 s.
pub fn ceiling(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (FIRST * 2_u32.pow(doublings)).min(CAP)
}

/// Full jitter: anywhere from zero to the ceiling, so that many workers that failed together do not
/// come back together. `random` is uniform over all `u32`.
pub fn full_jitter(failures: u32, random: u32) -> Duration {
    ceiling(failures).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{CAP, Duration, ceiling, full_jitter};

    #[test]
    fn ceiling_doubles_from_one_second_to_a_minute() {
        let seconds: Vec<u64> = (1..=8).map(|n| ceiling(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(ceiling(u32::MAX), CAP);
    }

    #[test]
    fn jitter_spans_zero_to_the_ceiling() {
        assert_eq!(full_jitter(3, 0), Duration::ZERO);
        assert_eq!(full_jitter(3, u32::MAX), Duration::from_secs(4));
    }
}
