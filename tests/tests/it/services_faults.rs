//! Services that are stopped, killed and started again while a run is under way.

use klaviyo_sim::{Completion, Config, Faults};

use crate::harness::{Judge, People, Services, Shape, Sim, limited, wait_for};

const SHAPE: Shape = Shape { control_planes: 2, workers: 2, statuses: 2 };

/// Imports take a moment, so that there is something to interrupt.
fn slow() -> Sim {
    Sim::start(Config { completion: Completion::Immediate, ..limited() })
}

fn accepted(sim: &Sim) -> usize {
    sim.state().imports().count()
}

#[test]
fn run_survives_the_death_of_each_service_in_turn() {
    let sim = slow();
    let mut services = Services::apart(&sim, SHAPE);
    let people = People::good(300_000).spoil(50_000, |n| format!("nobody{n}"), "email_invalid");
    people.write(&services.source().join("people.csv"));
    let run = services.start_run(&services.export("people.csv"));
    for (nth, name) in services.names().into_iter().enumerate() {
        let before = accepted(&sim);
        wait_for("the run goes on", || {
            let now = accepted(&sim);
            (now > before || now + 3 >= 30 || nth == 0).then_some(())
        });
        services.kill_and_restart(&name);
        services.await_ready();
    }
    let report = Services::report(&services.ended(&run));
    let judge = Judge::new(&sim, &people);
    judge.counts_are_right(&report);
    judge.members_are_exactly_the_delivered();
    judge.nobody_is_elsewhere();
    assert_eq!(report.throttled, 0);
}

#[test]
fn every_service_ends_with_0_when_it_is_asked_to_and_the_run_goes_on_without_it() {
    let sim = slow();
    let mut services = Services::apart(&sim, SHAPE);
    let people = People::good(150_000);
    people.write(&services.source().join("people.csv"));
    let run = services.start_run(&services.export("people.csv"));
    wait_for("something was accepted", || (accepted(&sim) > 2).then_some(()));
    for name in ["worker-2", "control-plane-1", "status-2"] {
        services.signal(name, "-TERM");
        let status = services.wait(name);
        assert_eq!(status.code(), Some(0), "{name}: {}", services.said(name));
    }
    // Whoever talked to the instance that is gone has to be told of another; the run itself does not.
    wait_for("all batches were accepted", || (accepted(&sim) == 15).then_some(()));
    services.kill_and_restart("control-plane-1");
    let report = Services::report(&services.ended(&run));
    assert_eq!((report.state.as_str(), report.delivered), ("succeeded", 150_000));
    assert_eq!(report.throttled, 0);
}

#[test]
fn serve_goes_on_with_its_runs_after_kill_9() {
    let sim = slow();
    let mut services = Services::together(&sim);
    let people = People::good(200_000);
    people.write(&services.source().join("people.csv"));
    let run = services.start_run(&services.export("people.csv"));
    for already in [3, 12] {
        wait_for("more was accepted", || (accepted(&sim) >= already).then_some(()));
        services.kill_and_restart("serve");
        services.await_ready();
    }
    let report = Services::report(&services.ended(&run));
    let judge = Judge::new(&sim, &people);
    judge.counts_are_right(&report);
    judge.members_are_exactly_the_delivered();
}

#[test]
fn cancelled_run_sends_nothing_more_and_can_be_retried() {
    // Ten requests in four seconds, so that all is read long before all is sent.
    let faults = Faults { slow_ms: 3_000, ..Faults::default() };
    let sim = Sim::start(Config { completion: Completion::Immediate, faults, ..limited() });
    let services = Services::apart(&sim, SHAPE);
    let people = People::good(200_000);
    people.write(&services.source().join("people.csv"));
    let run = services.start_run(&services.export("people.csv"));
    wait_for("the segment was read and something accepted", || {
        let read = services.run(&run)["counts"]["rows_read"] == 200_000;
        (read && accepted(&sim) > 2).then_some(())
    });
    services.ask(&["runs", "cancel", &run]);
    let after = accepted(&sim);
    let cancelled = Services::report(&services.ended(&run));
    // What was in flight when it was cancelled may still have been accepted, but no more than a burst.
    assert!(accepted(&sim) <= after + 10);
    assert_eq!(cancelled.state, "cancelled");
    assert!(cancelled.undelivered > 0, "{cancelled:#?}");
    let retried = services.ask(&["runs", "retry", &run]);
    let retry = Services::report(&services.ended(retried["id"].as_str().unwrap()));
    assert_eq!((retry.state.as_str(), retry.delivered), ("succeeded", cancelled.undelivered));
}
