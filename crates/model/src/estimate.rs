//! What can be said of an export before it runs.

use serde::{Deserialize, Serialize};

use crate::Endpoint;

/// How many of some are expected to be of a kind, by a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Between {
    pub low: u64,
    pub high: u64,
}

impl Between {
    /// Of `all`, `hits` of `draws` of which were of the kind: the 95 % interval of Wilson.
    #[expect(clippy::cast_precision_loss, reason = "numbers of people, far below 2^53")]
    pub fn of(all: u64, hits: u64, draws: u64) -> Self {
        const Z: f64 = 1.96;
        if draws == 0 {
            return Self { low: 0, high: all };
        }
        let (n, p) = (draws as f64, hits as f64 / draws as f64);
        let middle = p + Z * Z / (2.0 * n);
        let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        let (low, high) = ((middle - spread) / scale, (middle + spread) / scale);
        Self { low: share(all, low.max(0.0)), high: share(all, high.min(1.0)) }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, between 0 and the number of people"
)]
fn share(of: u64, part: f64) -> u64 {
    (of as f64 * part).round() as u64
}

/// Whole seconds from the first to the last of so many requests, at Klaviyo's limits of an endpoint.
pub fn least_seconds(requests: u64, endpoint: Endpoint) -> u64 {
    let limits = endpoint.limits();
    let Some(after_first) = requests.checked_sub(1) else { return 0 };
    let (burst, steady) = (u64::from(limits.burst), u64::from(limits.steady));
    (after_first / steady) * 60 + (after_first % steady) / burst
}

#[cfg(test)]
mod tests {
    use super::{Between, least_seconds};
    use crate::Endpoint;

    #[test]
    fn time_counts_from_the_first_to_the_last_request() {
        let limits = Endpoint::Import.limits();
        assert_eq!((limits.burst, limits.steady), (10, 150));
        let of = |requests| least_seconds(requests, Endpoint::Import);
        assert_eq!([of(0), of(1), of(10), of(100), of(150), of(151)], [0, 0, 0, 9, 14, 60]);
    }

    /// Worked out apart, with z = 1.96.
    #[test]
    fn interval_is_that_of_wilson() {
        let of = |hits, draws| {
            let Between { low, high } = Between::of(1_000_000, hits, draws);
            (low, high)
        };
        assert_eq!(of(3, 10), (107_789, 603_227));
        assert_eq!(of(499, 500), (988_759, 999_647));
    }

    #[test]
    fn interval_holds_the_share_and_stays_within_bounds() {
        let half = Between::of(10_000, 500, 1000);
        assert!((4600..5000).contains(&half.low) && (5001..5400).contains(&half.high), "{half:?}");
        assert_eq!(Between::of(1000, 0, 1000).low, 0);
        let all = Between::of(1000, 1000, 1000);
        assert!(all.high == 1000 && all.low > 990, "{all:?}");
        assert_eq!(Between::of(7, 0, 0), Between { low: 0, high: 7 });
    }
}
