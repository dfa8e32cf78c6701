//! How claims end.

use segue_model::{
    BatchNo, ClaimId, FailReason, Micros, RunId, UndeliveredReason, backoff,
    guards::Tripped,
    work::{Child, Rejects, Verdict},
};
use segue_store::{
    Tx,
    write::{
        batches::{self, BatchState, Phase},
        connections::{self, Problem},
        jobs::{self, Failures, Held},
        lanes, runs,
    },
};
use uuid::Uuid;

use crate::{
    ControlPlane, Error, guards,
    runs::want_upload,
    verify::{ACCOUNT_CHANGED, KEY_REFUSED, SCOPE_MISSING, WRITE_FORBIDDEN},
};

impl ControlPlane {
    /// Ends a claim. Nothing happens if it has ended already.
    pub async fn finish(&self, claim: ClaimId, verdict: Verdict) -> Result<(), Error> {
        let passed = matches!(verdict, Verdict::Passed { .. } | Verdict::Deferred { .. });
        let held = self.store.retry("finish", || self.end_claim(claim, &verdict)).await?;
        let Some(held) = held else {
            tracing::warn!(claim.id = %claim, "verdict of a claim that has ended");
            return Ok(());
        };
        if held.look.is_some() {
            self.signals.look.notify_waiters();
            self.signals.work.notify_one();
            return Ok(());
        }
        // A pass over Klaviyo's jobs stops nobody, unless the key is of no use any more.
        if held.run.is_none() && passed {
            self.signals.work.notify_one();
        } else {
            self.signals.stopped();
        }
        Ok(())
    }

    /// Returns what was held. `None`: nothing, any more.
    async fn end_claim(&self, claim: ClaimId, verdict: &Verdict) -> Result<Option<Held>, Error> {
        let mut tx = self.store.begin().await?;
        let run = runs::lock_of_claim(&mut tx, claim).await?;
        // Whatever it still had under way at Klaviyo, nobody will say any more how it went.
        lanes::abandon(&mut tx, claim).await?;
        let Some(held) = jobs::held(&mut tx, claim).await? else { return Ok(None) };
        match (held.run, held.look) {
            (_, Some(look)) => self.finish_look(&mut tx, &held, look, verdict).await?,
            (Some(id), None) => {
                let run = run.ok_or(Error::NoRun(id))?;
                self.finish_of_run(&mut tx, &held, &run, verdict).await?;
            }
            (None, None) => self.finish_confirm(&mut tx, &held, verdict).await?,
        }
        kill_points::at("control_plane.finish");
        tx.commit().await?;
        kill_points::at("control_plane.finish_committed");
        Ok(Some(held))
    }

    pub(crate) async fn finish_of_run(
        &self,
        tx: &mut Tx,
        held: &Held,
        run: &runs::Run,
        verdict: &Verdict,
    ) -> Result<(), Error> {
        let (id, now) = (run.run, tx.now());
        match (verdict, held.batch) {
            (Verdict::Deferred { after }, _) => {
                jobs::release(tx, held.job, now + *after, Failures::Keep).await?;
            }
            (Verdict::Retry, batch) => {
                let since = held.failing_since.unwrap_or(now);
                match batch {
                    Some(no) if since + self.settings.give_up_after < now => {
                        self.give_up(tx, id, no, UndeliveredReason::GaveUp).await?;
                        jobs::done(tx, held.job).await?;
                    }
                    _ => self.release_failed(tx, held, now).await?,
                }
            }
            (Verdict::Stale { segments }, None) => {
                guards::wait_for_source(tx, run, held.job, segments).await?;
            }
            (Verdict::FailRun { reason, detail }, batch) => {
                runs::fail(tx, id, *reason, detail).await?;
                blame_key(tx, run, *reason, detail, batch.is_some()).await?;
                jobs::done(tx, held.job).await?;
            }
            (Verdict::ReadDone { summary }, None) => {
                jobs::done(tx, held.job).await?;
                self.finish_reading(tx, run, summary).await?;
            }
            (Verdict::AllRefused(refused), Some(no)) => {
                jobs::done(tx, held.job).await?;
                self.refuse_all(tx, run, no, refused).await?;
            }
            (Verdict::Split { children, refused }, Some(no)) => {
                jobs::done(tx, held.job).await?;
                self.split(tx, run, no, children, refused).await?;
            }
            (Verdict::GiveUp(reason), Some(no)) => {
                self.give_up(tx, id, no, *reason).await?;
                jobs::done(tx, held.job).await?;
            }
            (
                Verdict::ReadDone { .. }
                | Verdict::AllRefused(_)
                | Verdict::Split { .. }
                | Verdict::Passed { .. }
                | Verdict::Stale { .. }
                | Verdict::GiveUp(_)
                | Verdict::Looked(_),
                _,
            ) => {
                tracing::error!(job.id = %held.job, "verdict that does not fit the job");
                self.release_failed(tx, held, now).await?;
            }
        }
        self.settle(tx, id).await?;
        Ok(())
    }

