//! Every endpoint of the simulator, driven once and held to the file.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use http::{Method, StatusCode};
use klaviyo_sim::{
    AccountConfig, Completion, Config, Endpoint, Exchange, Faults, FlowConfig, KeyConfig,
    Simulator, Trigger,
};
use serde_json::{Value, json};

use super::Contract;
use crate::http::{request, send};

type Recorded = Arc<Mutex<Vec<Exchange>>>;

struct Driver {
    sim: Simulator,
    recorded: Recorded,
}

impl Driver {
    async fn start(config: Config) -> Self {
        let recorded = Recorded::default();
        let sink = Arc::clone(&recorded);
        let observer = move |exchange: &Exchange| sink.lock().unwrap().push(exchange.clone());
        let sim = Simulator::start(Config { observer: Some(Arc::new(observer)), ..config });
        Self { sim: sim.await.unwrap(), recorded }
    }

    async fn call(&self, method: Method, target: &str, body: Option<Value>) -> Value {
        let response = send(&self.sim, request(method, target, body.as_ref())).await;
        serde_json::from_slice(response.body()).unwrap_or_default()
    }

    async fn get(&self, target: &str) -> Value {
        self.call(Method::GET, target, None).await
    }

    async fn post(&self, target: &str, body: Value) -> Value {
        self.call(Method::POST, target, Some(body)).await
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.recorded.lock().unwrap().clone()
    }
}

fn config() -> Config {
    let flow = FlowConfig {
        id: "FLOW01".to_owned(),
        name: "Welcome".to_owned(),
        status: "live".to_owned(),
        archived: false,
        list: "LIST01".to_owned(),
    };
    let account = AccountConfig {
        flows: vec![flow],
        keys: vec![
            KeyConfig::all_scopes("pk_sim"),
            KeyConfig::with_scopes("pk_poor", &["lists:read"]),
        ],
        ..AccountConfig::default()
    };
    let completion = Completion::Immediate;
    Config { accounts: vec![account], completion, no_limits: true, ..Config::default() }
}

fn profile(attributes: &Value) -> Value {
    json!({"data": {"type": "profile", "attributes": attributes}})
}

fn import(emails: &[&str]) -> Value {
    let profile = |email: &&str| {
        json!({"type": "profile", "attributes": {
            "email": email, "first_name": "Ann", "location": {"city": "Aarhus", "latitude": 56.2},
            "properties": {"ltv": 12.5, "tags": ["a"]}},
            "meta": {"patch_properties": {"append": {"tags": "b"}, "unset": ["old"]}}})
    };
    let profiles: Vec<Value> = emails.iter().map(profile).collect();
    json!({"data": {"type": "profile-bulk-import-job",
        "attributes": {"profiles": {"data": profiles}},
        "relationships": {"lists": {"data": [{"type": "list", "id": "LIST01"}]}}}})
}

async fn drive_lists(driver: &Driver) {
    let new = json!({"data": {"type": "list", "attributes": {"name": "New"}}});
    let made = driver.post("/api/lists", new).await;
    let id = made["data"]["id"].as_str().unwrap();
    let path = format!("/api/lists/{id}");
    let change = json!({"data": {"type": "list", "id": id, "attributes": {"name": "Renamed"}}});
    driver.call(Method::PATCH, &path, Some(change)).await;
    driver.get(&format!("{path}?additional-fields[list]=profile_count")).await;
    driver.call(Method::DELETE, &path, None).await;
    driver.get("/api/lists?page[size]=1&sort=-name&fields[list]=name").await;
    driver.get("/api/lists?filter=equals(name,%22Segue%20demo%22)").await;
    driver.get("/api/lists/LIST01?include=flow-triggers").await;
    driver.get("/api/lists/LIST01/flow-triggers").await;
}

