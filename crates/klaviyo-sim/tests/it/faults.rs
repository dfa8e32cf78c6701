//! Things that go wrong on demand.

use std::io::ErrorKind;

use http::Method;
use klaviyo_sim::{Config, Endpoint, Faults, Simulator, Trigger};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{JOBS, emails, get, import_of, post, request, send, start, unlimited};

async fn failing(faults: Faults) -> Simulator {
    start(Config { faults, ..unlimited() }).await
}

fn body() -> Value {
    import_of(&emails(&["a@example.com"]), &["LIST01"])
}

/// Sends an import by hand and returns what the socket says to the next read.
async fn raw_import(sim: &Simulator, body: &str) -> std::io::Result<Vec<u8>> {
    let mut socket = tokio::net::TcpStream::connect(sim.address()).await?;
    let head = format!(
        "POST {JOBS} HTTP/1.1\r\nhost: x\r\nauthorization: Klaviyo-API-Key pk_sim\r\n\
         revision: 2026-07-15\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn failed_request_does_nothing() {
    let sim = failing(Faults { fail: Trigger::next(8), ..Faults::default() }).await;
    for _ in 0..8 {
        let status = post(&sim, JOBS, &body()).await.status.as_u16();
        assert!([500, 502, 503].contains(&status));
    }
    assert_eq!(sim.state().imports().count(), 0);
    assert_eq!(post(&sim, JOBS, &body()).await.status, 202);
}

#[tokio::test]
async fn dropped_answer_leaves_an_accepted_job_and_a_reset_connection() {
    let sim = failing(Faults { drop: Trigger::next(1), ..Faults::default() }).await;
    let error = raw_import(&sim, &body().to_string()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(sim.state().imports().count(), 1);
    assert!(sim.requests()[0].cut);
}

#[tokio::test]
async fn reset_in_the_middle_of_the_body_accepts_nothing() {
    let sim = failing(Faults { reset: Trigger::next(1), ..Faults::default() }).await;
    let large = format!("{}{}", body(), " ".repeat(4_000_000));
    let error = raw_import(&sim, &large).await.unwrap_err();
    // The kernel tells of a reset by either name, depending on who wrote last.
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    assert_eq!(sim.state().imports().count(), 0);
}

#[tokio::test]
async fn truncated_answer_ends_before_its_announced_length() {
    let faults = Faults { truncate: Trigger::next(1), ..Faults::default() };
    let sim = failing(faults).await;
    let answer = raw_import(&sim, &body().to_string()).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(rest.len(), announced.parse::<usize>().unwrap() / 2);
    assert_eq!(sim.state().imports().count(), 1);
}

#[tokio::test]
async fn bot_challenge_is_html_and_says_who_it_is() {
    let sim = failing(Faults { challenge: Trigger::next(1), ..Faults::default() }).await;
    let reply = get(&sim, "/api/lists").await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.header("cf-mitigated"), Some("challenge"));
    assert_eq!(reply.header("x-klaviyo-req-id"), None);
    assert!(reply.body.starts_with(b"<!DOCTYPE html>"));
}

#[tokio::test]
async fn gateways_503_is_html_without_klaviyos_headers() {
    let sim = failing(Faults { unavailable: Trigger::next(1), ..Faults::default() }).await;
    let reply = get(&sim, "/api/lists").await;
    assert_eq!((reply.status.as_u16(), reply.header("cid")), (503, None));
    assert!(reply.header("content-type").unwrap().starts_with("text/html"));
}

#[tokio::test]
async fn slow_answer_takes_its_time() {
    let sim = failing(Faults { slow_ms: 120, ..Faults::default() }).await;
    let started = std::time::Instant::now();
    get(&sim, "/api/lists").await;
    assert!(started.elapsed().as_millis() >= 120);
}

#[tokio::test]
async fn faults_are_changed_over_http_and_only_where_named() {
    let sim = failing(Faults { slow_ms: 1, ..Faults::default() }).await;
    let patch = json!({"drop": {"next": 2, "endpoint": "import"}, "deleted_lists": ["LIST01"]});
    let reply = send(&sim, request(Method::POST, "/__faults", patch.to_string())).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(sim.faults().slow_ms, 1);
    assert_eq!(sim.faults().drop, Trigger::next(2).at(Endpoint::Import));
    assert_eq!(get(&sim, "/__faults").await.json()["drop"]["next"], 2);
    assert_eq!(get(&sim, "/api/lists/LIST01").await.status, 404);
    let typo = send(&sim, request(Method::POST, "/__faults", "{\"dorp\": 1}")).await.unwrap();
    assert_eq!(typo.status, 400);
}
