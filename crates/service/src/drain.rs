//! SIGTERM and SIGINT.

use std::{
    io,
    process::ExitCode,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a service may take to end once it was told to drop everything. Then the process ends without it.
const HARD_LIMIT: Duration = Duration::from_secs(2);
/// Exit code of a service that did not finish in time.
const TIMED_OUT: u8 = 1;

/// How to stop: `soft` takes no more work and lets what is under way finish, `hard` drops it. Whoever stops a
/// service without a signal cancels `soft`; the time to drain counts from there too.
#[derive(Debug, Clone)]
pub struct Drain {
    pub soft: CancellationToken,
    pub hard: CancellationToken,
    ending: Arc<OnceLock<Ending>>,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What was under way finished in time.
    Drained,
    /// It did not, and was dropped.
    TimedOut,
    /// A second signal came.
    Signal(i32),
}

impl Ending {
    /// 0, 1, or 128 + the second signal: 130 for SIGINT, 143 for SIGTERM.
    pub fn code(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::TimedOut => TIMED_OUT,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(TIMED_OUT),
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// Without signals: for tests, and for services inside of something else.
    pub fn new() -> Self {
        let hard = CancellationToken::new();
        Self { soft: hard.child_token(), hard, ending: Arc::default() }
    }

    /// Stops softly at the first signal, and hard at the second or after `drain_timeout`. If the process is
    /// still there two seconds after a hard stop, it ends all the same.
    ///
    /// # Errors
    /// The system does not let it watch signals.
    pub fn on_signals(drain_timeout: Duration) -> io::Result<Self> {
        let drain = Self::new();
        let watched = drain.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _context = runtime.enter();
            Signals {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            }
        };
        // On a thread of its own: a service that is stuck can still be stopped.
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(watched.watch(signals, drain_timeout));
        })?;
        Ok(drain)
    }

    async fn watch(self, mut signals: Signals, drain_timeout: Duration) {
        tokio::select! {
            number = signals.next() => tracing::info!(signal = number, "stopping: no new work"),
            () = self.soft.cancelled() => {}
        }
        self.soft.cancel();
        let ending = tokio::select! {
            number = signals.next() => Ending::Signal(number),
            () = tokio::time::sleep(drain_timeout) => Ending::TimedOut,
        };
        self.ending.get_or_init(|| ending);
        self.hard.cancel();
        tokio::time::sleep(HARD_LIMIT).await;
        std::process::exit(ending.code().into());
    }

    /// How it ended, once the service has returned.
    pub fn ending(&self) -> Ending {
        self.ending.get().copied().unwrap_or(Ending::Drained)
    }

    /// The exit code of a service that returned without an error.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.ending().code())
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}
