//! As fast as Klaviyo allows and never faster, in one run and over several.

use std::time::Duration;

use klaviyo_sim::{
    Completion, Config, Endpoint, Faults, LoggedRequest, Trigger, Unknowns, WindowPhase,
};

use crate::harness::{Export, Judge, People, Sim, limited, rate, wait_for};

/// A Klaviyo with its real limits that names one bad profile in each refusal: a batch with many of them
/// takes many requests in a row, each of a few bytes, which no pace but Segue's own slows down.
fn picky(window_phase: WindowPhase) -> Sim {
    Sim::start(Config {
        window_phase,
        completion: Completion::Immediate,
        unknowns: Unknowns { named_rows: Some(1), ..Unknowns::default() },
        ..limited()
    })
}

fn refused(count: usize) -> People {
    (0..count).fold(People::good(20), |people, n| {
        people.and_rejected(&format!("refuse{n}@example.com"), "refused_by_klaviyo").and_good(1)
    })
}

fn imports(sim: &Sim) -> Vec<LoggedRequest> {
    let mut requests = sim.requests();
    requests.retain(|request| request.endpoint == Some(Endpoint::Import));
    requests
}

/// No second, wherever it begins, holds more than ten imports.
#[track_caller]
fn no_second_holds_more_than_ten(imports: &[LoggedRequest]) {
    for eleven in imports.windows(11) {
        let took = eleven[10].at_ms - eleven[0].at_ms;
        // The simulator's clock counts whole milliseconds.
        assert!(took >= 999, "eleven imports within {took} ms");
    }
}

#[test]
fn no_request_is_refused_for_the_pace_whatever_the_phase_of_the_windows() {
    for phase in [
        WindowPhase::FirstRequest,
        WindowPhase::WallClock,
        WindowPhase::Shifted(Duration::from_millis(700)),
    ] {
        let sim = picky(phase);
        let people = refused(25);
        let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
        let report = Judge::new(&sim, &people).verify(&ended);
        assert!(report.requests >= 26, "too few for a test: {}", report.requests);
        assert_eq!((sim.state().throttled, report.throttled), (0, 0), "{phase:?}");
        no_second_holds_more_than_ten(&imports(&sim));
    }
}

#[test]
fn runs_in_a_row_keep_the_pace_together() {
    let sim = picky(WindowPhase::FirstRequest);
    let people = refused(8);
    let first = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
    for _ in 0..3 {
        let next = Export::to(&sim).data(first.data()).content("people.csv", people.csv());
        next.run().expect_code(3);
    }
    assert_eq!(imports(&sim).len(), 4 * 9);
    assert_eq!(sim.state().throttled, 0);
    no_second_holds_more_than_ten(&imports(&sim));
}

#[test]
fn large_profiles_make_many_batches_below_the_limit_of_a_request() {
    let sim = Sim::start(Config { completion: Completion::Immediate, ..limited() });
    let note = "x".repeat(30_000);
    let row = |n| format!("person{n}@example.com,{note}\n");
    let csv = format!("email,note\n{}", (0..1_700).map(row).collect::<Vec<_>>().concat());
    let ended = Export::to(&sim).content("people.csv", csv).run().expect_code(0);
    let report = ended.report();
    let state = sim.state();
    let bytes: Vec<usize> = state.imports().map(|import| import.bytes).collect();
    // All but the last are full: one more profile would not have fitted.
    let full = bytes.iter().filter(|bytes| (4_470_000..=4_500_000).contains(*bytes)).count();
    assert_eq!((bytes.len(), full), (12, 11), "{bytes:?}");
    assert_eq!((report.delivered, report.batches, report.requests), (1_700, 12, 12));
    assert_eq!(report.bytes, bytes.iter().map(|bytes| *bytes as u64).sum::<u64>());
    assert_eq!((state.throttled, report.throttled), (0, 0));
    no_second_holds_more_than_ten(&imports(&sim));
}

#[test]
fn second_export_in_a_folder_waits_for_the_first_and_says_so() {
    let sim = Sim::free();
    let people = People::good(10);
    let unavailable = Trigger::probability(1.0).at(Endpoint::Import);
    sim.set_faults(Faults { unavailable, ..Faults::default() });
    let export = Export::to(&sim).content("people.csv", people.csv());
    let data = export.path("shared");
    let mut first = export.data(&data).start();
    first.wait_until_it_says("account  Simulated account");
    let mut second = Export::to(&sim).data(&data).content("people.csv", people.csv()).start();
    second.wait_until_it_says("another export uses");
    // It has asked nothing: its calls would not be paced with those of the first.
    assert_eq!(sim.calls(Endpoint::FlowTriggers), 1);
    assert!(!first.has_ended() && !second.has_ended());

    sim.set_faults(Faults::default());
    let (first, second) = (first.wait().expect_code(0), second.wait().expect_code(0));
    Judge::new(&sim, &people).verify(&second);
    let (first, second) = (first.report(), second.report());
    assert!(first.ended_at <= second.started_at, "{first:#?} {second:#?}");
}

#[test]
fn progress_is_a_line_now_and_then_when_nobody_sits_at_a_terminal() {
    let sim = Sim::start(Config { process_rate: rate(1_000), ..limited() });
    let people = People::good(6_000);
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(0);
    Judge::new(&sim, &people).verify(&ended);
    let progress = ended.stderr.lines().find(|line| line.contains("uploaded"));
    let progress = progress.unwrap_or_else(|| panic!("no progress\n{ended}"));
    for word in ["read 100 %", "uploaded 6,000 of 6,000", "confirmed", "profiles/s", "s left"] {
        assert!(progress.contains(word), "{progress}");
    }
}

#[test]
fn export_does_not_end_before_klaviyo_has_confirmed_every_import() {
    let sim = Sim::start(Config { process_rate: rate(2_000), ..limited() });
    let people = People::good(4_000);
    let mut running = Export::to(&sim).content("people.csv", people.csv()).start();
    wait_for("it ends", || {
        // In this order: what was complete when it ended is complete still.
        let ended = running.has_ended();
        let complete = sim.state().imports().all(|import| import.status == "complete");
        assert!(complete || !ended, "it ended before Klaviyo was done");
        ended.then_some(())
    });
    let ended = running.wait().expect_code(0);
    assert!(sim.calls(Endpoint::ImportJobs) + sim.calls(Endpoint::ImportJob) > 0);
    Judge::new(&sim, &people).verify(&ended);
}
