//! Logs on standard error, and traces to a collector if `OTEL_EXPORTER_OTLP_ENDPOINT` names one.

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData},
};
use tracing::{Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{ParseError, Targets},
    layer::SubscriberExt as _,
    util::{SubscriberInitExt as _, TryInitError},
};

use crate::config::{Config, LogFormat};

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
/// One attempt to hand over spans, and the last one before the process ends.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);
const FLUSH_LIMIT: Duration = Duration::from_secs(3);
/// A collector that stays away is mentioned no more often.
const MENTION_EVERY: Duration = Duration::from_mins(5);

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("cannot read the log filter")]
    Filter(#[source] ParseError),
    #[error("traces cannot go to the collector that {variable} names")]
    Exporter { variable: &'static str, source: ExporterBuildError },
    #[error(
        "{variable} is {value}, and only `grpc` is spoken: unset it, and let the endpoint name the gRPC port"
    )]
    Protocol { variable: &'static str, value: String },
    #[error("this process has logs already")]
    Installed(#[source] TryInitError),
}

/// Logs and traces of the process.
#[derive(Debug)]
pub struct Telemetry {
    /// None: nobody traces, and nothing of it is set up.
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sets them up for the process: once, in `main`, inside of the runtime.
    ///
    /// # Errors
    /// The filter or the collector's address is wrong. A collector that does not answer is no error.
    pub fn init(
        service: &'static str,
        version: &'static str,
        config: &Config,
    ) -> Result<Self, TelemetryError> {
        Self::init_from(service, version, config, |name| std::env::var(name).ok())
    }

    /// [`Self::init`] with an environment of one's own, as far as it decides whether and where traces go.
    ///
    /// # Errors
    /// As `init`.
    pub fn init_from(
        service: &'static str,
        version: &'static str,
        config: &Config,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, TelemetryError> {
        let filter = EnvFilter::builder().parse(&config.log).map_err(TelemetryError::Filter)?;
        let traces = provider(service, version, &variable)?;
        // Only our own: the exporter's HTTP would trace its own exports.
        let ours = Targets::new().with_target("segue", Level::INFO);
        let spans = traces.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("segue"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(ours)
        });
        tracing_subscriber::registry()
            .with(spans)
            .with(logs(config.log_format).with_filter(filter))
            .try_init()
            .map_err(TelemetryError::Installed)?;
        Ok(Self { traces })
    }

    /// Hands over what is left, for three seconds at most.
    pub async fn shutdown(self) {
        let Some(traces) = self.traces else { return };
        let flushed =
            tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(FLUSH_LIMIT)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::debug!("the last spans were not handed over");
        }
    }
}

fn logs<S>(format: LogFormat) -> Box<dyn tracing_subscriber::Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

fn provider(
    service: &'static str,
    version: &'static str,
    variable: &dyn Fn(&'static str) -> Option<String>,
) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let first = |names: &[&'static str]| {
        let set = |name: &&'static str| Some((*name, variable(name).filter(|it| !it.is_empty())?));
        names.iter().find_map(set)
    };
    let is = |name, value| variable(name).is_some_and(|it| it.eq_ignore_ascii_case(value));
    let Some((name, endpoint)) = first(&ENDPOINTS) else { return Ok(None) };
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    if let Some((variable, value)) = first(&PROTOCOLS)
        && value != "grpc"
    {
        return Err(TelemetryError::Protocol { variable, value });
    }
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_LIMIT)
        .build()
        .map_err(|source| TelemetryError::Exporter { variable: name, source })?;
    let mut resource =
        Resource::builder().with_attribute(KeyValue::new("service.version", version));
    if first(&["OTEL_SERVICE_NAME"]).is_none() {
        resource = resource.with_service_name(service);
    }
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(Quiet::new(exporter))
        .build();
    Ok(Some(provider))
}

/// An exporter that mentions a collector that stays away once in a while, and not for every batch.
#[derive(Debug)]
struct Quiet<E> {
    inner: E,
    failing: AtomicBool,
    mentioned: Mutex<Option<Instant>>,
}

impl<E> Quiet<E> {
    fn new(inner: E) -> Self {
        Self { inner, failing: AtomicBool::new(false), mentioned: Mutex::default() }
    }

    fn mention(&self) -> bool {
        let mut mentioned = self.mentioned.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = mentioned.is_none_or(|at| at.elapsed() >= MENTION_EVERY);
        if silent {
            *mentioned = Some(Instant::now());
        }
        silent
    }
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter
    for Quiet<E>
{
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => {
                tracing::info!("the collector takes spans again");
            }
            Ok(()) => {}
            Err(err) => {
                self.failing.store(true, Ordering::Relaxed);
                if self.mention() {
                    tracing::warn!(error = %err, "the collector does not take spans, which are dropped");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::Quiet;

    #[test]
    fn collector_that_stays_away_is_mentioned_once_in_a_while() {
        let quiet = Quiet::new(());
        let mentions = (0..100).filter(|_| quiet.mention()).count();
        assert_eq!(mentions, 1);
    }
}
