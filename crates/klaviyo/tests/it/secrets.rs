//! Keys and personal data are in no text that this crate can produce.

use std::error::Error;

use bytes::Bytes;
use segue_klaviyo::{ApiKey, CallError, Client, Config, KeyProblem};

use crate::server::{KEY, Server, Step, answer, error, json, key};

fn chain(err: &CallError) -> String {
    let mut causes = Vec::new();
    let mut next = Some(err as &dyn Error);
    while let Some(err) = next {
        causes.push(format!("{err:?} {err}"));
        next = err.source();
    }
    causes.join(": ")
}

fn assert_silent(text: &str) {
    for secret in [KEY, "ann@", "example.com", "Käufer", "2025550123"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[tokio::test]
async fn error_shows_no_key_no_address_and_no_quotation() {
    let quoting = r#""code":"invalid","title":"t","detail":"ann@example.com is not valid""#;
    let steps = [
        Step::Reply(error(400, quoting)),
        Step::Reply(error(403, quoting)),
        Step::Reply(error(404, quoting)),
        Step::Reply(error(429, quoting)),
        Step::Reply(error(500, quoting)),
        Step::Reply(answer(403, &[], "<html>ann@example.com")),
        // A parser would quote the value that it did not expect.
        Step::Reply(json(200, r#"{"data":"ann@example.com"}"#)),
        Step::Reply(json(200, r#"{"data":[{"id":"x","attributes":"ann@example.com"}]}"#)),
        Step::Reply(json(200, r#"{"data":[],"links":{"next":"https://example.com/ann@"}}"#)),
        Step::Reset,
        Step::ReplyAndClose("HTTP/1.1 ann@example.com\r\n\r\n".to_owned()),
    ];
    let count = steps.len();
    let server = Server::start(steps).await;
    for _ in 0..count {
        let result = server.client().profiles_by_email(&key(), &["ann@example.com"]).await;
        assert_silent(&chain(&result.unwrap_err()));
    }
    assert_eq!(server.received().len(), count);
}

#[tokio::test]
async fn unreachable_host_is_told_without_the_query() {
    let server = Server::start([]).await;
    let client = server.client();
    drop(server);
    let err = client.profiles_by_email(&key(), &["ann@example.com"]).await.unwrap_err();
    assert_silent(&chain(&err));
}

#[tokio::test]
async fn key_that_cannot_be_a_header_is_refused_before_any_request() {
    let server = Server::start([]).await;
    for text in ["", " ", "pk_1 ", "pk_1\n", "pk_1\r\nx: y", "pk\t1", "pk_ä", "pk_\u{7f}"] {
        let key = ApiKey::from(text);
        let err = server.client().account(&key).await.unwrap_err();
        assert!(matches!(err, CallError::Unauthorized(KeyProblem::Malformed)), "{text:?}: {err}");
        assert!(err.to_string().ends_with("not printable ASCII without spaces"), "{err}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn client_and_configuration_show_no_secret() {
    let proxy = Some("http://ann:hunter2@127.0.0.1:9".into());
    let config = Config { proxy, ..Config::for_base_url("http://127.0.0.1:9".parse().unwrap()) };
    let client = Client::new(&config).unwrap();
    let text = format!("{config:?} {client:?} {:?}", key());
    assert!(!text.contains("hunter2") && !text.contains(KEY), "{text}");
}

#[tokio::test]
async fn body_is_shown_by_its_length_only() {
    let body = segue_klaviyo::ImportBody::from(Bytes::from_static(b"ann@example.com"));
    assert_eq!(format!("{body:?}"), "ImportBody(15 bytes)");
}
