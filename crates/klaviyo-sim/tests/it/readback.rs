//! What the simulator tells about itself.

use std::sync::{Arc, Mutex};

use klaviyo_sim::{Config, Endpoint, Exchange, Simulator};
use serde_json::{Value, json};

use crate::client::{JOBS, emails, get, import, import_of, post, start, unlimited};

#[tokio::test]
async fn state_counts_profiles_members_requests_and_imports() {
    let sim = start(unlimited()).await;
    import(&sim, &emails(&["a@example.com", "importfail@example.com"])).await;
    let state = get(&sim, "/__state").await.json();
    assert_eq!(state["accounts"]["SIMULA"]["profiles"], 1);
    assert_eq!(state["accounts"]["SIMULA"]["members"]["LIST01"], 1);
    assert_eq!(state["requests"]["import"]["202"], 1);
    assert_eq!(state["throttled"], 0);
    let import = &state["accounts"]["SIMULA"]["imports"][0];
    assert_eq!((&import["profiles"], &import["failed"]), (&json!(2), &json!(1)));
    assert_eq!(import["lists"], json!(["LIST01"]));
    assert_eq!(sim.state().requests_to(Endpoint::Import), 1);
}

#[tokio::test]
async fn members_are_streamed_one_a_line() {
    let sim = start(unlimited()).await;
    let people: Vec<Value> =
        (0..9_000).map(|n| json!({"email": format!("p{n}@example.com")})).collect();
    import(&sim, &people).await;
    let reply = get(&sim, "/__members?list=LIST01").await;
    let lines: Vec<String> = reply
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 9_000);
    assert_eq!(lines, sim.members("LIST01"));
    assert_eq!(get(&sim, "/__members?list=NOBODY").await.status, 404);
}

#[tokio::test]
async fn profile_is_shown_with_its_lists() {
    let sim = start(unlimited()).await;
    import(&sim, &[json!({"email": "a@example.com", "location": {"city": "Aarhus"}})]).await;
    let person = get(&sim, "/__profile?email=a%40example.com").await.json();
    assert_eq!(person["lists"], json!(["LIST01"]));
    assert_eq!(person["attributes"]["location"]["city"], "Aarhus");
    assert_eq!(get(&sim, "/__profile?email=no%40example.com").await.status, 404);
}

#[tokio::test]
async fn forgotten_payloads_leave_identifiers_and_membership() {
    let sim = start(Config { forget_payloads: true, ..unlimited() }).await;
    let ann = json!({"email": "a@example.com", "phone_number": "+12025550123", "title": "Dr"});
    import(&sim, &[ann, json!({"external_id": "c-1"})]).await;
    assert_eq!(sim.members("LIST01"), ["a@example.com", "c-1"]);
    let attributes = sim.profile("a@example.com").unwrap()["attributes"].clone();
    assert_eq!(attributes["phone_number"], "+12025550123");
    assert_eq!(attributes["title"], Value::Null);
}

#[tokio::test]
async fn request_log_holds_neither_queries_nor_keys() {
    let sim = start(unlimited()).await;
    get(&sim, "/api/profiles?filter=equals(email,%22a%40example.com%22)").await;
    let log = get(&sim, "/__requests").await;
    let entry = &log.json()[0];
    assert_eq!((&entry["path"], &entry["endpoint"]), (&"/api/profiles".into(), &"profiles".into()));
    let text = String::from_utf8(log.body.to_vec()).unwrap();
    assert!(!text.contains("example.com") && !text.contains("pk_sim"));
}

#[tokio::test]
async fn observer_sees_everything_but_the_key() {
    let seen: Arc<Mutex<Vec<Exchange>>> = Arc::default();
    let sink = Arc::clone(&seen);
    let observer = Arc::new(move |exchange: &Exchange| sink.lock().unwrap().push(exchange.clone()));
    let sim = start(Config { observer: Some(observer), ..unlimited() }).await;
    let body = import_of(&emails(&["a@example.com"]), &["LIST01"]);
    let reply = post(&sim, &format!("{JOBS}?x=1"), &body).await;
    let exchange = seen.lock().unwrap().pop().unwrap();
    assert_eq!(exchange.endpoint, Some(Endpoint::Import));
    assert_eq!(exchange.target, format!("{JOBS}?x=1"));
    assert_eq!(exchange.headers["authorization"], "Klaviyo-API-Key ***");
    assert_eq!(exchange.body, body.to_string());
    assert_eq!((exchange.status, &exchange.response_body), (reply.status, &reply.body));
    assert_eq!(exchange.response_headers["cid"], "SIMULA");
    assert!(!format!("{exchange:?}").contains("example.com"));
}

#[tokio::test]
async fn stopped_simulator_refuses_connections() {
    let sim = start(unlimited()).await;
    let address = sim.address();
    get(&sim, "/api/lists").await;
    Simulator::stop(sim).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
