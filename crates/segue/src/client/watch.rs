//! Follows a run to its end: a bar on a terminal, a line for each change elsewhere, JSON lines for programs.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use indicatif::{MultiProgress, ProgressBar};
use segue_model::backoff;
use segue_proto::v1;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{Output, Servers, explain, output::Run, present};
use crate::{interrupt, ui};

/// The exit code tells how the run ended. Whoever interrupts this ends the watching and not the run.
pub(super) async fn run(servers: &Servers, run_id: String) -> anyhow::Result<ExitCode> {
    let interrupted = CancellationToken::new();
    interrupt::watch(interrupted.clone()).context("cannot listen for signals")?;
    let mut view = View::new(servers.output);
    let ended = tokio::select! {
        ended = follow(servers, &run_id, &mut view) => Some(ended),
        () = interrupted.cancelled() => None,
    };
    view.clear();
    let Some(ended) = ended else {
        ui::note(format_args!(
            "you watch it no more, and the run goes on. See it again: segue runs watch {run_id}. \
             End it: segue runs cancel {run_id}"
        ));
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    };
    let ended = ended?;
    view.end(&ended);
    Ok(ExitCode::from(match ended.state() {
        v1::RunState::Succeeded => 0,
        v1::RunState::CompletedWithRejects => 3,
        _ => 1,
    }))
}

/// The run as it ended. A server that goes away in between is asked again for a while: the run goes on meanwhile.
async fn follow(servers: &Servers, run_id: &str, view: &mut View) -> anyhow::Result<v1::Run> {
    let mut told = false;
    let mut failures = 0;
    loop {
        let lost = match look(servers, run_id, view, &mut told, &mut failures).await {
            Ok(run) => return Ok(run),
            Err(Unseen::Failed(err)) => return Err(err),
            Err(Unseen::Lost(words)) => words,
        };
        // Who has seen nothing yet has probably asked the wrong server.
        if !told || failures >= ATTEMPTS {
            bail!("{lost}; the run goes on, see it again: segue runs watch {run_id}");
        }
        failures += 1;
        let wait = backoff::ceiling(failures).min(LONGEST_WAIT);
        ui::note(format_args!("{lost}; asking again in {} s", wait.as_secs()));
        tokio::time::sleep(wait).await;
    }
}

/// How often in a row a server is asked that does not answer: for about two minutes.
const ATTEMPTS: u32 = 15;
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Why the end of a run was not seen.
enum Unseen {
    /// The server went away. Another look may see more.
    Lost(String),
    Failed(anyhow::Error),
}

/// Shows each state that the server tells, until the last.
async fn look(
    servers: &Servers,
    run_id: &str,
    view: &mut View,
    told: &mut bool,
    failures: &mut u32,
) -> Result<v1::Run, Unseen> {
    let request = v1::WatchRunRequest { run_id: run_id.to_owned() };
    let mut states = servers.status().watch_run(request).await.map_err(unseen)?.into_inner();
    while let Some(reply) = states.message().await.map_err(unseen)? {
        let run = present(reply.run, "run").map_err(Unseen::Failed)?;
        view.show(&run).map_err(Unseen::Failed)?;
        (*told, *failures) = (true, 0);
        if has_ended(run.state()) {
            return Ok(run);
        }
    }
    Err(Unseen::Lost("the server stopped telling before the run ended".to_owned()))
}

/// What a server says when it ends or breaks off, and what a connection says that breaks.
fn unseen(status: Status) -> Unseen {
    let lost = matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal
    );
    let words = explain(status);
    if lost { Unseen::Lost(words.to_string()) } else { Unseen::Failed(words) }
}

fn has_ended(state: v1::RunState) -> bool {
    use v1::RunState::{Cancelled, CompletedWithRejects, Failed, Succeeded};
    matches!(state, Succeeded | CompletedWithRejects | Failed | Cancelled)
}

enum View {
    Json,
    Lines,
    Bar { all: MultiProgress, rows: ProgressBar, fates: ProgressBar, pace: Option<Pace> },
}

