//! What has to be known of Klaviyo, or done there, outside of any run.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use segue_klaviyo::{Account, CallError, Client, Reply};
use segue_model::{
    Endpoint,
    work::{Answer, PermitReply},
};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{ControlPlane, Error};

/// Whoever asks over gRPC is kept waiting for so long at most, and a little more for the last call.
const PATIENCE: Duration = Duration::from_secs(12);
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// A call that fails for a reason that may pass is made again, so often in all.
const ATTEMPTS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    ControlPlane(#[from] Error),
    #[error(transparent)]
    Klaviyo(CallError),
    #[error("the limits of the Klaviyo account leave no place for this request")]
    Busy,
    /// Another account has answered: the key is of that one by now.
    #[error("the key belongs to the Klaviyo account {0} by now")]
    Elsewhere(String),
}

/// Asks Klaviyo on behalf of somebody who waits, with one key: all of it within [`PATIENCE`].
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    control_plane: Arc<ControlPlane>,
    client: Client,
    key: SecretString,
    /// The account that requests count for, if it is known.
    lane: String,
    until: Instant,
}

impl ControlPlane {
    pub(crate) fn asker(
        self: &Arc<Self>,
        client: &Client,
        key: &SecretString,
        lane: String,
    ) -> Asker {
        Asker {
            control_plane: Arc::clone(self),
            client: client.within(CALL_DEADLINE),
            key: key.clone(),
            lane,
            until: Instant::now() + PATIENCE,
        }
    }
}

impl Asker {
    /// Whose key it is.
    pub(crate) async fn account(&self) -> Result<Reply<Account>, AskError> {
        let call = |client: Client, key| async move { client.account(&key).await };
        self.ask(Endpoint::Accounts, call).await
    }

    /// Whether there is time for another call.
    pub(crate) fn has_time(&self) -> bool {
        Instant::now() < self.until
    }

    /// Makes a call, under permits of the account's lane, again if it may help: one that changes something, only if
    /// it cannot have arrived. [`CallError::may_have_been_applied`] tells whether one that failed may have.
    ///
    /// In a task of its own: the answer is recorded although whoever asked has gone, or its place in the lane
    /// would stay taken.
    pub(crate) async fn ask<T, Fut>(
        &self,
        endpoint: Endpoint,
        call: impl Fn(Client, SecretString) -> Fut + Send + Sync + 'static,
    ) -> Result<Reply<T>, AskError>
    where
        T: Send + 'static,
        Fut: Future<Output = Result<Reply<T>, CallError>> + Send + 'static,
    {
        let asker = self.clone();
        let question = async move { asker.ask_here(endpoint, call).await };
        match tokio::spawn(question.in_current_span()).await {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    async fn ask_here<T, Fut>(
        &self,
        endpoint: Endpoint,
        call: impl Fn(Client, SecretString) -> Fut,
    ) -> Result<Reply<T>, AskError>
    where
        Fut: Future<Output = Result<Reply<T>, CallError>>,
    {
        let Self { control_plane, client, key, lane, until } = self;
        let mut failures = 0;
        loop {
            if !self.has_time() {
                return Err(AskError::Busy);
            }
            let permit = match control_plane.free_permit(lane, endpoint).await? {
                PermitReply::Granted(permit) => permit,
                PermitReply::Later(wait) => {
                    if Instant::now() + wait > *until {
                        return Err(AskError::Busy);
                    }
                    tokio::time::sleep(wait).await;
                    continue;
                }
                PermitReply::Stop => return Err(AskError::Busy),
            };
            let result = call(client.clone(), key.clone()).await;
            control_plane.answer(permit, &answer_of(&result, endpoint)).await?;
            let err = match result {
                Ok(reply) => return Ok(reply),
                // The lane is closed for as long as Klaviyo asked: the next permit waits for it.
                Err(CallError::Throttled { .. }) if Instant::now() < *until => continue,
                Err(err) => err,
            };
            failures += 1;
            let wait = FIRST_WAIT * 2_u32.pow(failures - 1);
            let again = may_pass(&err) && !may_have_changed(endpoint, &err);
            if !again || failures == ATTEMPTS || Instant::now() + wait > *until {
                return Err(AskError::Klaviyo(err));
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// Whether a call that failed may have changed something.
fn may_have_changed(endpoint: Endpoint, err: &CallError) -> bool {
    endpoint == Endpoint::CreateList && err.may_have_been_applied()
}

fn answer_of<T>(result: &Result<T, CallError>, endpoint: Endpoint) -> Answer {
    match result {
        Ok(_) => Answer::Fine,
        Err(CallError::Throttled { retry_after }) => {
            Answer::Throttled { retry_after: *retry_after }
        }
        Err(CallError::NotSent { .. }) => Answer::NotSent,
        Err(err) if may_have_changed(endpoint, err) => Answer::Ambiguous,
        Err(CallError::Unavailable { status, .. }) => Answer::NotApplied { status: *status },
        // What changes nothing was not applied, whoever has heard of it.
        Err(CallError::Ambiguous(_) | CallError::Challenged) => Answer::NotApplied { status: 503 },
        Err(_) => Answer::NotApplied { status: 400 },
    }
}

fn may_pass(err: &CallError) -> bool {
    matches!(
        err,
        CallError::NotSent { .. }
            | CallError::Ambiguous(_)
            | CallError::Challenged
            | CallError::Unavailable { .. }
    )
}
