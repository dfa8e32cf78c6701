//! What is asked and shown before anything is sent.

use klaviyo_sim::{AccountConfig, Config, Endpoint, FlowConfig, KeyConfig};

use crate::harness::{Ended, Export, Judge, LIST, OTHER_LIST, People, Sim, account, free};

const KEY: &str = "KLAVIYO_API_KEY";

fn export(sim: &Sim) -> Export {
    Export::to(sim).content("people.csv", People::good(2).csv())
}

/// It failed, and nothing was written to Klaviyo.
#[track_caller]
fn refused(sim: &Sim, export: Export, words: &[&str]) -> Ended {
    let ended = export.run().expect_code(1).expect_words(words);
    assert_eq!(sim.writes(), []);
    assert!(ended.try_report().is_none(), "there was no run to report on");
    ended
}

fn with_account(change: impl FnOnce(&mut AccountConfig)) -> Sim {
    let mut config: Config = free();
    change(&mut config.accounts[0]);
    Sim::start(config)
}

fn flow(id: &str, name: &str, status: &str, list: &str) -> FlowConfig {
    FlowConfig {
        id: id.to_owned(),
        name: name.to_owned(),
        status: status.to_owned(),
        archived: false,
        list: list.to_owned(),
    }
}

fn with_scopes(scopes: &[&str]) -> Sim {
    with_account(|account| account.keys = vec![KeyConfig::with_scopes("pk_sim", scopes)])
}

#[test]
fn account_list_flows_promise_and_mapping_are_shown_before_anything_is_sent() {
    let sim = Sim::free();
    export(&sim).run().expect_code(0).expect_words(&[
        "account  Simulated account (SIMULA)",
        "list     Segue demo (LIST01)",
        "no live flow is started by this list",
        "adds only: nobody is removed, no consent is changed; an empty cell does not clear a value \
         in Klaviyo",
        "← email (email address)",
        "← score (number)",
    ]);
    let write = sim.requests().iter().position(|request| request.method != "GET");
    let before: Vec<_> =
        sim.requests().into_iter().take(write.unwrap()).filter_map(|it| it.endpoint).collect();
    for asked in [Endpoint::Accounts, Endpoint::List, Endpoint::FlowTriggers] {
        assert!(before.contains(&asked), "{asked} was not asked before the import: {before:?}");
    }
}

#[test]
fn no_key_is_an_error_that_says_where_to_put_one() {
    let sim = Sim::free();
    let words = ["no API key", "KLAVIYO_API_KEY", "--api-key-file"];
    refused(&sim, export(&sim).without_env(KEY), &words);
    assert_eq!(sim.requests(), []);
}

#[test]
fn key_may_come_from_a_file_and_the_file_goes_before_the_environment() {
    let sim = Sim::free();
    let export = export(&sim).env(KEY, "pk_wrong");
    let file = export.path("key.txt");
    std::fs::write(&file, "pk_sim\n").unwrap();
    export.arg("--api-key-file").arg(file).run().expect_code(0);
}

#[test]
fn key_is_never_an_argument_and_never_shown() {
    let sim = Sim::free();
    let ended = export(&sim).args(["--api-key", "pk_secret"]).run().expect_code(2);
    assert!(!ended.says("pk_secret"), "{ended}");
    for key in ["pk_sim", "pk_secret"] {
        let ended = export(&sim).env(KEY, key).env("SEGUE_LOG", "trace").run();
        assert_eq!(ended.code(), Some(i32::from(key != "pk_sim")), "{ended}");
        assert!(!ended.says(key), "{ended}");
    }
}

#[test]
fn key_that_klaviyo_does_not_know_is_an_error_that_says_which_kind_of_key_to_use() {
    let sim = Sim::free();
    let words = ["cannot ask Klaviyo for the account of the key", "private key"];
    refused(&sim, export(&sim).env(KEY, "pk_unknown"), &words);
    assert_eq!(sim.calls(Endpoint::Accounts), 1, "a wrong key does not get better by repeating it");
}

#[test]
fn key_without_a_scope_is_an_error_that_names_the_scope() {
    let sim = with_scopes(&["lists:read", "lists:write", "profiles:read", "profiles:write"]);
    refused(&sim, export(&sim), &["lacks the scope accounts:read"]);
    let sim = with_scopes(&["accounts:read", "lists:write", "profiles:read", "profiles:write"]);
    refused(&sim, export(&sim), &["lacks the scope lists:read"]);
}

#[test]
fn key_that_may_not_write_fails_the_run_and_names_the_scopes() {
    let sim = with_scopes(&["accounts:read", "lists:read", "flows:read", "profiles:read"]);
    let ended = export(&sim).run().expect_code(1);
    let report = ended.report();
    assert_eq!((report.state.as_str(), report.undelivered), ("failed", 2));
    assert_eq!(sim.state().imports().count(), 0);
    ended.expect_words(&["scope_missing", "lists:write", "profiles:write"]);
}

#[test]
fn list_that_does_not_exist_is_an_error_that_names_list_and_account() {
    let sim = Sim::free();
    let export = Export::bare(&sim).args(["--list", "NOLIST"]);
    let export = export.content("people.csv", People::good(2).csv());
    let words = ["there is no list NOLIST in the Klaviyo account Simulated account (SIMULA)"];
    refused(&sim, export, &words);
}

