use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    CommandReceipt, Commands, QueueError, Receipt, ReceivedCommand,
    wire::{self, RawCommand},
};

/// Commands within one process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryCommands {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<RawCommand>,
    rejected: Vec<String>,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single step, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryCommands {
    /// A message as it would come from a broker. `topic`: `run.start` or `run.cancel`.
    pub fn send(
        &self,
        topic: &str,
        content_type: Option<&str>,
        body: &[u8],
        trace: Option<&str>,
    ) -> Result<(), QueueError> {
        let mut state = self.shared.state();
        if state.closed {
            return Err(QueueError::Closed);
        }
        state.waiting.push_back(RawCommand {
            topic: topic.to_owned(),
            content_type: content_type.map(str::to_owned),
            body: body.to_vec(),
            trace: trace.map(str::to_owned),
        });
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    /// The reasons of all commands that were rejected.
    pub fn rejected(&self) -> Vec<String> {
        self.shared.state().rejected.clone()
    }

    /// Ends every [`Commands::receive_command`], now and later.
    pub fn close(&self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_waiters();
    }

    fn take(&self) -> Result<Option<RawCommand>, QueueError> {
        let mut state = self.shared.state();
        if state.closed {
            return Err(QueueError::Closed);
        }
        Ok(state.waiting.pop_front())
    }
}

impl Commands for MemoryCommands {
    type Receipt = MemoryCommandReceipt;

    async fn receive_command(&self) -> Result<(ReceivedCommand, Self::Receipt), QueueError> {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            // Registered before the look, so that a message put in between is not missed.
            changed.as_mut().enable();
            if let Some(raw) = self.take()? {
                let received = wire::decode_command(&raw);
                let shared = Arc::clone(&self.shared);
                return Ok((received, MemoryCommandReceipt { shared, raw: Some(raw) }));
            }
            changed.await;
        }
    }
}

/// See [`CommandReceipt`].
#[derive(Debug)]
pub struct MemoryCommandReceipt {
    shared: Arc<Shared>,
    /// `None` once it is settled.
    raw: Option<RawCommand>,
}

impl Receipt for MemoryCommandReceipt {
    async fn ack(mut self) -> Result<(), QueueError> {
        self.raw = None;
        Ok(())
    }
}

impl CommandReceipt for MemoryCommandReceipt {
    async fn reject(mut self, reason: &str) -> Result<(), QueueError> {
        self.raw = None;
        self.shared.state().rejected.push(wire::shorten(reason).to_owned());
        Ok(())
    }
}

impl Drop for MemoryCommandReceipt {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.shared.state().waiting.push_front(raw);
            self.shared.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::MemoryCommands;

    crate::commands_conformance!(ready((MemoryCommands::default(), ready(()))));

    #[tokio::test]
    async fn closed_commands_end_those_who_wait() {
        use crate::{Commands as _, QueueError};
        let commands = MemoryCommands::default();
        commands.close();
        assert!(matches!(commands.receive_command().await, Err(QueueError::Closed)));
    }
}
