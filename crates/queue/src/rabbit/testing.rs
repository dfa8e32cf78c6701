//! For tests with a broker: `AMQP_URL`, or `guest` on this machine. They fail where there is none.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "these are parts of tests")]

use std::time::Duration;

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicGetOptions, BasicNackOptions, BasicPublishOptions, ExchangeDeleteOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::FieldTable,
};
use segue_model::work::JobKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::{broadcast, watch},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{RabbitSettings, topology::Names};

/// The broker for tests.
pub fn url() -> String {
    let url = std::env::var("AMQP_URL");
    url.unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

/// Settings with a prefix that nobody else has. [`delete`] it afterwards.
pub fn settings() -> RabbitSettings {
    RabbitSettings::new(url(), format!("segue-test-{}", Uuid::new_v4().simple()))
}

/// Deletes all exchanges and queues of a prefix.
pub async fn delete(prefix: &str) {
    let names = Names::new(prefix.to_owned(), 0);
    let connection = connect().await;
    let channel = connection.create_channel().await.unwrap();
    for queue in names.queues() {
        let options = QueueDeleteOptions::default();
        channel.queue_delete(queue.name.into(), options).await.unwrap();
    }
    for (exchange, _) in names.exchanges() {
        let options = ExchangeDeleteOptions::default();
        channel.exchange_delete(exchange.into(), options).await.unwrap();
    }
}

async fn connect() -> Connection {
    let connection = Connection::connect(&url(), ConnectionProperties::default()).await;
    connection.expect("these tests need a RabbitMQ: set AMQP_URL")
}

/// A channel as any other program would have it.
pub async fn channel() -> Channel {
    connect().await.create_channel().await.unwrap()
}

/// Publishes to the jobs of a prefix what nobody can read.
pub async fn publish_garbage(prefix: &str, kind: JobKind, body: &[u8]) {
    let (exchange, channel) = (Names::new(prefix.to_owned(), 0).jobs(), channel().await);
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    let sent =
        channel.basic_publish(exchange.into(), kind.name().into(), options, body, properties);
    sent.await.unwrap().await.unwrap();
}

/// Lets the next message of a kind die, as if it had been delivered too often. `false`: none is there.
pub async fn kill_job(prefix: &str, kind: JobKind) -> bool {
    let (name, channel) = (Names::new(prefix.to_owned(), 0).jobs_of(kind), channel().await);
    let got = channel.basic_get(name.into(), BasicGetOptions::default()).await.unwrap();
    let Some(got) = got else { return false };
    // The broker puts it where dead letters of the queue go.
    got.delivery.nack(BasicNackOptions { requeue: false, ..Default::default() }).await.unwrap()
}

/// How many messages wait in a queue that exists. Messages that are out with somebody do not count.
pub async fn depth(queue: &str) -> u32 {
    let options = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
    let queue =
        channel().await.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
    queue.message_count()
}

/// A way to the broker that can be cut.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    open: watch::Sender<bool>,
    cut: watch::Sender<u64>,
    inject: broadcast::Sender<Vec<u8>>,
    end: CancellationToken,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Proxy {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Self {
            port,
            open: watch::Sender::new(true),
            cut: watch::Sender::new(0),
            inject: broadcast::Sender::new(16),
            end: CancellationToken::new(),
        };
        let (open, cut, inject) = (proxy.open.clone(), proxy.cut.clone(), proxy.inject.clone());
        let end = proxy.end.clone();
        tokio::spawn(end.clone().run_until_cancelled_owned(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if !*open.borrow() {
                    continue;
                }
                let (mut cut, inject) = (cut.subscribe(), inject.subscribe());
                cut.mark_unchanged();
                let end = end.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(client, inject) => {}
                        _ = cut.changed() => {}
                        () = end.cancelled() => {}
                    }
                });
            }
        }));
        proxy
    }

    /// The address of the broker by way of this proxy.
    pub fn url(&self) -> String {
        let mut url = url::Url::parse(&url()).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts all connections, and lets no new one through.
    pub fn shut(&self) {
        self.open.send_replace(false);
        self.cut();
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Says to all clients that the broker is out of memory, as a broker would say it to those who publish.
    pub fn block(&self, reason: &str) {
        let mut arguments = vec![u8::try_from(reason.len()).unwrap()];
        arguments.extend(reason.as_bytes());
        self.say(60, &arguments);
    }

    /// Says that it is over.
    pub fn unblock(&self) {
        self.say(61, &[]);
    }

    /// A method of the class `connection`, which has the number 10, on channel 0.
    fn say(&self, method: u16, arguments: &[u8]) {
        let length = u32::try_from(arguments.len() + 4).unwrap();
        let mut frame = vec![1, 0, 0];
        frame.extend(length.to_be_bytes());
        frame.extend(10_u16.to_be_bytes());
        frame.extend(method.to_be_bytes());
        frame.extend(arguments);
        frame.push(0xCE);
        self.inject.send(frame).unwrap();
    }
}

async fn pass(client: TcpStream, inject: broadcast::Receiver<Vec<u8>>) {
    let broker = url::Url::parse(&url()).unwrap();
    let address = (broker.host_str().unwrap().to_owned(), broker.port().unwrap_or(5672));
    let broker = TcpStream::connect(address).await.unwrap();
    let (mut from_client, to_client) = client.into_split();
    let (from_broker, mut to_broker) = broker.into_split();
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_broker) => {}
        () = pass_frames(from_broker, to_client, inject) => {}
    }
}

/// Whole frames, so that others can be put between them.
async fn pass_frames(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut inject: broadcast::Receiver<Vec<u8>>,
) {
    loop {
        let mut header = [0; 7];
        tokio::select! {
            // Only between frames.
            ready = from.readable() => if ready.is_err() { return },
            Ok(frame) = inject.recv() => {
                if to.write_all(&frame).await.is_err() { return }
                continue;
            }
        }
        if from.read_exact(&mut header).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([header[3], header[4], header[5], header[6]]);
        let mut rest = vec![0; usize::try_from(length).unwrap() + 1];
        if from.read_exact(&mut rest).await.is_err() {
            return;
        }
        let frame = [&header[..], &rest].concat();
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// Waits for a condition that comes true by itself.
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let outcome = tokio::time::timeout(Duration::from_mins(1), wait).await;
    assert!(outcome.is_ok(), "{what}: it did not happen");
}
