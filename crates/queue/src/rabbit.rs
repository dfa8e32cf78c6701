//! RabbitMQ, 3.10 or later. The only module that names `lapin`.
//!
//! Two connections: one publishes, one consumes. A broker that runs out of memory or disk stops reading from
//! connections that publish, and what was received must still be settled. `lapin` could bring a lost
//! connection back by itself, but it would also bring back queues that were deleted meanwhile and confirms of
//! the old channel; here a new connection starts from nothing and declares everything again.

mod broker;
mod line;
mod link;
mod problem;
mod publisher;
mod subscriber;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod topology;

use std::{sync::Arc, time::Duration};

use lapin::message::Delivery;
use segue_model::work::{Job, JobKind};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub use broker::RabbitSettings;

use self::{
    broker::Broker,
    line::{Decoded, Line, LineReceipt},
    link::Link,
    publisher::{Outgoing, Publisher},
};
use crate::{
    CommandReceipt, Commands, DeadJob, DeadJobs, Death, Event, Events, Queue, QueueError, Receipt,
    ReceivedCommand, Subscription,
    wire::{self, RawCommand},
};

/// How long [`RabbitQueue::close`] waits for receipts that are not settled.
const CLOSE: Duration = Duration::from_secs(5);

/// Jobs, events and commands over RabbitMQ. Clones share the connections, which end with the last of them.
#[derive(Debug, Clone)]
pub struct RabbitQueue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    broker: Arc<Broker>,
    publisher: Arc<Publisher>,
    consuming: Link,
    read: Line<Job>,
    upload: Line<Job>,
    confirm: Line<Job>,
    look: Line<Job>,
    dead: Line<DeadJob>,
    commands: Line<ReceivedCommand>,
    /// Receive no more.
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Ends the connections.
    _end: DropGuard,
}

