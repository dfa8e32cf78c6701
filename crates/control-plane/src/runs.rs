use std::time::Duration;

use segue_access::Principal;
use segue_model::{BatchNo, Id, JobId, RunId, RunState, RunView, work::JobKind};
use segue_store::{
    StoreError, Tx,
    read::{self, Planned},
    write::{
        answers, batches,
        jobs::{self, Subject},
        lanes, runs,
    },
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    ControlPlane, Error, Refusal, Thing,
    audit::{Action, note},
    exports::refuse_second_run,
    rights::may_use_id,
};

pub use segue_store::write::runs::{NewRun, Origin};

/// What became of the wish to go on with a run.
#[derive(Debug)]
pub enum Resumed {
    GoesOn(Planned),
    /// There is nothing to go on with.
    Ended(RunState),
}

impl ControlPlane {
    /// Writes the run down and makes its read job, in one transaction.
    pub async fn start_run(&self, new: &NewRun) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        self.write_run(&mut tx, new).await?;
        tx.commit().await?;
        self.signals.work.notify_one();
        self.signals.events.notify_one();
        Ok(())
    }

    /// Writes a run down and makes its read job.
    pub(crate) async fn write_run(&self, tx: &mut Tx, new: &NewRun) -> Result<(), Error> {
        if !runs::create(tx, new).await?
            && let Some(export) = new.origin.export
        {
            refuse_second_run(tx, export).await?;
            // The other has ended between the two statements.
            let words = format!("another run of the export {export} was under way: start again");
            return Err(Refusal::blocked("RUN_UNDER_WAY", export, words).into());
        }
        want_reading(tx, &new.account_id, new.run).await?;
        self.note_run(tx, new.run, RunState::Queued).await
    }

    /// Stops a run: when this returns no further claim and no permit to upload is granted for it.
    pub async fn cancel_run(&self, run: RunId) -> Result<bool, Error> {
        let mut tx = self.store.begin().await?;
        let changed = self.cancel_in(&mut tx, run).await?;
        tx.commit().await?;
        self.signals.stopped();
        Ok(changed)
    }

    /// As [`ControlPlane::cancel_run`], for somebody, and says how the run stands then. A run that has ended stays as it is.
    pub async fn cancel(&self, run: RunId, by: &Principal) -> Result<RunView, Error> {
        match self.store.retry("cancel", || self.try_cancel(run, by)).await {
            Err(Error::NoRun(run)) => Err(Refusal::no_such(Thing::Run, run).into()),
            Err(err) => Err(err),
            Ok(_) => self.run(run).await,
        }
    }

    async fn try_cancel(&self, id: RunId, by: &Principal) -> Result<bool, Error> {
        let mut tx = self.store.begin().await?;
        let run = runs::lock(&mut tx, id).await?.ok_or(Error::NoRun(id))?;
        may_use_id(&mut tx, by, run.connection, &run.list_id).await?;
        let changed = self.cancel_in(&mut tx, id).await?;
        if changed {
            note(&mut tx, by, Action::RunCancel, id, &json!({})).await?;
        }
        kill_points::at("control_plane.cancel");
        tx.commit().await?;
        kill_points::at("control_plane.cancel_committed");
        self.signals.stopped();
        Ok(changed)
    }

    async fn cancel_in(&self, tx: &mut Tx, run: RunId) -> Result<bool, Error> {
        let changed = runs::cancel(tx, run).await?;
        if changed {
            self.note_run(tx, run, RunState::Cancelling).await?;
        }
        self.settle(tx, run).await?;
        Ok(changed)
    }

    /// Takes over from a process that is known to be dead: its claims end, and what it had under way at
    /// Klaviyo counts as ambiguous. Its runs are parked: nothing is done for them until somebody goes on
    /// with them. Only for whoever holds the lock of the data folder.
    pub async fn take_over(&self) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        lanes::abandon_all(&mut tx).await?;
        runs::park_live(&mut tx).await?;
        batches::lose_staged(&mut tx).await?;
        jobs::drop_all(&mut tx).await?;
        lanes::forget_future(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Goes on with a run after [`ControlPlane::take_over`]. If anything of it was lost from staging, it is
    /// read again: a batch is sent once its body is there again, and asked about once its index is. What
    /// was accepted is not sent again.
    pub async fn resume_run(&self, id: RunId) -> Result<Resumed, Error> {
        let planned = read::planned(&self.store, id).await?.ok_or(Error::NoRun(id))?;
        let mut tx = self.store.begin().await?;
        self.settle(&mut tx, id).await?;
        let run = runs::lock(&mut tx, id).await?.ok_or(Error::NoRun(id))?;
        if run.parked && !run.state.is_terminal() {
            bring_back(&mut tx, &run).await?;
        }
        tx.commit().await?;
        self.signals.work.notify_one();
        Ok(if run.state.is_terminal() {
            Resumed::Ended(run.state)
        } else {
            Resumed::GoesOn(planned)
        })
    }

    /// Returns once the run has ended.
    pub async fn ended(&self, run: RunId) -> Result<RunState, Error> {
        /// The signal of another process does not reach this one.
        const LOOK_AGAIN: Duration = Duration::from_secs(2);
        loop {
            let changed = self.signals.run.notified();
            let progress = read::progress(&self.store, run).await?.ok_or(Error::NoRun(run))?;
            if progress.state.is_terminal() {
                return Ok(progress.state);
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// What Klaviyo said of `subject` within `max_age`.
    pub async fn recall(&self, subject: &str, max_age: Duration) -> Result<Option<String>, Error> {
        let mut tx = self.store.begin().await?;
        let answer = answers::recall(&mut tx, subject, max_age).await?;
        tx.commit().await?;
        Ok(answer)
    }

    pub async fn remember(&self, subject: &str, answer: &str) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        answers::remember(&mut tx, subject, answer).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Makes the jobs that a parked run needs, and no others.
async fn bring_back(tx: &mut Tx, run: &runs::Run) -> Result<(), Error> {
    runs::unpark(tx, run.run).await?;
    want_confirming(tx, &run.account_id, run.run, Duration::ZERO).await?;
    if run.stop.is_some() {
        return Ok(());
    }
    for number in batches::sendable(tx, run.run).await? {
        want_upload(tx, &run.account_id, run.run, number).await?;
    }
    if !run.read_done || batches::lost(tx, run.run, false).await? > 0 {
        runs::read_again(tx, run.run).await?;
        want_reading(tx, &run.account_id, run.run).await?;
    }
    Ok(())
}

/// Makes sure that somebody asks Klaviyo, after `wait`, what became of what it accepted. `wants`: the run
/// that wants to know now.
pub(crate) async fn want_confirming(
    tx: &mut Tx,
    account_id: &str,
    wants: RunId,
    wait: Duration,
) -> Result<(), StoreError> {
    if !batches::any_wanted(tx, account_id).await? {
        return Ok(());
    }
    let subject = Subject { kind: JobKind::Confirm, account_id, run: None, batch: None };
    let at = tx.now() + wait;
    jobs::ensure_for(tx, new_job(), &subject, Some(wants), at).await
}

pub(crate) async fn want_upload(
    tx: &mut Tx,
    account_id: &str,
    run: RunId,
    batch: BatchNo,
) -> Result<(), StoreError> {
    let subject = Subject { kind: JobKind::Upload, account_id, run: Some(run), batch: Some(batch) };
    let now = tx.now();
    jobs::ensure(tx, new_job(), &subject, now).await
}

async fn want_reading(tx: &mut Tx, account_id: &str, run: RunId) -> Result<(), StoreError> {
    let subject = Subject { kind: JobKind::Read, account_id, run: Some(run), batch: None };
    let now = tx.now();
    jobs::ensure(tx, new_job(), &subject, now).await
}

pub(crate) fn new_job() -> JobId {
    Id::from_uuid(Uuid::now_v7())
}
