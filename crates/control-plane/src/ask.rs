//! What has to be known of Klaviyo outside of any run.

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
const PATIENCE: Duration = Duration::from_secs(15);
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
}

impl ControlPlane {
    /// Whose key it is. `lane`: the account that the request counts for, if it is known.
    pub(crate) async fn ask_for_account(
        self: &Arc<Self>,
        client: &Client,
        key: &SecretString,
        lane: String,
    ) -> Result<Reply<Account>, AskError> {
        let (client, key) = (client.within(CALL_DEADLINE), key.clone());
        let call = move || {
            let (client, key) = (client.clone(), key.clone());
            async move { client.account(&key).await }
        };
        let asked = Arc::clone(self).ask(lane, Endpoint::Accounts, call);
        // A task of its own: the answer is recorded although whoever asked has gone, or its place in the
        // lane would stay taken.
        match tokio::spawn(asked.in_current_span()).await {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Makes a call that changes nothing, under permits of the account's lane, again if it may help.
    async fn ask<T, Fut>(
        self: Arc<Self>,
        lane: String,
        endpoint: Endpoint,
        call: impl Fn() -> Fut,
    ) -> Result<T, AskError>
    where
        Fut: Future<Output = Result<T, CallError>>,
    {
        let until = Instant::now() + PATIENCE;
        let mut failures = 0;
        loop {
            let permit = match self.free_permit(&lane, endpoint).await? {
                PermitReply::Granted(permit) => permit,
                PermitReply::Later(wait) => {
                    if Instant::now() + wait > until {
                        return Err(AskError::Busy);
                    }
                    tokio::time::sleep(wait).await;
                    continue;
                }
                PermitReply::Stop => return Err(AskError::Busy),
            };
            let result = call().await;
            self.answer(permit, &answer_of(&result)).await?;
            let err = match result {
                Ok(value) => return Ok(value),
                // The lane is closed for as long as Klaviyo asked: the next permit waits for it.
                Err(CallError::Throttled { .. }) if Instant::now() < until => continue,
                Err(err) => err,
            };
            failures += 1;
            let wait = FIRST_WAIT * 2_u32.pow(failures - 1);
            if !may_pass(&err) || failures == ATTEMPTS || Instant::now() + wait > until {
                return Err(AskError::Klaviyo(err));
            }
            tokio::time::sleep(wait).await;
        }
    }
}

fn answer_of<T>(result: &Result<T, CallError>) -> Answer {
    match result {
        Ok(_) => Answer::Fine,
        Err(CallError::Throttled { retry_after }) => {
            Answer::Throttled { retry_after: *retry_after }
        }
        Err(CallError::NotSent { .. }) => Answer::NotSent,
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
