//! Keys, scopes, revisions, and the headers of every answer.

use http::Method;
use klaviyo_sim::{
    AccountConfig, BadRevision, Config, ErrorBody, Faults, KeyConfig, RetiredRevision, Unknowns,
};
use serde_json::json;

use crate::client::{JOBS, call, get, get_with, post, request, send, start};

#[tokio::test]
async fn bad_key_gets_401_in_klaviyos_words_and_no_rate_limit_headers() {
    let sim = start(Config::default()).await;
    for key in [None, Some("Klaviyo-API-Key pk_other"), Some("Bearer pk_sim"), Some("pk_sim")] {
        let reply = get_with(&sim, "/api/accounts", "authorization", key).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.error("code"), "not_authenticated");
        assert_eq!(reply.error("title"), "Authentication credentials were not provided.");
        assert_eq!(reply.error("detail"), "Missing or invalid private key.");
        assert_eq!(reply.pointers(), ["/data/"]);
        assert_eq!(reply.header("www-authenticate"), Some("Bearer, Klaviyo-API-Key"));
        assert_eq!(reply.header("ratelimit-limit"), None);
        assert_eq!(reply.header("cid"), None);
    }
}

#[tokio::test]
async fn answer_carries_request_id_revision_account_and_limits() {
    let sim = start(Config::default()).await;
    let reply = get_with(&sim, "/api/lists", "revision", Some("2025-06-01")).await;
    assert_eq!(reply.header("content-type"), Some("application/vnd.api+json"));
    assert_eq!(reply.header("x-klaviyo-api-revision"), Some("2025-04-15"));
    assert_eq!(reply.header("x-klaviyo-api-retirement-date"), Some("2027-04-15"));
    assert_eq!(reply.header("cid"), Some("SIMULA"));
    assert_eq!(reply.header("ratelimit-limit"), Some("75, 75;w=1, 750;w=60"));
    assert_eq!(reply.header("ratelimit-remaining"), Some("74"));
    assert_eq!(reply.header("ratelimit-reset"), Some("0"));

    let missing = get(&sim, "/api/lists/NOBODY").await;
    let id = missing.header("x-klaviyo-req-id").unwrap();
    assert_eq!(missing.error("id"), id);
    assert_ne!(reply.header("x-klaviyo-req-id"), Some(id));
}

#[tokio::test]
async fn error_has_an_integer_status_and_all_members() {
    let sim = start(Config::default()).await;
    let error = get(&sim, "/api/lists/NOBODY").await.json()["errors"][0].clone();
    let id = error["id"].clone();
    let expected = json!({
        "id": id, "status": 404, "code": "not_found", "title": "Not found.",
        "detail": "A list with id `NOBODY` does not exist.",
        "source": {"pointer": "/data/"}, "links": {}, "meta": {}});
    assert_eq!(error, expected);
}

#[tokio::test]
async fn key_without_the_scopes_is_forbidden() {
    for (forbidden_body, html) in [(ErrorBody::JsonApi, false), (ErrorBody::Html, true)] {
        let account = AccountConfig {
            keys: vec![KeyConfig::with_scopes("pk_sim", &["lists:read", "profiles:read"])],
            ..AccountConfig::default()
        };
        let unknowns = Unknowns { forbidden_body, ..Unknowns::default() };
        let sim = start(Config { accounts: vec![account], unknowns, ..Config::default() }).await;
        assert_eq!(get(&sim, "/api/lists").await.status, 200);
        assert_eq!(get(&sim, JOBS).await.status, 200);
        // flows:read is missing beside lists:read.
        assert_eq!(get(&sim, "/api/lists/LIST01/flow-triggers").await.status, 403);
        let reply = post(&sim, JOBS, &json!({})).await;
        assert_eq!(reply.status, 403);
        assert_eq!(reply.header("content-type").unwrap().starts_with("text/html"), html);
        assert_eq!(reply.error("code") == "permission_denied", !html);
    }
}

#[tokio::test]
async fn revision_is_required_unless_configured_otherwise() {
    let sim = start(Config::default()).await;
    assert_eq!(get_with(&sim, "/api/accounts", "revision", None).await.status, 400);
    let unknowns = Unknowns { bad_revision: BadRevision::ServedAsNewest, ..Unknowns::default() };
    let sim = start(Config { unknowns, ..Config::default() }).await;
    let reply = get_with(&sim, "/api/accounts", "revision", None).await;
    assert_eq!(reply.header("x-klaviyo-api-revision"), Some("2026-10-15"));
}

#[tokio::test]
async fn retired_revision_is_gone_or_falls_forward() {
    let sim = start(Config::default()).await;
    assert_eq!(get_with(&sim, "/api/accounts", "revision", Some("2024-10-15")).await.status, 410);
    let unknowns =
        Unknowns { retired_revision: RetiredRevision::FallsForward, ..Unknowns::default() };
    let sim = start(Config { unknowns, ..Config::default() }).await;
    let reply = get_with(&sim, "/api/accounts", "revision", Some("2024-10-15")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-klaviyo-api-revision"), Some("2025-01-15"));
}

#[tokio::test]
async fn wrong_media_type_is_415_and_plain_json_is_taken() {
    let sim = start(Config::default()).await;
    let body = json!({"data": {"type": "list", "attributes": {"name": "New"}}}).to_string();
    for (media_type, status) in
        [("text/plain", 415), ("application/json; charset=utf-8", 201), ("application/xml", 415)]
    {
        let mut request = request(Method::POST, "/api/lists", body.clone());
        request.headers_mut().insert("content-type", media_type.parse().unwrap());
        let reply = send(&sim, request).await.unwrap();
        assert_eq!(reply.status, status, "{media_type}");
        assert_eq!(reply.header("content-type"), Some("application/vnd.api+json"));
    }
}

#[tokio::test]
async fn unknown_path_and_wrong_method_are_told_apart() {
    let sim = start(Config::default()).await;
    assert_eq!(get(&sim, "/api/nothing").await.status, 404);
    assert_eq!(call(&sim, Method::DELETE, "/api/accounts", &json!({})).await.status, 405);
}

#[tokio::test]
async fn account_is_that_of_the_key_and_has_its_public_key_as_id() {
    let sim = start(Config::default()).await;
    let account = &get(&sim, "/api/accounts").await.json()["data"][0];
    assert_eq!(account["id"], "SIMULA");
    assert_eq!(account["attributes"]["public_api_key"], "SIMULA");
    let organization = &account["attributes"]["contact_information"]["organization_name"];
    assert_eq!(*organization, "Simulated account");
}

#[tokio::test]
async fn revoked_key_is_refused_and_moved_key_speaks_for_the_other_account() {
    let other = AccountConfig {
        id: "OTHER1".to_owned(),
        keys: vec![],
        lists: vec![],
        ..AccountConfig::default()
    };
    let config = Config {
        accounts: vec![AccountConfig::default(), other],
        no_limits: true,
        ..Config::default()
    };
    let sim = start(config).await;
    let moved = [("pk_sim".to_owned(), "OTHER1".to_owned())].into();
    sim.set_faults(Faults { moved_keys: moved, ..Faults::default() });
    assert_eq!(get(&sim, "/api/accounts").await.ids(), ["OTHER1"]);
    assert_eq!(get(&sim, "/api/lists/LIST01").await.status, 404);
    sim.set_faults(Faults { revoked_keys: ["pk_sim".to_owned()].into(), ..Faults::default() });
    assert_eq!(get(&sim, "/api/accounts").await.status, 401);
}
