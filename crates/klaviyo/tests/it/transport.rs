//! Connections that fail, break off, hang or are stopped.

use std::{
    error::Error as _,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use segue_klaviyo::{
    Ambiguity, CallError, Client, Config, GuardStop, NotSentAt, PIECE_BYTES, Unguarded,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::server::{JOB, LIST, Server, Step, answer, error, json, key};

const STOP: GuardStop = GuardStop { reason: "the lease is lost" };

fn body(bytes: usize) -> segue_klaviyo::ImportBody {
    Bytes::from(vec![b'x'; bytes]).into()
}

/// More than the buffers of two sockets hold, so that a sender must wait for its reader.
const HUGE: usize = 64 * 1024 * 1024;

fn list_id() -> segue_klaviyo::ListId {
    "Y6nRLr".parse().unwrap()
}

fn assert_not_sent(err: &CallError, expected: NotSentAt) {
    assert!(matches!(err, CallError::NotSent { at, .. } if *at == expected), "{err:?}");
    assert!(!err.may_have_been_applied());
}

#[tokio::test]
async fn refused_connection_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let client = Client::new(&Config::for_base_url(url)).unwrap();
    let err = client.import(&key(), body(9), Unguarded).await.unwrap_err();
    assert_not_sent(&err, NotSentAt::Connect);
    assert_eq!(err.to_string(), "the request was not sent: no connection");
    // What the connection says, down to the words of the operating system.
    let transport = err.source().unwrap();
    assert!(!transport.to_string().is_empty());
    assert!(format!("{transport:?}").contains("Connect"), "{transport:?}");
    let mut innermost = transport;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let refused = innermost.downcast_ref::<io::Error>().map(io::Error::kind);
    assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused), "{innermost:?}");
}

#[tokio::test]
async fn unknown_name_is_not_sent() {
    let url = "http://klaviyo.invalid".parse().unwrap();
    let config = Config { allow_plaintext: true, ..Config::for_base_url(url) };
    let client = Client::new(&config).unwrap();
    let err = client.import(&key(), body(9), Unguarded).await.unwrap_err();
    assert_not_sent(&err, NotSentAt::Connect);
}

#[tokio::test]
async fn failed_tls_handshake_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // All that the client sends: a record of the handshake, and then an alert.
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let client = Client::new(&Config::for_base_url(url)).unwrap();
    let key = key();
    let (result, heard) = tokio::join!(client.import(&key, body(9), Unguarded), plain);
    assert_not_sent(&result.unwrap_err(), NotSentAt::Connect);
    assert_eq!(heard.first(), Some(&0x16), "a TLS handshake");
    assert!(!heard.windows(3).any(|bytes| bytes == b"pk_"));
}

#[tokio::test]
async fn reset_within_the_body_was_certainly_not_applied() {
    let server = Server::start([Step::ResetWithin(3 * PIECE_BYTES)]).await;
    let err = server.client().import(&key(), body(HUGE), Unguarded).await.unwrap_err();
    assert_not_sent(&err, NotSentAt::Body);
    assert!(err.to_string().ends_with("the connection ended within the body"), "{err}");
}

#[tokio::test]
async fn reset_after_the_whole_body_is_ambiguous() {
    let server = Server::start([Step::Reset]).await;
    let err = server.client().import(&key(), body(200_000), Unguarded).await.unwrap_err();
    assert!(matches!(err, CallError::Ambiguous(Ambiguity::Broken(_))), "{err:?}");
    assert!(err.may_have_been_applied());
    assert_eq!(server.only_request().body.len(), 200_000);
}

#[tokio::test]
async fn silence_after_the_whole_body_is_ambiguous_at_the_deadline() {
    let server = Server::start([Step::Hang]).await;
    let client = server.client().within(Duration::from_millis(200));
    let err = client.import(&key(), body(9), Unguarded).await.unwrap_err();
    assert!(matches!(err, CallError::Ambiguous(Ambiguity::TimedOut)), "{err:?}");
}

#[tokio::test]
async fn deadline_within_the_body_was_certainly_not_applied() {
    let server = Server::start([Step::PauseAfterHead]).await;
    let client = server.client().within(Duration::from_millis(200));
    let err = client.import(&key(), body(HUGE), Unguarded).await.unwrap_err();
    assert_not_sent(&err, NotSentAt::Body);
    server.resume();
    let request = server.first_recorded().await;
    assert!(request.body.len() < request.content_length(), "the server could take it for whole");
}

