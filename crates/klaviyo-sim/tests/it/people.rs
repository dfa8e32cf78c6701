//! Single profiles.

use http::Method;
use klaviyo_sim::{EmailCase, Endpoint, Unknowns};
use serde_json::{Value, json};

use crate::client::{call, emails, filter, get, import, post, start, unlimited};

fn person(attributes: &Value) -> Value {
    json!({"data": {"type": "profile", "attributes": attributes}})
}

#[tokio::test]
async fn second_profile_with_an_address_is_a_conflict_that_names_the_first() {
    let sim = start(unlimited()).await;
    let body = person(&json!({"email": "a@example.com"}));
    let first = post(&sim, "/api/profiles", &body).await;
    assert_eq!(first.status, 201);
    let reply = post(&sim, "/api/profiles", &body).await;
    assert_eq!((reply.status.as_u16(), reply.error("code")), (409, "duplicate_profile".into()));
    assert_eq!(reply.error("title"), "Conflict.");
    assert_eq!(reply.pointers(), ["/data/attributes"]);
    assert_eq!(reply.error("meta")["duplicate_profile_id"], first.json()["data"]["id"]);
}

#[tokio::test]
async fn profile_import_creates_then_updates_and_null_clears() {
    let sim = start(unlimited()).await;
    let first = json!({"email": "a@example.com", "title": "Dr", "properties": {"x": 1, "y": 2}});
    assert_eq!(post(&sim, "/api/profile-import", &person(&first)).await.status, 201);
    let second = json!({"email": "a@example.com", "title": null, "properties": {"x": null}});
    let reply = post(&sim, "/api/profile-import", &person(&second)).await;
    assert_eq!(reply.status, 200);
    let attributes = &reply.json()["data"]["attributes"];
    assert_eq!(attributes["title"], Value::Null);
    assert_eq!(attributes["properties"], json!({"y": 2}));
}

#[tokio::test]
async fn profile_import_with_identifiers_of_two_profiles_is_a_conflict() {
    let sim = start(unlimited()).await;
    import(&sim, &[json!({"email": "a@example.com"}), json!({"external_id": "c-1"})]).await;
    let both = person(&json!({"email": "a@example.com", "external_id": "c-1"}));
    let reply = post(&sim, "/api/profile-import", &both).await;
    assert_eq!((reply.status.as_u16(), reply.error("code")), (409, "duplicate_profile".into()));
}

#[tokio::test]
async fn invalid_identifiers_are_refused_in_klaviyos_words() {
    let sim = start(unlimited()).await;
    let reply = post(&sim, "/api/profiles", &person(&json!({"email": "x!@example.com"}))).await;
    assert_eq!(reply.pointers(), ["/data/attributes/email"]);
    assert_eq!(reply.error("detail"), "Invalid email address");
    let reply = post(&sim, "/api/profiles", &person(&json!({"phone_number": "123"}))).await;
    assert_eq!(reply.pointers(), ["/data/attributes/phone_number"]);
    assert_eq!(post(&sim, "/api/profiles", &person(&json!({"title": "Dr"}))).await.status, 400);
}

#[tokio::test]
async fn patch_changes_by_id_and_does_not_know_strangers() {
    let sim = start(unlimited()).await;
    import(&sim, &emails(&["a@example.com"])).await;
    let id = sim.profile("a@example.com").unwrap()["id"].as_str().unwrap().to_owned();
    let change = person(&json!({"email": "b@example.com", "title": "Dr"}));
    let path = format!("/api/profiles/{id}");
    assert_eq!(call(&sim, Method::PATCH, &path, &change).await.status, 200);
    assert!(sim.profile("a@example.com").is_none());
    let attributes = get(&sim, &path).await.json()["data"]["attributes"].clone();
    assert_eq!(
        (&attributes["email"], &attributes["title"]),
        (&"b@example.com".into(), &"Dr".into())
    );
    let reply = call(&sim, Method::PATCH, "/api/profiles/01NOBODY", &change).await;
    let detail = "A profile with id 01NOBODY does not exist.";
    assert_eq!((reply.status.as_u16(), reply.error("detail")), (404, detail.into()));
}

#[tokio::test]
async fn profiles_are_found_by_each_identifier_and_shown_as_asked() {
    let sim = start(unlimited()).await;
    let ann =
        json!({"email": "a@example.com", "phone_number": "+12025550123", "external_id": "c-1"});
    import(&sim, &[ann, json!({"email": "b@example.com"})]).await;
    for expression in [
        r#"any(email,["A@example.com"])"#,
        r#"equals(phone_number,"+12025550123")"#,
        r#"equals(external_id,"c-1")"#,
        r#"equals(email,"a@example.com"),equals(external_id,"c-1")"#,
    ] {
        let target = format!("/api/profiles?{}&fields[profile]=email", filter(expression));
        let data = get(&sim, &target).await.json()["data"].clone();
        assert_eq!(data.as_array().unwrap().len(), 1, "{expression}");
        assert_eq!(data[0]["attributes"], json!({"email": "a@example.com"}));
    }
}

#[tokio::test]
async fn letter_case_of_addresses_is_kept_when_configured() {
    let unknowns = Unknowns { email_case: EmailCase::Kept, ..Unknowns::default() };
    let sim = start(klaviyo_sim::Config { unknowns, ..unlimited() }).await;
    import(&sim, &emails(&["Ann@example.com", "ann@example.com"])).await;
    assert_eq!(sim.members("LIST01"), ["Ann@example.com", "ann@example.com"]);
}

#[tokio::test]
async fn profile_over_100_kb_is_refused_by_the_single_endpoints() {
    let sim = start(unlimited()).await;
    let large = json!({"email": "a@example.com", "properties": {"x": "x".repeat(100_000)}});
    for path in ["/api/profiles", "/api/profile-import"] {
        assert_eq!(post(&sim, path, &person(&large)).await.status, 413);
    }
}

#[tokio::test]
async fn calls_that_would_change_consent_are_recorded_and_change_nothing() {
    let sim = start(unlimited()).await;
    import(&sim, &emails(&["a@example.com"])).await;
    assert!(sim.state().consent_calls.is_empty());
    for (path, kind, status) in [
        ("/api/profile-subscription-bulk-create-jobs", "profile-subscription-bulk-create-job", 202),
        ("/api/profile-subscription-bulk-delete-jobs", "profile-subscription-bulk-delete-job", 202),
        ("/api/profile-suppression-bulk-create-jobs", "profile-suppression-bulk-create-job", 202),
        ("/api/profile-suppression-bulk-delete-jobs", "profile-suppression-bulk-delete-job", 202),
        ("/api/data-privacy-deletion-jobs", "data-privacy-deletion-job", 202),
        ("/api/profile-merge", "profile-merge", 201),
    ] {
        let reply = post(&sim, path, &json!({"data": {"type": kind, "id": "01X"}})).await;
        assert_eq!(reply.status, status, "{path}");
    }
    let calls = sim.state().consent_calls;
    assert_eq!(calls.len(), 6);
    assert_eq!(calls[0].endpoint, Some(Endpoint::Subscribe));
    assert_eq!(sim.members("LIST01"), ["a@example.com"]);
}
