//! `main` of every service.

use std::{
    error::Error,
    fmt, io,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    Checks, Drain, HttpServer, Recorder, RecorderError,
    config::Config,
    telemetry::{Telemetry, TelemetryError},
};

/// Which service this is.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Such as `segue-worker`: the `service.name` of its traces.
    pub name: &'static str,
    pub version: &'static str,
}

/// What a service has from the start.
#[derive(Debug)]
pub struct Context {
    pub drain: Drain,
    /// The service adds its own.
    pub checks: Checks,
    pub started: Started,
}

/// Until the service says that it has started, it is not ready.
#[derive(Debug, Clone, Default)]
pub struct Started(Arc<AtomicBool>);

impl Started {
    /// From now on the other checks decide.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn check(&self) -> Result<(), String> {
        if self.0.load(Ordering::Acquire) { Ok(()) } else { Err("not yet".to_owned()) }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("cannot set up the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot watch signals")]
    Signals(#[source] io::Error),
    #[error("cannot serve metrics and health on {address}")]
    Metrics { address: std::net::SocketAddr, source: io::Error },
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
}

/// Runs a service: logs, traces, metrics, health and signals around `body`, which returns once it has drained.
/// The exit code is 0 if it did, else the one of [`crate::Ending`]; if it returns an error, that is one sentence on
/// standard error and 1.
pub fn run<E: AsRef<dyn Error + 'static>>(
    service: Service,
    config: &Config,
    body: impl AsyncFnOnce(Context) -> Result<(), E>,
) -> ExitCode {
    let started = start(service, config);
    let (runtime, drain) = match started {
        Ok(started) => started,
        Err(err) => return report(&err),
    };
    let result = runtime.block_on(async {
        // The exporter of traces needs the runtime, at its start and for its last words.
        let telemetry = Telemetry::init(service.name, service.version, config)?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let result = serve(service, config, drain.clone(), body).await;
        telemetry.shutdown().await;
        result
    });
    // Nothing that still runs keeps the process.
    runtime.shutdown_background();
    match result {
        Ok(Ok(())) => drain.exit_code(),
        Ok(Err(err)) => report(err.as_ref()),
        Err(err) => report(&err),
    }
}

fn start(_: Service, config: &Config) -> Result<(tokio::runtime::Runtime, Drain), ServiceError> {
    let drain = Drain::on_signals(config.drain_timeout).map_err(ServiceError::Signals)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Ok((runtime.map_err(ServiceError::Runtime)?, drain))
}

async fn serve<E>(
    service: Service,
    config: &Config,
    drain: Drain,
    body: impl AsyncFnOnce(Context) -> Result<(), E>,
) -> Result<Result<(), E>, ServiceError> {
    let recorder = Recorder::install(service.name, service.version)?;
    let address = config.metrics_listen;
    let unserved = |source| ServiceError::Metrics { address, source };
    let http = HttpServer::bind(address).await.map_err(unserved)?;
    let address = http.local_addr().map_err(unserved)?;
    tracing::info!(%address, "metrics and health");
    let (checks, started) = (Checks::default(), Started::default());
    let start = started.clone();
    checks.add("start", move || std::future::ready(start.check()));
    let health = tokio::spawn(http.serve(recorder, checks.clone(), drain.clone()));
    let result = body(Context { drain, checks, started }).await;
    health.abort();
    Ok(result)
}

/// One sentence on standard error, and the exit code of a service that could not start or go on.
pub fn report(err: &(dyn Error + 'static)) -> ExitCode {
    // If nobody reads it any more, the exit code still says it.
    drop(io::Write::write_fmt(&mut io::stderr(), format_args!("error: {}\n", sentence(err))));
    ExitCode::FAILURE
}

/// An error with all its causes, each said once, on one line.
pub fn sentence(err: &(dyn Error + 'static)) -> String {
    let mut words = String::new();
    let mut next = Some(err);
    while let Some(err) = next {
        let text = one_line(err);
        if !words.contains(&text) {
            if !words.is_empty() {
                words.push_str(": ");
            }
            words.push_str(&text);
        }
        next = err.source();
    }
    words
}

fn one_line(text: impl fmt::Display) -> String {
    text.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
