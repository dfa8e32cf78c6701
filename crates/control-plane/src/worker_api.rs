use std::time::Duration;

use segue_model::{
    BatchNo, ClaimId, FailReason, Id, JobId, Micros, RowCounts, RunState, SegmentSource,
    guards::Tripped,
    work::{
        Acceptance, Claimed, ConfirmWork, Confirmation, JobKind, Next, ReadWork, Slots,
        StagedBatch, UploadWork, Work,
    },
};
use segue_store::{
    Tx,
    write::{
        batches::{self, BatchState, Phase},
        dead,
        jobs::{self, Held},
        lanes, runs, workers,
    },
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    ControlPlane, Error, columns, guards,
    runs::{want_confirming, want_upload},
};

impl ControlPlane {
    /// Makes a job the worker's. `None`: it is not to be had, or there is nothing left to do about it;
    /// either way the message is done with.
    pub async fn claim(&self, job: JobId, attempt: u32) -> Result<Option<Claimed>, Error> {
        let claimed = self.store.retry("claim", || self.try_claim(job, attempt)).await;
        self.remembering(claimed).await
    }

    async fn try_claim(&self, job: JobId, attempt: u32) -> Result<Option<Claimed>, Error> {
        let mut tx = self.store.begin().await?;
        let claim: ClaimId = Id::from_uuid(Uuid::now_v7());
        let lease = self.settings.lease;
        let run = runs::lock_of_job(&mut tx, job).await?;
        let Some(held) = jobs::claim(&mut tx, job, attempt, claim, lease).await? else {
            return Ok(None);
        };
        // The message of a first attempt cannot have died before.
        if attempt > 1 {
            dead::revive(&mut tx, held.job).await?;
        }
        let work = self.work(&mut tx, &held, run).await?;
        if work.is_none() {
            jobs::done(&mut tx, held.job).await?;
        }
        kill_points::at("control_plane.claim");
        tx.commit().await?;
        kill_points::at("control_plane.claim_committed");
        Ok(work.map(|work| Claimed { claim, work }))
    }

    async fn work(
        &self,
        tx: &mut Tx,
        held: &Held,
        run: Option<runs::Run>,
    ) -> Result<Option<Work>, Error> {
        if let Some(look) = held.look {
            return Ok(self.look_work(tx, look).await?.map(Work::Look));
        }
        let Some(id) = held.run else {
            let wanted = batches::wanted(tx, &held.account_id).await?;
            if wanted.is_empty() {
                return Ok(None);
            }
            let credentials = self.credentials_to_confirm(tx, &held.account_id).await?;
            return Ok(Some(Work::Confirm(ConfirmWork { credentials, wanted })));
        };
        let run = run.ok_or(Error::NoRun(id))?;
        if run.state.is_terminal() || run.stop.is_some() || run.parked {
            return Ok(None);
        }
        let Some(no) = held.batch else {
            if runs::start(tx, id).await? {
                self.note_run(tx, id, RunState::Running).await?;
                self.signals.events.notify_one();
            }
            let known = batches::known(tx, id).await?;
            let source_not_before = guards::source_not_before(&run, tx.now());
            return Ok(Some(Work::Read(ReadWork {
                run: id,
                list_id: run.list_id,
                plan: run.plan,
                columns: run.columns.mapping,
                credentials: self.credentials(tx, &run.account_id, run.connection).await?,
                known,
                source_not_before,
            })));
        };
        let batch = batches::get(tx, id, no).await?;
        let Some(batch) = batch.filter(|batch| batch.state == BatchState::Ready && batch.staged)
        else {
            return Ok(None);
        };
        Ok(Some(Work::Upload(UploadWork {
            run: id,
            batch: no,
            hash: batch.hash,
            profiles: batch.profiles,
            credentials: self.credentials(tx, &run.account_id, run.connection).await?,
            list_id: run.list_id,
            splits_left: run.splits_left,
        })))
    }

    /// Notes that a worker is there and what it can do, and prolongs its claims. Returns those that have
    /// ended: whoever works on one stops.
    pub async fn renew(
        &self,
        worker: &str,
        slots: Slots,
        claims: &[ClaimId],
    ) -> Result<Vec<ClaimId>, Error> {
        let renew = || self.try_renew(worker, slots, claims);
        let (ended, new) = self.store.retry("renew", renew).await?;
        if new {
            self.signals.work.notify_one();
        }
        Ok(ended)
    }

    async fn try_renew(
        &self,
        worker: &str,
        slots: Slots,
        claims: &[ClaimId],
    ) -> Result<(Vec<ClaimId>, bool), Error> {
        let mut tx = self.store.begin().await?;
        let new = workers::seen(&mut tx, worker, slots).await?;
        let ended = jobs::renew(&mut tx, claims, self.settings.lease).await?;
        kill_points::at("control_plane.renew");
        tx.commit().await?;
        kill_points::at("control_plane.renew_committed");
        Ok((ended, new))
    }

