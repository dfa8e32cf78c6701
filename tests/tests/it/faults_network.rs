//! What a network and Klaviyo's gateways do to requests. Whatever it is, everybody arrives, nobody
//! elsewhere, and the report says what it took.

use std::net::TcpListener;

use jiff::{Timestamp, ToSpan as _};
use klaviyo_sim::{Config, Endpoint, Faults, RetryAfter, Trigger};

use crate::harness::{Export, Judge, People, Report, Sim, free};

/// Exports `count` people through these faults and judges the result.
#[track_caller]
fn survive(faults: Faults, count: usize) -> (Report, Sim) {
    let sim = Sim::start(Config { faults, ..free() });
    let people = People::good(count);
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(0);
    let report = Judge::new(&sim, &people).verify(&ended);
    assert_eq!(report.requests, sim.calls(Endpoint::Import), "{report:#?}");
    (report, sim)
}

fn at_import(next: u32) -> Trigger {
    Trigger::next(next).at(Endpoint::Import)
}

/// How often Klaviyo accepted a batch that it had accepted before.
fn accepted_again(sim: &Sim, batches: u64) -> u64 {
    sim.state().imports().count() as u64 - batches
}

#[test]
fn server_errors_in_html_and_json_delay_batches_and_lose_nobody() {
    let faults = Faults {
        // Three for certain, then one in five.
        fail: Trigger { probability: 0.2, ..at_import(3) },
        unavailable: Trigger::next(2),
        ..Faults::default()
    };
    let (report, sim) = survive(faults, 25_000);
    assert_eq!(report.batches, 3);
    assert!(report.requests >= 6, "{report:#?}");
    assert_eq!(accepted_again(&sim, 3), 0, "what failed was not carried out");
}

#[test]
fn batch_whose_connection_is_reset_within_the_body_is_sent_again() {
    let (report, sim) = survive(Faults { reset: at_import(2), ..Faults::default() }, 10_000);
    // Only Klaviyo knows that the body did not arrive whole, if all of it had left this machine.
    assert!(report.requests == 3 && report.repeated_sends <= 2, "{report:#?}");
    assert_eq!(accepted_again(&sim, 1), 0);
}

#[test]
fn answer_that_is_lost_after_acceptance_is_counted_as_a_repeated_send() {
    let (report, sim) = survive(Faults { drop: at_import(2), ..Faults::default() }, 300);
    assert_eq!((report.batches, report.requests, report.repeated_sends), (1, 3, 2));
    assert_eq!(accepted_again(&sim, 1), 2, "Klaviyo made three jobs of one batch");
}

#[test]
fn acceptance_that_is_cut_off_half_way_is_no_acceptance() {
    let (report, sim) = survive(Faults { truncate: at_import(1), ..Faults::default() }, 300);
    assert_eq!((report.requests, report.repeated_sends), (2, 1));
    assert_eq!(accepted_again(&sim, 1), 1);
}

#[test]
fn bot_challenge_says_nothing_about_the_key() {
    let challenge = Trigger::next(2);
    let (report, _) = survive(Faults { challenge, ..Faults::default() }, 300);
    assert_eq!(report.requests, 1, "the look at the account met it: {report:#?}");
    let challenge = at_import(2);
    let (report, _) = survive(Faults { challenge, ..Faults::default() }, 300);
    assert_eq!((report.requests, report.repeated_sends), (3, 0));
}

#[test]
fn slow_answers_only_take_time() {
    let (report, _) = survive(Faults { slow_ms: 400, ..Faults::default() }, 25_000);
    assert_eq!((report.requests, report.repeated_sends), (3, 0));
}

#[test]
fn every_shape_of_retry_after_ends_well_and_every_429_is_counted() {
    let date = Timestamp::now() + 2.seconds();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let shapes = [
        RetryAfter::OneSecond,
        RetryAfter::Absent,
        RetryAfter::Text(date),
        RetryAfter::Text("0".to_owned()),
        RetryAfter::Text("-5".to_owned()),
        RetryAfter::Text("99999999999".to_owned()),
        RetryAfter::Text("in a while".to_owned()),
    ];
    std::thread::scope(|scope| {
        for retry_after in shapes {
            scope.spawn(move || {
                let faults = Faults { throttle: at_import(1), retry_after, ..Faults::default() };
                let (report, sim) = survive(faults, 20);
                assert_eq!((report.throttled, sim.state().throttled), (1, 1), "{report:#?}");
                assert_eq!((report.requests, report.repeated_sends), (2, 0));
            });
        }
    });
}

#[test]
fn trouble_while_asking_what_became_of_a_batch_does_not_change_what_became_of_it() {
    let all = Trigger::next(1);
    let polls = [Endpoint::ImportJobs, Endpoint::ImportErrors];
    for endpoint in polls {
        let strikes = all.at(endpoint);
        let faults = Faults {
            challenge: strikes,
            fail: strikes,
            reset: strikes,
            drop: strikes,
            truncate: strikes,
            ..Faults::default()
        };
        let sim = Sim::start(Config { faults, ..free() });
        let people = People::good(50).spoil(10, failing, "import_failed");
        let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
        let report = Judge::new(&sim, &people).verify(&ended);
        assert_eq!((report.requests, report.repeated_sends), (1, 0), "only reads were repeated");
        assert!(sim.calls(endpoint) >= 6, "{endpoint} was asked {} times", sim.calls(endpoint));
    }
}

fn failing(n: usize) -> String {
    format!("importfail{n}@example.com")
}

#[test]
fn klaviyo_out_of_reach_is_said_in_words_and_starts_no_run() {
    let sim = Sim::free();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody); // from now on connections to it are refused
    let ended = Export::to(&sim)
        .env("SEGUE_KLAVIYO_URL", url)
        .content("people.csv", People::good(3).csv())
        .run()
        .expect_code(1)
        .expect_words(&["cannot ask Klaviyo for the account of the key", "no connection"]);
    assert!(ended.try_report().is_none(), "nothing was begun, so there is nothing to report");
}