impl RabbitQueue {
    /// Connects and declares exchanges and queues. Fails at once if the broker is not there: whoever starts
    /// before it tries again on [`QueueError::Unavailable`]. From then on a connection that is lost is made
    /// again, after waits that grow from 0.1 to 5 seconds.
    pub async fn connect(settings: RabbitSettings) -> Result<Self, QueueError> {
        let broker = Arc::new(Broker::new(settings)?);
        let first = broker.connect("publishes").await?;
        topology::declare_on(&first, &broker).await?;
        let end = CancellationToken::new();
        let publishing = Link::start(&broker, "publishes", Some(first), &end);
        let consuming = Link::start(&broker, "consumes", None, &end);
        let publisher = Arc::new(Publisher::new(Arc::clone(&broker), publishing));
        let (stop, tasks) = (end.child_token(), TaskTracker::new());
        let line = line::Parts {
            link: consuming.clone(),
            publisher: Arc::clone(&publisher),
            stop: stop.clone(),
            tasks: tasks.clone(),
            broker: Arc::clone(&broker),
        };
        let names = &broker.names;
        let inner = Inner {
            read: Line::new(&line, names.jobs_of(JobKind::Read), names.jobs_aside(), decode_job),
            upload: Line::new(
                &line,
                names.jobs_of(JobKind::Upload),
                names.jobs_aside(),
                decode_job,
            ),
            confirm: Line::new(
                &line,
                names.jobs_of(JobKind::Confirm),
                names.jobs_aside(),
                decode_job,
            ),
            look: Line::new(&line, names.jobs_of(JobKind::Look), names.jobs_aside(), decode_job),
            dead: Line::new(&line, names.dead_jobs(), names.jobs_aside(), |delivery| {
                Decoded::Item(wire::decode_dead(&delivery.data))
            }),
            commands: Line::new(&line, names.commands(), names.commands_aside(), |delivery| {
                Decoded::Item(wire::decode_command(&raw_command(delivery)))
            }),
            broker,
            publisher,
            consuming,
            stop,
            tasks,
            _end: end.drop_guard(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether the broker is there and takes messages, as far as this process knows: for a probe.
    pub fn check(&self) -> Result<(), QueueError> {
        let problem = self.inner.consuming.problem().or_else(|| self.inner.publisher.problem());
        let broker = self.inner.broker.label.clone();
        problem.map_or(Ok(()), |problem| Err(QueueError::Unavailable { broker, problem }))
    }

    /// Receives no more, waits at most five seconds for receipts that are not settled, and lets go of the
    /// connections. What is not settled by then is delivered again.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        drop(tokio::time::timeout(CLOSE, self.inner.tasks.wait()).await);
        self.inner.publisher.close().await;
        self.inner.consuming.close().await;
    }
}

impl Queue for RabbitQueue {
    type Receipt = RabbitReceipt;

    /// Waits up to five seconds for the broker to be there, to take messages and to confirm.
    async fn publish(&self, job: Job) -> Result<(), QueueError> {
        let inner = &self.inner;
        let key = job.kind.name();
        let body = wire::encode_job(&job);
        let properties = topology::durable(wire::PROTOBUF, job.trace.as_deref());
        let exchange = inner.broker.names.jobs();
        inner.publisher.publish(Outgoing::to_queue(&exchange, key, &body, properties)).await
    }

    /// One message of a kind is out at a time: the next comes when the receipt is settled.
    async fn receive(&self, kind: JobKind) -> Result<(Job, RabbitReceipt), QueueError> {
        let line = match kind {
            JobKind::Read => &self.inner.read,
            JobKind::Upload => &self.inner.upload,
            JobKind::Confirm => &self.inner.confirm,
            JobKind::Look => &self.inner.look,
        };
        let (job, receipt) = line.receive().await?;
        Ok((job, RabbitReceipt(receipt)))
    }
}

impl DeadJobs for RabbitQueue {
    type Receipt = RabbitReceipt;

    async fn receive_dead(&self) -> Result<(DeadJob, RabbitReceipt), QueueError> {
        let (dead, receipt) = self.inner.dead.receive().await?;
        Ok((dead, RabbitReceipt(receipt)))
    }
}

impl Commands for RabbitQueue {
    type Receipt = RabbitReceipt;

    async fn receive_command(&self) -> Result<(ReceivedCommand, RabbitReceipt), QueueError> {
        let (command, receipt) = self.inner.commands.receive().await?;
        Ok((command, RabbitReceipt(receipt)))
    }
}

impl Events for RabbitQueue {
    /// Waits up to five seconds for the broker to be there, to take messages and to confirm.
    async fn publish_event(&self, event: &Event) -> Result<(), QueueError> {
        let inner = &self.inner;
        let (body, content_type) = wire::encode_event(event, inner.broker.event_format);
        let properties = topology::transient(content_type);
        let exchange = inner.broker.names.events();
        inner.publisher.publish(Outgoing::to_any(&exchange, &event.topic, &body, properties)).await
    }

    async fn subscribe(&self) -> Result<Subscription, QueueError> {
        let inner = &self.inner;
        subscriber::subscribe(&inner.broker, &inner.consuming, &inner.stop).await
    }
}

/// See [`Receipt`] and [`CommandReceipt`].
#[derive(Debug)]
pub struct RabbitReceipt(LineReceipt);

impl Receipt for RabbitReceipt {
    /// If the connection was lost meanwhile, this fails, and the message is delivered again.
    async fn ack(self) -> Result<(), QueueError> {
        self.0.ack().await
    }
}

impl CommandReceipt for RabbitReceipt {
    async fn reject(self, reason: &str) -> Result<(), QueueError> {
        self.0.put_aside(wire::shorten(reason)).await
    }
}

fn decode_job(delivery: &Delivery) -> Decoded<Job> {
    let trace = topology::trace(delivery).and_then(wire::traceparent);
    match wire::decode_job(&delivery.data, trace) {
        Ok(job) => Decoded::Item(job),
        // Another worker may be of a version that can.
        Err(DeadJob { death: death @ Death::UnknownSchema { .. }, .. }) => {
            Decoded::Later { reason: death.to_string() }
        }
        Err(dead) => Decoded::Aside { reason: dead.death.to_string() },
    }
}

fn raw_command(delivery: &Delivery) -> RawCommand {
    let content_type = delivery.properties.content_type().as_ref();
    RawCommand {
        topic: delivery.routing_key.to_string(),
        content_type: content_type.map(ToString::to_string),
        body: delivery.data.clone(),
        trace: topology::trace(delivery).map(str::to_owned),
    }
}
