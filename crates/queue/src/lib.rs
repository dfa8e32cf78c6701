//! Messages between services: jobs, events, commands. Each adapter runs the cases of [`conformance`].
//!
//! | what | port | in one process | between services |
//! |---|---|---|---|
//! | work to do | [`Queue`], [`DeadJobs`] | [`MemoryQueue`] | [`RabbitQueue`] |
//! | what has happened | [`Events`] | [`MemoryEvents`] | [`RabbitQueue`] |
//! | what others want | [`Commands`] | [`MemoryCommands`] | [`RabbitQueue`] |
//!
//! A job is a doorbell that may ring twice, late or never, and an event wakes whoever watches: the store
//! is the truth, and the broker may lose everything at any time.

mod command;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
mod dead;
mod error;
mod event;
mod memory;
mod rabbit;
mod wire;

use std::future::Future;

use segue_model::work::{Job, JobKind};

pub use command::{Command, CommandReceipt, Commands, Malformed, ReceivedCommand};
pub use dead::{DeadJob, DeadJobs, Death};
pub use error::QueueError;
pub use event::{Event, EventBatch, EventFailure, EventFormat, Events, Heard, Subscription};
pub use memory::{MemoryCommands, MemoryEvents, MemoryQueue};
#[cfg(any(test, feature = "test-util"))]
pub use rabbit::testing;
pub use rabbit::{RabbitQueue, RabbitSettings};
#[cfg(any(test, feature = "test-util"))]
pub use wire::raw;

/// At-least-once queue of jobs, by kind.
pub trait Queue: Send + Sync + 'static {
    type Receipt: Receipt;

    /// When it returns, the queue has the message. It returns within ten seconds.
    fn publish(&self, job: Job) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// The next message of a kind; waits for one, and for the broker to come back. Cancel-safe: a future
    /// that is dropped loses no message. A message is taken from the broker only for somebody who waits.
    fn receive(
        &self,
        kind: JobKind,
    ) -> impl Future<Output = Result<(Job, Self::Receipt), QueueError>> + Send;
}

/// A message that is not settled. Dropped, it is delivered again, at once: whoever drops it because
/// something else is broken should wait a little first. Settle it soon: an adapter may deliver the next
/// message to this process only then.
pub trait Receipt: Send + 'static {
    /// The message is done with. A claim was committed or refused: that is what a message is for.
    fn ack(self) -> impl Future<Output = Result<(), QueueError>> + Send;
}
