//! Jobs after they were accepted.

use std::{num::NonZeroU32, time::Duration};

use klaviyo_sim::{
    AccountConfig, Completion, Config, Faults, ImportError, Megabyte, ProfileSize, Trigger,
    Unknowns,
};
use serde_json::{Value, json};

use crate::client::{JOBS, emails, get, import, import_of, post, start, unlimited, until};

async fn status(sim: &klaviyo_sim::Simulator, job: &str) -> Value {
    get(sim, &format!("{JOBS}/{job}")).await.json()["data"]["attributes"]["status"].clone()
}

async fn accepted(sim: &klaviyo_sim::Simulator, addresses: &[&str]) -> String {
    let reply = post(sim, JOBS, &import_of(&emails(addresses), &["LIST01"])).await;
    reply.json()["data"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn members_join_when_the_job_completes_and_the_first_poll_sees_it_unfinished() {
    let never = Completion::AfterPoll { unwatched: Duration::from_hours(1) };
    let sim = start(Config { completion: never, ..unlimited() }).await;
    let job = accepted(&sim, &["a@example.com"]).await;
    // The profile is there, so everything is processed but for the end.
    until(&sim, |state| state.imports().all(|import| import.completed == 1)).await;
    assert!(sim.members("LIST01").is_empty());
    assert_ne!(status(&sim, &job).await, "complete");
    let state = until(&sim, |state| state.members("LIST01") == 1).await;
    assert_eq!(state.imports().next().unwrap().status, "complete");
    assert_eq!(status(&sim, &job).await, "complete");
}

#[tokio::test]
async fn immediate_job_is_complete_at_the_first_poll() {
    let sim = start(Config { completion: Completion::Immediate, ..unlimited() }).await;
    let job = accepted(&sim, &["a@example.com"]).await;
    assert_eq!(status(&sim, &job).await, "complete");
    assert_eq!(sim.members("LIST01"), ["a@example.com"]);
}

#[tokio::test]
async fn slow_account_shows_its_progress() {
    let rate = NonZeroU32::new(200);
    let sim = start(Config { process_rate: rate, ..unlimited() }).await;
    let people: Vec<Value> =
        (0..60).map(|n| json!({"email": format!("p{n}@example.com")})).collect();
    let reply = post(&sim, JOBS, &import_of(&people, &["LIST01"])).await;
    let job = reply.json()["data"]["id"].as_str().unwrap().to_owned();
    let between = |completed: usize| completed > 0 && completed < 60;
    until(&sim, |state| state.imports().any(|import| between(import.completed))).await;
    assert_eq!(status(&sim, &job).await, "processing");
    let state = until(&sim, |state| state.members("LIST01") == 60).await;
    assert_eq!(state.imports().next().unwrap().completed, 60);
}

#[tokio::test]
async fn failed_profiles_are_counted_apart_and_explained_by_pages() {
    let sim = start(unlimited()).await;
    let mut people: Vec<Value> = (0..3)
        .map(|n| json!({"email": format!("importfail{n}@example.com"), "title": "Dr"}))
        .collect();
    people.push(json!({"email": "good@example.com"}));
    let (job, attributes) = import(&sim, &people).await;
    assert_eq!(attributes["status"], "complete");
    let counts = ["total_count", "completed_count", "failed_count"].map(|name| &attributes[name]);
    assert_eq!(counts, [4, 1, 3]);
    assert_eq!(sim.members("LIST01"), ["good@example.com"]);

    let first = get(&sim, &format!("{JOBS}/{job}/import-errors?page[size]=2")).await.json();
    let error = &first["data"][0];
    assert_eq!(error["type"], "import-error");
    assert_eq!(error["attributes"]["code"], "invalid");
    assert_eq!(error["attributes"]["source"]["pointer"], "/data");
    assert_eq!(error["attributes"]["original_payload"], people[0]);
    let next = first["links"]["next"].as_str().unwrap();
    let next = next.strip_prefix("http://klaviyo.example.com").expect("links are absolute");
    let last = get(&sim, next).await.json();
    assert_eq!(last["data"].as_array().unwrap().len(), 1);
    assert_eq!(last["data"][0]["attributes"]["original_payload"], people[2]);
    assert_eq!(last["links"].get("next"), None);
}

#[tokio::test]
async fn original_payload_is_flat_and_carries_the_id() {
    let sim = start(unlimited()).await;
    let mut body = import_of(&emails(&["importfail@example.com"]), &["LIST01"]);
    body["data"]["attributes"]["profiles"]["data"][0]["id"] = "01X".into();
    let job = post(&sim, JOBS, &body).await.json()["data"]["id"].clone();
    let job = job.as_str().unwrap();
    crate::client::complete(&sim, job).await;
    let errors = get(&sim, &format!("{JOBS}/{job}/import-errors")).await.json();
    let payload = &errors["data"][0]["attributes"]["original_payload"];
    assert_eq!(*payload, json!({"email": "importfail@example.com", "id": "01X"}));
}

#[tokio::test]
async fn profile_that_identifiers_tie_to_two_others_fails_as_a_duplicate() {
    let sim = start(unlimited()).await;
    import(&sim, &[json!({"email": "a@example.com"}), json!({"phone_number": "+12025550123"})])
        .await;
    let both = json!({"email": "a@example.com", "phone_number": "+12025550123"});
    let (job, attributes) = import(&sim, &[both]).await;
    assert_eq!(
        (&attributes["failed_count"], &attributes["completed_count"]),
        (&json!(1), &json!(0))
    );
    let errors = get(&sim, &format!("{JOBS}/{job}/import-errors")).await.json();
    assert_eq!(errors["data"][0]["attributes"]["code"], "duplicate_profile");
}

#[tokio::test]
async fn profile_without_identifier_or_over_100_kb_fails_inside_of_the_job() {
    let large =
        |bytes: usize| json!({"email": "a@example.com", "properties": {"x": "x".repeat(bytes)}});
    let sim = start(unlimited()).await;
    let (_, attributes) = import(&sim, &[json!({"first_name": "Ann"}), large(100_000)]).await;
    assert_eq!(attributes["failed_count"], 2);

    // 100,000 bytes of resource are more than its attributes alone.
    let resource =
        |person: &Value| json!({"type": "profile", "attributes": person}).to_string().len();
    let person = large(100_001 - resource(&large(0)));
    assert_eq!(resource(&person), 100_001);
    for (profile_size, megabyte, failed) in [
        (ProfileSize::Resource, Megabyte::Decimal, 1),
        (ProfileSize::Attributes, Megabyte::Decimal, 0),
        (ProfileSize::Resource, Megabyte::Binary, 0),
    ] {
        let unknowns = Unknowns { profile_size, megabyte, ..Unknowns::default() };
        let sim = start(Config { unknowns, ..unlimited() }).await;
        let (_, attributes) = import(&sim, std::slice::from_ref(&person)).await;
        assert_eq!(attributes["failed_count"], failed, "{profile_size:?} {megabyte:?}");
    }
}

#[tokio::test]
async fn phone_alone_is_enough_only_where_sms_is_set_up() {
    for (sms, failed) in [(true, 0), (false, 1)] {
        let account = AccountConfig { sms, ..AccountConfig::default() };
        let sim = start(Config { accounts: vec![account], ..unlimited() }).await;
        let (_, attributes) = import(&sim, &[json!({"phone_number": "+12025550123"})]).await;
        assert_eq!(attributes["failed_count"], failed);
    }
}

#[tokio::test]
async fn same_address_twice_is_one_profile_and_no_failure() {
    let sim = start(unlimited()).await;
    let twice = [
        json!({"email": "a@example.com", "first_name": "Ann", "properties": {"x": 1}}),
        json!({"email": "A@example.com", "first_name": null, "properties": {"y": 2}}),
    ];
    let (_, attributes) = import(&sim, &twice).await;
    assert_eq!(
        (&attributes["completed_count"], &attributes["failed_count"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(sim.members("LIST01"), ["a@example.com"]);
    let person = sim.profile("a@example.com").unwrap();
    assert_eq!(person["attributes"]["first_name"], "Ann");
    assert_eq!(person["attributes"]["properties"], json!({"x": 1, "y": 2}));
}

#[tokio::test]
async fn injected_import_error_speaks_the_chosen_words() {
    let error = ImportError {
        code: "duplicate_profile".to_owned(),
        title: "Conflict.".to_owned(),
        detail: "Taken.".to_owned(),
    };
    let faults =
        Faults { import_fail: Trigger::next(1), import_error: Some(error), ..Faults::default() };
    let sim = start(Config { faults, ..unlimited() }).await;
    let (job, _) = import(&sim, &emails(&["a@example.com", "b@example.com"])).await;
    let errors = get(&sim, &format!("{JOBS}/{job}/import-errors")).await.json();
    assert_eq!(errors["data"][0]["attributes"]["detail"], "Taken.");
    assert_eq!(sim.members("LIST01"), ["b@example.com"]);
}

#[tokio::test]
async fn stuck_job_processes_for_ever_and_cancelled_job_imports_nothing() {
    let unwatched = Duration::ZERO;
    let faults = Faults { stuck: Trigger::next(1), cancel: Trigger::next(1), ..Faults::default() };
    let completion = Completion::AfterPoll { unwatched };
    let sim = start(Config { faults, completion, ..unlimited() }).await;
    let stuck = accepted(&sim, &["stuck@example.com"]).await;
    let cancelled = accepted(&sim, &["cancelled@example.com"]).await;
    accepted(&sim, &["good@example.com"]).await;
    until(&sim, |state| state.members("LIST01") == 1).await;
    assert_eq!(status(&sim, &stuck).await, "processing");
    assert_eq!(status(&sim, &cancelled).await, "cancelled");
    assert_eq!(sim.members("LIST01"), ["good@example.com"]);
}

#[tokio::test]
async fn expired_job_is_not_found() {
    let sim = start(Config { job_lifetime: Duration::ZERO, ..unlimited() }).await;
    let job = accepted(&sim, &["a@example.com"]).await;
    for part in ["", "/import-errors", "/profiles", "/lists"] {
        assert_eq!(get(&sim, &format!("{JOBS}/{job}{part}")).await.status, 404);
    }
    assert!(get(&sim, JOBS).await.ids().is_empty());
}

#[tokio::test]
async fn deleted_list_gets_no_members_from_a_job_that_is_under_way() {
    let never = Completion::AfterPoll { unwatched: Duration::from_hours(1) };
    let sim = start(Config { completion: never, ..unlimited() }).await;
    let job = accepted(&sim, &["a@example.com"]).await;
    assert!(sim.delete_list("LIST01"));
    assert_eq!(crate::client::complete(&sim, &job).await["completed_count"], 1);
    assert_eq!(sim.state().members("LIST01"), 0);
    assert!(get(&sim, &format!("{JOBS}/{job}/lists")).await.ids().is_empty());
}