    pub(crate) async fn finish_confirm(
        &self,
        tx: &mut Tx,
        held: &Held,
        verdict: &Verdict,
    ) -> Result<(), Error> {
        let now = tx.now();
        match verdict {
            _ if !batches::any_wanted(tx, &held.account_id).await? => {
                jobs::done(tx, held.job).await?;
            }
            Verdict::Passed { progress } => {
                let idle = if *progress { 0 } else { held.failures.min(32) };
                let (first, longest) = self.settings.confirm_poll;
                let wait = first.mul_f64(1.5_f64.powi(idle.try_into().unwrap_or(0))).min(longest);
                let failures = if *progress { Failures::Reset } else { Failures::Count };
                jobs::release(tx, held.job, now + wait, failures).await?;
            }
            Verdict::Deferred { after } => {
                jobs::release(tx, held.job, now + *after, Failures::Keep).await?;
            }
            Verdict::FailRun { reason, detail } => {
                // Nobody can be asked any more what became of the batches.
                jobs::done(tx, held.job).await?;
                for job in batches::wanted(tx, &held.account_id).await? {
                    // Locked first, as by everyone else who changes it.
                    let run = runs::lock(tx, job.run).await?;
                    runs::fail(tx, job.run, *reason, detail).await?;
                    if let Some(run) = run {
                        blame_key(tx, &run, *reason, detail, false).await?;
                    }
                    if batches::give_up_asking(tx, job.run, job.batch).await? {
                        self.note_batches(tx, job.run, BatchState::GivenUp, &[job.batch]).await?;
                    }
                    self.settle(tx, job.run).await?;
                }
            }
            Verdict::Retry
            | Verdict::ReadDone { .. }
            | Verdict::AllRefused(_)
            | Verdict::Split { .. }
            | Verdict::Stale { .. }
            | Verdict::GiveUp(_)
            | Verdict::Looked(_) => self.release_failed(tx, held, now).await?,
        }
        Ok(())
    }

    pub(crate) async fn release_failed(
        &self,
        tx: &mut Tx,
        held: &Held,
        now: Micros,
    ) -> Result<(), Error> {
        let wait = backoff::full_jitter(held.failures + 1, random());
        Ok(jobs::release(tx, held.job, now + wait, Failures::Count).await?)
    }

    async fn give_up(
        &self,
        tx: &mut Tx,
        run: RunId,
        no: BatchNo,
        reason: UndeliveredReason,
    ) -> Result<(), Error> {
        if batches::give_up(tx, run, no, reason).await? {
            self.note_batches(tx, run, BatchState::GivenUp, &[no]).await?;
        }
        Ok(())
    }

    /// Every row of a batch becomes a reject.
    async fn refuse_all(
        &self,
        tx: &mut Tx,
        locked: &runs::Run,
        no: BatchNo,
        refused: &Rejects,
    ) -> Result<(), Error> {
        let run = locked.run;
        let batch = batches::get(tx, run, no).await?;
        if batch.is_some_and(|batch| batch.profiles != refused.total()) {
            let detail = format!("not every row of batch {no} was refused: this is a bug in segue");
            return Ok(runs::fail(tx, run, FailReason::StagingFailed, &detail).await?);
        }
        if batches::refuse_all(tx, run, no, refused).await? {
            guards::note_rejects(tx, locked, no, Phase::Upload, refused).await?;
            self.note_batches(tx, run, BatchState::Confirmed, &[no]).await?;
        }
        Ok(())
    }

