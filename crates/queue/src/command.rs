use std::future::Future;

use segue_model::{ExportId, RunId};

use crate::{QueueError, Receipt};

/// What somebody outside wants, by a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Start {
        export: ExportId,
        /// 1 to 100 characters, the sender's. A message that comes twice starts one run.
        request_id: String,
    },
    Cancel {
        run: RunId,
        /// 1 to 100 characters, the sender's. It comes back in the answer.
        request_id: String,
    },
}

impl Command {
    pub fn request_id(&self) -> &str {
        match self {
            Self::Start { request_id, .. } | Self::Cancel { request_id, .. } => request_id,
        }
    }
}

/// A message that is no command, to be answered as `command.rejected`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Malformed {
    /// If one could be found: what the sender knows the message by. At most 100 characters.
    pub request_id: Option<String>,
    /// What is wrong and where. Names of fields only, no values of the sender.
    pub words: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedCommand {
    pub command: Result<Command, Malformed>,
    /// The trace that it belongs to: a `traceparent` of W3C Trace Context.
    pub trace: Option<String>,
}

/// Commands of others.
pub trait Commands: Send + Sync + 'static {
    type Receipt: CommandReceipt;

    /// The next message, be it a command or not; waits for one. Cancel-safe.
    fn receive_command(
        &self,
    ) -> impl Future<Output = Result<(ReceivedCommand, Self::Receipt), QueueError>> + Send;
}

/// `ack` after what was asked for is committed. Dropped, the command is delivered again.
pub trait CommandReceipt: Receipt {
    /// The command will never be obeyed, and its sender was told. It is put aside together with the
    /// reason: words without personal data, of which 500 bytes are kept.
    fn reject(self, reason: &str) -> impl Future<Output = Result<(), QueueError>> + Send;
}
