//! One request over one connection: a client without opinions.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use klaviyo_sim::Simulator;
use serde_json::Value;
use tokio::net::TcpStream;

pub(crate) fn request(method: Method, target: &str, body: Option<&Value>) -> Request<Bytes> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "klaviyo.example.com")
        .header("authorization", "Klaviyo-API-Key pk_sim")
        .header("revision", "2026-07-15");
    if body.is_some() {
        request = request.header("content-type", "application/vnd.api+json");
    }
    request.body(body.map(Value::to_string).unwrap_or_default().into()).unwrap()
}

pub(crate) async fn send(sim: &Simulator, request: Request<Bytes>) -> Response<Bytes> {
    let socket = TcpStream::connect(sim.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request.map(Full::new)).await.unwrap();
    let (head, body) = response.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}
