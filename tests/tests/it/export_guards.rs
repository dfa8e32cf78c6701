//! What keeps an export from sending too much, nothing, or at all.

use klaviyo_sim::{AccountConfig, Config, Endpoint, KeyConfig};

use crate::harness::{Ended, Export, Judge, LIST, People, Sim, account, free};

fn export(sim: &Sim, people: &People) -> Export {
    Export::to(sim).content("people.csv", people.csv())
}

#[test]
fn limit_exports_only_the_first_rows() {
    let sim = Sim::free();
    let all = People::default().and_rejected("nobody", "email_invalid").and_good(6);
    let first = People::default().and_rejected("nobody", "email_invalid").and_good(2);
    let ended = export(&sim, &all).args(["--limit", "3"]).run().expect_code(3);
    Judge::new(&sim, &first).verify(&ended);
}

#[test]
fn more_profiles_than_max_profiles_send_nothing() {
    let sim = Sim::free();
    // Only the third batch is over the limit: the others have to wait until it is read.
    let people = People::good(30_000);
    let ended = export(&sim, &people).args(["--max-profiles", "29999"]).run().expect_code(1);
    let report = ended.report();
    assert_eq!((report.state.as_str(), report.delivered, report.requests), ("failed", 0, 0));
    assert_eq!((report.first_request_at, report.last_accepted_at), (None, None));
    assert_eq!(sim.writes(), []);
    ended.expect_words(&["too_many_profiles", "--max-profiles"]);
}

#[test]
fn as_many_profiles_as_max_profiles_are_sent() {
    let sim = Sim::free();
    // Rows are not profiles: a duplicate and a reject do not count.
    let people = People::good(4).duplicate(1).and_rejected("nobody", "email_invalid");
    let ended = export(&sim, &people).args(["--max-profiles", "4"]).run().expect_code(3);
    Judge::new(&sim, &people).verify(&ended);
}

#[test]
fn segment_without_rows_fails_unless_it_may_be_empty() {
    let sim = Sim::free();
    let nobody = People::default();
    let ended = export(&sim, &nobody).run().expect_code(1);
    assert_eq!(ended.report().state, "failed");
    ended.expect_words(&["segment_empty", "--allow-empty"]);
    let ended = export(&sim, &nobody).arg("--allow-empty").run().expect_code(0);
    Judge::new(&sim, &nobody).verify(&ended);
    assert_eq!(sim.writes(), []);
}

#[test]
fn segment_of_rejects_only_sends_nothing_and_completes_with_rejects() {
    let sim = Sim::free();
    let people = People::default().and_rejected("nobody", "email_invalid");
    let ended = export(&sim, &people).run().expect_code(3);
    Judge::new(&sim, &people).verify(&ended);
    assert_eq!((ended.report().batches, ended.report().requests), (0, 0));
    assert_eq!(sim.writes(), []);
}

/// The two numbers of the line about new profiles.
fn range_of_new(ended: &Ended) -> (u64, u64) {
    let line = ended.stdout.lines().find(|line| line.contains("new profiles: between"));
    let line = line.unwrap_or_else(|| panic!("no estimate\n{ended}"));
    let words: Vec<String> = line.split_whitespace().map(|word| word.replace(',', "")).collect();
    let after = |word: &str| {
        let at = words.iter().position(|it| it == word).unwrap();
        words[at + 1].parse().unwrap()
    };
    (after("between"), after("and"))
}

#[test]
fn dry_run_says_what_would_be_sent_and_writes_nothing() {
    let sim = Sim::free();
    let people =
        People::good(25_000).spoil(5_000, |n| format!("nobody{n}"), "email_invalid").duplicate(3);
    let ended = export(&sim, &people).arg("--dry-run").run().expect_code(3).expect_words(&[
        "25,001 rows, 24,995 profiles in 3 batches",
        "1 duplicates",
        "3 requests",
        "at least 0 s at Klaviyo's limits (10/s, 150/min)",
        "5 rows would be rejected",
        "email_invalid",
        r#"first profile: {"type":"profile","attributes":{"email":"person0@example.com""#,
        "Simulated account (SIMULA)",
        "Segue demo (LIST01)",
    ]);
    assert_eq!(sim.writes(), []);
    assert_eq!(sim.calls(Endpoint::Profiles), 10);
    for file in ["report.json", "rejects.csv", "warnings.csv"] {
        assert!(!ended.path(file).exists(), "{file} was written");
    }
    // Nobody of a thousand was known: all of them are new, with some doubt.
    let (low, high) = range_of_new(&ended);
    assert!(low > 24_000 && high == 24_995, "{low} to {high}");
}

#[test]
fn dry_run_estimates_how_many_are_new_from_a_thousand_drawn_at_random() {
    let sim = Sim::free();
    let known = People::good(1_000);
    export(&sim, &known).run().expect_code(0);
    let people = People::good(2_000);
    let ended = export(&sim, &people).arg("--dry-run").run().expect_code(0);
    let (low, high) = range_of_new(&ended);
    // Ten standard deviations: chance alone does not leave it.
    assert!((840..=1_000).contains(&low) && (1_000..=1_160).contains(&high), "{low} to {high}");
    assert!(low < high);
    assert_eq!(sim.calls(Endpoint::Profiles), 10);
    // Of fewer than a thousand, all are asked for, a hundred at a time.
    let sim = Sim::free();
    export(&sim, &People::good(150)).arg("--dry-run").run().expect_code(0);
    assert_eq!(sim.calls(Endpoint::Profiles), 2);
}

#[test]
fn dry_run_ends_as_the_export_would() {
    let sim = Sim::free();
    let dry = |people: &People| export(&sim, people).arg("--dry-run");
    dry(&People::good(3)).run().expect_code(0);
    dry(&People::default()).run().expect_code(1).expect_words(&["no rows", "--allow-empty"]);
    dry(&People::default()).arg("--allow-empty").run().expect_code(0);
    let many = dry(&People::good(3)).args(["--max-profiles", "2"]);
    many.run().expect_code(1).expect_words(&["--max-profiles 2"]);
    let first = dry(&People::good(3)).args(["--limit", "2"]);
    first.run().expect_code(0).expect_words(&["2 rows, 2 profiles in 1 batches"]);
    assert_eq!(sim.writes(), []);
}

#[test]
fn dry_run_with_a_key_that_may_not_read_profiles_says_unknown() {
    let scopes = ["accounts:read", "lists:read", "flows:read"];
    let keys = vec![KeyConfig::with_scopes("pk_sim", &scopes)];
    let sim = Sim::start(Config { accounts: vec![AccountConfig { keys, ..account() }], ..free() });
    let ended = export(&sim, &People::good(3)).arg("--dry-run").run().expect_code(0);
    ended.expect_words(&["new profiles: unknown", "profiles:read"]);
    assert!(sim.members(LIST).is_empty());
}
