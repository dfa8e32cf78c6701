//! Connections and requests.

mod body;
mod connection;
mod gate;
mod receive;
mod respond;

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION, request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::body::SimBody;
use self::{
    connection::{ResetSwitch, ResettableStream},
    gate::Passage,
    respond::Reply,
};
use crate::{
    Endpoint,
    answer::Answer,
    context::Context,
    control,
    endpoint::{Route, route},
    error::Refusal,
    exchange::Exchange,
    faults::Fault,
    handlers,
    log::LoggedRequest,
    query::Query,
    shared::Shared,
    unknowns::ErrorBody,
};

/// Accepts connections until `stop`, then lets requests in flight finish.
pub(crate) async fn run(
    shared: Arc<Shared>,
    listener: TcpListener,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, _)) => {
                tasks.spawn(connection(Arc::clone(&shared), socket, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "connection could not be accepted");
                // Out of file descriptors, usually: no use in asking again at once.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn connection(shared: Arc<Shared>, socket: TcpStream, stop: CancellationToken) {
    socket.set_nodelay(true).ok();
    let (stream, switch) = ResettableStream::new(socket);
    let service = service_fn(|request| serve(Arc::clone(&shared), request, switch.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

async fn serve(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    switch: ResetSwitch,
) -> io::Result<Response<SimBody>> {
    let (head, body) = request.into_parts();
    if head.uri.path().starts_with("/__") {
        return control::answer(&shared, &head, body).await;
    }
    Call::new(shared, head).answer(body, &switch).await
}

/// One request to the API.
struct Call {
    shared: Arc<Shared>,
    head: request::Parts,
    at_ms: u64,
    target: String,
    request_id: String,
    endpoint: Option<Endpoint>,
    passage: Passage,
}

impl Call {
    fn new(shared: Arc<Shared>, head: request::Parts) -> Self {
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Self {
            at_ms: shared.clock.now(),
            request_id: shared.new_request_id(),
            passage: Passage::default(),
            endpoint: None,
            shared,
            head,
            target,
        }
    }

    async fn answer(
        mut self,
        body: Incoming,
        switch: &ResetSwitch,
    ) -> io::Result<Response<SimBody>> {
        let route = route(&self.head.method, self.head.uri.path());
        if let Route::To(endpoint, _) = &route {
            self.endpoint = Some(*endpoint);
        }
        let (fault, slow) = {
            let mut faults = self.shared.faults();
            if faults.concerns(self.head.headers.get(AUTHORIZATION)) {
                let fault = self.endpoint.map_or(Fault::None, |endpoint| faults.draw(endpoint));
                (fault, Duration::from_millis(faults.get().slow_ms))
            } else {
                (Fault::None, Duration::ZERO)
            }
        };
        let entered = self.enter(&route, &fault);
        if fault == Fault::Reset {
            receive::half(body).await.map_err(io::Error::other)?;
            let nothing = Reply::empty(StatusCode::OK);
            self.record(Bytes::new(), &nothing, true);
            return Err(reset(switch));
        }
        let limit = self.shared.config.unknowns.body_limit();
        let received = receive::all(body, limit).await.map_err(io::Error::other)?;
        let sent = received.bytes.clone();
        let result = match entered {
            Ok(entered) => self.carry_out(entered, received).await,
            Err(refusal) => Err(refusal),
        };
        let reply = self.reply(result, &fault);
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let cut = matches!(fault, Fault::Drop | Fault::Truncate);
        self.record(sent, &reply, cut);
        match fault {
            Fault::Drop => Err(reset(switch)),
            Fault::Truncate => Ok(reply.truncated()),
            _ => Ok(reply.whole()),
        }
    }

    /// Everything that can refuse the request before its body is looked at.
    fn enter(&mut self, route: &Route, fault: &Fault) -> Result<Entered, Refusal> {
        match fault {
            Fault::Challenge => return Err(Refusal::html(StatusCode::FORBIDDEN)),
            Fault::Unavailable => return Err(Refusal::html(StatusCode::SERVICE_UNAVAILABLE)),
            _ => {}
        }
        let (endpoint, id) = match route {
            Route::To(endpoint, id) => (*endpoint, id.clone()),
            Route::WrongMethod => return Err(Refusal::method_not_allowed(&self.head.method)),
            Route::Nowhere => {
                return Err(Refusal::not_found_because("The path could not be found."));
            }
        };
        let query = Query::parse(self.head.uri.query());
        let account = self.passage.enter(&self.shared, endpoint, &self.head.headers, &query)?;
        match fault {
            Fault::Fail { status, html } => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
                if *html {
                    return Err(Refusal::html(status));
                }
                return Err(Refusal::server_error(status));
            }
            Fault::Throttle(_) => return Err(Refusal::throttled_without_time()),
            _ => {}
        }
        Ok(Entered { endpoint, id, query, account })
    }

    async fn carry_out(
        &self,
        entered: Entered,
        received: receive::Received,
    ) -> Result<Answer, Refusal> {
        let Entered { endpoint, id, query, account } = entered;
        let unknowns = &self.shared.config.unknowns;
        let has_body =
            !matches!(endpoint.method(), http::Method::GET) && endpoint != Endpoint::DeleteList;
        let body = if has_body {
            receive::decode(received, &self.head.headers, unknowns).map_err(|refusal| {
                let html = unknowns.too_large_body == ErrorBody::Html
                    && refusal.status == StatusCode::PAYLOAD_TOO_LARGE;
                Refusal { html, ..refusal }
            })?
        } else {
            Bytes::new()
        };
        let context = Context {
            shared: Arc::clone(&self.shared),
            account,
            base: self.base(),
            target: self.target.clone(),
            id,
            query,
            body,
        };
        handlers::answer(endpoint, context).await
    }

    /// Links point to where the client found the simulator.
    fn base(&self) -> String {
        let host = self.head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        host.map_or_else(
            || format!("http://{}", self.shared.address),
            |host| format!("http://{host}"),
        )
    }

    fn reply(&self, result: Result<Answer, Refusal>, fault: &Fault) -> Reply {
        let mut reply = match result {
            Ok(answer) => Reply::of(answer),
            Err(refusal) => Reply::refusing(refusal, &self.request_id),
        };
        match fault {
            Fault::Challenge => reply.set_challenge(),
            Fault::Unavailable => {}
            _ => reply.set_headers(&self.request_id, &self.passage, fault),
        }
        reply
    }

    /// Tells the log and the observer.
    fn record(&self, sent: Bytes, reply: &Reply, cut: bool) {
        let account = self.passage.account.as_ref().map(|account| account.id.clone());
        self.shared.log().push(LoggedRequest {
            at_ms: self.at_ms,
            method: self.head.method.to_string(),
            path: self.head.uri.path().to_owned(),
            endpoint: self.endpoint,
            account,
            status: reply.status().as_u16(),
            cut,
        });
        if let Some(observer) = &self.shared.config.observer {
            observer(&Exchange {
                endpoint: self.endpoint,
                method: self.head.method.clone(),
                target: self.target.clone(),
                headers: respond::masked(&self.head.headers),
                body: sent,
                status: reply.status(),
                response_headers: reply.headers().clone(),
                response_body: reply.body(),
            });
        }
        self.shared.notify();
    }
}

struct Entered {
    endpoint: Endpoint,
    id: String,
    query: Query,
    account: Arc<crate::account::Account>,
}

fn reset(switch: &ResetSwitch) -> io::Error {
    switch.reset();
    io::ErrorKind::ConnectionReset.into()
}
