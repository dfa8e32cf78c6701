//! What an export says at its end: the exit code, the state, the report.

use klaviyo_sim::{Endpoint, Faults, Trigger};

use crate::harness::{Export, Judge, LIST, People, Sim, segue};

#[test]
fn clean_segment_succeeds_with_exit_code_0_and_everybody_in_the_list() {
    let sim = Sim::free();
    let people = People::good(3);
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(0);
    let report = Judge::new(&sim, &people).verify(&ended);
    assert_eq!(report.state, "succeeded");
    assert_eq!((report.batches, report.requests, report.repeated_sends), (1, 1, 0));
    assert_eq!((report.throttled, report.warnings), (0, 0));
    let accepted: u64 = sim.state().imports().map(|import| import.bytes as u64).sum();
    assert_eq!(report.bytes, accepted);
    assert!(report.run_id.starts_with("run_"), "{}", report.run_id);
    let ended = ended.expect_words(&["succeeded", "3 of 3 rows delivered to Segue demo (LIST01)"]);
    assert!(ended.rejects().is_empty() && ended.warnings().is_empty());
}

#[test]
fn segment_of_three_batches_with_rejects_and_duplicates_is_accounted_for_row_by_row() {
    let sim = Sim::free();
    let people = People::good(25_000)
        .spoil(1_000, |n| format!("nobody{n}"), "email_invalid")
        .duplicate(700)
        .and_good(3);
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
    let report = Judge::new(&sim, &people).verify(&ended);
    assert_eq!((report.batches, report.requests), (3, 3));
    assert_eq!(report.rejects_by_reason["email_invalid"], 25);
    ended.expect_words(&["completed_with_rejects", "rejected", "email_invalid 25"]);
}

#[test]
fn rows_that_klaviyo_refuses_or_fails_to_import_are_rejects_in_klaviyos_words() {
    let sim = Sim::free();
    let people = People::good(20)
        .and_rejected("refuse1@example.com", "refused_by_klaviyo")
        .and_good(5)
        .and_rejected("importfail1@example.com", "import_failed")
        .and_rejected("refuse2@example.com", "refused_by_klaviyo");
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
    let report = Judge::new(&sim, &people).verify(&ended);
    assert_eq!((report.batches, report.requests), (1, 2));
    let rejects = ended.rejects();
    assert_eq!(rejects[0].identifier, "refuse1@example.com");
    assert_eq!(rejects[1].original["email"], "importfail1@example.com");
    assert!(rejects[1].detail.contains("could not be imported"), "{:?}", rejects[1]);
}

#[test]
fn address_of_one_profile_with_the_external_id_of_another_is_an_identifier_conflict() {
    let sim = Sim::free();
    let before = "email,external_id\nann@example.com,1\nbob@example.com,2\n";
    Export::to(&sim).content("before.csv", before).run().expect_code(0);
    let swapped = "email,external_id\nbob@example.com,1\n";
    let ended = Export::to(&sim).content("swapped.csv", swapped).run().expect_code(3);
    let reject = &ended.rejects()[0];
    assert_eq!((reject.row, reject.reason.as_str()), (2, "identifier_conflict"));
    assert_eq!(reject.identifier, "bob@example.com");
    assert_eq!(ended.report().delivered, 0);
}

#[test]
fn segment_that_cannot_be_delivered_fails_with_exit_code_1_and_says_why_and_what_to_do() {
    let sim = Sim::free();
    let people = People::good(3);
    // Klaviyo cancels the import: nobody of the batch is delivered, and nobody is rejected.
    sim.set_faults(Faults { cancel: Trigger::probability(1.0), ..Faults::default() });
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(1);
    let report = ended.report();
    assert_eq!(report.state, "failed");
    assert_eq!((report.rows_read, report.delivered, report.undelivered), (3, 0, 3));
    assert_eq!(sim.members(LIST), [""; 0]);
    ended.expect_words(&["failed", "0 of 3 rows delivered", "cancelled_by_klaviyo 3"]);
}

#[test]
fn wrong_usage_ends_with_exit_code_2_before_anything_is_asked() {
    let sim = Sim::free();
    let people = People::good(1).csv();
    let no_list = Export::bare(&sim).content("people.csv", &people);
    let no_file = Export::to(&sim);
    let unknown = Export::to(&sim).content("people.csv", &people).arg("--mirror");
    let bad_rule = Export::to(&sim).content("people.csv", &people).args(["--map", "town=city"]);
    let bad_country =
        Export::to(&sim).content("people.csv", &people).args(["--default-country", "Atlantis"]);
    for (export, words) in [
        (no_list, "--list"),
        (no_file, "FILE"),
        (unknown, "--mirror"),
        (bad_rule, "unknown attribute"),
        (bad_country, "--default-country"),
    ] {
        let ended = export.run().expect_code(2).expect_words(&[words]);
        assert!(ended.try_report().is_none());
    }
    assert_eq!(sim.requests(), []);
}

#[test]
fn help_names_the_exit_codes() {
    let help = std::process::Command::new(segue()).args(["export", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let codes = "0 succeeded, 3 completed with rejects, 1 failed, 2 wrong usage, 130 interrupted";
    assert!(help.contains(codes), "{help}");
}

#[test]
fn the_same_segment_again_updates_the_same_people_and_adds_nobody() {
    let sim = Sim::free();
    let people = People::good(50);
    for _ in 0..2 {
        let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(0);
        Judge::new(&sim, &people).verify(&ended);
    }
    assert_eq!(sim.calls(Endpoint::Import), 2);
}

#[test]
fn people_whom_the_segment_does_not_name_stay_in_the_list() {
    let sim = Sim::free();
    let first = People::good(2);
    Export::to(&sim).content("people.csv", first.csv()).run().expect_code(0);
    let second = "email\nlater@example.org\n";
    Export::to(&sim).content("later.csv", second).run().expect_code(0);
    let members = sim.members(LIST);
    assert_eq!(members, ["person0@example.com", "person1@example.com", "later@example.org"]);
}

#[test]
fn runs_are_kept_in_xdg_data_home_unless_a_folder_is_named() {
    let sim = Sim::free();
    let folder = tempfile::tempdir().unwrap();
    let people = folder.path().join("people.csv");
    std::fs::write(&people, People::good(1).csv()).unwrap();
    let status = std::process::Command::new(segue())
        .args(["export", "--list", LIST])
        .arg(&people)
        .env_clear()
        .env("XDG_DATA_HOME", folder.path())
        .env("SEGUE_KLAVIYO_URL", sim.url())
        .env("KLAVIYO_API_KEY", "pk_sim")
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    assert!(folder.path().join("segue/segue.db").is_file());
}

#[test]
fn rejects_warnings_and_data_folder_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let sim = Sim::free();
    let people = People::good(1).and_rejected("nobody", "email_invalid");
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
    for file in ["rejects.csv", "warnings.csv"] {
        let mode = std::fs::metadata(ended.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} has mode {mode:o}");
    }
    let mode = std::fs::metadata(ended.data()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "the data folder has mode {mode:o}");
}
