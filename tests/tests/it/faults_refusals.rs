//! What Klaviyo refuses when a batch is handed over: rows, sizes, lists and keys.

use std::collections::BTreeMap;

use klaviyo_sim::{
    AccountConfig, BadRowPointer, Config, Endpoint, Faults, KeyConfig, ListConfig,
    UnknownListPointer, Unknowns,
};

use crate::harness::{
    Ended, Export, Judge, LIST, OTHER_LIST, People, Report, Running, Sim, account, free,
};

/// The simulator refuses a batch with such an address in it.
fn refused(n: usize) -> String {
    format!("refuse{n}@example.com")
}

#[track_caller]
fn export(people: &People, unknowns: Unknowns) -> (Report, Sim) {
    let sim = Sim::start(Config { unknowns, ..free() });
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
    let report = Judge::new(&sim, people).verify(&ended);
    (report, sim)
}

#[test]
fn rows_that_klaviyo_names_are_left_out_and_the_rest_is_sent() {
    let people = People::good(500).spoil(50, refused, "refused_by_klaviyo");
    for (named_rows, requests) in [(None, 2), (Some(3), 5)] {
        let (report, _) = export(&people, Unknowns { named_rows, ..Unknowns::default() });
        assert_eq!(report.requests, requests, "ten bad rows, {named_rows:?} named at a time");
        assert_eq!(report.repeated_sends, 0, "a refusal is not carried out");
    }
}

#[test]
fn batch_in_which_klaviyo_keeps_naming_rows_is_split() {
    let people = People::good(600).spoil(25, refused, "refused_by_klaviyo");
    let unknowns = Unknowns { named_rows: Some(1), ..Unknowns::default() };
    let (report, sim) = export(&people, unknowns);
    assert_eq!(report.batches, 1, "halves are not batches as first cut");
    assert!(sim.state().imports().count() >= 2, "it was split: {report:#?}");
}

#[test]
fn batch_that_is_too_large_for_klaviyo_is_split_until_it_fits() {
    let people = People::good(1_000).spoil(100, refused, "refused_by_klaviyo");
    let unknowns = Unknowns { smaller_bodies: Some(60_000), ..Unknowns::default() };
    let (report, sim) = export(&people, unknowns);
    assert!(sim.state().imports().all(|import| import.bytes <= 60_000));
    assert_eq!(report.batches, 1);
    let sent: usize = sim.state().imports().map(|import| import.profiles).sum();
    assert_eq!(sent, 990, "each half went once: {report:#?}");
}

#[test]
fn refusal_that_names_no_row_is_split_until_the_bad_row_is_alone() {
    let people = People::good(300).spoil(150, refused, "refused_by_klaviyo");
    let bad_row_pointer = BadRowPointer::Profiles;
    let (report, _) = export(&people, Unknowns { bad_row_pointer, ..Unknowns::default() });
    assert_eq!(report.rejects_by_reason, BTreeMap::from([("refused_by_klaviyo".to_owned(), 2)]));
}

/// Starts an export of several batches. Klaviyo has taken at least one of them when this returns, and the
/// others follow one by one: without memory for staging, each is read once the one before is accepted.
fn in_mid_run(sim: &Sim, export: Export, people: &People) -> Running {
    let path = export.path("people.csv");
    people.write(&path);
    let running = export.arg(path).args(["--staging-memory", "0B"]).start();
    wait_for_imports(sim, 1);
    running
}

fn wait_for_imports(sim: &Sim, count: usize) {
    crate::harness::wait_for("klaviyo accepts a batch", || {
        (sim.state().imports().count() >= count).then_some(())
    });
}

/// The sum is right, and whoever is counted as delivered is in the list.
#[track_caller]
fn failed_with(ended: &Ended, sim: &Sim, reason: &str) -> Report {
    let report = ended.report();
    assert_eq!(report.state, "failed", "{ended}");
    assert!(ended.says(&format!("failed: {reason}")), "{ended}");
    assert_eq!(report.rejected, 0, "{report:#?}");
    assert!(report.delivered <= sim.members(LIST).len() as u64, "{report:#?}");
    report
}

const MANY: usize = 60_000;

/// Batches arrive one after the other, so that a change after the first meets the others.
fn slow(config: Config) -> Config {
    let faults = Faults { slow_ms: 300, ..config.faults };
    Config { no_limits: true, faults, ..config }
}

