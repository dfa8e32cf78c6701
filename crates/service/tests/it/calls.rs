//! What surrounds a call.

use std::time::Duration;

use futures::StreamExt as _;
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};
use secrecy::SecretString;
use segue_service::grpc::{Client, Limits, Target, Token};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::echo::{bind, call, client, count, recorder, say, start};

fn token(text: &str) -> Token {
    Token::new(&SecretString::from(text)).unwrap()
}

/// Waits until the metrics have such a line.
async fn metric(start: &str) -> String {
    for _ in 0..1000 {
        let text = recorder().render();
        if let Some(line) = text.lines().find(|line| line.starts_with(start)) {
            return line.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no {start} in:\n{}", recorder().render());
}

#[tokio::test]
async fn calls_are_counted_by_code_and_timed() {
    let server = start(Limits::default(), |it| it).await;
    let client = client(&server);
    assert_eq!(say(&client, "hello").await.unwrap(), "hello");
    assert_eq!(say(&client, "missing").await.unwrap_err().code(), Code::NotFound);
    let labels = r#"service="test.v1.Echo",method="Say""#;
    metric(&format!("segue_grpc_requests_total{{{labels},code=\"OK\"}}")).await;
    metric(&format!("segue_grpc_requests_total{{{labels},code=\"NOT_FOUND\"}}")).await;
    metric(&format!("segue_grpc_request_duration_seconds_bucket{{{labels},le=\"0.5\"}}")).await;
    metric("# HELP segue_grpc_requests_total ").await;
}

#[tokio::test]
async fn names_that_callers_make_up_become_no_labels() {
    let server = start(Limits::default(), |it| it).await;
    let client = client(&server);
    for path in ["/test.v1.Echo/Invented", "/invented.Service/Say", "/invented"] {
        assert_eq!(call(&client, path, "").await.unwrap_err().code(), Code::Unimplemented);
    }
    metric(r#"segue_grpc_requests_total{service="unknown",method="unknown",code="UNIMPLEMENTED"}"#)
        .await;
    metric(r#"segue_grpc_requests_total{service="test.v1.Echo",method="unknown",code="UNIMPLEMENTED"}"#).await;
    assert!(!recorder().render().to_lowercase().contains("invented"));
}

#[tokio::test]
async fn stream_that_the_client_leaves_is_counted_as_cancelled() {
    let server = start(Limits::default(), |it| it).await;
    let client = client(&server);
    let mut messages = count(&client, "forever").await.unwrap();
    assert_eq!(messages.next().await.unwrap().unwrap(), "0");
    drop(messages);
    metric(r#"segue_grpc_requests_total{service="test.v1.Echo",method="Count",code="CANCELLED"}"#)
        .await;
}

#[tokio::test]
async fn call_without_the_token_is_refused_and_health_is_not() {
    let server = start(Limits::default(), |it| it.token(token("0123456789abcdef"))).await;
    let with = |token| Client::new(Target { token, ..Target::new(&server.url) }).unwrap();
    for (client, expected) in [
        (with(None), Err(Code::Unauthenticated)),
        (with(Some(token("0123456789abcdeX"))), Err(Code::Unauthenticated)),
        (with(Some(token("0123456789abcdef"))), Ok("hello".to_owned())),
    ] {
        assert_eq!(say(&client, "hello").await.map_err(|status| status.code()), expected);
    }
    let refused = count(&with(None), "1").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(!refused.message().contains("0123"), "{refused}");
    let mut health = HealthClient::new(with(None));
    health.check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn replica_that_is_gone_or_stands_still_is_left_for_the_next() {
    let (one, other) =
        (start(Limits::default(), |it| it).await, start(Limits::default(), |it| it).await);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = format!("http://{gone}").parse().unwrap();
    let others = [one.url.clone(), other.url.clone()];
    let client = Client::new(Target { replicas: &others, ..Target::new(&target) }).unwrap();
    assert_eq!(say(&client, "hello").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(say(&client, "hello").await.unwrap(), "hello");
    for standing_still in [&one, &other] {
        let asked = say(&client, "wait");
        let patient = Duration::from_millis(200);
        assert!(tokio::time::timeout(patient, asked).await.is_err(), "it was answered");
        let asked = standing_still.echo.waiting.notified();
        tokio::time::timeout(patient, asked).await.expect("another was asked");
    }
}

#[tokio::test]
async fn slow_call_ends_with_the_limit_and_a_stream_does_not() {
    let limits = Limits { request: Duration::from_millis(100), ..Limits::default() };
    let server = start(limits, |it| it).await;
    let client = client(&server);
    assert_eq!(say(&client, "wait").await.unwrap_err().code(), Code::DeadlineExceeded);
    let messages: Vec<_> = count(&client, "6").await.unwrap().collect().await;
    assert_eq!(messages.into_iter().map(Result::unwrap).collect::<String>(), "012345");
}

#[tokio::test]
async fn panic_in_a_call_is_its_answer_and_the_connection_goes_on() {
    let server = start(Limits::default(), |it| it).await;
    let client = client(&server);
    let mut messages = count(&client, "forever").await.unwrap();
    assert_eq!(messages.next().await.unwrap().unwrap(), "0");
    let status = say(&client, "panic").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("told to"), "{status}");
    assert_eq!(say(&client, "hello").await.unwrap(), "hello");
    let next = tokio::time::timeout(Duration::from_millis(50), messages.next()).await;
    assert!(next.is_err(), "the stream beside it ended");
}

#[tokio::test]
async fn more_calls_than_allowed_are_refused_and_health_is_not() {
    let server = start(Limits { calls: 1, ..Limits::default() }, |it| it).await;
    let client = client(&server);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { say(&client, "wait").await }
    });
    server.echo.waiting.notified().await;
    assert_eq!(say(&client, "hello").await.unwrap_err().code(), Code::ResourceExhausted);
    HealthClient::new(client.clone()).check(HealthCheckRequest::default()).await.unwrap();
    server.echo.go_on.notify_one();
    assert_eq!(waiting.await.unwrap().unwrap(), "wait");
    assert_eq!(say(&client, "hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn message_beyond_four_mebibytes_is_refused() {
    let server = start(Limits::default(), |it| it).await;
    let client = client(&server);
    let fits = "x".repeat((4 << 20) - 16);
    assert_eq!(say(&client, &fits).await.unwrap().len(), fits.len());
    let too_long = "x".repeat(4 << 20);
    assert_eq!(say(&client, &too_long).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn health_tells_what_the_service_says_of_itself() {
    let mut told = None;
    let server = start(Limits::default(), |it| {
        told = Some(it.health());
        it
    })
    .await;
    let mut client = HealthClient::new(client(&server));
    let mut check = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        client.check(request).await.map(|answer| answer.into_inner().status().as_str_name())
    };
    assert_eq!(check("").await.unwrap(), "SERVING");
    assert_eq!(check("test.v1.Echo").await.unwrap(), "SERVING");
    assert_eq!(check("nobody").await.unwrap_err().code(), Code::NotFound);
    told.unwrap().set(false).await;
    assert_eq!(check("").await.unwrap(), "NOT_SERVING");
    assert_eq!(check("test.v1.Echo").await.unwrap(), "NOT_SERVING");
}

fn descriptors() -> &'static [u8] {
    let service =
        |name: &str| ServiceDescriptorProto { name: Some(name.to_owned()), ..Default::default() };
    let file = FileDescriptorProto {
        name: Some("test/v1/echo.proto".to_owned()),
        package: Some("test.v1".to_owned()),
        service: vec![service("Echo"), service("Elsewhere")],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec().leak()
}

macro_rules! reflected {
    ($client:expr, $version:ident) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let request = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..Default::default()
        };
        let mut client = ServerReflectionClient::new($client);
        let asked = futures::stream::iter([request]);
        let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
        let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
        list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
    }};
}

#[tokio::test]
async fn reflection_tells_what_is_served_here_in_both_versions() {
    let server = start(Limits::default(), |it| it.reflect(descriptors()).unwrap()).await;
    for mut names in [reflected!(client(&server), v1), reflected!(client(&server), v1alpha)] {
        names.sort();
        assert_eq!(names, ["grpc.health.v1.Health", "test.v1.Echo"]);
    }
    assert!(bind().await.reflect(b"no descriptors").is_err());
}
