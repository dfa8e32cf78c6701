//! What stands on the wire.

use std::{env, process::Command};

use bytes::Bytes;
use segue_klaviyo::{
    CallError, Client, Config, ConfigError, InvalidRequest, MAX_EMAILS, Unguarded, import,
};
use url::Url;

use crate::server::{JOB, LIST, Received, Server, Step, json, key};

const EMPTY_PAGE: &str = r#"{"data":[]}"#;

fn query(request: &Received) -> Vec<(String, String)> {
    let target = request.line().split(' ').nth(1).unwrap();
    let url = Url::parse("http://127.0.0.1").unwrap().join(target).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[tokio::test]
async fn every_request_carries_the_headers_of_the_api() {
    let server = Server::start([Step::Reply(json(200, LIST)), Step::Reply(json(202, JOB))]).await;
    let client = server.client();
    client.list(&key(), &"Y6nRLr".parse().unwrap()).await.unwrap();
    client.import(&key(), Bytes::from_static(b"{}").into(), Unguarded).await.unwrap();
    let received = server.received();
    for request in &received {
        assert_eq!(request.header("authorization"), Some("Klaviyo-API-Key pk_0123456789abcdef"));
        assert_eq!(request.header("revision"), Some("2026-07-15"));
        assert_eq!(request.header("accept"), Some("application/vnd.api+json"));
        assert!(request.header("user-agent").unwrap().starts_with("segue/"));
        assert_eq!(request.header("referer"), None);
    }
    assert_eq!(received[0].line(), "GET /api/lists/Y6nRLr HTTP/1.1");
    assert_eq!(received[0].header("content-type"), None);
    assert_eq!(received[1].line(), "POST /api/profile-bulk-import-jobs HTTP/1.1");
    assert_eq!(received[1].header("content-type"), Some("application/vnd.api+json"));
}

#[tokio::test]
async fn import_body_arrives_byte_for_byte_with_its_length() {
    let server = Server::replying(json(202, JOB)).await;
    let mut body = Vec::new();
    import::begin(&mut body, &"Y6nRLr".parse().unwrap());
    // Prime, so that pieces and profiles do not line up.
    let profile = format!("{:<997}", r#"{"type":"profile"}"#);
    for row in 0..4_500 {
        if row > 0 {
            body.push(import::SEPARATOR);
        }
        body.extend_from_slice(profile.as_bytes());
    }
    import::end(&mut body);
    let body = Bytes::from(body);
    server.client().import(&key(), body.clone().into(), Unguarded).await.unwrap();
    let request = server.only_request();
    assert_eq!(request.content_length(), body.len());
    assert_eq!(request.header("transfer-encoding"), None);
    assert!(request.body == body, "the body changed on its way");
}

#[tokio::test]
async fn list_is_made_with_its_name_and_the_default_opt_in() {
    let server = Server::replying(json(201, LIST)).await;
    let reply = server.client().create_list(&key(), "Käufer \"2026\"").await.unwrap();
    assert_eq!(reply.value.id.as_str(), "Y6nRLr");
    let request = server.only_request();
    assert_eq!(request.line(), "POST /api/lists HTTP/1.1");
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    let attributes = serde_json::json!({"name": "Käufer \"2026\""});
    assert_eq!(body, serde_json::json!({"data": {"type": "list", "attributes": attributes}}));
}

#[tokio::test]
async fn addresses_cannot_break_out_of_the_filter() {
    let server = Server::replying(json(200, EMPTY_PAGE)).await;
    let emails = ["ann+tag@example.com", "\"a,b\"@example.com", "a\\\"]&x=1@example.com", "ä b@x"];
    server.client().profiles_by_email(&key(), &emails).await.unwrap();
    let filter = r#"any(email,["ann+tag@example.com","\"a,b\"@example.com","a\\\"]&x=1@example.com","ä b@x"])"#;
    let expected =
        [pair("filter", filter), pair("fields[profile]", "email"), pair("page[size]", "100")];
    let request = server.only_request();
    assert_eq!(query(&request), expected);
    assert!(!request.line().contains('+'), "a plus is a space to some and a plus to others");
}

#[tokio::test]
async fn look_up_of_no_address_or_too_many_sends_nothing() {
    let server = Server::start([]).await;
    for got in [0, MAX_EMAILS + 1] {
        let emails = vec!["ann@example.com"; got];
        let err = server.client().profiles_by_email(&key(), &emails).await.unwrap_err();
        let expected = InvalidRequest::Emails { got };
        assert!(matches!(err, CallError::Invalid(err) if err == expected), "{err}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn collections_are_asked_for_in_full_pages_and_newest_first() {
    let server = Server::start((0..4).map(|_| Step::Reply(json(200, EMPTY_PAGE)))).await;
    let client = server.client();
    client.import_jobs_page(&key(), None).await.unwrap();
    client.import_errors_page(&key(), &"a/b?c=%2e==".parse().unwrap(), None).await.unwrap();
    client.lists_page(&key(), None, Some("A \"B\" & C")).await.unwrap();
    client.flow_triggers_page(&key(), &"Y6nRLr".parse().unwrap(), None).await.unwrap();
    let [jobs, errors, lists, flows] = server.received().try_into().unwrap();
    assert_eq!(query(&jobs), [pair("sort", "-created_at"), pair("page[size]", "100")]);
    assert_eq!(query(&errors), [pair("page[size]", "100")]);
    let path = "/api/profile-bulk-import-jobs/a%2Fb%3Fc=%252e==/import-errors?";
    assert!(errors.line().contains(path), "{}", errors.line());
    assert_eq!(query(&lists), [pair("filter", r#"equals(name,"A \"B\" & C")"#)]);
    assert_eq!(flows.line(), "GET /api/lists/Y6nRLr/flow-triggers HTTP/1.1");
}

#[tokio::test]
async fn base_url_may_have_a_path() {
    let server = Server::replying(json(200, LIST)).await;
    for base in ["klaviyo", "klaviyo/"] {
        server.add(Step::Reply(json(200, LIST)));
        let config = Config::for_base_url(server.url.join(base).unwrap());
        let client = Client::new(&config).unwrap();
        client.list(&key(), &"Y6nRLr".parse().unwrap()).await.unwrap();
        let request = server.received().pop().unwrap();
        assert_eq!(request.line(), "GET /klaviyo/api/lists/Y6nRLr HTTP/1.1");
    }
}

#[tokio::test]
async fn base_url_that_would_show_or_misplace_the_key_is_refused() {
    let urls = [
        "http://a.klaviyo.com",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "https://ann:secret@a.klaviyo.com",
        "https://a.klaviyo.com/?x=1",
        "https://a.klaviyo.com/#x",
        "data:text/plain,x",
    ];
    for url in urls {
        let config = Config::for_base_url(url.parse().unwrap());
        let err = Client::new(&config).unwrap_err();
        assert!(!err.to_string().contains("secret"), "{err}");
    }
    let config = Config { allow_plaintext: true, ..Config::for_base_url(urls[0].parse().unwrap()) };
    Client::new(&config).unwrap();
}

/// Containers without a package of certificates are common, and a simulator beside one speaks http. Where the
/// certificates are is a matter of the environment, so the test runs itself in one where there are none.
#[test]
#[cfg(target_os = "linux")]
fn machine_without_certificates_will_do_for_http_and_not_for_https() {
    const INSIDE: &str = "SEGUE_TEST_WITHOUT_CERTIFICATES";
    if env::var_os(INSIDE).is_none() {
        let name = "requests::machine_without_certificates_will_do_for_http_and_not_for_https";
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", name])
            .envs([("SSL_CERT_FILE", "/dev/null"), (INSIDE, "1")])
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let client = |url: &str| Client::new(&Config::for_base_url(url.parse().unwrap()));
    client("http://127.0.0.1:9").unwrap();
    let err = client("https://a.klaviyo.com").unwrap_err();
    assert!(matches!(err, ConfigError::Tls(_)), "{err:?}");
}

#[tokio::test]
async fn revision_must_be_a_date() {
    let server = Server::start([]).await;
    for revision in ["", "2026-7-15", "latest", "2026-07-15\r\nx: y"] {
        let config =
            Config { revision: revision.to_owned(), ..Config::for_base_url(server.url.clone()) };
        assert!(Client::new(&config).is_err(), "{revision:?}");
    }
}
