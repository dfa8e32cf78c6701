//! Exchanges, queues and properties of messages.

use lapin::{
    BasicProperties, Channel, Connection, ExchangeKind,
    message::Delivery,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use segue_model::work::JobKind;

use super::broker::Broker;
use crate::QueueError;

/// How long a job that this version cannot read is kept from being delivered. Milliseconds.
pub(super) const LATER_MS: i32 = 5_000;
/// So often, that is for a minute, before it is dead.
pub(super) const PUT_BACKS: u32 = 12;

/// Dead jobs and rejected commands have no limit of their own; some versions would set one.
const NO_LIMIT: u32 = 1_000_000;

pub(super) const TRACEPARENT: &str = "traceparent";
/// Why a message was put aside, in words.
pub(super) const REASON: &str = "segue-reason";
/// How often it was put back because nobody could read it.
pub(super) const PUT_BACK: &str = "segue-put-back";

/// What is called what. `segue` stands for the prefix:
///
/// | exchange | queue | what |
/// |---|---|---|
/// | `segue.jobs` (direct) | `segue.jobs.read`, `.upload`, `.confirm`, `.look` | jobs by kind |
/// | `segue.jobs.later` (fanout) | `segue.jobs.later` | jobs of a later schema, for 5 s, then `segue.jobs` again |
/// | `segue.jobs.dead` (fanout) | `segue.jobs.dead` | dead jobs |
/// | `segue.commands` (topic) | `segue.commands` | commands |
/// | `segue.commands.dead` (fanout) | `segue.commands.dead` | rejected commands, for people to look at |
/// | `segue.events` (topic) | one for each subscriber | events |
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
    delivery_limit: u32,
}

/// Where messages of a queue go that cannot be read.
#[derive(Debug, Clone)]
pub(super) struct Aside {
    /// Exchange of those that another process may be able to read.
    pub(super) later: Option<String>,
    /// Exchange of those that nobody will.
    pub(super) dead: String,
}

impl Names {
    pub(super) fn new(prefix: String, delivery_limit: u32) -> Self {
        Self { prefix, delivery_limit }
    }

