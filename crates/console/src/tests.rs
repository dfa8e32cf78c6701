//! The console as HTTP shows it, with services that are not there.

use std::sync::Arc;

use axum::{Router, body::Body};
use http::{
    HeaderMap, Request, StatusCode,
    header::{CONTENT_SECURITY_POLICY, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE},
};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use secrecy::SecretString;
use segue_service::grpc::{Client, Target};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;
use url::Url;

use crate::{
    cookies::Cookies,
    seal::Sealer,
    server::{App, router},
    services::Services,
    session::{Csrf, Session},
};

const HERE: &str = "segue.example";

struct Browser {
    router: Router,
    app: Arc<App>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Browser {
    fn new() -> Self {
        // Nobody listens on port 1.
        let url = Url::parse("http://127.0.0.1:1").unwrap();
        let client = Client::new(Target::new(&url)).unwrap();
        let app = Arc::new(App {
            services: Services::new(client.clone(), client),
            sealer: Sealer::new(None).unwrap(),
            cookies: Cookies::new("0.0.0.0:7405".parse().unwrap()),
            stop: CancellationToken::new(),
        });
        Self { router: router(Arc::clone(&app)), app }
    }

    async fn ask(&mut self, request: Request<Body>) -> Answer {
        let response = self.router.call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&mut self, place: &str) -> Answer {
        self.ask(Request::get(place).header(HOST, HERE).body(Body::empty()).unwrap()).await
    }

    async fn post(&mut self, place: &str, cookie: &str, form: String) -> Answer {
        let request = Request::post(place).header(HOST, HERE).header(COOKIE, cookie);
        let request = request.header(ORIGIN, format!("https://{HERE}"));
        self.ask(request.body(Body::from(form)).unwrap()).await
    }

    /// The cookie of somebody who is signed in, and what their forms hold.
    fn signed_in(&self) -> (String, Csrf) {
        let csrf = Csrf::new();
        let session = Session { token: SecretString::from("segue_a_b"), csrf: csrf.clone() };
        let sealed = session.seal(&self.app.sealer, Timestamp::now()).unwrap();
        (format!("__Host-segue={sealed}"), csrf)
    }
}

#[tokio::test]
async fn every_answer_is_protected_whatever_it_is() {
    let mut browser = Browser::new();
    for place in ["/sign-in", "/", "/exports", "/no/such/page", "/assets/console.css", "/assets/no"]
    {
        let answer = browser.get(place).await;
        let policy = answer.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{place}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{place}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{place}");
        assert_eq!(answer.headers["referrer-policy"], "same-origin", "{place}");
        let kept = answer.headers["cache-control"].to_str().unwrap();
        let is_asset = place == "/assets/console.css";
        assert_eq!(kept, if is_asset { "no-cache" } else { "no-store" }, "{place}");
    }
    let page = browser.get("/sign-in").await.body;
    let (_, address) = page.split_once("rel=\"stylesheet\" href=\"").unwrap();
    let (address, _) = address.split_once('"').unwrap();
    let answer = browser.get(address).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.headers["cache-control"].to_str().unwrap().contains("immutable"));
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_asked_to_and_comes_back() {
    let mut browser = Browser::new();
    let answer = browser.get("/runs?state=failed").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.headers[LOCATION], "/sign-in?next=%2Fruns%3Fstate%3Dfailed");
    let page = browser.get("/sign-in?next=%2Fruns%3Fstate%3Dfailed").await;
    assert!(page.body.contains("name=\"next\" value=\"/runs?state=failed\""), "{}", page.body);
    let page = browser.get("/sign-in?next=https%3A%2F%2Fevil.example").await;
    assert!(!page.body.contains("evil"), "{}", page.body);
}

#[tokio::test]
async fn whoever_comes_by_a_link_elsewhere_comes_again_from_here() {
    let mut browser = Browser::new();
    let from_elsewhere = |place: &str| {
        let request = Request::get(place).header(HOST, HERE).header("sec-fetch-site", "cross-site");
        request.body(Body::empty()).unwrap()
    };
    let answer = browser.ask(from_elsewhere("/runs/run_1")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.contains("content=\"0; url=/runs/run_1\""), "{}", answer.body);
    let answer = browser.ask(from_elsewhere("//evil.example/")).await;
    assert!(!answer.body.contains("evil"), "{}", answer.body);
}

#[tokio::test]
async fn form_needs_the_sign_in_the_page_and_the_origin() {
    let mut browser = Browser::new();
    let (cookie, csrf) = browser.signed_in();
    let form = || format!("csrf={}", csrf.as_str());
    // All is well; that nobody answers comes later.
    let answer = browser.post("/exports/exp_1/run", &cookie, form()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
    let stale = format!("csrf={}", Csrf::new().as_str());
    for form in [stale, "csrf=".to_owned(), String::new()] {
        let answer = browser.post("/exports/exp_1/run", &cookie, form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.body.contains("out of date"), "{}", answer.body);
    }
    let answer = browser.post("/exports/exp_1/run", "a=b", form()).await;
    assert_eq!(answer.headers[LOCATION], "/sign-in");
    let foreign = Request::post("/exports/exp_1/run").header(HOST, HERE).header(COOKIE, &cookie);
    let foreign = foreign.header(ORIGIN, "https://evil.example").body(Body::from(form())).unwrap();
    let answer = browser.ask(foreign).await;
    assert!(answer.status == StatusCode::FORBIDDEN && answer.body.contains("another page"));
    let large = format!("{}&segments={}", form(), "x".repeat(300 << 10));
    let answer = browser.post("/exports/new", &cookie, large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn sign_in_takes_a_form_of_its_own_page_only_and_keeps_no_token_that_it_cannot_show() {
    let mut browser = Browser::new();
    let page = browser.get("/sign-in").await;
    let cookie = page.headers[SET_COOKIE].to_str().unwrap();
    for part in ["__Host-segue-visitor=", "; HttpOnly", "; SameSite=Strict", "; Secure"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let (cookie, _) = cookie.split_once(';').unwrap();
    let (_, csrf) = page.body.split_once("name=\"csrf\" value=\"").unwrap();
    let (csrf, _) = csrf.split_once('"').unwrap();
    let answer = browser.post("/sign-in", "a=b", format!("csrf={csrf}&token=segue_a_b")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let long = "x".repeat(2801);
    for (token, words) in [
        ("", "Paste a token"),
        (&*long, "2801 characters"),
        ("a%0Ab", "no token has"),
        ("segue_a_b", "cannot reach"),
    ] {
        let answer = browser.post("/sign-in", cookie, format!("csrf={csrf}&token={token}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{token}");
        assert!(answer.body.contains(words), "{token}: {}", answer.body);
        assert!(token.is_empty() || !answer.body.contains(token), "the token is on the page");
        let set = answer.headers.get_all(SET_COOKIE).into_iter();
        assert!(
            set.into_iter().all(|it| it.to_str().unwrap().starts_with("__Host-segue-visitor="))
        );
    }
}

#[tokio::test]
async fn signing_out_removes_the_sign_in() {
    let mut browser = Browser::new();
    let (cookie, csrf) = browser.signed_in();
    let answer = browser.post("/sign-out", &cookie, format!("csrf={}", csrf.as_str())).await;
    assert_eq!(answer.headers[LOCATION], "/sign-in?out=1");
    let set = answer.headers[SET_COOKIE].to_str().unwrap();
    assert!(set.starts_with("__Host-segue=; Path=/; Max-Age=0;"), "{set}");
}
