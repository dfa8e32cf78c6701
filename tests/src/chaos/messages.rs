//! A stranger on the broker: empties queues, deletes them, repeats what others said, talks nonsense.

use std::time::Duration;

use futures::StreamExt as _;
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ExchangeDeleteOptions, QueueBindOptions,
        QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
    },
    types::FieldTable,
};
use tokio::runtime::Runtime;

use crate::harness::Services;

/// What carries messages of a deployment, by their names behind its prefix.
const QUEUES: [&str; 7] = [
    "jobs.read",
    "jobs.upload",
    "jobs.confirm",
    "jobs.later",
    "jobs.dead",
    "commands",
    "commands.dead",
];
const EXCHANGES: [&str; 6] =
    ["jobs", "jobs.later", "jobs.dead", "commands", "commands.dead", "events"];

/// A message as it was seen.
#[derive(Clone)]
pub struct Seen {
    key: String,
    body: Vec<u8>,
    properties: BasicProperties,
}

/// A connection of its own to the broker of some services.
pub struct Channel {
    amqp: lapin::Channel,
    prefix: String,
    runtime: Runtime,
}

impl Channel {
    pub fn of(services: &Services) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let (url, prefix) = services.broker();
        let amqp = runtime.block_on(async {
            let connection =
                Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
            connection.create_channel().await.unwrap()
        });
        Self { amqp, prefix: prefix.to_owned(), runtime }
    }

    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    pub fn purge(&self) {
        self.runtime.block_on(async {
            for queue in QUEUES {
                let queue = self.name(queue);
                self.amqp.queue_purge(queue.into(), QueuePurgeOptions::default()).await.unwrap();
            }
        });
    }

    pub fn delete(&self) {
        self.runtime.block_on(async {
            for queue in QUEUES {
                let queue = self.name(queue);
                self.amqp.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
            }
            for exchange in EXCHANGES {
                let exchange = self.name(exchange);
                let options = ExchangeDeleteOptions::default();
                self.amqp.exchange_delete(exchange.into(), options).await.unwrap();
            }
        });
    }

    pub fn publish(&self, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
        let exchange = self.name(exchange);
        let options = BasicPublishOptions::default();
        let sent = self.amqp.basic_publish(exchange.into(), key.into(), options, body, properties);
        self.runtime.block_on(sent).unwrap();
    }

    /// What an automation asks for.
    pub fn ask_for_run(&self, export: &str, request_id: &str) {
        let body = serde_json::json!({
            "schema": 1,
            "start_run": {"export_id": export, "request_id": request_id},
        });
        let json = BasicProperties::default().with_content_type("application/json".into());
        self.publish("commands", "run.start", body.to_string().as_bytes(), json);
    }

    /// Bodies that nobody can read, or should not believe, at an exchange under a key.
    pub fn babble(&self, exchange: &str, key: &str) {
        let protobuf =
            BasicProperties::default().with_content_type("application/x-protobuf".into());
        let json = BasicProperties::default().with_content_type("application/json".into());
        for (body, properties) in [
            (&b""[..], protobuf.clone()),
            (b"\xff\xff\xff\xff", protobuf.clone()),
            (b"\x08\x01\x12\x03abc", protobuf.clone()),
            (b"{", json.clone()),
            (
                br#"{"schema": 1, "start_run": {"export_id": "../../etc", "request_id": ""}}"#,
                json.clone(),
            ),
            (br#"{"schema": 9999}"#, json),
            (b"hello", BasicProperties::default()),
        ] {
            self.publish(exchange, key, body, properties);
        }
    }

    /// From now on a copy of each job goes to a queue of its own.
    pub fn tap_jobs(&self) -> Tap<'_> {
        let queue = self.name(&format!("tap-{}", uuid::Uuid::new_v4().simple()));
        self.runtime.block_on(async {
            let options =
                QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
            let declared =
                self.amqp.queue_declare(queue.as_str().into(), options, FieldTable::default());
            declared.await.unwrap();
            for key in ["read", "upload", "confirm"] {
                let (jobs, options) = (self.name("jobs"), QueueBindOptions::default());
                let bound = self.amqp.queue_bind(
                    queue.as_str().into(),
                    jobs.into(),
                    key.into(),
                    options,
                    FieldTable::default(),
                );
                bound.await.unwrap();
            }
            let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
            let consumer = self.amqp.basic_consume(
                queue.as_str().into(),
                "tap".into(),
                options,
                FieldTable::default(),
            );
            Tap { channel: self, consumer: consumer.await.unwrap() }
        })
    }

    /// The same message once more, straight into its queue: a tap does not see it.
    pub fn repeat(&self, seen: &Seen) {
        let queue = self.name(&format!("jobs.{}", seen.key));
        let (options, properties) = (BasicPublishOptions::default(), seen.properties.clone());
        let sent =
            self.amqp.basic_publish("".into(), queue.into(), options, &seen.body, properties);
        self.runtime.block_on(sent).unwrap();
    }
}

/// Copies of what is published.
pub struct Tap<'c> {
    channel: &'c Channel,
    consumer: lapin::Consumer,
}

impl Tap<'_> {
    /// All that came until now and within `time`.
    pub fn take(&mut self, time: Duration) -> Vec<Seen> {
        let mut seen = Vec::new();
        let all = async {
            while let Some(Ok(delivery)) = self.consumer.next().await {
                seen.push(Seen {
                    key: delivery.routing_key.as_str().to_owned(),
                    body: delivery.data.clone(),
                    properties: delivery.properties.clone(),
                });
            }
        };
        // That it takes the whole time is the rule: there may always be more.
        self.channel.runtime.block_on(async { tokio::time::timeout(time, all).await }).ok();
        seen
    }
}