async fn drive_imports(driver: &Driver) {
    let jobs = "/api/profile-bulk-import-jobs";
    let body = import(&["a@example.com", "b@example.com", "importfail@example.com"]);
    let made = driver.post(jobs, body).await;
    let job = format!("{jobs}/{}", made["data"]["id"].as_str().unwrap());
    let status = "filter=any(status,[%22queued%22,%22complete%22])";
    driver.get(&format!("{jobs}?{status}&page[size]=100&sort=-created_at")).await;
    driver.get(&format!("{job}?include=lists")).await;
    driver.get(&format!("{job}?fields[profile-bulk-import-job]=status")).await;
    for part in ["import-errors?page[size]=100", "profiles?page[size]=1", "relationships/profiles"]
    {
        driver.get(&format!("{job}/{part}")).await;
    }
    for part in ["lists", "relationships/lists"] {
        driver.get(&format!("{job}/{part}")).await;
    }
}

async fn drive_people(driver: &Driver) {
    let person = json!({"email": "c@example.com", "properties": {"x": 1}});
    driver.post("/api/profiles", profile(&person)).await;
    driver.post("/api/profile-import", profile(&json!({"email": "c@example.com"}))).await;
    let made = driver.post("/api/profile-import", profile(&json!({"external_id": "c-1"}))).await;
    let id = made["data"]["id"].as_str().unwrap();
    let mut change = profile(&json!({"title": "Dr"}));
    change["data"]["id"] = id.into();
    driver.call(Method::PATCH, &format!("/api/profiles/{id}"), Some(change)).await;
    driver.get(&format!("/api/profiles/{id}?include=lists")).await;
    driver.get("/api/profiles?filter=any(email,[%22a@example.com%22])&fields[profile]=email").await;
    driver.get("/api/profiles?additional-fields[profile]=subscriptions&page[size]=2").await;
    let members = "/api/lists/LIST01/relationships/profiles";
    let ids = json!({"data": [{"type": "profile", "id": id}]});
    driver.post(members, ids.clone()).await;
    driver.get(&format!("{members}?page[size]=1")).await;
    driver.get("/api/lists/LIST01/profiles?sort=-joined_group_at").await;
    driver.call(Method::DELETE, members, Some(ids)).await;
}

async fn drive_consent(driver: &Driver) {
    let job = |kind: &str, profile: &Value| json!({"data": {"type": kind, "attributes": {"profiles": {"data": [profile]}}}});
    let consent = |consent: &str| {
        json!({"type": "profile", "attributes": {"email": "a@example.com",
            "subscriptions": {"email": {"marketing": {"consent": consent}}}}})
    };
    let plain = json!({"type": "profile", "attributes": {"email": "a@example.com"}});
    for (kind, person) in [
        ("profile-subscription-bulk-create-job", &consent("SUBSCRIBED")),
        ("profile-subscription-bulk-delete-job", &consent("UNSUBSCRIBED")),
        ("profile-suppression-bulk-create-job", &plain),
        ("profile-suppression-bulk-delete-job", &plain),
    ] {
        driver.post(&format!("/api/{kind}s"), job(kind, person)).await;
    }
    let erase = json!({"data": {"type": "data-privacy-deletion-job",
        "attributes": {"profile": {"data": plain}}}});
    driver.post("/api/data-privacy-deletion-jobs", erase).await;
    let merge = json!({"data": {"type": "profile-merge", "id": "01X",
        "relationships": {"profiles": {"data": [{"type": "profile", "id": "01Y"}]}}}});
    driver.post("/api/profile-merge", merge).await;
}

