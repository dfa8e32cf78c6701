//! Fixed windows of a second, a minute and (for new lists) a day. All keys of an account share them.

use std::collections::HashMap;

use crate::{
    clock::{Millis, millis},
    config::WindowPhase,
    endpoint::{Endpoint, Tier},
    unknowns::RateLimitHeaders,
};

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60_000;
const DAY: Millis = 86_400_000;

/// New lists of an account in a day.
const NEW_LISTS_PER_DAY: u32 = 150;

/// What one limit belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Endpoint(Endpoint),
    /// `additional-fields` and `include` have limits of their own, shared by all endpoints and
    /// counted in addition to the endpoint's.
    Extra(&'static str),
}

/// One fixed window.
#[derive(Debug, Clone, Copy)]
struct Window {
    length: Millis,
    limit: u32,
    ends: Millis,
    used: u32,
}

impl Window {
    fn new(length: Millis, limit: u32) -> Self {
        Self { length, limit, ends: 0, used: 0 }
    }

    /// Opens a new window if the last one is over.
    fn roll(&mut self, now: Millis, phase: WindowPhase) {
        if now < self.ends {
            return;
        }
        self.used = 0;
        self.ends = match phase {
            WindowPhase::FirstRequest => now + self.length,
            WindowPhase::WallClock => now - now % self.length + self.length,
            WindowPhase::Shifted(by) => {
                let into = (now + self.length - millis(by) % self.length) % self.length;
                now - into + self.length
            }
        };
    }

    fn is_full(&self) -> bool {
        self.used >= self.limit
    }

    fn seconds_left(&self, now: Millis) -> u64 {
        self.ends.saturating_sub(now).div_ceil(1000)
    }
}

/// What the limiter says to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Granted(RateHeaders),
    /// Seconds until the fullest window ends.
    Throttled {
        retry_after: u64,
    },
}

/// The values of the `RateLimit-*` headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RateHeaders {
    pub(crate) limit: String,
    pub(crate) remaining: u32,
    pub(crate) reset: u64,
}

/// The windows of one account.
#[derive(Debug)]
pub(crate) struct Limiter {
    lanes: HashMap<Lane, Vec<Window>>,
    phase: WindowPhase,
    headers: RateLimitHeaders,
}

impl Limiter {
    pub(crate) fn new(phase: WindowPhase, headers: RateLimitHeaders) -> Self {
        Self { lanes: HashMap::new(), phase, headers }
    }

    /// Takes a place in every window of `lanes`, or in none. The first lane fills the headers.
    pub(crate) fn take(&mut self, lanes: &[(Lane, Tier)], now: Millis) -> Verdict {
        let mut retry_after = None;
        for (lane, tier) in lanes {
            let windows = self.lanes.entry(*lane).or_insert_with(|| windows(*lane, *tier));
            for window in windows {
                window.roll(now, self.phase);
                if window.is_full() {
                    retry_after = retry_after.max(Some(window.seconds_left(now)));
                }
            }
        }
        if let Some(retry_after) = retry_after {
            return Verdict::Throttled { retry_after };
        }
        for (lane, _) in lanes {
            self.lanes.get_mut(lane).into_iter().flatten().for_each(|window| window.used += 1);
        }
        Verdict::Granted(self.headers(lanes, now))
    }

    fn headers(&self, lanes: &[(Lane, Tier)], now: Millis) -> RateHeaders {
        let windows = lanes.first().and_then(|(lane, _)| self.lanes.get(lane));
        let [burst, steady, ..] = windows.map_or(&[][..], Vec::as_slice) else {
            return RateHeaders { limit: String::new(), remaining: 0, reset: 0 };
        };
        let reported = match self.headers {
            RateLimitHeaders::Burst => burst,
            RateLimitHeaders::Steady => steady,
        };
        RateHeaders {
            limit: format!("{}, {};w=1, {};w=60", reported.limit, burst.limit, steady.limit),
            remaining: reported.limit - reported.used,
            // Recordings say 0 for the window of a second: whole seconds, rounded down.
            reset: reported.ends.saturating_sub(now + 1) / 1000,
        }
    }
}

