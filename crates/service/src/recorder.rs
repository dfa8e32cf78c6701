//! Metrics. Libraries use the macros of `metrics`; here is where they end up.

use metrics::Unit;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::grpc;

/// Seconds, from a fast answer over the long polls to the longest call.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    #[error("cannot set up metrics")]
    Buckets(#[source] BuildError),
    #[error("this process records metrics already")]
    Installed,
}

/// Where the process's metrics are read. Clones read the same.
#[derive(Clone)]
pub struct Recorder(PrometheusHandle);

impl Recorder {
    /// Makes this the recorder of the process: once, in `main`.
    ///
    /// # Errors
    /// The process has a recorder.
    pub fn install(service: &'static str, version: &'static str) -> Result<Self, RecorderError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .map_err(RecorderError::Buckets)?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| RecorderError::Installed)?;
        metrics::describe_gauge!("segue_build_info", "Which service this is, and its version.");
        metrics::gauge!("segue_build_info", "service" => service, "version" => version).set(1.0);
        metrics::describe_counter!(grpc::REQUESTS, "gRPC calls that were answered, by code.");
        metrics::describe_histogram!(
            grpc::DURATION,
            Unit::Seconds,
            "Time from a gRPC call to the end of its answer, streams included."
        );
        metrics::describe_gauge!(grpc::IN_FLIGHT, "gRPC calls that are being answered.");
        Ok(Self(handle))
    }

    /// All metrics in Prometheus's text format, those of the process included.
    pub fn render(&self) -> String {
        self.0.render() + &process()
    }

    /// Frees what histograms have gathered. `render` does it too, so it is for processes that nobody asks.
    pub(crate) fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// What the kernel tells about this process. Where there is no `/proc` nothing is added.
fn process() -> String {
    /// The kernel's unit of time for userspace, on every platform that this is built for.
    const TICKS_PER_SECOND: f64 = 100.0;
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let stat = read("/proc/self/stat");
    // The name of the program, in parentheses, may hold anything. After it, user time is the 12th field.
    let ticks =
        stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().skip(11).take(2);
    let ticks: Option<Vec<f64>> = ticks.map(|field| field.parse().ok()).collect();
    let cpu = ticks.filter(|it| it.len() == 2).map(|it| it.iter().sum::<f64>() / TICKS_PER_SECOND);
    let status = read("/proc/self/status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = resident.and_then(|it| it.split_ascii_whitespace().next()?.parse::<f64>().ok());
    // One of them is the folder itself.
    let files = std::fs::read_dir("/proc/self/fd").map(|files| files.count().saturating_sub(1));
    let files = files.ok().and_then(|files| u32::try_from(files).ok()).map(f64::from);
    let known = [
        ("process_cpu_seconds_total", "counter", "CPU time, user and system.", cpu),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Memory in use.",
            kibibytes.map(|it| it * 1024.0),
        ),
        ("process_open_fds", "gauge", "Open files and sockets.", files),
    ];
    let lines = known.into_iter().filter_map(|(name, kind, help, value)| {
        let value = value?;
        Some(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n"))
    });
    lines.collect()
}