#[test]
fn list_of_another_account_does_not_exist_for_this_key() {
    let sim = Sim::free();
    let people = People::good(2).csv();
    let to = |list| Export::bare(&sim).args(["--list", list]).content("people.csv", &people);
    refused(&sim, to("ALIEN1"), &["there is no list ALIEN1", "SIMULA"]);
    assert!(sim.members("ALIEN1").is_empty());
    // The same list is there for a key of its own account.
    to("ALIEN1").env(KEY, "pk_other").run().expect_code(0);
    assert_eq!(sim.members("ALIEN1").len(), 2);
    assert_eq!(sim.state().accounts["SIMULA"].profiles, 0);
}

#[test]
fn only_the_named_list_is_added_to() {
    let sim = Sim::free();
    let people = People::good(4);
    Export::bare(&sim)
        .args(["--list", OTHER_LIST])
        .content("people.csv", people.csv())
        .run()
        .expect_code(0)
        .expect_words(&["Others (LIST02)"]);
    assert_eq!((sim.members(OTHER_LIST).len(), sim.members(LIST).len()), (4, 0));
}

#[test]
fn live_flow_of_the_list_stops_the_export_until_it_is_allowed() {
    let sim = with_account(|account| {
        account.flows = vec![flow("FLOWAA", "Welcome", "live", LIST)];
    });
    let words = ["LIVE: \"Welcome\" (FLOWAA)", "--allow-live-flows"];
    refused(&sim, export(&sim), &words);
    let people = People::good(2);
    let ended = export(&sim).arg("--allow-live-flows").run().expect_code(0);
    Judge::new(&sim, &people).verify(&ended);
    ended.expect_words(&["LIVE: \"Welcome\" (FLOWAA)"]);
}

#[test]
fn flows_that_are_drafts_or_archived_or_of_another_list_do_not_count() {
    let sim = with_account(|account| {
        let archived = FlowConfig { archived: true, ..flow("FLOWAB", "Old", "live", LIST) };
        account.flows = vec![
            flow("FLOWAC", "Idea", "draft", LIST),
            flow("FLOWAD", "By hand", "manual", LIST),
            flow("FLOWAE", "Elsewhere", "live", OTHER_LIST),
            archived,
        ];
    });
    export(&sim).run().expect_code(0).expect_words(&["no live flow"]);
}

#[test]
fn key_that_may_not_read_flows_goes_on_and_says_that_flows_are_unknown() {
    let scopes = ["accounts:read", "lists:read", "lists:write", "profiles:read", "profiles:write"];
    let sim = with_scopes(&scopes);
    export(&sim).run().expect_code(0).expect_words(&["flows    unknown", "flows:read"]);
    assert_eq!(sim.members(LIST).len(), 2);
}

#[test]
fn answers_about_account_and_list_are_kept_and_flows_are_asked_again() {
    let sim = Sim::start(Config { accounts: vec![account()], ..free() });
    let first = export(&sim).run().expect_code(0);
    let again = || export(&sim).data(first.data());
    again()
        .run()
        .expect_code(0)
        .expect_words(&["Simulated account (SIMULA)", "Segue demo (LIST01)"]);
    assert_eq!((sim.calls(Endpoint::Accounts), sim.calls(Endpoint::List)), (1, 1));
    assert_eq!(sim.calls(Endpoint::FlowTriggers), 2);

    // Another key may belong to another account, and another folder knows nothing.
    again().env(KEY, "pk_unknown").run().expect_code(1);
    assert_eq!(sim.calls(Endpoint::Accounts), 2);
    export(&sim).run().expect_code(0);
    assert_eq!((sim.calls(Endpoint::Accounts), sim.calls(Endpoint::List)), (3, 2));
}

#[test]
fn report_that_could_not_be_written_is_an_error_before_anything_is_sent() {
    let sim = Sim::free();
    for option in ["--report", "--rejects", "--warnings"] {
        for path in ["missing/file", "."] {
            let ended = export(&sim).args([option, path]).run().expect_code(1);
            ended.expect_words(&[&format!("cannot write {path}")]);
        }
    }
    assert_eq!(sim.writes(), []);
    // An export that does not begin leaves what was there before as it was, and adds nothing.
    let export = export(&sim).args(["--warnings", "missing/file"]);
    std::fs::write(export.path("report.json"), "before").unwrap();
    let ended = export.run().expect_code(1);
    assert_eq!(std::fs::read_to_string(ended.path("report.json")).unwrap(), "before");
    assert!(!ended.path("rejects.csv").exists());
}

#[test]
fn list_that_was_deleted_within_the_hour_fails_the_run_as_not_found() {
    let sim = Sim::free();
    let first = export(&sim).run().expect_code(0);
    assert!(sim.delete_list(LIST));
    let ended = export(&sim).data(first.data()).run().expect_code(1);
    let report = ended.report();
    assert_eq!((report.state.as_str(), report.delivered, report.undelivered), ("failed", 0, 2));
    ended.expect_words(&["list_not_found", "Check the id of the list"]);
}