fn windows(lane: Lane, tier: Tier) -> Vec<Window> {
    let mut windows = vec![Window::new(SECOND, tier.burst()), Window::new(MINUTE, tier.steady())];
    if lane == Lane::Endpoint(Endpoint::CreateList) {
        windows.push(Window::new(DAY, NEW_LISTS_PER_DAY));
    }
    windows
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Lane, Limiter, RateHeaders, Verdict};
    use crate::{Endpoint, RateLimitHeaders, WindowPhase, endpoint::Tier};

    const IMPORT: &[(Lane, Tier)] = &[(Lane::Endpoint(Endpoint::Import), Tier::M)];
    const START: u64 = 1_790_000_000_400;

    fn limiter(phase: WindowPhase) -> Limiter {
        Limiter::new(phase, RateLimitHeaders::Burst)
    }

    fn granted(limiter: &mut Limiter, times: usize, now: u64) -> usize {
        (0..times).filter(|_| matches!(limiter.take(IMPORT, now), Verdict::Granted(_))).count()
    }

    #[test]
    fn eleventh_request_in_a_second_is_throttled() {
        let mut limiter = limiter(WindowPhase::FirstRequest);
        assert_eq!(granted(&mut limiter, 11, START), 10);
        assert_eq!(limiter.take(IMPORT, START + 999), Verdict::Throttled { retry_after: 1 });
        assert_eq!(granted(&mut limiter, 11, START + 1000), 10);
    }

    #[test]
    fn request_151_in_a_minute_waits_for_the_minute() {
        let mut limiter = limiter(WindowPhase::FirstRequest);
        for second in 0..15 {
            assert_eq!(granted(&mut limiter, 10, START + second * 1000), 10);
        }
        let verdict = limiter.take(IMPORT, START + 15_000);
        assert_eq!(verdict, Verdict::Throttled { retry_after: 45 });
        assert_eq!(granted(&mut limiter, 1, START + 60_000), 1);
    }

    #[test]
    fn aligned_windows_admit_two_bursts_across_the_boundary() {
        let mut limiter = limiter(WindowPhase::WallClock);
        assert_eq!(granted(&mut limiter, 11, START + 599), 10);
        assert_eq!(granted(&mut limiter, 11, START + 600), 10);
    }

    #[test]
    fn shifted_windows_start_their_offset_after_the_second() {
        let mut limiter = limiter(WindowPhase::Shifted(Duration::from_millis(700)));
        assert_eq!(granted(&mut limiter, 11, START + 299), 10);
        assert_eq!(granted(&mut limiter, 11, START + 300), 10);
        assert_eq!(granted(&mut limiter, 1, START + 1299), 0);
    }

    #[test]
    fn throttled_request_takes_no_place_in_the_other_windows() {
        let mut limiter = limiter(WindowPhase::FirstRequest);
        for second in 0..15 {
            assert_eq!(granted(&mut limiter, 100, START + second * 1000), 10);
        }
    }

    #[test]
    fn one_lane_that_is_full_refuses_the_request_on_all_its_lanes() {
        let mut limiter = limiter(WindowPhase::FirstRequest);
        let both =
            [(Lane::Endpoint(Endpoint::List), Tier::L), (Lane::Extra("profile_count"), Tier::Xs)];
        assert!(matches!(limiter.take(&both, START), Verdict::Granted(_)));
        assert_eq!(limiter.take(&both, START), Verdict::Throttled { retry_after: 1 });
        assert!(matches!(limiter.take(&both[..1], START), Verdict::Granted(_)));
    }

    #[test]
    fn lists_beyond_the_daily_cap_wait_for_the_next_day() {
        let lane = [(Lane::Endpoint(Endpoint::CreateList), Tier::M)];
        let mut limiter = limiter(WindowPhase::FirstRequest);
        for list in 0..150 {
            assert!(matches!(limiter.take(&lane, START + list * 1000), Verdict::Granted(_)));
        }
        let verdict = limiter.take(&lane, START + 200_000);
        assert_eq!(verdict, Verdict::Throttled { retry_after: 86_200 });
    }

    #[test]
    fn headers_read_as_in_recordings_of_live_traffic() {
        let mut limiter = limiter(WindowPhase::FirstRequest);
        let verdict = limiter.take(&[(Lane::Endpoint(Endpoint::Lists), Tier::L)], START);
        let limit = "75, 75;w=1, 750;w=60".to_owned();
        assert_eq!(verdict, Verdict::Granted(RateHeaders { limit, remaining: 74, reset: 0 }));
    }
}
