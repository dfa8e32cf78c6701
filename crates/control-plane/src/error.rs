use segue_model::{ConnectionId, RunId};
use segue_queue::QueueError;
use segue_store::StoreError;

use crate::{ReferenceError, Refusal, SealError};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store did not do what it was asked")]
    Store(#[from] StoreError),
    #[error("a job could not be announced")]
    Queue(#[from] QueueError),
    #[error("there is no run {0}")]
    NoRun(RunId),
    #[error("no key is known for the Klaviyo account {account_id}")]
    NoKey { account_id: String },
    /// Whoever asked has to do something first.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the key of a connection cannot be used")]
    Seal(#[source] SealError),
    /// It is not where the connection refers to.
    #[error("the key of the connection {connection} cannot be used")]
    Elsewhere { connection: ConnectionId, source: ReferenceError },
    #[error("this process keeps no connections: it was started without a master key")]
    NoVault,
    #[error("this machine gives no random bytes")]
    NoRandomness,
    /// Another instance was faster, or a later time of the schedule has come.
    #[error("the export is not due for that time any more")]
    NotDue,
    /// The rows of a run do not add up. The transaction was undone.
    #[error("the numbers of {run} do not add up")]
    Accounting {
        run: RunId,
        #[source]
        source: segue_model::CountsError,
    },
}
