use std::{fmt, future::Future};

use segue_model::JobId;

use crate::{QueueError, Receipt};

/// A message of a job that nobody will deliver again, for the control-plane to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadJob {
    /// `None` if not even that could be read.
    pub id: Option<JobId>,
    pub attempt: Option<u32>,
    pub death: Death,
    /// Length of the message, and the SHA-256 of its bytes in hexadecimal. Of one that nobody can read this is
    /// all that is told: whoever wrote it may have put anything into it.
    pub bytes: u64,
    pub sha256: String,
}

/// Why a message is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Death {
    /// It was delivered again and again, and whoever had it was gone before it was settled. The job
    /// itself may be fine: to be held by a process that crashes for another reason is enough.
    Deliveries,
    /// No version can read it.
    Unreadable { words: String },
    /// Written by a later version than any that has seen it within a minute.
    UnknownSchema { schema: u32 },
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliveries => f.write_str(
                "it was delivered too often to workers that ended before they claimed it",
            ),
            Self::Unreadable { words } => write!(f, "it cannot be read: {words}"),
            Self::UnknownSchema { schema } => {
                write!(f, "no worker understands schema {schema}: are all services of one version?")
            }
        }
    }
}

/// Where dead jobs end up.
pub trait DeadJobs: Send + Sync + 'static {
    type Receipt: Receipt;

    /// The next dead job; waits for one. Cancel-safe.
    fn receive_dead(
        &self,
    ) -> impl Future<Output = Result<(DeadJob, Self::Receipt), QueueError>> + Send;
}
