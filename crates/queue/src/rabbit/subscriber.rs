use std::sync::Arc;

use futures::StreamExt as _;
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{
    broker::{ANSWER, Broker},
    link::{self, Link},
    topology,
};
use crate::{Heard, QueueError, Subscription, wire};

/// A subscriber that is further behind misses something.
const KEPT: usize = 1024;

/// Returns when the queue of this subscriber is bound.
pub(super) async fn subscribe(
    broker: &Arc<Broker>,
    link: &Link,
    stop: &CancellationToken,
) -> Result<Subscription, QueueError> {
    let (heard, stream) = mpsc::channel(KEPT);
    let (bound, ready) = oneshot::channel();
    let subscriber = Subscriber { broker: Arc::clone(broker), link: link.clone(), heard };
    let stop = stop.clone();
    tokio::spawn(async move {
        let gone = subscriber.heard.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = gone.closed() => {}
            () = subscriber.run(bound) => {}
        }
    });
    match tokio::time::timeout(ANSWER, ready).await {
        Ok(Ok(())) => Ok(Box::pin(ReceiverStream::new(stream))),
        Ok(Err(_)) => Err(QueueError::Closed),
        Err(_) => {
            let problem = link.problem().unwrap_or_else(|| "it does not answer".to_owned());
            let seconds = ANSWER.as_secs();
            Err(broker.unavailable(format!("nothing to listen to within {seconds} s: {problem}")))
        }
    }
}

struct Subscriber {
    broker: Arc<Broker>,
    link: Link,
    heard: mpsc::Sender<Heard>,
}

impl Subscriber {
    async fn run(&self, bound: oneshot::Sender<()>) {
        let mut bound = Some(bound);
        let mut failures = 0;
        while let Ok(connection) = self.link.connection().await {
            let listened = async {
                let channel = self.broker.ask(connection.create_channel()).await?;
                let consumer = self.bind(&channel).await?;
                failures = 0;
                match bound.take() {
                    Some(bound) => drop(bound.send(())),
                    // Another queue than before.
                    None => drop(self.heard.send(Heard::Missed).await),
                }
                self.listen(consumer).await
            };
            let listened = tokio::select! {
                listened = listened => listened,
                () = self.link.lost(&connection) => {
                    Err(self.broker.unavailable("the connection was lost"))
                }
            };
            if let Err(err) = listened {
                tracing::warn!(error = %err, "listening to events starts again");
            }
            failures += 1;
            tokio::time::sleep(link::wait(failures)).await;
        }
    }

    /// A queue that ends with its consumer.
    async fn bind(&self, channel: &Channel) -> Result<Consumer, QueueError> {
        topology::declare(channel, &self.broker).await?;
        let bind = async {
            let options =
                QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
            let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
            let exchange = self.broker.names.events().into();
            let (name, options) = (queue.name().clone(), QueueBindOptions::default());
            channel.queue_bind(name, exchange, "#".into(), options, FieldTable::default()).await?;
            let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
            let name = queue.name().clone();
            channel.basic_consume(name, "".into(), options, FieldTable::default()).await
        };
        self.broker.ask(bind).await
    }

    /// Takes whatever comes, so that nothing piles up in here or at the broker.
    async fn listen(&self, mut consumer: Consumer) -> Result<(), QueueError> {
        let mut missed = false;
        loop {
            tokio::select! {
                permit = self.heard.reserve(), if missed => match permit {
                    Ok(permit) => {
                        permit.send(Heard::Missed);
                        missed = false;
                    }
                    Err(_) => return Ok(()),
                },
                delivery = consumer.next() => match delivery {
                    Some(delivery) => {
                        let delivery = self.broker.ask(std::future::ready(delivery)).await?;
                        missed |= self.heard.try_send(heard(&delivery)).is_err();
                    }
                    None => return Err(self.broker.unavailable("the queue of this subscriber is gone")),
                },
            }
        }
    }
}

fn heard(delivery: &Delivery) -> Heard {
    let content_type = delivery.properties.content_type().as_ref().map(ShortString::as_str);
    let event = wire::decode_event(delivery.routing_key.as_str(), content_type, &delivery.data);
    event.map_or(Heard::Missed, |event| Heard::Event(Box::new(event)))
}