    /// Freezes the plan of a run. Of two plans the first stays. `segments`: what was found of each; none if the
    /// worker is of a version that does not say it.
    pub async fn plan(
        &self,
        claim: ClaimId,
        plan: &str,
        segments: &[SegmentSource],
    ) -> Result<Next, Error> {
        self.store.retry("plan", || self.try_plan(claim, plan, segments)).await
    }

    async fn try_plan(
        &self,
        claim: ClaimId,
        plan: &str,
        segments: &[SegmentSource],
    ) -> Result<Next, Error> {
        let mut tx = self.store.begin().await?;
        let Some(run) = reader_of(&mut tx, claim).await? else {
            return Ok(Next::Stop);
        };
        if !runs::freeze(&mut tx, run.run, plan).await? {
            return Ok(Next::Stop);
        }
        // What was found first counts, should the answer be lost.
        if !run.frozen {
            guards::note_source(&mut tx, &run, plan, segments).await?;
            columns::note_read(&mut tx, &run, plan).await?;
        }
        kill_points::at("control_plane.plan");
        tx.commit().await?;
        kill_points::at("control_plane.plan_committed");
        Ok(Next::GoOn)
    }

    /// Takes note of a staged batch, and lets the reader wait while it is far ahead of Klaviyo.
    pub async fn stage(&self, claim: ClaimId, staged: &StagedBatch) -> Result<Next, Error> {
        loop {
            if let Some(next) = self.stage_within(claim, staged, Duration::from_mins(1)).await? {
                return Ok(next);
            }
        }
    }

    /// As [`ControlPlane::stage`], but lets the reader wait for at most `patience`. `None`: note was taken,
    /// but it has to wait on: by asking again, with the same batch.
    pub async fn stage_within(
        &self,
        claim: ClaimId,
        staged: &StagedBatch,
        patience: Duration,
    ) -> Result<Option<Next>, Error> {
        // The signal of another process does not reach this one.
        let look_again = self.settings.poll.max(Duration::from_secs(1));
        let until = Instant::now() + patience;
        let mut room = self.signals.room.notified();
        let noted = self.store.retry("stage", || self.try_stage(claim, staged)).await?;
        self.signals.work.notify_one();
        self.signals.events.notify_one();
        let Some(mut ahead) = noted else { return Ok(Some(Next::Stop)) };
        while !self.has_room(ahead) {
            let now = Instant::now();
            if now >= until {
                return Ok(None);
            }
            tokio::select! {
                () = room => {}
                () = tokio::time::sleep_until(until.min(now + look_again)) => {}
            }
            room = self.signals.room.notified();
            match self.store.retry("room", || self.ahead_of(claim)).await? {
                Some(now) => ahead = now,
                None => return Ok(Some(Next::Stop)),
            }
        }
        Ok(Some(Next::GoOn))
    }

    /// How far the reader is ahead, in batches and bytes. `None`: it has to stop.
    async fn try_stage(
        &self,
        claim: ClaimId,
        staged: &StagedBatch,
    ) -> Result<Option<(u64, u64)>, Error> {
        let mut tx = self.store.begin().await?;
        let Some(run) = reader_of(&mut tx, claim).await? else { return Ok(None) };
        let next = self.note_staged(&mut tx, &run, staged).await?;
        let ahead = batches::ahead(&mut tx, run.run).await?;
        kill_points::at("control_plane.stage");
        tx.commit().await?;
        kill_points::at("control_plane.stage_committed");
        Ok((next == Next::GoOn).then_some(ahead))
    }

    async fn ahead_of(&self, claim: ClaimId) -> Result<Option<(u64, u64)>, Error> {
        let mut tx = self.store.begin().await?;
        let Some(run) = reader_of(&mut tx, claim).await? else { return Ok(None) };
        Ok(Some(batches::ahead(&mut tx, run.run).await?))
    }

    /// Whether a reader that is so many batches and bytes ahead of Klaviyo may go on.
    fn has_room(&self, (batches, bytes): (u64, u64)) -> bool {
        // However few bytes it may be ahead: when it is not ahead at all, somebody waits for it.
        batches == 0 || (batches < self.settings.batches_ahead && bytes < self.settings.bytes_ahead)
    }

