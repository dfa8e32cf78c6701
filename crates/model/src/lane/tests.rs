use std::time::Duration;

use proptest::prelude::*;

use super::{Grant, Held, Lane};
use crate::{Limits, Micros};

const IMPORT: Limits = Limits { burst: 10, steady: 150 };

fn at(seconds: f64) -> Micros {
    Micros(0) + Duration::from_secs_f64(seconds)
}

fn answered(seconds: f64) -> Held {
    Held { answered: Some(at(seconds)) }
}

#[test]
fn tenth_request_goes_and_eleventh_waits_for_the_oldest_answer() {
    let lane = Lane::new(IMPORT);
    let mut held: Vec<Held> = (0..9_u32).map(|n| answered(f64::from(n) / 10.0)).collect();
    assert_eq!(lane.grant(at(0.95), &held), Grant::Now);
    held.push(answered(0.95));
    assert_eq!(lane.grant(at(0.96), &held), Grant::Wait(Some(at(1.0))));
    assert_eq!(lane.grant(at(1.0), &held), Grant::Now);
}

#[test]
fn unanswered_requests_hold_their_places_however_old() {
    let lane = Lane::new(IMPORT);
    let held = [Held { answered: None }; 10];
    assert_eq!(lane.grant(at(3600.0), &held), Grant::Wait(None));
}

#[test]
fn minute_limit_holds_when_the_second_is_free() {
    let lane = Lane::new(IMPORT);
    let held: Vec<Held> = (0..150_u32).map(|n| answered(f64::from(n) / 10.0)).collect();
    assert_eq!(lane.grant(at(20.0), &held), Grant::Wait(Some(at(60.0))));
}

#[test]
fn throttled_lane_closes_for_what_klaviyo_asks_or_doubles_from_a_second() {
    let mut lane = Lane::new(IMPORT);
    lane.throttle(at(0.0), Some(Duration::from_secs(7)));
    assert_eq!(lane.grant(at(1.0), &[]), Grant::Wait(Some(at(7.0))));
    let mut lane = Lane::new(IMPORT);
    for (nth, closed) in [(0.0, 1.0), (1.0, 3.0), (3.0, 7.0)] {
        lane.throttle(at(nth), Some(Duration::ZERO));
        assert_eq!(lane.closed_until, at(closed));
    }
    lane.throttle(at(7.0), Some(Duration::from_hours(24)));
    assert_eq!(lane.closed_until, at(15.0));
}

#[test]
fn foreign_traffic_halves_the_burst_which_grows_again_slowly() {
    let mut lane = Lane::new(IMPORT);
    lane.throttle(at(0.0), None);
    assert_eq!(lane.burst, 5);
    assert!(lane.relax(at(1.5)), "the count of 429 in a row is forgotten");
    assert_eq!(lane.burst, 5, "too early to grow");
    assert!(!lane.relax(at(10.9)));
    assert!(lane.relax(at(11.0)));
    assert!(!lane.relax(at(20.9)), "one place in ten seconds");
    for n in 1..10_u32 {
        lane.relax(at(11.0 + 10.0 * f64::from(n)));
    }
    assert_eq!(lane.burst, 10, "never beyond what Klaviyo publishes");
}

#[test]
fn after_five_failures_one_request_at_a_time_probes() {
    let mut lane = Lane::new(IMPORT);
    for _ in 0..5 {
        assert_eq!(lane.grant(at(0.0), &[Held { answered: None }]), Grant::Now);
        lane.trouble();
    }
    assert_eq!(lane.grant(at(0.0), &[]), Grant::Now);
    assert_eq!(lane.grant(at(0.0), &[Held { answered: None }]), Grant::Wait(None));
    lane.relax(at(0.0));
    assert_eq!(lane.grant(at(0.0), &[Held { answered: None }]), Grant::Now);
}

/// Klaviyo's side: the most requests that arrived in any window of `length`, whatever its phase.
fn most_in_a_window(arrivals: &[Micros], length: Duration) -> usize {
    let mut sorted = arrivals.to_vec();
    sorted.sort();
    let within =
        |from: Micros| sorted.iter().filter(|t| **t >= from && **t < from + length).count();
    sorted.iter().map(|from| within(*from)).max().unwrap_or(0)
}

proptest! {
    /// A client that asks as often as it can, with any times of travel and of answer.
    #[test]
    fn no_window_of_any_phase_sees_more_than_the_limit(
        travel in prop::collection::vec((1_u32..400_000, 1_u32..900_000), 1..400),
        burst in 1_u32..12, steady in 12_u32..40,
    ) {
        let lane = Lane::new(Limits { burst, steady });
        let mut now = Micros(0);
        let mut sent: Vec<(Micros, Held)> = Vec::new(); // when the answer will be recorded
        let mut arrivals = Vec::new();
        for (to_klaviyo, back) in travel {
            loop {
                for (due, held) in &mut sent {
                    if *due <= now { held.answered = Some(*due); }
                }
                let held: Vec<Held> = sent.iter().map(|(_, held)| *held).collect();
                match lane.grant(now, &held) {
                    Grant::Now => break,
                    Grant::Wait(Some(at)) => { prop_assert!(at > now); now = at; }
                    Grant::Wait(None) => {
                        let open = sent.iter().filter(|(_, held)| held.answered.is_none());
                        now = open.map(|(due, _)| *due).min().unwrap();
                    }
                }
            }
            let arrival = now + Duration::from_micros(to_klaviyo.into());
            arrivals.push(arrival);
            sent.push((arrival + Duration::from_micros(back.into()), Held { answered: None }));
        }
        prop_assert!(most_in_a_window(&arrivals, Limits::BURST_WINDOW) <= burst as usize);
        prop_assert!(most_in_a_window(&arrivals, Limits::STEADY_WINDOW) <= steady as usize);
    }
}
