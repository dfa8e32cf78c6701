use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use lapin::{
    Channel, Connection, Consumer,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::sync::{Notify, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    broker::Broker,
    link::{self, Link},
    publisher::{Outgoing, Publisher},
    topology::{self, Aside, PUT_BACK, PUT_BACKS, REASON},
};
use crate::QueueError;

/// Nobody waits for a message if nobody has for so long: whoever waits in a `select!` starts to wait anew
/// each time that something else has happened.
const LINGER: Duration = Duration::from_millis(100);

/// A channel that got nothing for so long is made anew. If a quorum queue is deleted and declared again at
/// once, RabbitMQ 3.10 does not tell the consumers of the old one: they wait for ever, and so would a new
/// consumer on their channel.
const IDLE: Duration = Duration::from_secs(10);

const LOST: &str = "the connection was lost, and the message will be delivered again";

/// What is in a delivery.
pub(super) enum Decoded<T> {
    Item(T),
    /// Another process may be able to read it.
    Later {
        reason: String,
    },
    /// Nobody will.
    Aside {
        reason: String,
    },
}

/// Consumes a queue, one message at a time, and only while somebody waits for one: a message that lies in
/// the memory of a busy process is kept from an idle one.
///
/// A task owns channel and consumer, so that a `receive` that is dropped can leave nothing half done.
pub(super) struct Line<T> {
    shared: Arc<Shared<T>>,
    parts: Parts,
    queue: String,
    aside: Aside,
    decode: fn(&Delivery) -> Decoded<T>,
}

/// What all lines have in common.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) link: Link,
    pub(super) publisher: Arc<Publisher>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) broker: Arc<Broker>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

struct State<T> {
    /// Delivered, and waiting to be taken.
    ready: Option<(T, LineReceipt)>,
    /// How many wait for a message.
    waiting: usize,
    started: bool,
    closed: bool,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Every change of the state is a single step, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let result = change(&mut self.state());
        self.changed.notify_waiters();
        result
    }

    async fn until(&self, condition: impl Fn(&State<T>) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if condition(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    /// Returns when nobody has waited for a while.
    async fn until_unwanted(&self) {
        loop {
            self.until(|state| state.waiting == 0).await;
            let wanted = self.until(|state| state.waiting > 0);
            if tokio::time::timeout(LINGER, wanted).await.is_err() {
                return;
            }
        }
    }

    fn wanted(&self) -> bool {
        self.state().waiting > 0
    }
}

/// Somebody waits.
struct Waiting<'a, T>(&'a Shared<T>);

impl<'a, T> Waiting<'a, T> {
    fn new(shared: &'a Shared<T>) -> Self {
        shared.change(|state| state.waiting += 1);
        Self(shared)
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.0.change(|state| state.waiting -= 1);
    }
}

impl<T> fmt::Debug for Line<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Line<T> {
    pub(super) fn new(
        parts: &Parts,
        queue: String,
        aside: Aside,
        decode: fn(&Delivery) -> Decoded<T>,
    ) -> Self {
        let state = State { ready: None, waiting: 0, started: false, closed: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() });
        Self { shared, parts: parts.clone(), queue, aside, decode }
    }

    /// The next message. Cancel-safe.
    pub(super) async fn receive(&self) -> Result<(T, LineReceipt), QueueError> {
        let shared = &*self.shared;
        if !std::mem::replace(&mut shared.state().started, true) {
            let task = Task {
                shared: Arc::clone(&self.shared),
                parts: self.parts.clone(),
                queue: self.queue.clone(),
                aside: self.aside.clone(),
                decode: self.decode,
            };
            self.parts.tasks.spawn(task.run());
        }
        let _waiting = Waiting::new(shared);
        loop {
            let mut changed = std::pin::pin!(shared.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = shared.state();
                if let Some(taken) = state.ready.take() {
                    drop(state);
                    shared.changed.notify_waiters();
                    return Ok(taken);
                }
                if state.closed {
                    return Err(QueueError::Closed);
                }
            }
            changed.await;
        }
    }
}

/// What becomes of a message, and whom to tell.
enum Settlement {
    Ack(oneshot::Sender<Result<(), QueueError>>),
    PutAside { reason: String, told: oneshot::Sender<Result<(), QueueError>> },
}

/// A message that is not settled. Dropped, it is delivered again.
pub(super) struct LineReceipt {
    settle: oneshot::Sender<Settlement>,
    broker: Arc<Broker>,
}

impl fmt::Debug for LineReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineReceipt").finish_non_exhaustive()
    }
}

