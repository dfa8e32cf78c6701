use futures::{StreamExt as _, stream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use crate::{Event, Events, Heard, QueueError, Subscription};

/// A subscriber that is further behind misses the oldest.
const KEPT: usize = 1024;

/// Events within one process. Clones share them.
#[derive(Debug, Clone)]
pub struct MemoryEvents {
    sender: broadcast::Sender<Event>,
    closed: CancellationToken,
}

impl Default for MemoryEvents {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(KEPT), closed: CancellationToken::new() }
    }
}

impl MemoryEvents {
    /// Ends every subscription, now and later.
    pub fn close(&self) {
        self.closed.cancel();
    }
}

impl Events for MemoryEvents {
    async fn publish_event(&self, event: &Event) -> Result<(), QueueError> {
        if self.closed.is_cancelled() {
            return Err(QueueError::Closed);
        }
        // Nobody need listen.
        if self.sender.receiver_count() > 0 {
            drop(self.sender.send(event.clone()));
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Subscription, QueueError> {
        if self.closed.is_cancelled() {
            return Err(QueueError::Closed);
        }
        let heard = stream::unfold(self.sender.subscribe(), |mut receiver| async {
            let heard = match receiver.recv().await {
                Ok(event) => Heard::Event(Box::new(event)),
                Err(RecvError::Lagged(_)) => Heard::Missed,
                Err(RecvError::Closed) => return None,
            };
            Some((heard, receiver))
        });
        Ok(Box::pin(heard.take_until(self.closed.clone().cancelled_owned())))
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures::StreamExt as _;
    use segue_model::Micros;

    use super::{KEPT, MemoryEvents};
    use crate::{Event, Events as _, Heard};

    crate::events_conformance!(ready((MemoryEvents::default(), ready(()))));

    #[tokio::test]
    async fn slow_subscriber_is_told_that_it_has_missed_something() {
        let events = MemoryEvents::default();
        let mut heard = events.subscribe().await.unwrap();
        for _ in 0..=KEPT {
            events.publish_event(&Event::new("run.running", Micros(1))).await.unwrap();
        }
        assert_eq!(heard.next().await, Some(Heard::Missed));
        assert!(matches!(heard.next().await, Some(Heard::Event(_))));
    }

    #[tokio::test]
    async fn closed_events_end_their_subscriptions() {
        let events = MemoryEvents::default();
        let mut heard = events.subscribe().await.unwrap();
        events.close();
        assert_eq!(heard.next().await, None);
        assert!(events.subscribe().await.is_err());
    }
}
