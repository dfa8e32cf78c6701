//! A service that does nothing but start and stop, for the tests of how services start and stop.

use std::{error::Error, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};
use segue_service::{
    Context, Service,
    config::{ConfigArgs, Key, Role},
    run,
};

#[derive(Debug)]
enum Idle {}

impl Role for Idle {
    const NAME: &'static str = "idle";
    const KEYS: &'static [Key] = &[Key::MetricsListen, Key::DrainTimeout, Key::Log, Key::LogFormat];
    const REQUIRED: &'static [Key] = &[];
}

#[derive(Debug, Parser)]
struct Line {
    work: Work,
    #[command(flatten)]
    config: ConfigArgs<Idle>,
}

/// What is under way when the service is told to stop.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Work {
    /// Finishes soon.
    Short,
    /// Lasts until it is dropped.
    Endless,
    /// Cannot be dropped.
    Stuck,
    /// Makes spans for two seconds and ends by itself.
    Spans,
    /// Fails.
    Broken,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot work")]
struct Broken(#[source] std::num::ParseIntError);

type BoxError = Box<dyn Error + Send + Sync>;

struct Failure(BoxError);

impl AsRef<dyn Error + 'static> for Failure {
    fn as_ref(&self) -> &(dyn Error + 'static) {
        &*self.0
    }
}

impl<E: Into<BoxError>> From<E> for Failure {
    fn from(err: E) -> Self {
        Self(err.into())
    }
}

fn main() -> ExitCode {
    let line = Line::parse();
    let config = match line.config.load() {
        Ok(config) => config,
        Err(err) => return segue_service::report(&err),
    };
    let service = Service { name: "segue-idle", version: "0.0.0" };
    run(service, &config, async |context| work(line.work, context).await)
}

async fn work(work: Work, Context { drain, started, .. }: Context) -> Result<(), Failure> {
    if let Work::Short = work {
        started.set();
    }
    // The test waits for this line.
    eprintln!("started");
    if let Work::Broken = work {
        "x".parse::<u8>().map_err(Broken)?;
    }
    if let Work::Spans = work {
        for _ in 0..20 {
            tracing::info_span!(target: "segue_idle", "idle.tick").in_scope(|| ());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        return Ok(());
    }
    drain.soft.cancelled().await;
    eprintln!("stopping");
    match work {
        Work::Short => tokio::time::sleep(Duration::from_millis(50)).await,
        Work::Stuck => loop {
            std::thread::park();
        },
        _ => drain.hard.cancelled().await,
    }
    Ok(())
}
