//! Calling others.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use tonic::{
    body::Body,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tower_service::Service;
use url::Url;

use super::{
    Token,
    tls::{TlsError, pem},
};
use crate::{config::is_loopback, trace};

const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);

/// Whom to call, and how.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    pub url: &'a Url,
    /// Who else serves the same, reached in the same way.
    pub replicas: &'a [Url],
    /// PEM of whom to trust. `None`: whom the system trusts.
    pub ca: Option<&'a std::path::Path>,
    /// Sent with every call.
    pub token: Option<Token>,
    pub connect_timeout: Duration,
}

impl<'a> Target<'a> {
    /// With what the system trusts, no token, and 5 s for a connection.
    pub fn new(url: &'a Url) -> Self {
        Self { url, replicas: &[], ca: None, token: None, connect_timeout: Duration::from_secs(5) }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "{url} leads to another machine without TLS, and the token would travel in the clear: use https"
    )]
    Plaintext { url: Url },
    #[error("cannot call {url}")]
    Endpoint { url: Url, source: tonic::transport::Error },
    #[error("cannot tell whom to trust")]
    Ca(#[from] TlsError),
}

/// Calls that say who asks and which trace they belong to. It connects when it is first used and again when the
/// connection was lost, and repeats nothing: a call that fails is the caller's.
///
/// Where several replicas serve the same, one of them gets all calls. Once a call was not answered, or its caller
/// did not wait for the answer, the next calls go to the next replica.
#[derive(Debug, Clone)]
pub struct Client {
    replicas: Vec<Channel>,
    /// Counts up; which replica that is, is the rest of the division by their number.
    preferred: Arc<AtomicUsize>,
    /// Which `preferred` the last `poll_ready` has asked.
    ready: usize,
    token: Option<Token>,
}

impl Client {
    /// Inside of a runtime.
    ///
    /// # Errors
    /// The target makes no sense. That it does not answer is no error yet.
    pub fn new(target: Target<'_>) -> Result<Self, ClientError> {
        let first = channel(target.url, &target)?;
        let others = target.replicas.iter().map(|url| channel(url, &target));
        let replicas = std::iter::once(Ok(first)).chain(others).collect::<Result<_, _>>()?;
        Ok(Self { replicas, preferred: Arc::default(), ready: 0, token: target.token })
    }

    /// The same connections for the calls of somebody else. What protects the token on its way was settled by
    /// whoever made this client: to a target without a token it may be `http`.
    #[must_use]
    pub fn with_token(&self, token: Token) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    /// The bare channel of the first replica, without token and trace.
    pub fn channel(&self) -> Channel {
        self.replicas[0].clone()
    }

    fn nth(&mut self, preferred: usize) -> &mut Channel {
        let replicas = self.replicas.len();
        &mut self.replicas[preferred % replicas]
    }
}

fn channel(url: &Url, target: &Target<'_>) -> Result<Channel, ClientError> {
    let Target { ca, token, connect_timeout, .. } = target;
    if token.is_some() && url.scheme() == "http" && !is_loopback(url) {
        return Err(ClientError::Plaintext { url: url.clone() });
    }
    let failed = |source| ClientError::Endpoint { url: url.clone(), source };
    let mut endpoint = Endpoint::from_shared(url.as_str().to_owned())
        .map_err(failed)?
        .user_agent(concat!("segue/", env!("CARGO_PKG_VERSION")))
        .map_err(failed)?
        .connect_timeout(*connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(KEEPALIVE_EVERY))
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_ANSWER);
    if url.scheme() == "https" {
        let config = match ca {
            Some(path) => {
                let ca = pem(path, "CERTIFICATE")?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&*ca))
            }
            None => ClientTlsConfig::new().with_native_roots(),
        };
        endpoint = endpoint.tls_config(config).map_err(failed)?;
    }
    Ok(endpoint.connect_lazy())
}

/// Moves on from a replica unless it has answered.
struct Unanswered {
    /// `None` once it has.
    preferred: Option<Arc<AtomicUsize>>,
    asked: usize,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let Some(preferred) = &self.preferred else { return };
        // Of all calls that wait for the same replica, the first moves on for all.
        let (asked, next) = (self.asked, self.asked.wrapping_add(1));
        let moved =
            preferred.compare_exchange(asked, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        tracing::debug!(moved, "a call was not answered");
    }
}

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = self.preferred.load(Ordering::Relaxed);
        Service::poll_ready(self.nth(self.ready), context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        if let Some(token) = &self.token {
            token.put_into(headers);
        }
        if let Some(parent) = trace::current_traceparent()
            && let Ok(parent) = HeaderValue::from_str(&parent)
        {
            headers.insert(trace::TRACEPARENT, parent);
        }
        let preferred = Some(Arc::clone(&self.preferred));
        let unanswered = Unanswered { preferred, asked: self.ready };
        let answer = Service::call(self.nth(self.ready), request);
        Box::pin(async move {
            let mut unanswered = unanswered;
            let answer = answer.await?;
            unanswered.preferred = None;
            Ok(answer)
        })
    }
}
