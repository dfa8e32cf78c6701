use std::{sync::Arc, time::Duration};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::sync::Mutex;

use super::{broker::Broker, link::Link, problem, topology};
use crate::QueueError;

/// From the wish to the confirmation, all waits included.
const PUBLISH: Duration = Duration::from_secs(5);

/// A message to be published.
#[derive(Debug, Clone)]
pub(super) struct Outgoing<'a> {
    exchange: &'a str,
    key: &'a str,
    body: &'a [u8],
    properties: BasicProperties,
    mandatory: bool,
}

impl<'a> Outgoing<'a> {
    /// A message that has to come to a queue.
    pub(super) fn to_queue(
        exchange: &'a str,
        key: &'a str,
        body: &'a [u8],
        properties: BasicProperties,
    ) -> Self {
        Self { exchange, key, body, properties, mandatory: true }
    }

    /// A message that nobody need want.
    pub(super) fn to_any(
        exchange: &'a str,
        key: &'a str,
        body: &'a [u8],
        properties: BasicProperties,
    ) -> Self {
        Self { exchange, key, body, properties, mandatory: false }
    }
}

/// Publishes one message after the other, each confirmed.
///
/// One at a time, because `lapin` gives a returned message to whichever confirm it resolves next, and a
/// broker that confirms several at once lets it take the wrong one.
#[derive(Debug)]
pub(super) struct Publisher {
    broker: Arc<Broker>,
    link: Link,
    /// Taken out while a message is on its way: a future that is dropped then takes the channel, and the
    /// confirm that nobody waits for, with it.
    channel: Mutex<Option<Channel>>,
}

/// Why one attempt has failed.
enum Failed {
    /// The queue or the exchange is not there.
    NoRoute(QueueError),
    /// With the connection. It is not known whether the message was kept.
    Lost(QueueError),
    ForGood(QueueError),
}

impl From<QueueError> for Failed {
    fn from(lost: QueueError) -> Self {
        Self::Lost(lost)
    }
}

impl Publisher {
    /// What is in the way at the moment.
    pub(super) fn problem(&self) -> Option<String> {
        self.link.problem()
    }

    pub(super) fn new(broker: Arc<Broker>, link: Link) -> Self {
        Self { broker, link, channel: Mutex::default() }
    }

    pub(super) async fn close(&self) {
        self.link.close().await;
    }

    /// Returns when a broker has confirmed the message. Until then a connection that is lost is waited for,
    /// and the message is sent again, so it may be there twice.
    pub(super) async fn publish(&self, message: Outgoing<'_>) -> Result<(), QueueError> {
        if let Ok(published) = tokio::time::timeout(PUBLISH, self.deliver(&message)).await {
            return published;
        }
        let seconds = PUBLISH.as_secs();
        let problem = self.link.problem().unwrap_or_else(|| "it does not confirm".to_owned());
        Err(self.broker.unavailable(format!("nothing published within {seconds} s: {problem}")))
    }

    async fn deliver(&self, message: &Outgoing<'_>) -> Result<(), QueueError> {
        let mut kept = self.channel.lock().await;
        let mut declared = false;
        loop {
            let connection = self.link.unblocked().await?;
            let channel = match kept.take().filter(|channel| channel.status().connected()) {
                Some(channel) => channel,
                None => match self.unless_lost(&connection, self.open(&connection)).await {
                    Ok(channel) => channel,
                    Err(err) => {
                        Self::gone(&connection, err)?;
                        continue;
                    }
                },
            };
            let sent = self.unless_lost(&connection, self.send(&channel, message)).await;
            match sent {
                Ok(()) => {
                    *kept = Some(channel);
                    return Ok(());
                }
                // Somebody has deleted it under us.
                Err(Failed::NoRoute(_)) if !declared => {
                    declared = true;
                    topology::declare_on(&connection, &self.broker).await?;
                }
                Err(Failed::Lost(err)) => Self::gone(&connection, err)?,
                Err(Failed::NoRoute(err) | Failed::ForGood(err)) => return Err(err),
            }
        }
    }

    /// What it comes to, or that the connection is lost.
    async fn unless_lost<T, E: From<QueueError>>(
        &self,
        connection: &Arc<Connection>,
        asking: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        tokio::select! {
            answer = asking => answer,
            () = self.link.lost(connection) => {
                Err(self.broker.unavailable("the connection was lost").into())
            }
        }
    }

    /// The error, unless the whole connection is lost: then there will be another.
    fn gone(connection: &Connection, err: QueueError) -> Result<(), QueueError> {
        if connection.status().connected() { Err(err) } else { Ok(()) }
    }

    async fn open(&self, connection: &Connection) -> Result<Channel, QueueError> {
        let open = async {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        self.broker.ask(open).await
    }

    async fn send(&self, channel: &Channel, message: &Outgoing<'_>) -> Result<(), Failed> {
        let Outgoing { exchange, key, body, properties, mandatory } = message;
        let options = BasicPublishOptions { mandatory: *mandatory, immediate: false };
        let properties = properties.clone();
        let publish =
            channel.basic_publish((*exchange).into(), (*key).into(), options, body, properties);
        let confirmation = async {
            let sent = publish.await?;
            kill_points::at("queue.published");
            sent.await
        };
        let confirmation = confirmation.await;
        kill_points::at("queue.confirmed");
        let not_kept =
            |problem: String| QueueError::NotKept { broker: self.broker.label.clone(), problem };
        match confirmation {
            Ok(Confirmation::Ack(None)) => Ok(()),
            // An unroutable message is confirmed like any other, but it comes back.
            Ok(Confirmation::Ack(Some(back)) | Confirmation::Nack(Some(back))) => {
                let words = back.reply_text.as_str();
                let problem = format!("no queue for {key:?} at exchange {exchange:?}: {words}");
                Err(Failed::NoRoute(not_kept(problem)))
            }
            Ok(Confirmation::Nack(None)) => {
                Err(Failed::ForGood(not_kept(format!("exchange {exchange:?} refused it"))))
            }
            Ok(Confirmation::NotRequested) => {
                Err(Failed::ForGood(not_kept("it confirms nothing on this channel".to_owned())))
            }
            Err(err) if problem::is_not_found(&err) => {
                Err(Failed::NoRoute(not_kept(err.to_string())))
            }
            Err(err) => Err(Failed::Lost(problem::asking(&self.broker.label, &err))),
        }
    }
}