impl View {
    fn new(output: Output) -> Self {
        match output {
            Output::Json => Self::Json,
            Output::Table if ui::is_terminal() => Self::bar(),
            Output::Table => Self::Lines,
        }
    }

    fn bar() -> Self {
        let all = MultiProgress::new();
        let rows = ui::bar_style(
            "{spinner} {prefix:10} {bar:30} {human_pos:>11} of {human_len} rows  {msg}",
        );
        let rows = all.add(ProgressBar::new(0)).with_style(rows);
        let fates = all.add(ProgressBar::new(0)).with_style(ui::bar_style("  {msg}"));
        // Klaviyo may take minutes for a batch, in which nothing is told.
        rows.enable_steady_tick(Duration::from_millis(250));
        Self::Bar { all, rows, fates, pace: None }
    }

    fn show(&mut self, run: &v1::Run) -> anyhow::Result<()> {
        match self {
            Self::Json => ui::say(serde_json::to_string(&Run::from(run.clone()))?),
            Self::Lines => ui::say(Run::from(run.clone()).line()),
            Self::Bar { rows, fates, pace, .. } => {
                let counts = run.counts.clone().unwrap_or_default();
                let settled = counts.rows_read.saturating_sub(counts.undelivered);
                let now = Instant::now();
                let pace = pace.get_or_insert(Pace { since: now, settled });
                rows.set_prefix(super::output::state_name(run.state()));
                rows.set_length(counts.rows_read);
                rows.set_position(settled);
                rows.set_message(pace.words(settled, counts.rows_read, now));
                fates.set_message(fates_of(&counts));
            }
        }
        Ok(())
    }

    /// Takes the bar away.
    fn clear(&self) {
        if let Self::Bar { all, rows, .. } = self {
            rows.disable_steady_tick();
            if let Err(err) = all.clear() {
                tracing::debug!(error = %err, "progress bars stay");
            }
        }
    }

    /// How it ended, where that was not said yet.
    fn end(&self, run: &v1::Run) {
        if let Self::Bar { .. } = self {
            ui::say(Run::from(run.clone()).line());
        }
    }
}

fn fates_of(counts: &v1::Counts) -> String {
    format!(
        "delivered {}, rejected {}, duplicates {}, not yet {}",
        ui::grouped(counts.delivered),
        ui::grouped(counts.rejected),
        ui::grouped(counts.duplicates),
        ui::grouped(counts.undelivered),
    )
}

/// How fast rows are settled, since somebody watches: what was settled before says nothing of it.
struct Pace {
    since: Instant,
    settled: u64,
}

impl Pace {
    /// Empty until there is something to tell.
    fn words(&self, settled: u64, total: u64, now: Instant) -> String {
        let elapsed = now.duration_since(self.since).as_millis();
        let done = u128::from(settled.saturating_sub(self.settled));
        let Some(rate) = (done * 1000).checked_div(elapsed).filter(|rate| *rate > 0) else {
            return String::new();
        };
        let left = u128::from(total.saturating_sub(settled)).div_ceil(rate);
        let rate = ui::grouped(u64::try_from(rate).unwrap_or(u64::MAX));
        match left {
            0 => format!("{rate} rows/s"),
            left => format!("{rate} rows/s, about {left} s left"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Pace;

    #[test]
    fn pace_is_that_since_somebody_watches() {
        let since = Instant::now();
        let pace = Pace { since, settled: 1_000_000 };
        let after = |seconds| since + Duration::from_secs(seconds);
        assert_eq!(pace.words(1_000_000, 2_000_000, since), "");
        assert_eq!(pace.words(1_000_000, 2_000_000, after(5)), "");
        assert_eq!(pace.words(1_010_000, 2_000_000, after(5)), "2,000 rows/s, about 495 s left");
        assert_eq!(pace.words(2_000_000, 2_000_000, after(100)), "10,000 rows/s");
        assert_eq!(pace.words(999_999, 2_000_000, after(1)), "");
    }
}
