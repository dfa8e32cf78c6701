//! A real server on the loopback interface.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, header::LOCATION};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use segue_access::oidc::{FetchError, KeysError, MAX_BODY_BYTES, Oidc};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    issuer::{at, claims, config, jwks},
    keys::TestKey,
};

const DISCOVERY: &str = "/.well-known/openid-configuration";

type Pages = BTreeMap<String, (u16, String)>;

/// Gives out pages, and `404` for those it does not have. Of a redirect the page is the address.
struct Server {
    url: String,
    pages: Arc<Mutex<Pages>>,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// An issuer with this key.
    async fn of(key: &TestKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (pages, asked) = (Arc::default(), Arc::default());
        let task = tokio::spawn(serve(listener, Arc::clone(&pages), Arc::clone(&asked)));
        let server = Self { url, pages, asked, task };
        let discovery = json!({"issuer": server.url, "jwks_uri": format!("{}/keys", server.url)});
        server.put(DISCOVERY, 200, discovery.to_string());
        server.put("/keys", 200, jwks(&[key]).to_string());
        server
    }

    fn put(&self, path: &str, status: u16, body: String) {
        self.pages.lock().unwrap().insert(path.to_owned(), (status, body));
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn trusted(&self) -> Oidc {
        Oidc::new(config(&self.url, &json!({}))).unwrap()
    }

    /// What is wrong with the keys.
    async fn problem(&self) -> Arc<KeysError> {
        self.trusted().check(at(0)).await.unwrap_err()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, pages: Arc<Mutex<Pages>>, asked: Arc<Mutex<Vec<String>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let answer = |request: Request<Incoming>| {
            let path = request.uri().path().to_owned();
            let page = pages.lock().unwrap().get(&path).cloned();
            asked.lock().unwrap().push(path);
            let (status, body) = page.unwrap_or((404, String::new()));
            let mut answer = Response::builder().status(status);
            if (300..400).contains(&status) {
                answer = answer.header(LOCATION, body.as_str());
            }
            let answer = answer.body(Full::new(Bytes::from(body))).unwrap();
            async move { Ok::<_, Infallible>(answer) }
        };
        // One at a time will do; a client that breaks off is part of these tests.
        drop(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await,
        );
    }
}

#[tokio::test]
async fn keys_of_a_real_server_let_its_tokens_in() {
    let key = TestKey::rsa("1");
    let server = Server::of(&key).await;
    let token = key.token(&claims(&json!({"iss": server.url})));
    let principal = server.trusted().verify(&token, at(0)).await.unwrap();
    assert_eq!(principal.subject.to_string(), format!("oidc:{}#248289761001", server.url));
    assert_eq!(server.asked(), [DISCOVERY, "/keys"]);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read() {
    let key = TestKey::p256("1");
    let server = Server::of(&key).await;
    let mut body = jwks(&[&key]).to_string();
    body += &" ".repeat(MAX_BODY_BYTES - body.len());
    server.put("/keys", 200, body.clone());
    server.trusted().check(at(0)).await.unwrap();
    server.put("/keys", 200, body + " ");
    let problem = server.problem().await;
    assert!(matches!(&*problem, KeysError::Jwks(FetchError::TooLong)), "{problem:?}");
    server.put(DISCOVERY, 200, " ".repeat(MAX_BODY_BYTES + 1));
    let problem = server.problem().await;
    assert!(matches!(&*problem, KeysError::Discovery(FetchError::TooLong)), "{problem:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let key = TestKey::p256("1");
    let server = Server::of(&key).await;
    server.put("/elsewhere", 200, jwks(&[&key]).to_string());
    for status in [301, 302, 307, 308] {
        server.put("/keys", status, format!("{}/elsewhere", server.url));
        let problem = server.problem().await;
        let KeysError::Jwks(FetchError::Redirected(seen)) = &*problem else {
            panic!("{problem:?}")
        };
        assert_eq!(*seen, status);
    }
    server.put(DISCOVERY, 302, format!("{}/elsewhere", server.url));
    let problem = server.problem().await;
    assert!(matches!(&*problem, KeysError::Discovery(FetchError::Redirected(302))), "{problem:?}");
    assert!(!server.asked().contains(&"/elsewhere".to_owned()));
}

#[tokio::test]
async fn only_a_200_counts() {
    let key = TestKey::p256("1");
    let server = Server::of(&key).await;
    for status in [201, 404, 500, 503] {
        server.put("/keys", status, jwks(&[&key]).to_string());
        let problem = server.problem().await;
        let KeysError::Jwks(FetchError::Status(seen)) = &*problem else { panic!("{problem:?}") };
        assert_eq!(*seen, status);
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_failed_connection() {
    let server = Server::of(&TestKey::p256("1")).await;
    let trusted = server.trusted();
    drop(server);
    tokio::task::yield_now().await;
    let problem = trusted.check(at(0)).await.unwrap_err();
    assert!(matches!(&*problem, KeysError::Discovery(FetchError::Connection(_))), "{problem:?}");
}

#[test]
fn an_issuer_elsewhere_must_speak_https() {
    let mut config = json!({"issuer": "https://id.example.com", "audience": "segue"});
    config["role_map"] = json!({"x": "viewer"});
    let read = |config: &serde_json::Value| {
        serde_json::from_value::<segue_access::oidc::OidcConfig>(config.clone())
    };
    assert!(Oidc::new(read(&config).unwrap()).is_ok());
    config["issuer"] = "http://id.example.com".into();
    assert!(read(&config).unwrap_err().to_string().contains("use https"));
}
