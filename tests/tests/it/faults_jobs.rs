//! What Klaviyo does with a batch after it has accepted it.

use http::{Method, StatusCode};
use klaviyo_sim::{Config, Endpoint, Faults, OriginalPayload, Trigger, Unknowns};
use serde_json::json;

use crate::{
    harness::{Ended, Export, Judge, LIST, People, Report, Sim, free, wait_for},
    http::{request, send},
};

/// Two batches, of 10,000 and of 40 profiles.
const TWO_BATCHES: usize = 10_040;

fn failing(n: usize) -> String {
    format!("importfail{n}@example.com")
}

/// A failed run: nobody who is counted as delivered is missing from the list, and nobody else is there.
#[track_caller]
fn delivered_are_in_the_list(sim: &Sim, ended: &Ended) -> Report {
    let report = ended.report();
    assert_eq!(report.state, "failed", "{report:#?}");
    assert_eq!(report.delivered, sim.members(LIST).len() as u64, "{report:#?}");
    Judge::new(sim, &People::default()).nobody_is_elsewhere();
    report
}

#[test]
fn accepted_batch_that_klaviyo_never_confirms_is_undelivered_and_fails_the_run() {
    let faults = Faults { stuck: Trigger::next(1), ..Faults::default() };
    let sim = Sim::start(Config { faults, ..free() });
    let people = People::good(TWO_BATCHES);
    let ended = Export::to(&sim)
        .content("people.csv", people.csv())
        .args(["--confirm-timeout", "3s"])
        .run()
        .expect_code(1)
        .expect_words(&["unconfirmed"]);
    let report = delivered_are_in_the_list(&sim, &ended);
    let stuck = sim.state().imports().find(|import| import.status == "processing").cloned();
    let stuck = stuck.expect("one job is stuck").profiles as u64;
    assert_eq!((report.rejected, report.undelivered), (0, stuck), "{report:#?}");
    assert_eq!(report.delivered, people.len() as u64 - stuck);
}

#[test]
fn job_that_klaviyo_cancels_is_undelivered_and_fails_the_run() {
    let faults = Faults { cancel: Trigger::next(1), ..Faults::default() };
    let sim = Sim::start(Config { faults, ..free() });
    let people = People::good(TWO_BATCHES);
    let ended = Export::to(&sim)
        .content("people.csv", people.csv())
        .run()
        .expect_code(1)
        .expect_words(&["cancelled_by_klaviyo"]);
    let report = delivered_are_in_the_list(&sim, &ended);
    let cancelled = sim.state().imports().find(|import| import.status == "cancelled").cloned();
    let cancelled = cancelled.expect("one job is cancelled").profiles as u64;
    assert_eq!((report.rejected, report.undelivered), (0, cancelled), "{report:#?}");
}

#[test]
fn import_errors_of_every_page_become_rejects_once_and_at_their_rows() {
    let sim = Sim::free();
    let people = People::good(1_000).spoil(4, failing, "import_failed");
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
    let report = Judge::new(&sim, &people).verify(&ended);
    assert_eq!(report.rejects_by_reason["import_failed"], 250);
    assert!(sim.calls(Endpoint::ImportErrors) >= 3, "250 errors are three pages of 100");
    for reject in ended.rejects() {
        let at = usize::try_from(reject.row).unwrap() - 2;
        assert_eq!(reject.identifier, failing(at), "{reject:?}");
        assert!(reject.detail.contains("could not be imported"), "{reject:?}");
        assert_eq!(reject.original["name"], format!("Spoiled {at}"));
    }
}

#[test]
fn identifier_that_belongs_to_another_profile_is_an_identifier_conflict() {
    let sim = Sim::free();
    let header = "email,external id\n";
    let two = format!("{header}ann@example.com,one\nben@example.com,two\n");
    Export::to(&sim).content("before.csv", two).run().expect_code(0);
    let crossed = format!("{header}ann@example.com,two\ncleo@example.com,three\n");
    let ended = Export::to(&sim).content("after.csv", crossed).run().expect_code(3);
    let report = ended.report();
    assert_eq!((report.delivered, report.rejected), (1, 1), "{report:#?}");
    let [reject] = &ended.rejects()[..] else { panic!("one reject: {ended}") };
    let named = (reject.row, reject.reason.as_str(), reject.identifier.as_str());
    assert_eq!(named, (2, "identifier_conflict", "ann@example.com"));
}

#[test]
fn failures_that_klaviyo_counts_and_does_not_name_are_undelivered_and_never_rejects() {
    let original_payload = OriginalPayload::Null;
    let unknowns = Unknowns { original_payload, ..Unknowns::default() };
    let sim = Sim::start(Config { unknowns, ..free() });
    let people = People::good(200).spoil(10, failing, "import_failed");
    let ended = Export::to(&sim)
        .content("people.csv", people.csv())
        .run()
        .expect_code(1)
        .expect_words(&["unattributed_failure"]);
    let report = delivered_are_in_the_list(&sim, &ended);
    assert_eq!((report.delivered, report.rejected, report.undelivered), (180, 0, 20));
    assert!(ended.rejects().is_empty(), "nobody knows whose rows they were");
}

#[test]
fn job_that_is_too_old_for_the_list_of_jobs_is_asked_for_by_its_id() {
    let sim = Sim::free();
    let unavailable = Trigger::probability(1.0).at(Endpoint::ImportJobs);
    sim.set_faults(Faults { unavailable, ..Faults::default() });
    let people = People::good(200);
    let running = Export::to(&sim).content("people.csv", people.csv()).start();
    let asked = || (sim.calls(Endpoint::ImportJobs) > 0).then_some(());
    wait_for("the list of jobs was asked for", asked);
    // One look takes in five pages of a hundred.
    import_somebody_else(&sim, 510);
    sim.set_faults(Faults::default());
    let ended = running.wait().expect_code(0);
    let judge = Judge::new(&sim, &people);
    judge.counts_are_right(&ended.report());
    judge.members_are_exactly_the_delivered();
    assert_eq!(sim.calls(Endpoint::ImportJob), 1, "absence from the list is not completion");
}

/// So many jobs of somebody else who uses the account, and no list.
fn import_somebody_else(sim: &Sim, jobs: usize) {
    let profile = json!({"type": "profile", "attributes": {"email": "other@example.com"}});
    let attributes = json!({"profiles": {"data": [profile]}});
    let body = json!({"data": {"type": "profile-bulk-import-job", "attributes": attributes}});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..jobs {
            let path = "/api/profile-bulk-import-jobs";
            let answer = send(sim, request(Method::POST, path, Some(&body))).await;
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
        }
    });
}
