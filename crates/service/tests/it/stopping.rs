//! How a server stops.

use std::time::Duration;

use futures::StreamExt as _;
use segue_service::grpc::Limits;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::echo::{client, count, say, start};

const SOON: Duration = Duration::from_secs(5);

fn patient() -> Limits {
    Limits {
        linger: Duration::from_mins(10),
        request: Duration::from_mins(10),
        ..Limits::default()
    }
}

#[tokio::test]
async fn soft_stop_lets_a_call_finish_and_takes_no_new_connection() {
    let server = start(patient(), |it| it).await;
    let first = client(&server);
    let waiting = tokio::spawn({
        let first = first.clone();
        async move { say(&first, "wait").await }
    });
    server.echo.waiting.notified().await;
    server.drain.soft.cancel();
    // Until the listener is closed a new connection may still succeed.
    let refused = async { while say(&client(&server), "hello").await.is_ok() {} };
    tokio::time::timeout(SOON, refused).await.unwrap();
    assert!(!server.served.is_finished(), "it did not wait for the call");
    server.echo.go_on.notify_one();
    assert_eq!(waiting.await.unwrap().unwrap(), "wait");
    tokio::time::timeout(SOON, server.served).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn hard_stop_ends_a_server_whose_call_does_not_end() {
    let server = start(patient(), |it| it).await;
    let client = client(&server);
    let waiting = tokio::spawn(async move { say(&client, "wait").await });
    server.echo.waiting.notified().await;
    server.drain.hard.cancel();
    tokio::time::timeout(SOON, server.served).await.unwrap().unwrap().unwrap();
    waiting.abort();
}

#[tokio::test]
async fn endless_stream_is_told_to_ask_again_and_does_not_hold_up_the_stop() {
    let limits = Limits { linger: Duration::from_millis(200), ..patient() };
    let server = start(limits, |it| it).await;
    let client = client(&server);
    let mut messages = count(&client, "forever").await.unwrap();
    assert_eq!(messages.next().await.unwrap().unwrap(), "0");
    let finite = count(&client, "3").await.unwrap();
    server.drain.soft.cancel();
    let finite: Vec<_> = finite.collect().await;
    assert_eq!(finite.len(), 3, "{finite:?}");
    assert!(finite.iter().all(Result::is_ok), "{finite:?}");
    let end = tokio::time::timeout(SOON, messages.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    tokio::time::timeout(SOON, server.served).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn watcher_of_health_hears_of_the_stop() {
    let limits = Limits { linger: Duration::from_secs(1), ..patient() };
    let server = start(limits, |it| it).await;
    let mut health = HealthClient::new(client(&server));
    let request = HealthCheckRequest { service: "test.v1.Echo".to_owned() };
    let mut watched = health.watch(request).await.unwrap().into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status().as_str_name(), "SERVING");
    server.drain.soft.cancel();
    let next = tokio::time::timeout(SOON, watched.next()).await.unwrap();
    assert_eq!(next.unwrap().unwrap().status().as_str_name(), "NOT_SERVING");
}
