use std::{fmt, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _};
use lapin::{Connection, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::broker::Broker;
use crate::QueueError;

/// The first wait before a connection is made again; it doubles up to [`CAP`].
const FIRST: Duration = Duration::from_millis(100);
/// A broker that was restarted is away for some seconds: who waits longer than this makes them many.
const CAP: Duration = Duration::from_secs(2);
/// How often a connection is looked at beside what `lapin` tells: it keeps quiet about one end.
const LOOK: Duration = Duration::from_secs(1);

/// Half of it and a random part of the other half, so that all who were cut off do not come back together.
pub(super) fn wait(failures: u32) -> Duration {
    let full = (FIRST * 2_u32.pow(failures.saturating_sub(1).min(10))).min(CAP);
    full / 2 + (full / 2).mul_f64(rand::random::<f64>())
}

/// A connection that comes back.
#[derive(Clone)]
pub(super) struct Link {
    broker: Arc<Broker>,
    state: watch::Sender<State>,
    /// Not this connection: all there will be.
    end: CancellationToken,
}

#[derive(Clone)]
enum State {
    Down {
        problem: String,
    },
    Up {
        connection: Arc<Connection>,
        /// Why the broker takes no messages at the moment.
        blocked: Option<String>,
    },
    Closed,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl Link {
    /// Keeps a connection until `end`.
    pub(super) fn start(
        broker: &Arc<Broker>,
        purpose: &'static str,
        first: Option<Connection>,
        end: &CancellationToken,
    ) -> Self {
        let down = State::Down { problem: "it is not connected yet".to_owned() };
        let state = watch::Sender::new(down);
        let link = Self { broker: Arc::clone(broker), state, end: end.child_token() };
        tokio::spawn(link.clone().keep(purpose, first));
        link
    }

    async fn keep(self, purpose: &'static str, mut first: Option<Connection>) {
        let mut failures = 0;
        let end = self.end.clone();
        let keep = async {
            loop {
                let connected = match first.take() {
                    Some(connection) => Ok(connection),
                    None => self.broker.connect(purpose).await,
                };
                let problem = match connected {
                    Ok(connection) => {
                        tracing::debug!(broker = self.broker.label, purpose, "connected");
                        failures = 0;
                        self.watch(connection).await
                    }
                    Err(err) => err.to_string(),
                };
                tracing::warn!(broker = self.broker.label, purpose, problem, "no connection");
                self.state.send_replace(State::Down { problem });
                failures += 1;
                tokio::time::sleep(wait(failures)).await;
            }
        };
        end.run_until_cancelled(keep).await;
        self.state.send_replace(State::Closed);
    }

    /// Returns what ended the connection.
    async fn watch(&self, connection: Connection) -> String {
        let mut events = std::pin::pin!(connection.events_listener());
        let connection = Arc::new(connection);
        let up = |blocked| State::Up { connection: Arc::clone(&connection), blocked };
        self.state.send_replace(up(None));
        let mut problem = "the connection was closed".to_owned();
        loop {
            match next(&mut events).await {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(broker = self.broker.label, reason, "broker takes no messages");
                    self.state.send_replace(up(Some(reason)));
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!(broker = self.broker.label, "broker takes messages again");
                    self.state.send_replace(up(None));
                }
                Some(Event::Error(err)) => problem = err.to_string(),
                _ => {}
            }
            if !connection.status().connected() {
                return problem;
            }
        }
    }

    /// The connection; waits for one.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, QueueError> {
        self.wait_for(|state| match state {
            State::Up { connection, .. } if connection.status().connected() => {
                Some(Arc::clone(connection))
            }
            _ => None,
        })
        .await
    }

    /// The same, but waits also until the broker takes messages over it.
    pub(super) async fn unblocked(&self) -> Result<Arc<Connection>, QueueError> {
        self.wait_for(|state| match state {
            State::Up { connection, blocked: None } if connection.status().connected() => {
                Some(Arc::clone(connection))
            }
            _ => None,
        })
        .await
    }

    /// Returns when this connection is no more. What waits for an answer over it has to wait for this too:
    /// `lapin` forgets some of those who ask at the moment at which a connection ends.
    pub(super) async fn lost(&self, connection: &Arc<Connection>) {
        let gone = self.wait_for(|state| match state {
            State::Up { connection: now, .. } if Arc::ptr_eq(now, connection) => None,
            _ => Some(()),
        });
        // An error is the end of all connections.
        drop(gone.await);
    }

    async fn wait_for<T>(&self, wanted: impl Fn(&State) -> Option<T>) -> Result<T, QueueError> {
        let mut state = self.state.subscribe();
        loop {
            {
                let now = state.borrow_and_update();
                if matches!(*now, State::Closed) {
                    return Err(QueueError::Closed);
                }
                if let Some(found) = wanted(&now) {
                    return Ok(found);
                }
            }
            if state.changed().await.is_err() {
                return Err(QueueError::Closed);
            }
        }
    }

    /// What is in the way at the moment.
    pub(super) fn problem(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Down { problem } => Some(problem.clone()),
            State::Up { blocked: Some(reason), .. } => Some(format!(
                "it takes no messages at the moment, because it has an alarm ({reason}): free memory or disk there"
            )),
            State::Up { blocked: None, .. } => None,
            State::Closed => Some("the connection was closed".to_owned()),
        }
    }

    /// Ends this connection for good.
    pub(super) async fn close(&self) {
        let connection = match &*self.state.borrow() {
            State::Up { connection, .. } => Some(Arc::clone(connection)),
            _ => None,
        };
        self.end.cancel();
        if let Some(connection) = connection {
            // A broker that is blocked reads nothing, not even this.
            let close = connection.close(200, "bye".into());
            drop(tokio::time::timeout(LOOK, close).await);
        }
    }
}

/// The next event, or `None` when it is time to look.
async fn next(events: &mut (impl Stream<Item = Event> + Unpin)) -> Option<Event> {
    match tokio::time::timeout(LOOK, events.next()).await {
        Ok(Some(event)) => Some(event),
        // No more events will come.
        Ok(None) => {
            tokio::time::sleep(LOOK).await;
            None
        }
        Err(_) => None,
    }
}
