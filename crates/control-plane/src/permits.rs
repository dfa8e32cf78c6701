use std::time::Duration;

use segue_model::{
    BatchNo, ClaimId, Endpoint, Grant, Id, Micros, PermitId,
    work::{Answer, PermitReply},
};
use segue_store::{
    Tx,
    write::{
        batches::{self, BatchState},
        jobs,
        lanes::{self, Send},
        runs,
    },
};
use uuid::Uuid;

use crate::{ControlPlane, Error};

/// Who asks for a permit.
#[derive(Debug, Clone, Copy)]
enum Asker {
    Claim(ClaimId),
    /// Somebody who wants to know something before there is a run.
    Nobody,
}

enum Decision {
    Reply(PermitReply),
    /// `None`: when an answer was recorded.
    Wait(Option<Duration>),
}

impl ControlPlane {
    /// Leave to make one request for a claim. Waits for a place, up to `Settings::permit_wait`.
    pub async fn permit(
        &self,
        claim: ClaimId,
        account_id: &str,
        endpoint: Endpoint,
    ) -> Result<PermitReply, Error> {
        self.wait_for_permit(Asker::Claim(claim), account_id, endpoint).await
    }

    /// Leave to make one request that belongs to no claim, such as the look at an account before a run.
    pub async fn free_permit(
        &self,
        account_id: &str,
        endpoint: Endpoint,
    ) -> Result<PermitReply, Error> {
        self.wait_for_permit(Asker::Nobody, account_id, endpoint).await
    }

