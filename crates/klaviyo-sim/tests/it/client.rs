//! A client that knows nothing of Klaviyo: one connection, one request, one answer.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use klaviyo_sim::{Config, Simulator, State};
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub(crate) const KEY: &str = "Klaviyo-API-Key pk_sim";
pub(crate) const REVISION: &str = "2026-07-15";
pub(crate) const JOBS: &str = "/api/profile-bulk-import-jobs";

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The member of the first error.
    pub(crate) fn error(&self, member: &str) -> Value {
        self.json()["errors"][0][member].clone()
    }

    pub(crate) fn pointers(&self) -> Vec<String> {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        let pointer = |error: &Value| error["source"]["pointer"].as_str().unwrap().to_owned();
        errors.iter().map(pointer).collect()
    }

    /// `data[].id`
    pub(crate) fn ids(&self) -> Vec<String> {
        let data = self.json()["data"].as_array().cloned().unwrap_or_default();
        data.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) async fn start(config: Config) -> Simulator {
    Simulator::start(config).await.unwrap()
}

/// Without limits: for tests that ask more than they allow.
pub(crate) fn unlimited() -> Config {
    Config { no_limits: true, ..Config::default() }
}

pub(crate) async fn send(sim: &Simulator, request: Request<Bytes>) -> hyper::Result<Reply> {
    let socket = TcpStream::connect(sim.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request.map(Full::new)).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Reply { status: head.status, headers: head.headers, body })
}

pub(crate) fn request(method: Method, target: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("host", "klaviyo.example.com")
        .header("authorization", KEY)
        .header("revision", REVISION)
        .header("content-type", "application/vnd.api+json")
        .body(body.into())
        .unwrap()
}

pub(crate) async fn get(sim: &Simulator, target: &str) -> Reply {
    send(sim, request(Method::GET, target, "")).await.unwrap()
}

pub(crate) async fn post(sim: &Simulator, target: &str, body: &Value) -> Reply {
    send(sim, request(Method::POST, target, body.to_string())).await.unwrap()
}

pub(crate) async fn call(sim: &Simulator, method: Method, target: &str, body: &Value) -> Reply {
    send(sim, request(method, target, body.to_string())).await.unwrap()
}

/// A request without one of its headers, or with another value for it.
pub(crate) async fn get_with(
    sim: &Simulator,
    target: &str,
    header: &'static str,
    value: Option<&str>,
) -> Reply {
    let mut request = request(Method::GET, target, "");
    request.headers_mut().remove(header);
    if let Some(value) = value {
        request.headers_mut().insert(header, value.parse().unwrap());
    }
    send(sim, request).await.unwrap()
}

/// The body of an import into `lists`.
pub(crate) fn import_of(attributes: &[Value], lists: &[&str]) -> Value {
    let profile = |attributes: &Value| json!({"type": "profile", "attributes": attributes});
    let profiles: Vec<Value> = attributes.iter().map(profile).collect();
    let list = |id: &&str| json!({"type": "list", "id": id});
    let lists: Vec<Value> = lists.iter().map(list).collect();
    json!({"data": {
        "type": "profile-bulk-import-job",
        "attributes": {"profiles": {"data": profiles}},
        "relationships": {"lists": {"data": lists}},
    }})
}

pub(crate) fn emails(addresses: &[&str]) -> Vec<Value> {
    addresses.iter().map(|email| json!({"email": email})).collect()
}

/// Posts an import into `LIST01` and waits until it is complete. Returns the job's attributes.
pub(crate) async fn import(sim: &Simulator, attributes: &[Value]) -> (String, Value) {
    let accepted = post(sim, JOBS, &import_of(attributes, &["LIST01"])).await;
    assert_eq!(accepted.status, 202, "{:?}", accepted.body);
    let id = accepted.json()["data"]["id"].as_str().unwrap().to_owned();
    (id.clone(), complete(sim, &id).await)
}

pub(crate) async fn complete(sim: &Simulator, job: &str) -> Value {
    get(sim, &format!("{JOBS}/{job}")).await; // lets the job complete
    until(sim, |state| {
        state.imports().any(|import| import.job == job && import.status == "complete")
    })
    .await;
    get(sim, &format!("{JOBS}/{job}")).await.json()["data"]["attributes"].clone()
}

/// Waits for a state, and fails instead of waiting for ever.
pub(crate) async fn until(sim: &Simulator, wanted: impl FnMut(&State) -> bool) -> State {
    let within = std::time::Duration::from_secs(10);
    tokio::time::timeout(within, sim.until(wanted)).await.expect("the state never came")
}

/// A filter, escaped for a URL.
pub(crate) fn filter(expression: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair("filter", expression).finish()
}