    /// Replaces a batch by its halves, while the run's budget lasts.
    async fn split(
        &self,
        tx: &mut Tx,
        run: &runs::Run,
        no: BatchNo,
        children: &[Child; 2],
        refused: &Rejects,
    ) -> Result<(), Error> {
        let Some(batch) = batches::get(tx, run.run, no).await? else { return Ok(()) };
        if batch.state != BatchState::Ready {
            return Ok(());
        }
        let halves = children.iter().map(|child| child.profiles).sum::<u64>();
        if halves + refused.total() != batch.profiles {
            let detail =
                format!("the halves of batch {no} are not the whole: this is a bug in segue");
            return Ok(runs::fail(tx, run.run, FailReason::StagingFailed, &detail).await?);
        }
        if !runs::use_split(tx, run.run).await? {
            let detail = "too many batches had to be split";
            return Ok(runs::fail(tx, run.run, FailReason::RequestRefused, detail).await?);
        }
        if let Some(halves) = batches::split(tx, run.run, no, children, refused).await? {
            guards::note_rejects(tx, run, no, Phase::Upload, refused).await?;
            self.note_batches(tx, run.run, BatchState::Split, &[no]).await?;
            self.make_ready(tx, run, &halves).await?;
        }
        Ok(())
    }

    async fn finish_reading(
        &self,
        tx: &mut Tx,
        run: &runs::Run,
        summary: &str,
    ) -> Result<(), Error> {
        if run.stop.is_some() {
            return Ok(());
        }
        if batches::lost(tx, run.run, true).await? > 0 {
            let detail = "the second reading has fewer batches";
            return Ok(runs::fail(tx, run.run, FailReason::ReadNotRepeatable, detail).await?);
        }
        if let Some(Tripped { reason, detail }) = guards::tripped(tx, run).await? {
            return Ok(runs::fail(tx, run.run, reason, &detail).await?);
        }
        runs::read_done(tx, run.run, summary).await?;
        let released = batches::release_held(tx, run.run).await?;
        self.make_ready(tx, run, &released).await
    }

    /// Batches may be sent from now on.
    async fn make_ready(
        &self,
        tx: &mut Tx,
        run: &runs::Run,
        numbers: &[BatchNo],
    ) -> Result<(), Error> {
        for number in numbers {
            want_upload(tx, &run.account_id, run.run, *number).await?;
        }
        self.note_batches(tx, run.run, BatchState::Ready, numbers).await
    }
}

/// Remembers with the connection of a run that failed for its key why, so that each export that uses it shows it.
/// `writes`: it was a request that changes something.
async fn blame_key(
    tx: &mut Tx,
    run: &runs::Run,
    reason: FailReason,
    detail: &str,
    writes: bool,
) -> Result<(), Error> {
    let Some(connection) = run.connection else { return Ok(()) };
    let code = match reason {
        FailReason::KeyRefused => KEY_REFUSED,
        FailReason::AccountChanged => ACCOUNT_CHANGED,
        FailReason::ScopeMissing if writes => WRITE_FORBIDDEN,
        FailReason::ScopeMissing => SCOPE_MISSING,
        _ => return Ok(()),
    };
    let (meaning, fix, id) = (reason.meaning(), reason.fix(), run.run);
    let problem = Problem {
        reason: code.to_owned(),
        detail: format!("{meaning} {fix} (Seen by {id}: {detail})"),
    };
    Ok(connections::note_check(tx, connection, Some(&problem)).await?)
}

/// The random tail of a fresh id: good enough to spread retries.
fn random() -> u32 {
    let bytes = Uuid::new_v4();
    bytes.as_fields().0
}
