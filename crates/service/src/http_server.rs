//! `/metrics`, `/healthz`, `/readyz`.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Checks, Drain, Recorder};

const UPKEEP: Duration = Duration::from_secs(10);

/// Tells how the service is. It answers until the process ends, so that a drain can be watched.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
}

#[derive(Clone)]
struct Shared {
    recorder: Recorder,
    checks: Checks,
    stopping: CancellationToken,
}

impl HttpServer {
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// # Errors
    /// The listener has none.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `drain.hard`. Between `soft` and `hard` the service is alive but not ready.
    ///
    /// # Errors
    /// The listener is broken.
    pub async fn serve(self, recorder: Recorder, checks: Checks, drain: Drain) -> io::Result<()> {
        let shared = Shared { recorder: recorder.clone(), checks, stopping: drain.soft };
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .with_state(shared);
        let upkeep = async move {
            let mut ticks = tokio::time::interval(UPKEEP);
            loop {
                ticks.tick().await;
                recorder.upkeep();
            }
        };
        tokio::select! {
            result = axum::serve(self.listener, router) => result,
            () = upkeep => Ok(()),
            () = drain.hard.cancelled() => Ok(()),
        }
    }
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, shared.recorder.render())
}

async fn ready(State(shared): State<Shared>) -> (StatusCode, String) {
    if shared.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    let failing = shared.checks.failing().await;
    if failing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines = failing.into_iter().map(|(name, words)| format!("{name}: {words}\n"));
    (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
}
