use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, server::NamedService, service::Routes, transport::server::TcpIncoming};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower_service::Service;

use super::{
    Gate, Identity, Token,
    call::{CallLayer, Shared},
};
use crate::Drain;

/// A connection that says nothing is asked whether it is still there, and dropped if it does not answer.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many bytes the headers of a call may have.
const MAX_HEADERS: u32 = 16 << 10;

pub(crate) const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// What a server puts up with. A message that comes in may have 4 MiB, which is what generated services allow
/// by themselves.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Calls that are answered at a time, over all connections; streams count until they begin. More are
    /// refused with `RESOURCE_EXHAUSTED`.
    pub calls: usize,
    /// Calls and streams at a time on one connection. More wait.
    pub streams: u32,
    /// How long a call may take, if its caller allows that long; for a stream, until it begins.
    pub request: Duration,
    /// How long streams go on after a soft stop. Then they end with `UNAVAILABLE`.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 4096,
            streams: 1024,
            request: Duration::from_secs(30),
            linger: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot describe the services for reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
    #[error("the certificate and the key do not make a TLS identity")]
    Tls(#[source] tonic::transport::Error),
    #[error("the listener failed")]
    Transport(#[source] tonic::transport::Error),
}

/// Says whether a server's services are well: `grpc.health.v1`.
#[derive(Debug, Clone)]
pub struct Health {
    reporter: HealthReporter,
    services: Vec<&'static str>,
}

impl Health {
    /// All services of the server, and the server as a whole.
    pub async fn set(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status("", status).await;
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

/// A listener with services on it, and with health, traces, metrics and limits around them.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    routes: Routes,
    health: Health,
    reporter: HealthReporter,
    tls: Option<Identity>,
    token: Option<Token>,
    gate: Option<Arc<dyn Gate>>,
    limits: Limits,
    untraced: Vec<&'static str>,
    descriptors: Option<&'static [u8]>,
}

impl Server {
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ServeError::Listen { address, source })?;
        let (reporter, health) = tonic_health::server::health_reporter();
        Ok(Self {
            listener,
            routes: Routes::new(health),
            health: Health { reporter: reporter.clone(), services: Vec::new() },
            reporter,
            tls: None,
            token: None,
            gate: None,
            limits: Limits::default(),
            untraced: Vec::new(),
            descriptors: None,
        })
    }

    /// # Errors
    /// The listener has none.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// One more service on this listener.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "it adds a service to a server, and is no sum"
    )]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.health.services.push(S::NAME);
        self
    }

    /// Tells clients what the services look like; `descriptors` is an encoded `FileDescriptorSet`.
    ///
    /// # Errors
    /// It is none.
    pub fn reflect(mut self, descriptors: &'static [u8]) -> Result<Self, ServeError> {
        reflection(descriptors, &[]).build_v1().map_err(ServeError::Reflection)?;
        self.descriptors = Some(descriptors);
        Ok(self)
    }

    #[must_use]
    pub fn tls(mut self, identity: Option<Identity>) -> Self {
        self.tls = identity;
        self
    }

    /// Every call needs it, but for `grpc.health.v1`.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Every call passes it first, but for `grpc.health.v1`.
    #[must_use]
    pub fn gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gate = Some(gate);
        self
    }

    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Calls that come all the time, and whose spans would only fill the collector: `/package.Service/Method`.
    #[must_use]
    pub fn untraced(mut self, paths: &[&'static str]) -> Self {
        self.untraced.extend(paths);
        self
    }

    /// To say that services are not well; from the start they are.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves until `drain.soft`, then finishes what is under way, until `drain.hard` at most.
    ///
    /// # Errors
    /// TLS or the listener is broken.
    pub async fn serve(self, drain: Drain) -> Result<(), ServeError> {
        let mut builder = tonic::transport::Server::builder()
            .max_concurrent_streams(self.limits.streams)
            .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
            .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
            .http2_max_header_list_size(MAX_HEADERS);
        if let Some(identity) = self.tls {
            let config = identity.config.timeout(HANDSHAKE);
            builder = builder.tls_config(config).map_err(ServeError::Tls)?;
        }
        let health = Health { reporter: self.reporter, services: self.health.services.clone() };
        health.set(true).await;
        let mut services = self.health.services;
        let mut routes = self.routes;
        services.push(HEALTH);
        if let Some(descriptors) = self.descriptors {
            // Only what is served here, though the descriptors may know more.
            let v1 = reflection(descriptors, &services).build_v1();
            let v1alpha = reflection(descriptors, &services).build_v1alpha();
            routes = routes.add_service(v1.map_err(ServeError::Reflection)?);
            routes = routes.add_service(v1alpha.map_err(ServeError::Reflection)?);
            services.extend(REFLECTION);
        }
        let cut = CancellationToken::new();
        let linger = self.limits.linger;
        let shared = Shared {
            room: Semaphore::new(self.limits.calls),
            limits: self.limits,
            token: self.token,
            gate: self.gate,
            services,
            untraced: self.untraced,
            cut: cut.clone(),
        };
        let incoming = TcpIncoming::from(self.listener)
            .with_nodelay(Some(true))
            .with_keepalive(Some(KEEPALIVE_EVERY));
        let soft = drain.soft.clone();
        let serving = builder
            .layer(CallLayer(Arc::new(shared)))
            .add_routes(routes.prepare())
            .serve_with_incoming_shutdown(incoming, soft.cancelled_owned());
        let ending = async {
            drain.soft.cancelled().await;
            health.set(false).await;
            tokio::time::sleep(linger).await;
            cut.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            served = serving => served.map_err(ServeError::Transport),
            () = ending => Ok(()),
            () = drain.hard.cancelled() => Ok(()),
        }
    }
}

fn reflection(
    descriptors: &'static [u8],
    services: &[&str],
) -> tonic_reflection::server::Builder<'static> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(descriptors)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    services.iter().copied().fold(builder, tonic_reflection::server::Builder::with_service_name)
}
