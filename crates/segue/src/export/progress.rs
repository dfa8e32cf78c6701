//! How far it is, for whoever watches: bars on a terminal, a line now and then elsewhere.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar};
use segue_model::RunId;
use segue_store::{
    Store,
    read::{self, Progress},
};
use segue_worker::read::ReadProgress;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::ui;

const REFRESH: Duration = Duration::from_millis(250);
/// In the first minute, and after it: whoever reads lines of a long run wants to know that it goes on.
const LINE_EACH: Duration = Duration::from_secs(3);
const LATER_LINE_EACH: Duration = Duration::from_secs(15);

/// Somebody who watches a run.
pub(super) struct Watched {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Watched {
    /// Takes the bars away.
    pub(super) async fn finish(self) {
        // If the watcher is gone already there is nothing to take away.
        let _gone = self.stop.send(());
        if let Err(err) = self.task.await {
            tracing::warn!(error = %err, "progress was not shown to the end");
        }
    }
}

pub(super) fn watch(store: Store, run: RunId, size: u64, read: Arc<ReadProgress>) -> Watched {
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut view = if ui::is_terminal() { View::bars(size) } else { View::lines(size) };
        let mut stopped = stopped;
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                () = tokio::time::sleep(view.pause()) => {}
            }
            match read::progress(&store, run).await {
                Ok(Some(progress)) => view.show(&progress, &read),
                Ok(None) => {}
                Err(err) => tracing::warn!(error = %err, "progress cannot be read"),
            }
        }
        view.clear();
    });
    Watched { stop, task }
}

enum View {
    Bars { all: MultiProgress, read: ProgressBar, upload: ProgressBar, confirm: ProgressBar },
    Lines { size: u64, began: Instant },
}

impl View {
    fn bars(size: u64) -> Self {
        let all = MultiProgress::new();
        let bytes =
            ui::bar_style("{msg:10} {bar:30} {bytes:>11} of {total_bytes}  {bytes_per_sec}");
        let profiles = ui::bar_style(
            "{msg:10} {bar:30} {human_pos:>11} of {human_len}  {per_sec}, {eta} left",
        );
        let read = all.add(ProgressBar::new(size)).with_style(bytes).with_message("reading");
        let upload =
            all.add(ProgressBar::new(0)).with_style(profiles.clone()).with_message("uploading");
        let confirm = all.add(ProgressBar::new(0)).with_style(profiles).with_message("confirming");
        Self::Bars { all, read, upload, confirm }
    }

    fn lines(size: u64) -> Self {
        Self::Lines { size, began: Instant::now() }
    }

    /// Until the next look. Each look adds up every batch of the run, so nobody looks who shows nothing.
    fn pause(&self) -> Duration {
        match self {
            Self::Bars { .. } => REFRESH,
            Self::Lines { began, .. } if began.elapsed() < Duration::from_mins(1) => LINE_EACH,
            Self::Lines { .. } => LATER_LINE_EACH,
        }
    }

    fn show(&mut self, progress: &Progress, reader: &ReadProgress) {
        let bytes = reader.bytes.load(Ordering::Relaxed);
        match self {
            Self::Bars { read, upload, confirm, .. } => {
                read.set_position(if progress.read_done {
                    read.length().unwrap_or(0)
                } else {
                    bytes
                });
                for (bar, done) in [(upload, progress.accepted), (confirm, progress.confirmed)] {
                    bar.set_length(expected(progress, bytes, read.length().unwrap_or(0)));
                    bar.set_position(done);
                }
            }
            Self::Lines { size, began } => {
                ui::note(line(progress, bytes, *size, began.elapsed()));
            }
        }
    }

    fn clear(&self) {
        if let Self::Bars { all, .. } = self
            && let Err(err) = all.clear()
        {
            tracing::debug!(error = %err, "progress bars stay");
        }
    }
}

/// How many profiles there will be: known once all is read, before that extrapolated by bytes.
fn expected(progress: &Progress, bytes: u64, size: u64) -> u64 {
    if progress.read_done || bytes == 0 {
        return progress.staged;
    }
    let extrapolated = u128::from(progress.staged) * u128::from(size) / u128::from(bytes);
    u64::try_from(extrapolated).unwrap_or(progress.staged).max(progress.staged)
}

fn line(progress: &Progress, bytes: u64, size: u64, elapsed: Duration) -> String {
    let percent = if progress.read_done { 100 } else { bytes * 100 / size.max(1) };
    let total = expected(progress, bytes, size);
    let rate = u128::from(progress.accepted) * 1000 / elapsed.as_millis().max(1);
    let left = u128::from(total.saturating_sub(progress.accepted));
    let left = left.checked_div(rate).map_or_else(|| "?".to_owned(), |seconds| seconds.to_string());
    format!(
        "read {percent} %, uploaded {} of {}, confirmed {}, {rate} profiles/s, about {left} s left",
        ui::grouped(progress.accepted),
        ui::grouped(total),
        ui::grouped(progress.confirmed),
    )
}
