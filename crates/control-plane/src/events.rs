//! Facts for anyone who listens: noted in the transaction that makes them true, published afterwards.

use std::{collections::HashMap, time::Duration};

use segue_model::{BatchNo, RunId, RunState, RunView};
use segue_queue::{Event, EventBatch, EventFailure, Events};
use segue_store::{
    Tx, read,
    write::{
        batches::BatchState,
        events::{self, Pending},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{ControlPlane, Error};

/// So many are read, published and forgotten at a time.
const AT_A_TIME: u32 = 256;
/// What follows an event within this time is published together with it, for one look at each run. A batch alone
/// makes three.
const GATHER: Duration = Duration::from_millis(100);
/// Nothing has happened for a while: whatever comes next may be noted so late.
const IDLE: Duration = Duration::from_secs(1);

impl ControlPlane {
    /// Notes that a run has come into a state, if anybody may listen. Its row has to be locked.
    pub(crate) async fn note_run(
        &self,
        tx: &mut Tx,
        run: RunId,
        state: RunState,
    ) -> Result<(), Error> {
        if self.settings.events {
            events::run(tx, run, state).await?;
        }
        Ok(())
    }

    /// As [`ControlPlane::note_run`], of batches.
    pub(crate) async fn note_batches(
        &self,
        tx: &mut Tx,
        run: RunId,
        state: BatchState,
        numbers: &[BatchNo],
    ) -> Result<(), Error> {
        if self.settings.events {
            events::batches(tx, run, state, numbers).await?;
        }
        Ok(())
    }

    /// Publishes what was noted, in order, until `stop`. An event that was published and could not be
    /// forgotten comes again.
    pub async fn publish_events<E: Events>(
        &self,
        events: &E,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        loop {
            let published = self.publish_pending(events).await?;
            if published == AT_A_TIME as usize && !stop.is_cancelled() {
                continue;
            }
            let look_again =
                if published == 0 { IDLE } else { self.settings.poll.max(GATHER).min(IDLE) };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.signals.events.notified() => {}
                () = tokio::time::sleep(look_again) => continue,
            }
            // Told to stop, it publishes what was gathered so far before it ends.
            stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
        }
    }

    /// One round; returns how many there were.
    pub(crate) async fn publish_pending<E: Events>(&self, events: &E) -> Result<usize, Error> {
        let pending = events::pending(&self.store, AT_A_TIME).await?;
        if pending.is_empty() {
            return Ok(0);
        }
        let mut views = HashMap::new();
        for noted in &pending {
            if let Some(run) = noted.run
                && !views.contains_key(&run)
                && let Some(view) = read::run(&self.store, run).await?
            {
                views.insert(run, view);
            }
            let view = noted.run.and_then(|run| views.get(&run));
            events.publish_event(&event(noted, view)).await?;
            kill_points::at("control_plane.event_published");
        }
        self.store.retry("published", || self.forget_events(&pending)).await?;
        kill_points::at("control_plane.events_forgotten");
        Ok(pending.len())
    }

    async fn forget_events(&self, published: &[Pending]) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        events::published(&mut tx, published).await?;
        Ok(tx.commit().await?)
    }
}

/// The numbers are those of now, not of when it happened: they are never behind it.
fn event(noted: &Pending, view: Option<&RunView>) -> Event {
    let (about, state) = noted.topic.split_once('.').unwrap_or_default();
    let mut event = Event::new(noted.topic.as_str(), noted.at);
    event.run = noted.run;
    event.seq = noted.seq;
    event.batch = noted.batch.map(|batch| EventBatch {
        batch,
        state: state.to_owned(),
        profiles: noted.profiles,
    });
    event.request_id.clone_from(&noted.request_id);
    event.failure = noted.reason.as_ref().map(|reason| EventFailure {
        reason: reason.clone(),
        detail: noted.detail.clone().unwrap_or_default(),
    });
    let Some(view) = view else { return event };
    event.export = view.export;
    event.tally = Some(view.tally.clone());
    event.cause = Some(view.cause);
    // A run that is over by now was running when it came to run.
    let then = if about == "run" { state.parse().ok() } else { None };
    event.state = Some(then.unwrap_or(view.state));
    if about != "command" {
        event.request_id.clone_from(&view.request_id);
        event.failure = view.failure.as_ref().map(|failure| EventFailure {
            reason: failure.reason.code().to_owned(),
            detail: failure.detail.clone(),
        });
    }
    event
}
