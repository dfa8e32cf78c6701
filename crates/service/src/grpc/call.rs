//! What surrounds each call: token or gate, room, deadline, trace, metrics.

use std::{
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures::FutureExt as _;
use http::{HeaderMap, Request, Response};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};
use tower_service::Service;
use tracing::{Instrument as _, Span, field};

use super::{
    DURATION, Gate, IN_FLIGHT, Limits, REQUESTS, Token, body::Watched, deadline, server::HEALTH,
};
use crate::trace;

/// For what does not exist: names from outside must not become labels.
const UNKNOWN: &str = "unknown";

/// What the calls of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    /// Calls that are being answered, streams not counted once they have begun.
    pub(crate) room: Semaphore,
    pub(crate) token: Option<Token>,
    pub(crate) gate: Option<Arc<dyn Gate>>,
    /// The services that exist.
    pub(crate) services: Vec<&'static str>,
    /// Paths of calls that come too often to be traced each.
    pub(crate) untraced: Vec<&'static str>,
    pub(crate) cut: CancellationToken,
}

#[derive(Debug, Clone)]
pub(crate) struct CallLayer(pub(crate) Arc<Shared>);

impl<S> tower_layer::Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { inner, shared: Arc::clone(&self.0) }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct CallService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request<Body>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let mut call = Call::begin(&shared, &request);
        let span = call.span.clone();
        if let Some(token) = &shared.token
            && !call.is_health
            && !token.is_in(request.headers())
        {
            let words =
                "this listener is for workers, who say `authorization: Bearer <worker token>`";
            let answer = call.refuse(Status::unauthenticated(words));
            return Box::pin(std::future::ready(Ok(answer)));
        }
        let limit = deadline::limit(request.headers(), shared.limits.request);
        // The one that is ready is the one that is called; its clone has to become ready first.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let gate = shared.gate.clone().filter(|_| !call.is_health);
        let answer = AssertUnwindSafe(answer(inner, request, gate)).catch_unwind();
        let answered = async move {
            let room = if call.is_health { None } else { shared.room.try_acquire().ok() };
            if room.is_none() && !call.is_health {
                let words = "too many calls at a time: ask again in a moment";
                return Ok(call.refuse(Status::resource_exhausted(words)));
            }
            let answer = match tokio::time::timeout(limit, answer).await {
                Ok(Ok(Ok(answer))) => answer,
                Ok(Ok(Err(refused))) => return Ok(call.refuse(refused)),
                Ok(Err(_panic)) => {
                    tracing::error!(rpc.service = call.service, rpc.method = %call.method, "call panicked");
                    return Ok(
                        call.refuse(Status::internal("this call failed inside of the service"))
                    );
                }
                Err(_elapsed) => {
                    return Ok(
                        call.refuse(Status::deadline_exceeded("the time for this call is over"))
                    );
                }
            };
            let (parts, body) = answer.into_parts();
            if let Some(status) = Status::from_header_map(&parts.headers) {
                call.ended(status.code());
            }
            let body = Watched::new(body, call, shared.cut.clone());
            Ok(Response::from_parts(parts, Body::new(body)))
        };
        Box::pin(answered.instrument(span))
    }
}

async fn answer<S>(
    mut inner: S,
    request: Request<Body>,
    gate: Option<Arc<dyn Gate>>,
) -> Result<Response<Body>, Status>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let (mut parts, body) = request.into_parts();
    if let Some(gate) = gate {
        gate.admit(parts.uri.path(), &parts.headers, &mut parts.extensions).await?;
    }
    match inner.call(Request::from_parts(parts, body)).await {
        Ok(answer) => Ok(answer),
        Err(never) => match never {},
    }
}

/// One call, from its first byte to the last of its answer. Recorded when it is dropped; a call that nobody
/// ended was cut by the client.
pub(crate) struct Call {
    service: &'static str,
    method: String,
    is_health: bool,
    begun: Instant,
    span: Span,
    code: Option<Code>,
}

impl Call {
    fn begin(shared: &Shared, request: &Request<Body>) -> Self {
        let path = request.uri().path();
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
        let service = shared.services.iter().copied().find(|it| *it == service);
        let is_health = service == Some(HEALTH);
        let span = match service {
            Some(service) if !is_health && !shared.untraced.contains(&path) => {
                span(service, method, request.headers())
            }
            _ => Span::none(),
        };
        metrics::gauge!(IN_FLIGHT).increment(1.0);
        Self {
            service: service.unwrap_or(UNKNOWN),
            method: method.to_owned(),
            is_health,
            begun: Instant::now(),
            span,
            code: None,
        }
    }

    /// The first word counts: what comes after the end is the client going away.
    pub(crate) fn ended(&mut self, code: Code) {
        self.code.get_or_insert(code);
    }

    fn refuse(&mut self, status: Status) -> Response<Body> {
        self.ended(status.code());
        status.into_http()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        // Where there is no such method, its name is whatever somebody made up.
        let known = self.service != UNKNOWN && code != Code::Unimplemented;
        let method = if known { std::mem::take(&mut self.method) } else { UNKNOWN.to_owned() };
        let name = name(code);
        let fault = matches!(code, Code::Unknown | Code::Internal | Code::DataLoss);
        self.span.record("rpc.grpc.status_code", code as i64);
        if fault {
            self.span.record("otel.status_code", "ERROR");
            let _entered = self.span.enter();
            tracing::warn!(rpc.service = self.service, rpc.method = %method, rpc.code = name, "call failed");
        }
        metrics::gauge!(IN_FLIGHT).decrement(1.0);
        let labels = [("service", self.service.to_owned()), ("method", method)];
        metrics::histogram!(DURATION, &labels).record(self.begun.elapsed().as_secs_f64());
        let [service, method] = labels;
        metrics::counter!(REQUESTS, &[service, method, ("code", name.to_owned())]).increment(1);
    }
}

fn span(service: &'static str, method: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        "rpc.serve",
        otel.name = format_args!("{service}/{method}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = field::Empty,
    );
    if let Some(parent) = headers.get(trace::TRACEPARENT).and_then(|it| it.to_str().ok()) {
        trace::set_parent(&span, parent);
    }
    span
}

/// As gRPC writes it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Never;

    impl Service<Request<Body>> for Never {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::future::Pending<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            std::future::pending()
        }
    }

    #[tokio::test]
    async fn call_ends_with_the_deadline_of_its_caller() {
        let shared = Shared {
            limits: Limits { request: std::time::Duration::from_mins(10), ..Limits::default() },
            room: Semaphore::new(1),
            token: None,
            gate: None,
            services: vec!["test.v1.Never"],
            untraced: Vec::new(),
            cut: CancellationToken::new(),
        };
        let mut service = CallService { inner: Never, shared: Arc::new(shared) };
        let request = Request::builder().uri("/test.v1.Never/Say").header("grpc-timeout", "50m");
        let answer = service.call(request.body(Body::empty()).unwrap());
        let soon = std::time::Duration::from_secs(10);
        let answer = tokio::time::timeout(soon, answer).await.unwrap().unwrap();
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(service.shared.room.available_permits(), 1, "it still takes up room");
    }
}