#[test]
fn list_that_is_deleted_in_mid_run_fails_the_run_and_nothing_is_split() {
    for unknown_list_pointer in [UnknownListPointer::ListId, UnknownListPointer::Data] {
        let unknowns = Unknowns { unknown_list_pointer, ..Unknowns::default() };
        let sim = Sim::start(slow(Config { unknowns, ..free() }));
        let people = People::good(MANY);
        let running = in_mid_run(&sim, Export::to(&sim), &people);
        assert!(sim.delete_list(LIST));
        let ended = running.wait().expect_code(1).expect_words(&["list_not_found"]);
        let report = ended.report();
        assert_eq!((report.state.as_str(), report.rejected), ("failed", 0), "{ended}");
        assert!(report.requests <= report.batches, "each batch was tried once: {report:#?}");
        assert!(sim.calls(Endpoint::List) >= 2, "before it fails it asks for the list");
    }
}

#[test]
fn key_that_is_revoked_in_mid_run_fails_the_run_at_once() {
    let sim = Sim::start(slow(free()));
    let running = in_mid_run(&sim, Export::to(&sim), &People::good(MANY));
    let revoked_keys = ["pk_sim".to_owned()].into();
    sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    let ended = running.wait().expect_code(1);
    let report = failed_with(&ended, &sim, "key_refused");
    assert!(report.requests <= report.batches, "no storm of retries: {report:#?}");
    assert!(sim.calls(Endpoint::Accounts) <= 12, "{}", sim.calls(Endpoint::Accounts));
}

#[test]
fn key_that_is_moved_to_another_account_in_mid_run_fails_the_run() {
    // The worst case: the other account has a list of the same id.
    let other = AccountConfig {
        id: "OTHERS".to_owned(),
        keys: vec![KeyConfig::all_scopes("pk_other")],
        lists: vec![ListConfig::new(LIST, "A namesake"), ListConfig::new(OTHER_LIST, "Others")],
        ..AccountConfig::default()
    };
    let sim = Sim::start(slow(Config { accounts: vec![account(), other], ..free() }));
    let people = People::good(MANY);
    let running = in_mid_run(&sim, Export::to(&sim), &people);
    let moved_keys = BTreeMap::from([("pk_sim".to_owned(), "OTHERS".to_owned())]);
    sim.set_faults(Faults { moved_keys, slow_ms: 300, ..Faults::default() });
    let ended = running.wait().expect_code(1).expect_words(&["account_changed"]);
    let report = ended.report();
    assert_eq!((report.state.as_str(), report.rejected), ("failed", 0), "{ended}");
    let state = sim.state();
    let right: usize = state.accounts["SIMULA"].imports.iter().map(|import| import.profiles).sum();
    assert!(report.delivered <= right as u64, "only the account of the run counts: {report:#?}");
    let astray = state.accounts["OTHERS"].imports.len();
    assert!(astray <= 10, "{astray} batches went astray, more than were in flight");
    assert!(report.undelivered > 0, "{report:#?}");
}

#[test]
fn key_that_is_moved_to_an_account_without_the_list_is_no_lost_list() {
    let sim = Sim::start(slow(free()));
    let running = in_mid_run(&sim, Export::to(&sim), &People::good(MANY));
    let moved_keys = BTreeMap::from([("pk_sim".to_owned(), "OTHERS".to_owned())]);
    sim.set_faults(Faults { moved_keys, ..Faults::default() });
    let ended = running.wait().expect_code(1);
    failed_with(&ended, &sim, "account_changed");
    Judge::new(&sim, &People::default()).nobody_is_elsewhere();
}

#[test]
fn scope_that_is_missing_for_imports_is_named() {
    let scopes = ["accounts:read", "lists:read", "profiles:read", "flows:read"];
    let keys = vec![KeyConfig::with_scopes("pk_sim", &scopes)];
    let sim = Sim::start(Config { accounts: vec![AccountConfig { keys, ..account() }], ..free() });
    let ended = Export::to(&sim).content("people.csv", People::good(5).csv()).run().expect_code(1);
    let report = failed_with(&ended, &sim, "scope_missing");
    assert_eq!((report.delivered, report.undelivered, report.requests), (0, 5, 1));
}
