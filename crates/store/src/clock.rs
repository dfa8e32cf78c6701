use std::time::{Instant, SystemTime, UNIX_EPOCH};

use segue_model::Micros;

/// The one clock that decides.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    fn now(&self) -> Micros;
}

/// The time of day when the process started, and from then on the monotonic clock: a step of the
/// system's clock while a run is under way neither frees places of a lane early nor holds them for hours.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    started_at: Micros,
}

impl SystemClock {
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that all others ask")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at: Micros(0) + since_epoch }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        self.started_at + self.started.elapsed()
    }
}

/// A clock that a test moves by hand. Clones show the same time.
#[cfg(any(test, feature = "test-util"))]
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: std::sync::Arc<std::sync::atomic::AtomicI64>,
}

#[cfg(any(test, feature = "test-util"))]
impl ManualClock {
    pub fn at(start: Micros) -> Self {
        Self { now: std::sync::Arc::new(start.0.into()) }
    }

    /// As when the system's clock is put right between two processes.
    pub fn set(&self, now: Micros) {
        self.now.store(now.0, std::sync::atomic::Ordering::SeqCst);
    }

    pub fn advance(&self, by: std::time::Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.now.fetch_add(by, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Clock for ManualClock {
    fn now(&self) -> Micros {
        Micros(self.now.load(std::sync::atomic::Ordering::SeqCst))
    }
}
