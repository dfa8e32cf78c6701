use std::time::Duration;

use lapin::{Connection, ConnectionProperties, uri::AMQPUri};

use super::{problem, topology::Names};
use crate::{EventFormat, QueueError};

/// For a connection to be made, and for a broker to answer a question.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// Messages are small; `lapin` keeps buffers of 32 frames in both directions.
const FRAME: u32 = 32 * 1024;
/// A peer that says nothing for two of these is gone. Seconds.
const HEARTBEAT: u16 = 10;

/// How to reach RabbitMQ, and what is called what there.
#[derive(Clone)]
pub struct RabbitSettings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS with the certificates of the system.
    pub url: String,
    /// Of the names of all exchanges and queues: 1 to 100 letters, digits, `.`, `_` or `-`.
    pub prefix: String,
    /// By which the broker shows the connections.
    pub name: String,
    pub event_format: EventFormat,
    /// So often a message may be lost with whoever had it, before it is dead. Part of the queues: another
    /// number needs other queues.
    pub delivery_limit: u32,
}

impl RabbitSettings {
    pub fn new(url: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: prefix.into(),
            name: "segue".to_owned(),
            event_format: EventFormat::default(),
            delivery_limit: 20,
        }
    }
}

impl std::fmt::Debug for RabbitSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url: _, prefix, name, event_format, delivery_limit } = self;
        f.debug_struct("RabbitSettings")
            .field("prefix", prefix)
            .field("name", name)
            .field("event_format", event_format)
            .field("delivery_limit", delivery_limit)
            .finish_non_exhaustive()
    }
}

/// One virtual host of a broker.
pub(super) struct Broker {
    uri: AMQPUri,
    /// Host, port and virtual host, for errors and logs.
    pub(super) label: String,
    pub(super) names: Names,
    pub(super) event_format: EventFormat,
    name: String,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Broker {
    pub(super) fn new(settings: RabbitSettings) -> Result<Self, QueueError> {
        let RabbitSettings { url, prefix, name, event_format, delivery_limit } = settings;
        let config = |problem: &str| QueueError::Config {
            broker: "the configured address".to_owned(),
            problem: problem.to_owned(),
        };
        // The parser would take `localhost` instead, without a word.
        if url.contains('[') {
            return Err(config("an IPv6 address cannot be used, give a host name"));
        }
        // Its error may repeat the whole address, with the password.
        let mut uri: AMQPUri = url.parse().map_err(|_| {
            config("it is not of the form amqp://user:password@host:port/vhost (amqps:// for TLS)")
        })?;
        uri.query.frame_max.get_or_insert(FRAME);
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if !(1..=100).contains(&prefix.len()) || !prefix.chars().all(allowed) {
            return Err(config(
                "the prefix of its queues has to be 1 to 100 letters, digits, '.', '_' or '-'",
            ));
        }
        let authority = &uri.authority;
        let label = format!("{}:{}, vhost {:?}", authority.host, authority.port, uri.vhost);
        let names = Names::new(prefix, delivery_limit);
        Ok(Self { uri, label, names, event_format, name })
    }

    /// One attempt.
    pub(super) async fn connect(&self, purpose: &str) -> Result<Connection, QueueError> {
        let name = format!("{} {purpose}", self.name);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connect = Connection::connect_uri(self.uri.clone(), properties);
        match tokio::time::timeout(ANSWER, connect).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(err)) => {
                let user = &self.uri.authority.userinfo.username;
                Err(problem::connecting(&self.label, user, &err))
            }
            Err(_) => Err(QueueError::Unavailable {
                broker: self.label.clone(),
                problem: format!(
                    "no connection within {} s: is it RabbitMQ that listens there?",
                    ANSWER.as_secs()
                ),
            }),
        }
    }

    pub(super) fn unavailable(&self, problem: impl Into<String>) -> QueueError {
        QueueError::Unavailable { broker: self.label.clone(), problem: problem.into() }
    }

    /// What a call of `lapin` came to, which should have been answered at once.
    pub(super) async fn ask<T>(
        &self,
        asking: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, QueueError> {
        match tokio::time::timeout(ANSWER, asking).await {
            Ok(answer) => answer.map_err(|err| problem::asking(&self.label, &err)),
            Err(_) => Err(self.unavailable(format!("no answer within {} s", ANSWER.as_secs()))),
        }
    }
}