#[tokio::test]
async fn deadline_counts_the_answer_too() {
    let half = format!("HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\n\r\n{{", JOB.len());
    let server = Server::start([Step::Reply(half)]).await;
    let client = server.client().within(Duration::from_millis(200));
    let err = client.import(&key(), body(9), Unguarded).await.unwrap_err();
    assert!(matches!(err, CallError::Ambiguous(Ambiguity::TimedOut)), "{err:?}");
}

#[tokio::test]
async fn guard_is_asked_once_before_each_piece() {
    let server = Server::replying(json(202, JOB)).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let guard = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    server.client().import(&key(), body(10 * PIECE_BYTES + 1), guard).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 11);
}

#[tokio::test]
async fn stop_before_the_first_piece_sends_no_body() {
    let server = Server::start([Step::Hang]).await;
    let err = server.client().import(&key(), body(9), || Err(STOP)).await.unwrap_err();
    assert!(matches!(err, CallError::Stopped(stop) if stop == STOP), "{err:?}");
    let received = server.received();
    assert!(received.iter().all(|request| request.body.is_empty()), "{received:?}");
}

#[tokio::test]
async fn stop_between_pieces_ends_the_request_before_its_end() {
    let server = Server::start([Step::Hang]).await;
    let mut left = 3;
    let guard = move || {
        left -= 1;
        if left < 0 { Err(STOP) } else { Ok(()) }
    };
    let err = server.client().import(&key(), body(4 * PIECE_BYTES), guard).await.unwrap_err();
    assert!(matches!(err, CallError::Stopped(stop) if stop == STOP), "{err:?}");
    assert!(!err.may_have_been_applied());
    let request = server.first_recorded().await;
    assert!(request.body.len() <= 3 * PIECE_BYTES, "{}", request.body.len());
    assert_eq!(request.content_length(), 4 * PIECE_BYTES);
}

#[tokio::test]
async fn sender_that_loses_its_lease_while_it_waits_does_not_finish() {
    let server = Server::start([Step::PauseAfterHead]).await;
    let lost = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&lost);
    let guard = move || if seen.load(Ordering::Relaxed) { Err(STOP) } else { Ok(()) };
    let client = server.client();
    let call =
        tokio::spawn(async move { client.import(&key(), body(HUGE), guard).await.unwrap_err() });
    server.head_seen().await;
    lost.store(true, Ordering::Relaxed);
    server.resume();
    let err = call.await.unwrap();
    assert!(matches!(err, CallError::Stopped(stop) if stop == STOP), "{err:?}");
    let request = server.first_recorded().await;
    assert!(request.body.len() < request.content_length());
}

#[tokio::test]
async fn answer_that_comes_before_the_end_of_the_body_counts() {
    let reply = error(413, r#""code":"too_large""#);
    let server = Server::start([Step::ReplyEarly(PIECE_BYTES, reply)]).await;
    let err = server.client().import(&key(), body(HUGE), Unguarded).await.unwrap_err();
    assert!(matches!(err, CallError::TooLarge), "{err:?}");
}

#[tokio::test]
async fn redirect_is_not_followed_and_the_key_does_not_go_along() {
    let elsewhere = Server::replying(json(202, JOB)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}", elsewhere.url);
        let server = Server::replying(answer(status, &[&location], "")).await;
        let err = server.client().import(&key(), body(9), Unguarded).await.unwrap_err();
        assert!(matches!(err, CallError::Redirected { status: told } if told == status), "{err:?}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn failed_call_is_not_repeated_by_the_client() {
    let steps = [Step::Reset, Step::Reply(json(200, LIST))];
    let server = Server::start(steps).await;
    let err = server.client().list(&key(), &list_id()).await.unwrap_err();
    assert!(matches!(err, CallError::Ambiguous(_)), "{err:?}");
    server.only_request();
}

#[tokio::test]
async fn connection_is_kept_between_calls() {
    let server = Server::start((0..3).map(|_| Step::Reply(json(202, JOB)))).await;
    let client = server.client();
    for _ in 0..3 {
        client.import(&key(), body(100_000), Unguarded).await.unwrap();
    }
    assert_eq!((server.received().len(), server.connections()), (3, 1));
}
