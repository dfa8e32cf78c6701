use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::FromRequestParts, middleware::from_fn_with_state};
use http::request::Parts;
use metrics::Unit;
use secrecy::SecretBox;
use segue_service::{Checks, Drain};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    DURATION, REQUESTS, cookies::Cookies, failure::Failure, form::Form, guard::guard, routes,
    seal::Sealer, services::Services,
};

/// What a console is made of.
#[derive(Debug)]
pub struct Settings {
    /// On loopback the cookies go without TLS; elsewhere browsers keep them only behind a proxy that has it.
    pub listen: SocketAddr,
    pub services: Services,
    /// Seals sign-ins. `None`: they end with this process, and no other console knows them.
    pub key: Option<SecretBox<[u8; 32]>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error("cannot listen on {address} for the console")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the system gives no random numbers to seal sign-ins with")]
    Random,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) services: Services,
    pub(crate) sealer: Sealer,
    pub(crate) cookies: Cookies,
    /// Pages that are kept up to date end.
    pub(crate) stop: CancellationToken,
}

/// A listener with the pages on it.
#[derive(Debug)]
pub struct Console {
    listener: TcpListener,
    address: SocketAddr,
    services: Services,
    sealer: Sealer,
}

impl Console {
    /// # Errors
    /// The address cannot be listened on, or there is no randomness.
    pub async fn bind(settings: Settings) -> Result<Self, ConsoleError> {
        let Settings { listen: address, services, key } = settings;
        let unheard = |source| ConsoleError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(unheard)?;
        let address = listener.local_addr().map_err(unheard)?;
        let sealer = Sealer::new(key.as_ref()).map_err(|_| ConsoleError::Random)?;
        metrics::describe_counter!(REQUESTS, "HTTP requests to the console, by status.");
        metrics::describe_histogram!(
            DURATION,
            Unit::Seconds,
            "Time from a request to the console to the head of its answer."
        );
        Ok(Self { listener, address, services, sealer })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A console that reaches no service is of no use.
    pub fn check(&self, checks: &Checks) {
        let services = self.services.clone();
        checks.add("services", move || {
            let services = services.clone();
            async move {
                let reached = services.reached().await;
                reached.map_err(|status| crate::failure::words_of(&status))
            }
        });
    }

    /// Serves until `drain.soft`, then finishes what is under way, until `drain.hard` at most.
    ///
    /// # Errors
    /// The listener is broken.
    pub async fn serve(self, drain: Drain) -> io::Result<()> {
        let app = App {
            services: self.services,
            sealer: self.sealer,
            cookies: Cookies::new(self.address),
            stop: drain.soft.clone(),
        };
        let soft = drain.soft.clone();
        let serving = axum::serve(self.listener, router(Arc::new(app)))
            .with_graceful_shutdown(soft.cancelled_owned());
        tokio::select! {
            served = serving => served,
            () = drain.hard.cancelled() => Ok(()),
        }
    }
}

pub(crate) fn router(app: Arc<App>) -> Router {
    routes::all()
        .fallback(async || Failure::NoPage)
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// The form that was sent, which [`guard`] has looked at, or what stands behind the `?`.
impl FromRequestParts<Arc<App>> for Form {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Self::Rejection> {
        let sent = parts.extensions.remove::<Self>();
        let query = || Self::parse(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(sent.unwrap_or_else(query))
    }
}