    async fn wait_for_permit(
        &self,
        asker: Asker,
        account_id: &str,
        endpoint: Endpoint,
    ) -> Result<PermitReply, Error> {
        /// How soon to look again when another process may have recorded the answer.
        const LOOK_AGAIN: Duration = Duration::from_millis(250);
        let gate = self.signals.gate(account_id, endpoint);
        let patience = tokio::time::Instant::now() + self.settings.permit_wait;
        let Ok(_first_in_line) = tokio::time::timeout_at(patience, gate.line.lock()).await else {
            return Ok(PermitReply::Later(LOOK_AGAIN));
        };
        loop {
            let (answered, changed) = (gate.answered.notified(), gate.changed.notified());
            let decided =
                self.store.retry("permit", || self.decide(asker, account_id, endpoint)).await?;
            let wait = match decided {
                Decision::Reply(reply) => return Ok(reply),
                Decision::Wait(wait) => wait,
            };
            let until = tokio::time::Instant::now() + wait.unwrap_or(LOOK_AGAIN);
            if until > patience {
                return Ok(PermitReply::Later(wait.unwrap_or(LOOK_AGAIN)));
            }
            tokio::select! {
                // When the time is known, further answers cannot bring it forward.
                () = answered, if wait.is_none() => {}
                () = changed => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    async fn decide(
        &self,
        asker: Asker,
        account_id: &str,
        endpoint: Endpoint,
    ) -> Result<Decision, Error> {
        let mut tx = self.store.begin().await?;
        let run = match asker {
            Asker::Claim(claim) => runs::lock_of_claim(&mut tx, claim).await?,
            Asker::Nobody => None,
        };
        let lane = lanes::lock(&mut tx, account_id, endpoint).await?;
        let Some(Purpose { run, batch }) = may_send(&mut tx, asker, run, account_id).await? else {
            return Ok(Decision::Reply(PermitReply::Stop));
        };
        let places = lanes::places(&mut tx, account_id, endpoint).await?;
        let now = tx.now();
        match lane.grant(now, &places) {
            Grant::Wait(until) => Ok(Decision::Wait(until.map(|at| at.since(now)))),
            Grant::Now => {
                let permit: PermitId = Id::from_uuid(Uuid::now_v7());
                let claim = match asker {
                    Asker::Claim(claim) => Some(claim),
                    Asker::Nobody => None,
                };
                let account_id = account_id.to_owned();
                let id = run.as_ref().map(|run| run.run);
                let send =
                    Send { permit, account_id, endpoint, run: id, batch, claim, granted: now };
                lanes::grant(&mut tx, &send).await?;
                if let (Some(run), Endpoint::Import) = (run, endpoint)
                    && run.first_request.is_none()
                {
                    runs::note_request(&mut tx, run.run, now).await?;
                }
                kill_points::at("control_plane.permit");
                tx.commit().await?;
                kill_points::at("control_plane.permit_committed");
                Ok(Decision::Reply(PermitReply::Granted(permit)))
            }
        }
    }

    /// Records the answer to a request. A late acceptance counts although its claim has ended: claims are
    /// fenced, facts are not.
    pub async fn answer(&self, permit: PermitId, answer: &Answer) -> Result<(), Error> {
        let recorded = self.store.retry("answer", || self.record(permit, answer)).await?;
        let Some(Recorded { send, ended }) = recorded else {
            tracing::warn!(permit.id = %permit, "answer to a request that nobody was allowed");
            return Ok(());
        };
        let gate = self.signals.gate(&send.account_id, send.endpoint);
        gate.answered.notify_waiters();
        match answer {
            Answer::Accepted(_) => {
                self.signals.room.notify_waiters();
                self.signals.work.notify_one();
                self.signals.events.notify_one();
            }
            Answer::NotSent => gate.changed.notify_waiters(),
            Answer::Fine
            | Answer::Throttled { .. }
            | Answer::NotApplied { .. }
            | Answer::Ambiguous => {}
        }
        if ended {
            self.signals.stopped();
        }
        Ok(())
    }

    /// `None`: nobody was allowed the request.
    async fn record(&self, permit: PermitId, answer: &Answer) -> Result<Option<Recorded>, Error> {
        let mut tx = self.store.begin().await?;
        let Some(send) = lanes::get(&mut tx, permit).await? else { return Ok(None) };
        let run = match send.run {
            Some(run) => runs::lock(&mut tx, run).await?,
            None => None,
        };
        let now = tx.now();
        if lanes::answer(&mut tx, permit, name(answer)).await? {
            pace(&mut tx, &send, answer, now).await?;
        } else {
            lanes::amend(&mut tx, permit, name(answer)).await?;
        }
        if let (Answer::Accepted(acceptance), Some(run), Some(batch)) = (answer, &run, send.batch) {
            self.accept(&mut tx, &send, run, batch, acceptance, now).await?;
        }
        // The answer to one request ends a run only if nothing else is left of it.
        let ended = match run {
            Some(run) if run.stop.is_some() || run.read_done => {
                self.settle(&mut tx, run.run).await?
            }
            _ => None,
        };
        kill_points::at("control_plane.answer");
        tx.commit().await?;
        kill_points::at("control_plane.answer_committed");
        Ok(Some(Recorded { send, ended: ended.is_some() }))
    }
}

/// An answer that was written down.
struct Recorded {
    send: Send,
    /// It was the last that its run waited for.
    ended: bool,
}

/// What a request would be for.
#[derive(Default)]
struct Purpose {
    run: Option<runs::Run>,
    batch: Option<BatchNo>,
}

/// What the request would be for, or `None` if it must not be made.
async fn may_send(
    tx: &mut Tx,
    asker: Asker,
    run: Option<runs::Run>,
    account_id: &str,
) -> Result<Option<Purpose>, Error> {
    let Asker::Claim(claim) = asker else {
        return Ok(Some(Purpose::default()));
    };
    let Some(held) = jobs::held(tx, claim).await? else {
        return Ok(None);
    };
    if held.account_id != account_id {
        return Ok(None);
    }
    let mut purpose = Purpose { run: None, batch: held.batch };
    if let Some(id) = held.run {
        let run = run.ok_or(Error::NoRun(id))?;
        if run.stop.is_some() || run.state.is_terminal() || run.parked {
            return Ok(None);
        }
        // An earlier attempt may have had its acceptance after all.
        if let Some(no) = held.batch
            && batches::get(tx, id, no).await?.is_none_or(|batch| batch.state != BatchState::Ready)
        {
            return Ok(None);
        }
        purpose.run = Some(run);
    }
    Ok(Some(purpose))
}

/// What the answer says about the pace.
async fn pace(tx: &mut Tx, send: &Send, answer: &Answer, now: Micros) -> Result<(), Error> {
    let mut lane = lanes::lock(tx, &send.account_id, send.endpoint).await?;
    let changed = match answer {
        Answer::Throttled { retry_after } => {
            lane.throttle(now, *retry_after);
            tracing::warn!(endpoint = %send.endpoint, lane.burst, "klaviyo says: too many requests");
            if send.run.is_none() && send.claim.is_some() {
                runs::note_throttled(tx, &send.account_id).await?;
            }
            true
        }
        Answer::Ambiguous | Answer::NotApplied { status: 500.. } => {
            lane.trouble();
            true
        }
        Answer::Accepted(_) | Answer::Fine | Answer::NotApplied { .. } => lane.relax(now),
        Answer::NotSent => false,
    };
    if changed {
        lanes::save(tx, &send.account_id, send.endpoint, &lane).await?;
    }
    Ok(())
}

fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Accepted(_) => "accepted",
        Answer::Fine => "fine",
        Answer::Throttled { .. } => "throttled",
        Answer::NotApplied { .. } => "not_applied",
        Answer::Ambiguous => "ambiguous",
        Answer::NotSent => "not_sent",
    }
}
