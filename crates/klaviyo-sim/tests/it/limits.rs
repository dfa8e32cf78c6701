//! Rate limits over HTTP. The arithmetic of the windows is tested beside it.

use std::time::Duration;

use klaviyo_sim::{
    AccountConfig, Config, Faults, KeyConfig, RateLimitHeaders, RetryAfter, Trigger, Unknowns,
    WindowPhase,
};
use serde_json::json;

use crate::client::{JOBS, get, get_with, post, start};

/// Windows that began half a second before the test did, or will: at least this much is left of
/// them. Only the first request of a test opens one.
fn config() -> Config {
    Config { window_phase: WindowPhase::FirstRequest, ..Config::default() }
}

#[tokio::test]
async fn throttled_request_gets_retry_after_in_place_of_the_rate_limit_headers() {
    let sim = start(config()).await;
    assert_eq!(get(&sim, "/api/accounts").await.status, 200);
    let reply = get(&sim, "/api/accounts").await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.header("retry-after"), Some("1"));
    for gone in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"] {
        assert_eq!(reply.header(gone), None);
    }
    assert_eq!(
        (reply.error("code"), reply.error("title")),
        ("throttled".into(), "Request was throttled.".into())
    );
    let detail = "Request was throttled. Expected available in 1 seconds.";
    assert_eq!(reply.error("detail"), detail);
    assert_eq!(reply.pointers(), ["/data/"]);
    assert_eq!(sim.state().throttled, 1);
}

#[tokio::test]
async fn keys_of_an_account_share_its_limits_and_endpoints_do_not() {
    let keys = vec![KeyConfig::all_scopes("pk_sim"), KeyConfig::all_scopes("pk_two")];
    let other = AccountConfig {
        id: "OTHER1".to_owned(),
        keys: vec![KeyConfig::all_scopes("pk_other")],
        ..AccountConfig::default()
    };
    let accounts = vec![AccountConfig { keys, ..AccountConfig::default() }, other];
    let sim = start(Config { accounts, ..config() }).await;
    let with = |key: &'static str| {
        let sim = &sim;
        async move { get_with(sim, "/api/accounts", "authorization", Some(key)).await.status }
    };
    assert_eq!(with("Klaviyo-API-Key pk_sim").await, 200);
    assert_eq!(with("Klaviyo-API-Key pk_two").await, 429);
    assert_eq!(with("Klaviyo-API-Key pk_other").await, 200);
    assert_eq!(get(&sim, "/api/accounts/SIMULA").await.status, 200);
}

#[tokio::test]
async fn refused_import_counts_like_an_accepted_one() {
    let sim = start(config()).await;
    let statuses: Vec<u16> = {
        let mut statuses = Vec::new();
        for _ in 0..11 {
            statuses.push(post(&sim, JOBS, &json!({})).await.status.as_u16());
        }
        statuses
    };
    assert_eq!(statuses[..10], [400; 10]);
    assert_eq!(statuses[10], 429);
}

#[tokio::test]
async fn profile_count_has_a_stricter_limit_of_its_own() {
    let sim = start(config()).await;
    let counted = "/api/lists/LIST01?additional-fields[list]=profile_count";
    assert_eq!(get(&sim, counted).await.status, 200);
    assert_eq!(get(&sim, counted).await.status, 429);
    assert_eq!(get(&sim, "/api/lists/LIST01").await.status, 200);
}

#[tokio::test]
async fn request_counts_when_its_head_arrives() {
    use tokio::io::AsyncWriteExt;

    let sim = start(config()).await;
    let head = format!(
        "POST {JOBS} HTTP/1.1\r\nhost: x\r\nauthorization: Klaviyo-API-Key pk_sim\r\n\
         revision: 2026-07-15\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"
    );
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let mut socket = tokio::net::TcpStream::connect(sim.address()).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        waiting.push(socket); // its body never comes
    }
    // Ten places are taken, each by a head without a body, as soon as they are read.
    let last = async {
        while post(&sim, JOBS, &json!({})).await.status != 429 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_millis(900), last).await.unwrap();
    let answered = sim.state().requests.get(&klaviyo_sim::Endpoint::Import).cloned();
    assert!(answered.unwrap().get(&400).is_none_or(|count| *count < 10));
}

#[tokio::test]
async fn headers_tell_about_the_minute_when_configured() {
    let unknowns = Unknowns { rate_limit_headers: RateLimitHeaders::Steady, ..Unknowns::default() };
    let sim = start(Config { unknowns, ..config() }).await;
    let reply = get(&sim, "/api/lists").await;
    assert_eq!(reply.header("ratelimit-limit"), Some("750, 75;w=1, 750;w=60"));
    assert_eq!(reply.header("ratelimit-remaining"), Some("749"));
    assert_eq!(reply.header("ratelimit-reset"), Some("59"));
}

#[tokio::test]
async fn injected_429_says_what_it_was_told_to() {
    let sim = start(config()).await;
    for (retry_after, header) in [
        (RetryAfter::OneSecond, Some("1")),
        (RetryAfter::Absent, None),
        (RetryAfter::Text("0".to_owned()), Some("0")),
        (RetryAfter::Text("-5".to_owned()), Some("-5")),
        (RetryAfter::Text("99999999999".to_owned()), Some("99999999999")),
        (
            RetryAfter::Text("Wed, 21 Oct 2026 07:28:00 GMT".to_owned()),
            Some("Wed, 21 Oct 2026 07:28:00 GMT"),
        ),
    ] {
        sim.set_faults(Faults { throttle: Trigger::next(1), retry_after, ..Faults::default() });
        let reply = get(&sim, "/api/lists").await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (429, header));
        assert_eq!(reply.header("ratelimit-limit"), None);
    }
}
