//! Looks: a worker finds something out for somebody who waits.
//!
//! Workers have the files, and any control-plane may be asked. So a question is a row and a job: a worker takes the
//! job, any instance gets the answer, and the one that was asked sees it in the row. An answer may hold personal
//! data: it is sealed while it is there, and gone once it was told, or when nobody waits any longer.

use std::time::Duration;

use segue_model::{
    Id, JobId, LookId,
    look::{Asked, Found, MAX_ANSWER_BYTES},
    work::{LookWork, Looked, Verdict},
};
use segue_store::{
    StoreError, Tx,
    write::{
        connections::SealedKey,
        jobs::{self, Failures, Held},
        looks::{self, Look, Standing},
        workers,
    },
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{ControlPlane, Error, Refusal, exports::text};

/// More that wait at a time would wait for each other.
const MOST: u64 = 100;
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Whether somebody has an answer.
enum Answer {
    NotYet,
    Found(Found),
    Failed(String),
}

impl ControlPlane {
    /// What a worker finds out, or why it cannot: words for whoever asks. Whoever asks was asked for their rights
    /// before.
    ///
    /// # Errors
    /// [`Refusal::Unreachable`]: no worker takes looks, or none has answered within `Settings::look_patience`.
    pub async fn look(&self, asked: &Asked) -> Result<Result<Found, String>, Error> {
        self.look_within(asked, self.settings.look_patience).await
    }

    /// As [`ControlPlane::look`], for somebody who waits for `patience`.
    pub(crate) async fn look_within(
        &self,
        asked: &Asked,
        patience: Duration,
    ) -> Result<Result<Found, String>, Error> {
        self.vault()?;
        let until = Instant::now() + patience;
        let id: LookId = Id::from_uuid(Uuid::now_v7());
        let asked = text(asked)?;
        self.store.retry("look", || self.try_ask(id, &asked, patience)).await?;
        self.signals.work.notify_one();
        loop {
            let mut answered = std::pin::pin!(self.signals.look.notified());
            // Before the row is read, so that an answer in between is not missed.
            answered.as_mut().enable();
            match self.store.retry("answer_of_look", || self.try_take(id)).await? {
                Answer::Found(found) => return Ok(Ok(found)),
                Answer::Failed(words) => return Ok(Err(words)),
                Answer::NotYet => {}
            }
            let now = Instant::now();
            if now >= until {
                self.store.retry("forget_look", || self.try_forget(id)).await?;
                let words = format!(
                    "no worker has answered within {} s: ask again, or about less",
                    patience.as_secs()
                );
                return Err(Refusal::Unreachable { words, after: ASK_AGAIN }.into());
            }
            tokio::select! {
                () = answered => {}
                // Another instance may have the answer.
                () = tokio::time::sleep_until(until.min(now + self.settings.poll)) => {}
            }
        }
    }

    async fn try_ask(&self, id: LookId, asked: &str, patience: Duration) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let unreachable = |words: &str| {
            Err(Refusal::Unreachable { words: words.to_owned(), after: ASK_AGAIN }.into())
        };
        if workers::slots(&mut tx).await?.look == 0 {
            return unreachable(
                "no worker is there that looks at files: start one, of this version, or ask again later",
            );
        }
        if looks::waiting(&mut tx).await? >= MOST {
            return unreachable("too many wait for a worker already; ask again later");
        }
        let until = tx.now() + patience;
        looks::create(&mut tx, &Look { id, asked: asked.to_owned(), until }).await?;
        let job: JobId = Id::from_uuid(Uuid::now_v7());
        let trace = (self.settings.current_trace)();
        jobs::ask(&mut tx, job, id, trace).await?;
        Ok(tx.commit().await?)
    }

    /// Takes the answer out of the store, if it is there.
    async fn try_take(&self, id: LookId) -> Result<Answer, Error> {
        let mut tx = self.store.begin().await?;
        let answer = match looks::standing(&mut tx, id).await? {
            Some(Standing::Asked) => return Ok(Answer::NotYet),
            Some(Standing::Found { sealed, master_key }) => {
                let answer =
                    self.vault()?.sealer.open_answer(id, &SealedKey { sealed, master_key })?;
                // What is wrong with it may quote it.
                let damaged = |_| StoreError::Inconsistent { what: format!("the answer of {id}") };
                Answer::Found(serde_json::from_str(answer.expose()).map_err(damaged)?)
            }
            Some(Standing::Failed(words)) => Answer::Failed(words),
            None => Answer::Failed("the question was forgotten; ask again".to_owned()),
        };
        jobs::forget_look(&mut tx, id).await?;
        looks::forget(&mut tx, id).await?;
        tx.commit().await?;
        Ok(answer)
    }

    async fn try_forget(&self, id: LookId) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        jobs::forget_look(&mut tx, id).await?;
        looks::forget(&mut tx, id).await?;
        Ok(tx.commit().await?)
    }

    /// What a worker that has claimed the job of a look has to do. `None`: nobody waits any more.
    pub(crate) async fn look_work(
        &self,
        tx: &mut Tx,
        id: LookId,
    ) -> Result<Option<LookWork>, Error> {
        let Some(look) = looks::open(tx, id).await? else { return Ok(None) };
        let patience = look.until.since(tx.now());
        Ok(Some(LookWork { look: id, asked: look.asked, patience }))
    }

    /// How the claim on the job of a look ends.
    pub(crate) async fn finish_look(
        &self,
        tx: &mut Tx,
        held: &Held,
        id: LookId,
        verdict: &Verdict,
    ) -> Result<(), Error> {
        let now = tx.now();
        let standing = match verdict {
            Verdict::Looked(Looked::Found(answer)) if answer.expose().len() > MAX_ANSWER_BYTES => {
                Standing::Failed("the answer is larger than 1 MiB: ask about less".to_owned())
            }
            Verdict::Looked(Looked::Found(answer)) => {
                let SealedKey { sealed, master_key } =
                    self.vault()?.sealer.seal_answer(id, answer)?;
                Standing::Found { sealed, master_key }
            }
            Verdict::Looked(Looked::Failed(words)) => Standing::Failed(words.clone()),
            Verdict::Deferred { after } => {
                return Ok(jobs::release(tx, held.job, now + *after, Failures::Keep).await?);
            }
            Verdict::Retry
            | Verdict::ReadDone { .. }
            | Verdict::AllRefused(_)
            | Verdict::Split { .. }
            | Verdict::Passed { .. }
            | Verdict::Stale { .. }
            | Verdict::GiveUp(_)
            | Verdict::FailRun { .. } => return self.release_failed(tx, held, now).await,
        };
        jobs::done(tx, held.job).await?;
        Ok(looks::answer(tx, id, &standing).await?)
    }

    /// Forgets looks for which nobody waits: whoever did has gone.
    pub(crate) async fn sweep_looks(&self) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let over = looks::over(&mut tx).await?;
        tx.commit().await?;
        for id in over {
            self.store.retry("forget_look", || self.try_forget(id)).await?;
        }
        Ok(())
    }
}
