use std::{future::Future, pin::Pin};

use futures::Stream;
use segue_model::{BatchNo, Cause, ExportId, Micros, RunId, RunState, Tally};

use crate::QueueError;

/// What has happened to a run, a batch or a command. Values are absolute, so an event that is missed or
/// comes twice does no harm. Its key is the run together with `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `run.<state>`, `batch.<state>` or `command.rejected`.
    pub topic: String,
    /// `None` for a command that names none.
    pub run: Option<RunId>,
    /// Grows within a run, with gaps.
    pub seq: u64,
    pub at: Micros,
    /// `None` for `segue export`, and for a command that names none.
    pub export: Option<ExportId>,
    pub state: Option<RunState>,
    pub failure: Option<EventFailure>,
    pub tally: Option<Tally>,
    pub batch: Option<EventBatch>,
    /// As whoever started the run, or sent the command, gave it.
    pub request_id: Option<String>,
    pub cause: Option<Cause>,
}

impl Event {
    /// An event that says nothing but what and when.
    pub fn new(topic: impl Into<String>, at: Micros) -> Self {
        Self {
            topic: topic.into(),
            run: None,
            seq: 0,
            at,
            export: None,
            state: None,
            failure: None,
            tally: None,
            batch: None,
            request_id: None,
            cause: None,
        }
    }
}

/// Why a run failed, or why a command was not obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFailure {
    /// A documented code.
    pub reason: String,
    /// Words without personal data; may be empty.
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBatch {
    pub batch: BatchNo,
    /// ready, accepted, confirmed, split, `given_up`.
    pub state: String,
    pub profiles: u64,
}

/// How events are written. Whoever listens reads both, by the content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventFormat {
    /// `application/json`: `RunEvent` in the JSON form of protobuf, with the names of its fields as they are
    /// in the `.proto` file and with numbers as numbers, so that it can be followed without protobuf.
    #[default]
    Json,
    /// `application/x-protobuf`: `RunEvent`.
    Protobuf,
}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Event(Box<Event>),
    /// Something may have been missed: the connection was lost, the subscriber was too slow, or an event
    /// could not be read. Look at the store.
    Missed,
}

/// Never ends before the queue is closed; what comes while the broker is away is missed. Dropped, it is
/// unsubscribed.
pub type Subscription = Pin<Box<dyn Stream<Item = Heard> + Send>>;

/// Facts for anyone who listens.
pub trait Events: Send + Sync + 'static {
    /// When it returns, whoever is subscribed will hear it; nobody need be. It returns within ten seconds.
    fn publish_event(&self, event: &Event) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// All events that are published after it has returned.
    fn subscribe(&self) -> impl Future<Output = Result<Subscription, QueueError>> + Send;
}