#[tokio::test]
async fn every_endpoint_keeps_the_contract() {
    let Some(contract) = Contract::load() else { return };
    let driver = Driver::start(config()).await;
    for path in ["/api/accounts?fields[account]=locale", "/api/accounts", "/api/accounts/SIMULA"] {
        driver.get(path).await;
    }
    drive_lists(&driver).await;
    drive_imports(&driver).await;
    drive_people(&driver).await;
    drive_consent(&driver).await;

    let exchanges = driver.exchanges();
    let served = exchanges.iter().filter(|exchange| exchange.status.is_success());
    let served: BTreeSet<Endpoint> = served.filter_map(|exchange| exchange.endpoint).collect();
    let all: BTreeSet<Endpoint> = Endpoint::ALL.iter().copied().collect();
    assert_eq!(served, all, "an endpoint was never answered with success");
    let violations: Vec<String> =
        exchanges.iter().flat_map(|exchange| contract.check(exchange)).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[tokio::test]
async fn every_kind_of_refusal_keeps_the_contract() {
    let Some(contract) = Contract::load() else { return };
    let driver = Driver::start(Config { no_limits: false, ..config() }).await;
    let jobs = "/api/profile-bulk-import-jobs";
    driver.post(jobs, import(&["x!@example.com"])).await;
    driver.get("/api/lists/NOBODY").await;
    driver.get("/api/lists?page[size]=99").await;
    for _ in 0..2 {
        driver.post("/api/profiles", profile(&json!({"email": "a@example.com"}))).await;
        driver.get("/api/accounts").await;
    }
    for (header, value) in [
        ("authorization", "Klaviyo-API-Key pk_none"),
        ("authorization", "Klaviyo-API-Key pk_poor"),
        ("content-type", "text/plain"),
        ("revision", "2020-01-01"),
    ] {
        let mut bad = request(Method::POST, jobs, Some(&import(&["a@example.com"])));
        bad.headers_mut().insert(header, value.parse().unwrap());
        send(&driver.sim, bad).await;
    }
    let mut large = import(&["a@example.com"]);
    large["x"] = "x".repeat(5_000_000).into();
    driver.post(jobs, large).await;
    driver.sim.set_faults(Faults { fail: Trigger::next(10), ..Faults::default() });
    for _ in 0..10 {
        driver.get("/api/lists").await;
    }

    let exchanges = driver.exchanges();
    let statuses: BTreeSet<u16> = exchanges.iter().map(|it| it.status.as_u16()).collect();
    for status in [400, 401, 403, 404, 409, 410, 413, 415, 429] {
        assert!(statuses.contains(&status), "nothing was answered with {status}");
    }
    let violations: Vec<String> =
        exchanges.iter().flat_map(|exchange| contract.check_answer(exchange)).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[tokio::test]
async fn damaged_exchange_breaks_the_contract() {
    let Some(contract) = Contract::load() else { return };
    let driver = Driver::start(config()).await;
    driver.post("/api/profile-bulk-import-jobs", import(&["a@example.com"])).await;
    let good = driver.exchanges().remove(0);
    assert_eq!(contract.check(&good), [""; 0]);

    let body = |from: &str, to: &str| Exchange {
        body: String::from_utf8(good.body.to_vec()).unwrap().replace(from, to).into(),
        ..good.clone()
    };
    let target = |target: &str| Exchange { target: target.to_owned(), ..good.clone() };
    let answer = String::from_utf8(good.response_body.to_vec()).unwrap();
    let header = |name: &'static str| {
        let mut bad = good.clone();
        bad.headers.remove(name);
        bad
    };
    let damaged = [
        ("misspelled attribute", body("first_name", "firstname")),
        ("wrong type", body("\"Ann\"", "5")),
        ("wrong resource", body("\"profile\"", "\"person\"")),
        ("no body", Exchange { body: "".into(), ..good.clone() }),
        ("undocumented path", target("/api/profile-bulk-imports")),
        ("undocumented parameter", target("/api/profile-bulk-import-jobs?page[size]=10")),
        ("no revision", header("revision")),
        ("no key", header("authorization")),
        ("undocumented status", Exchange { status: StatusCode::OK, ..good.clone() }),
        (
            "unknown status of a job",
            Exchange { response_body: answer.replace("queued", "done").into(), ..good.clone() },
        ),
        (
            "missing count",
            Exchange {
                response_body: answer.replace("total_count", "total").into(),
                ..good.clone()
            },
        ),
    ];
    for (what, exchange) in damaged {
        assert!(!contract.check(&exchange).is_empty(), "{what} went unnoticed");
    }
}