    fn with(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    pub(super) fn jobs(&self) -> String {
        self.with("jobs")
    }

    pub(super) fn jobs_of(&self, kind: JobKind) -> String {
        format!("{}.{}", self.jobs(), kind.name())
    }

    pub(super) fn later_jobs(&self) -> String {
        self.with("jobs.later")
    }

    pub(super) fn dead_jobs(&self) -> String {
        self.with("jobs.dead")
    }

    pub(super) fn commands(&self) -> String {
        self.with("commands")
    }

    pub(super) fn dead_commands(&self) -> String {
        self.with("commands.dead")
    }

    pub(super) fn events(&self) -> String {
        self.with("events")
    }

    pub(super) fn jobs_aside(&self) -> Aside {
        Aside { later: Some(self.later_jobs()), dead: self.dead_jobs() }
    }

    pub(super) fn commands_aside(&self) -> Aside {
        Aside { later: None, dead: self.dead_commands() }
    }

    /// All exchanges.
    pub(super) fn exchanges(&self) -> [(String, ExchangeKind); 6] {
        [
            (self.jobs(), ExchangeKind::Direct),
            (self.later_jobs(), ExchangeKind::Fanout),
            (self.dead_jobs(), ExchangeKind::Fanout),
            (self.commands(), ExchangeKind::Topic),
            (self.dead_commands(), ExchangeKind::Fanout),
            (self.events(), ExchangeKind::Topic),
        ]
    }

    /// All queues that outlive a connection.
    pub(super) fn queues(&self) -> Vec<QueueSpec> {
        let limited = |name: String, exchange: String, key: &str, dead: String| QueueSpec {
            name,
            exchange,
            key: key.to_owned(),
            delivery_limit: self.delivery_limit,
            expires_ms: None,
            dead_letters: Some(dead),
        };
        let kept = |name: String| QueueSpec {
            exchange: name.clone(),
            name,
            key: String::new(),
            delivery_limit: NO_LIMIT,
            expires_ms: None,
            dead_letters: None,
        };
        let jobs = JobKind::ALL
            .iter()
            .map(|kind| limited(self.jobs_of(*kind), self.jobs(), kind.name(), self.dead_jobs()));
        let mut queues: Vec<_> = jobs.collect();
        queues.push(QueueSpec {
            expires_ms: Some(LATER_MS),
            // Under the key that it was published with, so it comes to the queue of its kind again.
            dead_letters: Some(self.jobs()),
            ..kept(self.later_jobs())
        });
        queues.push(kept(self.dead_jobs()));
        // Every key, so that a sender who got it wrong is answered.
        queues.push(limited(self.commands(), self.commands(), "#", self.dead_commands()));
        queues.push(kept(self.dead_commands()));
        queues
    }
}

/// A quorum queue and its binding.
pub(super) struct QueueSpec {
    pub(super) name: String,
    exchange: String,
    key: String,
    delivery_limit: u32,
    expires_ms: Option<i32>,
    /// Exchange of messages that expired, or that were delivered too often.
    dead_letters: Option<String>,
}

impl QueueSpec {
    fn arguments(&self) -> FieldTable {
        let mut arguments = FieldTable::default();
        let mut set = |name: &str, value: AMQPValue| {
            arguments.insert(name.into(), value);
        };
        set("x-queue-type", text("quorum"));
        set("x-delivery-limit", AMQPValue::LongLongInt(self.delivery_limit.into()));
        if let Some(expires_ms) = self.expires_ms {
            set("x-message-ttl", AMQPValue::LongInt(expires_ms));
        }
        if let Some(exchange) = &self.dead_letters {
            set("x-dead-letter-exchange", text(exchange));
        }
        arguments
    }
}

pub(super) fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// Declares everything: what exists already is left as it is.
pub(super) async fn declare(channel: &Channel, broker: &Broker) -> Result<(), QueueError> {
    let declare = async {
        for (name, kind) in broker.names.exchanges() {
            let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
            channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await?;
        }
        for queue in broker.names.queues() {
            let name = ShortString::from(queue.name.as_str());
            let options = QueueDeclareOptions { durable: true, ..Default::default() };
            channel.queue_declare(name.clone(), options, queue.arguments()).await?;
            let (exchange, key) = (queue.exchange.as_str().into(), queue.key.as_str().into());
            let options = QueueBindOptions::default();
            channel.queue_bind(name, exchange, key, options, FieldTable::default()).await?;
        }
        Ok(())
    };
    broker.ask(declare).await
}

/// [`declare`] on a channel of its own: an error closes it.
pub(super) async fn declare_on(connection: &Connection, broker: &Broker) -> Result<(), QueueError> {
    let channel = broker.ask(connection.create_channel()).await?;
    declare(&channel, broker).await
}

/// Of a message that outlives the broker.
pub(super) fn durable(content_type: &str, trace: Option<&str>) -> BasicProperties {
    let properties =
        BasicProperties::default().with_content_type(content_type.into()).with_delivery_mode(2);
    let Some(trace) = trace else { return properties };
    let mut headers = FieldTable::default();
    headers.insert(TRACEPARENT.into(), text(trace));
    properties.with_headers(headers)
}

/// Of a message that need not outlive the broker.
pub(super) fn transient(content_type: &str) -> BasicProperties {
    BasicProperties::default().with_content_type(content_type.into()).with_delivery_mode(1)
}

/// The properties of a message that is published once more, without what the broker has added: it counts
/// from nothing again.
pub(super) fn republished(
    delivery: &Delivery,
    added: Option<(&str, AMQPValue)>,
) -> BasicProperties {
    let old = delivery.properties.headers().as_ref();
    let mut headers = FieldTable::default();
    for (name, value) in old.into_iter().flat_map(FieldTable::inner) {
        if !name.as_str().starts_with("x-") {
            headers.insert(name.clone(), value.clone());
        }
    }
    if let Some((name, value)) = added {
        headers.insert(name.into(), value);
    }
    delivery.properties.clone().with_headers(headers).with_delivery_mode(2)
}

fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a AMQPValue> {
    delivery.properties.headers().as_ref()?.inner().get(name)
}

/// The header `traceparent`, as somebody has written it.
pub(super) fn trace(delivery: &Delivery) -> Option<&str> {
    match header(delivery, TRACEPARENT)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}

pub(super) fn put_backs(delivery: &Delivery) -> u32 {
    match header(delivery, PUT_BACK) {
        Some(AMQPValue::LongUInt(count)) => *count,
        _ => 0,
    }
}