impl LineReceipt {
    pub(super) async fn ack(self) -> Result<(), QueueError> {
        self.settle(Settlement::Ack).await
    }

    pub(super) async fn put_aside(self, reason: &str) -> Result<(), QueueError> {
        let reason = reason.to_owned();
        self.settle(|told| Settlement::PutAside { reason, told }).await
    }

    async fn settle(
        self,
        how: impl FnOnce(oneshot::Sender<Result<(), QueueError>>) -> Settlement,
    ) -> Result<(), QueueError> {
        let (told, answer) = oneshot::channel();
        let Self { settle, broker } = self;
        let lost = || broker.unavailable(LOST);
        settle.send(how(told)).map_err(|_| lost())?;
        answer.await.map_err(|_| lost())?
    }
}

/// Owns channel and consumer of a line.
struct Task<T> {
    shared: Arc<Shared<T>>,
    parts: Parts,
    queue: String,
    aside: Aside,
    decode: fn(&Delivery) -> Decoded<T>,
}

/// Why a channel is no longer needed.
enum Served {
    Stopped,
    Idle,
}

/// Whether the consumer is still one.
enum After {
    Consuming,
    Cancelled,
}

impl<T: Send + 'static> Task<T> {
    async fn run(self) {
        let (mut failures, mut declared) = (0, false);
        while !self.parts.stop.is_cancelled() {
            let stopped = self.parts.stop.run_until_cancelled(self.parts.link.connection()).await;
            let Some(Ok(connection)) = stopped else { break };
            let served = tokio::select! {
                served = self.serve(&connection, declared, &mut failures) => served,
                () = self.parts.link.lost(&connection) => {
                    Err(self.parts.broker.unavailable("the connection was lost"))
                }
            };
            // The broker delivers it again.
            drop(self.shared.change(|state| state.ready.take()));
            match served {
                Ok(Served::Stopped) => break,
                Ok(Served::Idle) => declared = true,
                Err(err) => {
                    declared = false;
                    failures += 1;
                    tracing::warn!(queue = self.queue, error = %err, "consuming starts again");
                    let wait = tokio::time::sleep(link::wait(failures));
                    self.parts.stop.run_until_cancelled(wait).await;
                }
            }
        }
        self.shared.change(|state| state.closed = true);
    }

    async fn serve(
        &self,
        connection: &Connection,
        declared: bool,
        failures: &mut u32,
    ) -> Result<Served, QueueError> {
        let broker = &self.parts.broker;
        let channel = broker.ask(connection.create_channel()).await?;
        if !declared {
            topology::declare(&channel, broker).await?;
        }
        broker.ask(channel.basic_qos(1, BasicQosOptions::default())).await?;
        loop {
            tokio::select! {
                () = self.parts.stop.cancelled() => return Ok(Served::Stopped),
                () = self.shared.until(|state| state.waiting > 0) => {}
            }
            let options = BasicConsumeOptions::default();
            let consume = channel.basic_consume(
                self.queue.as_str().into(),
                "".into(),
                options,
                FieldTable::default(),
            );
            let mut consumer = broker.ask(consume).await?;
            *failures = 0;
            if let Some(served) = self.consume(&channel, &mut consumer).await? {
                return Ok(served);
            }
        }
    }

    /// Returns when nobody wants a message any more, or when the channel has served its time.
    async fn consume(
        &self,
        channel: &Channel,
        consumer: &mut Consumer,
    ) -> Result<Option<Served>, QueueError> {
        loop {
            let delivery = tokio::select! {
                delivery = consumer.next() => delivery,
                () = self.unwanted() => {
                    self.cancel(channel, consumer).await?;
                    return Ok(None);
                }
                () = tokio::time::sleep(IDLE) => {
                    self.cancel(channel, consumer).await?;
                    return Ok(Some(Served::Idle));
                }
            };
            let Some(delivery) = delivery else {
                let problem = format!("queue {} was deleted or moved", self.queue);
                return Err(self.parts.broker.unavailable(problem));
            };
            let delivery = self.parts.broker.ask(std::future::ready(delivery)).await?;
            match self.deliver(channel, consumer, delivery).await? {
                After::Consuming => {}
                After::Cancelled => return Ok(None),
            }
        }
    }

    async fn unwanted(&self) {
        tokio::select! {
            () = self.parts.stop.cancelled() => {}
            () = self.shared.until_unwanted() => {}
        }
    }

    /// Ends the consumer. What was on its way is given back.
    async fn cancel(&self, channel: &Channel, consumer: &mut Consumer) -> Result<(), QueueError> {
        let cancel = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
        self.parts.broker.ask(cancel).await?;
        while let Some(delivery) = consumer.next().await {
            let delivery = self.parts.broker.ask(std::future::ready(delivery)).await?;
            self.give_back(&delivery).await?;
        }
        Ok(())
    }

    async fn deliver(
        &self,
        channel: &Channel,
        consumer: &mut Consumer,
        delivery: Delivery,
    ) -> Result<After, QueueError> {
        match (self.decode)(&delivery) {
            Decoded::Item(item) => self.hand_over(channel, consumer, delivery, item).await,
            Decoded::Later { reason } => {
                self.put_back(&delivery, &reason).await?;
                Ok(After::Consuming)
            }
            Decoded::Aside { reason } => {
                self.put_aside(&delivery, &reason).await?;
                Ok(After::Consuming)
            }
        }
    }

    /// Gives the message to whoever waits, and does what the receipt says.
    async fn hand_over(
        &self,
        channel: &Channel,
        consumer: &mut Consumer,
        delivery: Delivery,
        item: T,
    ) -> Result<After, QueueError> {
        let (settle, settled) = oneshot::channel();
        let receipt = LineReceipt { settle, broker: Arc::clone(&self.parts.broker) };
        self.shared.change(|state| state.ready = Some((item, receipt)));
        tokio::select! {
            () = self.shared.until(|state| state.ready.is_none()) => {}
            // Nobody came for it: the receipt is dropped, as a receiver would drop it.
            () = self.unwanted() => drop(self.shared.change(|state| state.ready.take())),
        }
        let settlement = settled.await;
        // The broker delivers the next message as soon as this one is settled.
        let mut after = After::Consuming;
        if !self.shared.wanted() {
            self.cancel(channel, consumer).await?;
            after = After::Cancelled;
        }
        match settlement {
            Ok(Settlement::Ack(told)) => tell(told, self.ack(&delivery).await)?,
            Ok(Settlement::PutAside { reason, told }) => {
                tell(told, self.put_aside(&delivery, &reason).await)?;
            }
            Err(_) => self.give_back(&delivery).await?,
        }
        Ok(after)
    }

    async fn ack(&self, delivery: &Delivery) -> Result<(), QueueError> {
        let broker = &self.parts.broker;
        if broker.ask(delivery.ack(BasicAckOptions::default())).await? {
            Ok(())
        } else {
            Err(broker.unavailable(LOST))
        }
    }

    /// Puts a copy of the message into its queue. The broker would count a requeued message as delivered once
    /// more, and in the end as dead, although nothing is wrong with it.
    async fn give_back(&self, delivery: &Delivery) -> Result<(), QueueError> {
        let (exchange, key) = (delivery.exchange.as_str(), delivery.routing_key.as_str());
        self.copy(delivery, exchange, key, None).await
    }

    /// For a version that can read it.
    async fn put_back(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        let times = topology::put_backs(delivery);
        match &self.aside.later {
            Some(later) if times < PUT_BACKS => {
                tracing::warn!(queue = self.queue, reason, "message is put back");
                let count = (PUT_BACK, AMQPValue::LongUInt(times + 1));
                self.copy(delivery, later, delivery.routing_key.as_str(), Some(count)).await
            }
            _ => self.put_aside(delivery, reason).await,
        }
    }

    async fn put_aside(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        tracing::warn!(queue = self.queue, reason, "message is put aside");
        let added = Some((REASON, topology::text(reason)));
        self.copy(delivery, &self.aside.dead, delivery.routing_key.as_str(), added).await
    }

    /// Publishes the message once more and settles this one. Only in this order nothing is lost.
    async fn copy(
        &self,
        delivery: &Delivery,
        exchange: &str,
        key: &str,
        added: Option<(&str, AMQPValue)>,
    ) -> Result<(), QueueError> {
        let properties = topology::republished(delivery, added);
        let message = Outgoing::to_queue(exchange, key, &delivery.data, properties);
        if let Err(err) = self.parts.publisher.publish(message).await {
            let options = BasicNackOptions { requeue: true, ..Default::default() };
            self.parts.broker.ask(delivery.nack(options)).await?;
            return Err(err);
        }
        self.ack(delivery).await
    }
}

/// Gives the result to whoever waits for it; an error also ends the consumer.
fn tell(
    told: oneshot::Sender<Result<(), QueueError>>,
    result: Result<(), QueueError>,
) -> Result<(), QueueError> {
    // Nobody need wait for it.
    drop(told.send(result.clone()));
    result
}
