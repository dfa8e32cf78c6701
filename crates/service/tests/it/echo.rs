//! A service to be called, written by hand, and a way to call it.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use http::uri::PathAndQuery;
use segue_service::{
    Drain, Recorder,
    grpc::{Client, Limits, ServeError, Server, Target},
    trace,
};
use tokio::{sync::Notify, task::JoinHandle};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    server::{NamedService, ServerStreamingService, UnaryService},
};
use tonic_prost::ProstCodec;
use url::Url;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Codec = ProstCodec<String, String>;

/// `Say` answers what it was told, `Count` as many messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Echo {
    /// A call that was told to `wait` has begun.
    pub(crate) waiting: Arc<Notify>,
    /// It may go on.
    pub(crate) go_on: Arc<Notify>,
}

impl NamedService for Echo {
    const NAME: &'static str = "test.v1.Echo";
}

impl tower_service::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Codec::default());
            Ok(match request.uri().path() {
                "/test.v1.Echo/Say" => grpc.unary(Say(echo), request).await,
                "/test.v1.Echo/Count" => grpc.server_streaming(Count, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Say(Echo);

impl UnaryService<String> for Say {
    type Response = String;
    type Future = Boxed<Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let Echo { waiting, go_on } = self.0.clone();
        Box::pin(async move {
            let told = request.into_inner();
            match told.as_str() {
                "wait" => {
                    waiting.notify_one();
                    go_on.notified().await;
                }
                "missing" => return Err(Status::not_found("nothing here")),
                "panic" => panic!("told to"),
                "trace" => {
                    return Ok(Response::new(trace::current_traceparent().unwrap_or_default()));
                }
                _ => {}
            }
            Ok(Response::new(told))
        })
    }
}

struct Count;

impl ServerStreamingService<String> for Count {
    type Response = String;
    type ResponseStream = BoxStream<'static, Result<String, Status>>;
    type Future = Boxed<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let messages = match request.into_inner().parse::<usize>() {
            Ok(number) => stream::iter(0..number).then(slowly).boxed(),
            Err(_) => stream::iter(0..1).then(slowly).chain(stream::pending()).boxed(),
        };
        Box::pin(std::future::ready(Ok(Response::new(messages))))
    }
}

async fn slowly(number: usize) -> Result<String, Status> {
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(number.to_string())
}

pub(crate) fn client(server: &Running) -> Client {
    Client::new(Target::new(&server.url)).unwrap()
}

pub(crate) async fn say(client: &Client, text: &str) -> Result<String, Status> {
    call(client, "/test.v1.Echo/Say", text).await
}

pub(crate) async fn call(
    client: &Client,
    path: &'static str,
    text: &str,
) -> Result<String, Status> {
    let mut grpc = tonic::client::Grpc::new(client.clone());
    grpc.ready().await.map_err(|err| Status::from_error(Box::new(err)))?;
    let path = PathAndQuery::from_static(path);
    let answer = grpc.unary(Request::new(text.to_owned()), path, Codec::default()).await?;
    Ok(answer.into_inner())
}

pub(crate) async fn count(client: &Client, text: &str) -> Result<Streaming<String>, Status> {
    let mut grpc = tonic::client::Grpc::new(client.clone());
    grpc.ready().await.map_err(|err| Status::from_error(Box::new(err)))?;
    let path = PathAndQuery::from_static("/test.v1.Echo/Count");
    let request = Request::new(text.to_owned());
    Ok(grpc.server_streaming(request, path, Codec::default()).await?.into_inner())
}

pub(crate) struct Running {
    pub(crate) url: Url,
    pub(crate) echo: Echo,
    pub(crate) drain: Drain,
    pub(crate) served: JoinHandle<Result<(), ServeError>>,
}

pub(crate) async fn bind() -> Server {
    Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// A server with an echo, set up as wanted.
pub(crate) async fn start(limits: Limits, with: impl FnOnce(Server) -> Server) -> Running {
    recorder();
    let echo = Echo::default();
    let server = with(bind().await.add(echo.clone()).limits(limits));
    let url = format!("http://{}", server.local_addr().unwrap()).parse().unwrap();
    let drain = Drain::new();
    let running = tokio::spawn(server.serve(drain.clone()));
    Running { url, echo, drain, served: running }
}

/// The one of this process.
pub(crate) fn recorder() -> Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| Recorder::install("segue-test", "0.0.0").unwrap()).clone()
}
