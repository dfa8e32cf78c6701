//! A scripted server at the level of bytes: it can break off where no HTTP library would.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use url::Url;

use segue_klaviyo::{ApiKey, Client, Config};

/// What to do with one request. Without a step left, the connection is closed.
pub(crate) enum Step {
    /// Read the whole request, then write these bytes.
    Reply(String),
    /// Read the whole request, write these bytes, close.
    ReplyAndClose(String),
    /// Read so many bytes of the body, write these bytes, then read the rest.
    ReplyEarly(usize, String),
    /// Read so many bytes of the body, then reset the connection.
    ResetWithin(usize),
    /// Read the whole request, then reset the connection.
    Reset,
    /// Read the whole request, then do nothing.
    Hang,
    /// Read the head, then nothing until [`Server::resume`]; then all there is, until the client
    /// closes.
    PauseAfterHead,
}

/// A request as it was on the wire, as far as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn content_length(&self) -> usize {
        self.header("content-length").map_or(0, |value| value.parse().unwrap())
    }
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Step>>,
    received: Mutex<Vec<Received>>,
    connections: Mutex<usize>,
    /// A request was recorded, whole or not.
    recorded: Notify,
    head_seen: Notify,
    resume: Notify,
}

pub(crate) struct Server {
    pub(crate) url: Url,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let state = Arc::new(State {
            script: Mutex::new(script.into_iter().collect()),
            ..State::default()
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state)));
        Self { url, state, _tasks: tasks }
    }

    pub(crate) async fn replying(reply: impl Into<String>) -> Self {
        Self::start([Step::Reply(reply.into())]).await
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&Config::for_base_url(self.url.clone())).unwrap()
    }

    pub(crate) fn add(&self, step: Step) {
        self.state.script.lock().unwrap().push_back(step);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    pub(crate) fn only_request(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "one call is one request");
        received.into_iter().next().unwrap()
    }

    /// Waits until the server is done with its first request, which may have ended early.
    pub(crate) async fn first_recorded(&self) -> Received {
        loop {
            let recorded = self.state.recorded.notified();
            if let Some(first) = self.received().into_iter().next() {
                return first;
            }
            recorded.await;
        }
    }

    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.lock().unwrap()
    }

    pub(crate) async fn head_seen(&self) {
        self.state.head_seen.notified().await;
    }

    pub(crate) fn resume(&self) {
        self.state.resume.notify_one();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        *state.connections.lock().unwrap() += 1;
        connections.spawn(serve(stream, Arc::clone(&state)));
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    while let Some(mut request) = read_head(&mut stream).await {
        let Some(step) = state.script.lock().unwrap().pop_front() else { return };
        state.head_seen.notify_one();
        let length = request.content_length();
        let record = |request| {
            state.received.lock().unwrap().push(request);
            state.recorded.notify_waiters();
        };
        match step {
            Step::Reply(reply) => {
                read_body(&mut stream, &mut request.body, length).await;
                record(request);
                if stream.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
            }
            Step::ReplyAndClose(reply) => {
                read_body(&mut stream, &mut request.body, length).await;
                record(request);
                stream.write_all(reply.as_bytes()).await.unwrap();
                return;
            }
            Step::ReplyEarly(first, reply) => {
                read_body(&mut stream, &mut request.body, first).await;
                stream.write_all(reply.as_bytes()).await.unwrap();
                read_body(&mut stream, &mut request.body, length).await;
                record(request);
                return;
            }
            Step::ResetWithin(first) => {
                read_body(&mut stream, &mut request.body, first).await;
                record(request);
                return stream.set_zero_linger().unwrap();
            }
            Step::Reset => {
                read_body(&mut stream, &mut request.body, length).await;
                record(request);
                return stream.set_zero_linger().unwrap();
            }
            Step::Hang => {
                read_body(&mut stream, &mut request.body, length).await;
                record(request);
                return std::future::pending().await;
            }
            Step::PauseAfterHead => {
                state.resume.notified().await;
                read_body(&mut stream, &mut request.body, usize::MAX).await;
                record(request);
                return;
            }
        }
    }
}

/// `None` at the end of the connection. What came after the head is the begin of the body.
async fn read_head(stream: &mut TcpStream) -> Option<Received> {
    let mut head = Vec::new();
    loop {
        let byte = stream.read_u8().await.ok()?;
        head.push(byte);
        if head.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8(head).unwrap();
            return Some(Received { head, body: Vec::new() });
        }
    }
}

/// Until there are `length` bytes or the client is gone.
async fn read_body(stream: &mut TcpStream, body: &mut Vec<u8>, length: usize) {
    let mut buffer = vec![0; 64 * 1024];
    while body.len() < length {
        let want = buffer.len().min(length - body.len());
        match stream.read(&mut buffer[..want]).await {
            Ok(0) | Err(_) => return,
            Ok(got) => body.extend_from_slice(&buffer[..got]),
        }
    }
}

/// A whole answer. `headers` are lines without their ends.
pub(crate) fn answer(status: u16, headers: &[&str], body: &str) -> String {
    let length = format!("Content-Length: {}", body.len());
    let status = format!("HTTP/1.1 {status} Whatever");
    let lines = [&[status.as_str()], headers, &[length.as_str()]].concat();
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

pub(crate) const JSON: &str = "Content-Type: application/vnd.api+json";
pub(crate) const HTML: &str = "Content-Type: text/html; charset=UTF-8";

pub(crate) fn json(status: u16, body: &str) -> String {
    answer(status, &[JSON], body)
}

/// An error answer with one error, whose fields are given as JSON members.
pub(crate) fn error(status: u16, members: &str) -> String {
    json(status, &format!(r#"{{"errors":[{{"id":"r-1","status":{status},{members}}}]}}"#))
}

pub(crate) const KEY: &str = "pk_0123456789abcdef";

pub(crate) fn key() -> ApiKey {
    KEY.into()
}

pub(crate) const JOB: &str = r#"{"data":{"type":"profile-bulk-import-job","id":"am9i","attributes":{
    "status":"queued","created_at":"2026-11-24T22:00:00+00:00","total_count":2,
    "completed_count":0,"failed_count":null},"links":{"self":"https://a.klaviyo.com/x"}}}"#;

pub(crate) const LIST: &str = r#"{"data":{"type":"list","id":"Y6nRLr","attributes":{
    "name":"Newsletter","opt_in_process":"single_opt_in"},"links":{"self":"x"}}}"#;
