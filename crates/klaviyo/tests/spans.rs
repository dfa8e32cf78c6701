//! What the client traces. A binary of its own: `tracing` remembers for the whole process who is interested
//! in a span, so a test beside it that traces nothing could have the spans switched off.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail tests by panicking")]

#[expect(dead_code, reason = "the other tests use the rest of it")]
#[path = "it/server.rs"]
mod server;

use std::{
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use segue_klaviyo::Unguarded;
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

use crate::server::{KEY, LIST, Server, Step, answer, error, json, key};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that is traced on this thread from now on, spans with all their fields included.
fn capture() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn span_names_the_call_and_holds_no_key_and_no_address() {
    let (log, _guard) = capture();
    let refusal = error(400, r#""code":"invalid","detail":"ann@example.com is not valid""#);
    let server = Server::start([
        Step::Reply(answer(200, &["X-Klaviyo-Req-Id: r-77"], r#"{"data":[]}"#)),
        Step::Reply(json(200, LIST)),
        Step::Reply(refusal),
        Step::Reset,
    ])
    .await;
    let client = server.client();
    client.profiles_by_email(&key(), &["ann@example.com"]).await.unwrap();
    client.create_list(&key(), "Käufer").await.unwrap();
    let body = Bytes::from_static(br#"{"email":"ann@example.com","phone_number":"+12025550123"}"#);
    client.import(&key(), body.clone().into(), Unguarded).await.unwrap_err();
    client.import(&key(), body.into(), Unguarded).await.unwrap_err();
    let text = log.text();
    for told in [
        "klaviyo.call",
        r#"klaviyo.endpoint="profiles""#,
        r#"klaviyo.outcome="ok""#,
        r#"klaviyo.request_id="r-77""#,
        r#"klaviyo.outcome="refused""#,
        r#"klaviyo.outcome="ambiguous""#,
        "http.response.status_code=400",
        "duration_ms=",
    ] {
        assert!(text.contains(told), "{told} is not in {text}");
    }
    for secret in [KEY, "ann@", "example.com", "Käufer", "2025550123"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}