    /// `Stop`: what was staged cannot be, which fails the run.
    async fn note_staged(
        &self,
        tx: &mut Tx,
        run: &runs::Run,
        staged: &StagedBatch,
    ) -> Result<Next, Error> {
        let state = match (staged.profiles, run.hold) {
            (0, _) => BatchState::Empty,
            (_, true) => BatchState::Held,
            (_, false) => BatchState::Ready,
        };
        if batches::stage(tx, run.run, staged, state).await? {
            let all = RowCounts {
                rows: staged.rows,
                duplicates: staged.duplicates,
                rejected: staged.rejects.total(),
            };
            let (no, objects) = (staged.batch, &staged.objects);
            guards::note_rows(tx, run, no, Phase::Mapping, objects, all).await?;
            let profiles = runs::add_profiles(tx, run.run, staged.profiles).await?;
            // The other guards need the end of the segment.
            if let Err(Tripped { reason, detail }) = run.guards.check_profiles(profiles) {
                runs::fail(tx, run.run, reason, &detail).await?;
                return Ok(Next::Stop);
            }
            if state == BatchState::Ready {
                want_upload(tx, &run.account_id, run.run, staged.batch).await?;
                self.note_batches(tx, run.run, state, &[staged.batch]).await?;
            }
            return Ok(Next::GoOn);
        }
        let batch = batches::get(tx, run.run, staged.batch).await?;
        let Some(batch) = batch.filter(|batch| batch.hash == staged.hash) else {
            let detail = format!("batch {}", staged.batch);
            runs::fail(tx, run.run, FailReason::ReadNotRepeatable, &detail).await?;
            return Ok(Next::Stop);
        };
        if !batch.staged {
            batches::restage(tx, run.run, staged.batch).await?;
        }
        match batch.state {
            BatchState::Ready => want_upload(tx, &run.account_id, run.run, staged.batch).await?,
            BatchState::Accepted => {
                let wait = self.settings.confirm_poll.0;
                want_confirming(tx, &run.account_id, run.run, wait).await?;
            }
            _ => {}
        }
        Ok(Next::GoOn)
    }

    /// Klaviyo made an import job of a batch.
    pub(crate) async fn accept(
        &self,
        tx: &mut Tx,
        send: &lanes::Send,
        run: &runs::Run,
        batch: BatchNo,
        acceptance: &Acceptance,
        now: Micros,
    ) -> Result<(), Error> {
        if run.state.is_terminal() {
            return Ok(());
        }
        let first = batches::accept(tx, run.run, batch, acceptance, now).await?;
        if first {
            guards::note_rejects(tx, run, batch, Phase::Upload, &acceptance.refused).await?;
            runs::note_acceptance(tx, run.run, now).await?;
            self.note_batches(tx, run.run, BatchState::Accepted, &[batch]).await?;
        }
        if let Some(claim) = send.claim
            && let Some(held) = jobs::held(tx, claim).await?
        {
            // The reply to an earlier permit may have been lost; nobody will answer for it any more.
            lanes::abandon(tx, claim).await?;
            jobs::done(tx, held.job).await?;
        }
        if first {
            let wait = self.settings.confirm_poll.0;
            want_confirming(tx, &send.account_id, run.run, wait).await?;
        }
        Ok(())
    }

    /// Klaviyo said what became of an accepted batch. Nothing happens if that is known already.
    pub async fn confirm(&self, claim: ClaimId, confirmed: &Confirmation) -> Result<Next, Error> {
        let done = self.store.retry("confirm", || self.try_confirm(claim, confirmed)).await?;
        let Some(ended) = done else { return Ok(Next::Stop) };
        self.signals.events.notify_one();
        if ended {
            self.signals.stopped();
        }
        Ok(Next::GoOn)
    }

    /// Whether its run has ended. `None`: the claim has.
    async fn try_confirm(
        &self,
        claim: ClaimId,
        confirmed: &Confirmation,
    ) -> Result<Option<bool>, Error> {
        let mut tx = self.store.begin().await?;
        let run = runs::lock(&mut tx, confirmed.run).await?.ok_or(Error::NoRun(confirmed.run))?;
        let Some(held) = jobs::held(&mut tx, claim).await? else { return Ok(None) };
        if held.kind != JobKind::Confirm || held.account_id != run.account_id {
            tracing::error!(claim.id = %claim, "confirmation from a claim on something else");
            return Ok(None);
        }
        let locked = run;
        let (run, batch) = (confirmed.run, confirmed.batch);
        if batches::confirm(&mut tx, confirmed).await? {
            let rejects = &confirmed.rejects;
            guards::note_rejects(&mut tx, &locked, batch, Phase::Confirm, rejects).await?;
            self.note_batches(&mut tx, run, BatchState::Confirmed, &[batch]).await?;
        } else {
            tracing::warn!(run.id = %run, batch = batch.0, "confirmation that changes nothing");
        }
        let ended = self.settle(&mut tx, run).await?;
        kill_points::at("control_plane.confirm");
        tx.commit().await?;
        kill_points::at("control_plane.confirm_committed");
        Ok(Some(ended.is_some()))
    }
}

/// The run that a read claim works for, unless it has stopped.
async fn reader_of(tx: &mut Tx, claim: ClaimId) -> Result<Option<runs::Run>, Error> {
    let Some(run) = runs::lock_of_claim(tx, claim).await? else { return Ok(None) };
    if jobs::held(tx, claim).await?.is_none() {
        return Ok(None);
    }
    Ok((run.stop.is_none() && !run.state.is_terminal()).then_some(run))
}
