use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use segue_model::work::{Job, JobKind};
use tokio::sync::Notify;

use crate::{DeadJob, DeadJobs, Queue, QueueError, Receipt};

/// A queue within one process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<JobKind, VecDeque<Job>>,
    /// Delivered and not settled.
    unsettled: usize,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single step, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryQueue {
    /// Messages that were delivered and neither acknowledged nor given back.
    pub fn unsettled(&self) -> usize {
        self.shared.state().unsettled
    }

    /// Ends every [`Queue::receive`], now and later.
    pub fn close(&self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_waiters();
    }

    fn take(&self, kind: JobKind) -> Result<Option<Job>, QueueError> {
        let mut state = self.shared.state();
        if state.closed {
            return Err(QueueError::Closed);
        }
        let job = state.waiting.get_mut(&kind).and_then(VecDeque::pop_front);
        state.unsettled += usize::from(job.is_some());
        Ok(job)
    }
}

impl Queue for MemoryQueue {
    type Receipt = MemoryReceipt;

    async fn publish(&self, job: Job) -> Result<(), QueueError> {
        let mut state = self.shared.state();
        if state.closed {
            return Err(QueueError::Closed);
        }
        state.waiting.entry(job.kind).or_default().push_back(job);
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn receive(&self, kind: JobKind) -> Result<(Job, MemoryReceipt), QueueError> {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            // Registered before the look, so that a message put in between is not missed.
            changed.as_mut().enable();
            if let Some(job) = self.take(kind)? {
                let receipt =
                    MemoryReceipt { shared: Arc::clone(&self.shared), job: Some(job.clone()) };
                return Ok((job, receipt));
            }
            changed.await;
        }
    }
}

impl DeadJobs for MemoryQueue {
    type Receipt = MemoryReceipt;

    /// Waits until the queue is closed: a message that never leaves the process cannot be unreadable, and
    /// nobody who held it can end without it.
    async fn receive_dead(&self) -> Result<(DeadJob, MemoryReceipt), QueueError> {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if self.shared.state().closed {
                return Err(QueueError::Closed);
            }
            changed.await;
        }
    }
}

/// See [`Receipt`].
#[derive(Debug)]
pub struct MemoryReceipt {
    shared: Arc<Shared>,
    /// `None` once it is settled.
    job: Option<Job>,
}

impl Receipt for MemoryReceipt {
    async fn ack(mut self) -> Result<(), QueueError> {
        if self.job.take().is_some() {
            self.shared.state().unsettled -= 1;
        }
        Ok(())
    }
}

impl Drop for MemoryReceipt {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            let mut state = self.shared.state();
            state.unsettled -= 1;
            state.waiting.entry(job.kind).or_default().push_front(job);
            drop(state);
            self.shared.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::MemoryQueue;

    crate::queue_conformance!(ready((MemoryQueue::default(), ready(()))));

    #[tokio::test]
    async fn closed_queue_ends_those_who_wait() {
        use crate::{Queue as _, QueueError};
        let queue = MemoryQueue::default();
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.receive(segue_model::work::JobKind::Read).await.map(|_| ()) }
        });
        tokio::task::yield_now().await;
        queue.close();
        assert!(matches!(waiting.await.unwrap(), Err(QueueError::Closed)));
    }
}
