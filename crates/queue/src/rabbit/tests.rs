mod connecting;
mod outside;

use std::time::Duration;

use lapin::{
    BasicProperties,
    options::{BasicGetOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use prost::Message as _;
use segue_model::{
    Id,
    work::{Job, JobKind},
};
use segue_proto::v1;
use uuid::Uuid;

use super::{
    Outgoing, RabbitQueue, RabbitSettings, testing,
    testing::{Proxy, channel, depth, eventually},
    topology,
};
use crate::{
    DeadJob, DeadJobs as _, Death, EventFormat, Queue as _, QueueError, Receipt as _, conformance,
    wire,
};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// Far longer than anything takes.
const LATE: Duration = Duration::from_mins(1);
/// Long enough for a message that was there to arrive.
const SOON: Duration = Duration::from_millis(300);

async fn made(settings: RabbitSettings) -> (RabbitQueue, impl Future<Output = ()>) {
    let prefix = settings.prefix.clone();
    let queue = RabbitQueue::connect(settings).await.unwrap();
    (queue, async move { testing::delete(&prefix).await })
}

mod jobs {
    crate::queue_conformance!(super::made(super::testing::settings()));
}

mod events {
    crate::events_conformance!(super::made(super::testing::settings()));
}

mod events_in_protobuf {
    use super::{EventFormat, RabbitSettings, made, testing};

    crate::events_conformance!(made(RabbitSettings {
        event_format: EventFormat::Protobuf,
        ..testing::settings()
    }));
}

mod commands {
    crate::commands_conformance!(super::made(super::testing::settings()));
}

impl conformance::commands::Sender for RabbitQueue {
    async fn send(&self, topic: &str, kind: Option<&str>, body: &[u8], trace: Option<&str>) {
        let mut properties = BasicProperties::default();
        if let Some(kind) = kind {
            properties = properties.with_content_type(kind.into());
        }
        if let Some(trace) = trace {
            let mut headers = FieldTable::default();
            headers.insert("traceparent".into(), AMQPValue::LongString(trace.into()));
            properties = properties.with_headers(headers);
        }
        let exchange = self.inner.broker.names.commands();
        self.inner
            .publisher
            .publish(Outgoing::to_queue(&exchange, topic, body, properties))
            .await
            .unwrap();
    }
}

/// Runs a test against a queue of its own, and cleans up behind it.
async fn with(settings: RabbitSettings, case: impl AsyncFnOnce(RabbitQueue)) {
    conformance::run(made(settings), case).await;
}

/// The same by way of a proxy.
async fn with_proxy(case: impl AsyncFnOnce(RabbitQueue, &Proxy)) {
    let proxy = Proxy::start().await;
    let settings = RabbitSettings { url: proxy.url(), ..testing::settings() };
    with(settings, async |queue| case(queue, &proxy).await).await;
}

fn job(n: u128) -> Job {
    let id = Id::from_uuid(Uuid::from_u128(n));
    Job { id, attempt: 1, kind: JobKind::Upload, run: None, trace: None }
}

async fn receive(queue: &RabbitQueue) -> (Job, super::RabbitReceipt) {
    let received = tokio::time::timeout(LATE, queue.receive(JobKind::Upload)).await;
    received.expect("no job came").unwrap()
}

async fn receive_dead(queue: &RabbitQueue) -> DeadJob {
    let dead = tokio::time::timeout(LATE, queue.receive_dead()).await;
    let (dead, receipt) = dead.expect("nothing is dead").unwrap();
    receipt.ack().await.unwrap();
    dead
}

/// What somebody else might publish to the queue of upload jobs.
async fn publish_raw(queue: &RabbitQueue, body: &[u8], properties: BasicProperties) {
    let exchange = queue.inner.broker.names.jobs();
    let message = Outgoing::to_queue(&exchange, "upload", body, properties);
    queue.inner.publisher.publish(message).await.unwrap();
}

// Publishing.

#[tokio::test]
async fn message_that_no_queue_takes_is_an_error() {
    with(testing::settings(), async |queue| {
        let exchange = queue.inner.broker.names.jobs();
        let lost = Outgoing::to_queue(&exchange, "nowhere", b"x", topology::durable("x", None));
        let err = queue.inner.publisher.publish(lost).await.unwrap_err();
        assert!(matches!(err, QueueError::NotKept { .. }), "{err:?}");
        assert!(err.to_string().contains("nowhere"), "{err}");
        // The next is not taken for the lost one.
        queue.publish(job(1)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn returned_message_among_many_is_told_from_those_that_were_kept() {
    with(testing::settings(), async |queue| {
        let exchange = queue.inner.broker.names.jobs();
        let sent = (0..40).map(|n| {
            let (queue, exchange) = (queue.clone(), exchange.clone());
            tokio::spawn(async move {
                let key = if n % 2 == 0 { "upload" } else { "nowhere" };
                let body = wire::encode_job(&job(n));
                let message = Outgoing::to_queue(&exchange, key, &body, BasicProperties::default());
                (n, queue.inner.publisher.publish(message).await)
            })
        });
        for published in futures::future::join_all(sent).await {
            let (n, published) = published.unwrap();
            assert_eq!(published.is_ok(), n % 2 == 0, "{n}: {published:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn publishing_fails_with_words_while_the_broker_is_away_and_works_when_it_is_back() {
    with_proxy(async |queue, proxy| {
        proxy.shut();
        let err = tokio::time::timeout(LATE, queue.publish(job(1))).await.unwrap().unwrap_err();
        assert!(matches!(err, QueueError::Unavailable { .. }), "{err:?}");
        assert!(err.to_string().contains("127.0.0.1"), "{err}");
        proxy.open();
        eventually("publish", async || queue.publish(job(2)).await.is_ok()).await;
        assert_eq!(receive(&queue).await.0, job(2));
    })
    .await;
}

#[tokio::test]
async fn publishing_waits_for_a_connection_that_was_cut() {
    with_proxy(async |queue, proxy| {
        for n in 0..5 {
            proxy.cut();
            queue.publish(job(n)).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn alarm_of_the_broker_ends_publishing_with_its_reason_and_nothing_hangs() {
    with_proxy(async |queue, proxy| {
        queue.publish(job(1)).await.unwrap();
        proxy.block("low on memory");
        eventually("alarm", async || queue.inner.publisher.problem().is_some()).await;
        let err = tokio::time::timeout(LATE, queue.publish(job(2))).await.unwrap().unwrap_err();
        assert!(matches!(err, QueueError::Unavailable { .. }), "{err:?}");
        assert!(err.to_string().contains("low on memory"), "{err}");
        proxy.unblock();
        eventually("publish", async || queue.publish(job(3)).await.is_ok()).await;
    })
    .await;
}

// Receiving.

#[tokio::test]
async fn receiver_keeps_waiting_while_its_connection_is_made_again() {
    with_proxy(async |queue, proxy| {
        for n in 0..3 {
            let receiver = queue.clone();
            let waiting = tokio::spawn(async move { receive(&receiver).await });
            eventually("consumer", async || consumers(&queue).await == 1).await;
            proxy.cut();
            eventually("publish", async || queue.publish(job(n)).await.is_ok()).await;
            let (got, receipt) = waiting.await.unwrap();
            assert_eq!(got, job(n));
            receipt.ack().await.unwrap();
        }
    })
    .await;
}

async fn consumers(queue: &RabbitQueue) -> u32 {
    let options = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
    let name = queue.inner.broker.names.jobs_of(JobKind::Upload).into();
    let declared = channel().await.queue_declare(name, options, FieldTable::default()).await;
    declared.unwrap().consumer_count()
}

#[tokio::test]
async fn job_whose_connection_was_cut_before_it_was_acknowledged_comes_again() {
    with_proxy(async |queue, proxy| {
        queue.publish(job(1)).await.unwrap();
        let (got, receipt) = receive(&queue).await;
        proxy.cut();
        eventually("requeued", async || {
            depth(&queue.inner.broker.names.jobs_of(JobKind::Upload)).await == 1
        })
        .await;
        assert!(receipt.ack().await.is_err());
        let (again, receipt) = receive(&queue).await;
        assert_eq!(again, got);
        receipt.ack().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn queue_that_was_deleted_is_declared_again() {
    with(testing::settings(), async |queue| {
        let receiver = queue.clone();
        let waiting = tokio::spawn(async move { receive(&receiver).await });
        eventually("consumer", async || consumers(&queue).await == 1).await;
        let name = queue.inner.broker.names.jobs_of(JobKind::Upload);
        let options = QueueDeleteOptions::default();
        channel().await.queue_delete(name.into(), options).await.unwrap();
        queue.publish(job(1)).await.unwrap();
        let (got, receipt) = waiting.await.unwrap();
        assert_eq!(got, job(1));
        receipt.ack().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn exchange_that_was_deleted_is_declared_again() {
    with(testing::settings(), async |queue| {
        queue.publish(job(1)).await.unwrap();
        let options = ExchangeDeleteOptions::default();
        let exchange = queue.inner.broker.names.jobs().into();
        channel().await.exchange_delete(exchange, options).await.unwrap();
        queue.publish(job(2)).await.unwrap();
        for n in [1, 2] {
            let (got, receipt) = receive(&queue).await;
            assert_eq!(got, job(n));
            receipt.ack().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn busy_process_keeps_no_message_from_an_idle_one() {
    let settings = testing::settings();
    with(settings.clone(), async |busy| {
        let idle = RabbitQueue::connect(settings).await.unwrap();
        busy.publish(job(1)).await.unwrap();
        let (_, receipt) = receive(&busy).await;
        busy.publish(job(2)).await.unwrap();
        let (got, second) = receive(&idle).await;
        assert_eq!(got, job(2));
        second.ack().await.unwrap();
        // Settled, but nobody waits there for another.
        receipt.ack().await.unwrap();
        busy.publish(job(3)).await.unwrap();
        let (got, third) = receive(&idle).await;
        assert_eq!(got, job(3));
        third.ack().await.unwrap();
        // Somebody did wait, and has left.
        assert!(tokio::time::timeout(SOON, busy.receive(JobKind::Upload)).await.is_err());
        eventually("consumer gone", async || consumers(&idle).await == 0).await;
        idle.close().await;
    })
    .await;
}

#[tokio::test]
async fn closed_queue_ends_those_who_wait_and_keeps_the_messages() {
    let settings = testing::settings();
    with(settings.clone(), async |queue| {
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.receive(JobKind::Upload).await.map(|(job, _)| job) }
        });
        eventually("consumer", async || consumers(&queue).await == 1).await;
        queue.close().await;
        assert!(matches!(waiting.await.unwrap(), Err(QueueError::Closed)));
        assert!(matches!(queue.publish(job(1)).await, Err(QueueError::Closed)));
        let next = RabbitQueue::connect(settings).await.unwrap();
        next.publish(job(2)).await.unwrap();
        assert_eq!(receive(&next).await.0, job(2));
    })
    .await;
}

// Dead jobs.

#[tokio::test]
async fn unreadable_message_is_dead_with_its_reason() {
    with(testing::settings(), async |queue| {
        publish_raw(&queue, b"\xff\xff", BasicProperties::default()).await;
        publish_raw(&queue, &wire::encode_job(&job(1)), BasicProperties::default()).await;
        // Whoever waits is given the next.
        receive(&queue).await.1.ack().await.unwrap();
        let name = queue.inner.broker.names.dead_jobs();
        let channel = channel().await;
        let dead = channel.basic_get(name.into(), BasicGetOptions::default()).await.unwrap();
        let dead = dead.expect("nothing is dead").delivery;
        let headers = dead.properties.headers().as_ref().unwrap().inner();
        let Some(AMQPValue::LongString(reason)) = headers.get(topology::REASON) else {
            panic!("no reason in {headers:?}");
        };
        assert!(reason.to_string().contains("cannot be read"), "{reason}");
        dead.nack(lapin::options::BasicNackOptions { requeue: true, ..Default::default() })
            .await
            .unwrap();
        let dead = receive_dead(&queue).await;
        assert!(
            matches!(dead, DeadJob { id: None, death: Death::Unreadable { .. }, .. }),
            "{dead:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn job_of_a_later_schema_is_put_back_and_dead_only_if_nobody_ever_reads_it() {
    with(testing::settings(), async |queue| {
        let later = v1::Job { schema: 7, job_id: job(5).id.to_string(), ..Default::default() };
        let mut headers = FieldTable::default();
        // It was put back before, but for once.
        headers.insert(topology::PUT_BACK.into(), (topology::PUT_BACKS - 1).into());
        let properties = topology::durable(wire::PROTOBUF, None).with_headers(headers);
        publish_raw(&queue, &later.encode_to_vec(), properties).await;
        let receiver = queue.clone();
        let waiting = tokio::spawn(async move { receive(&receiver).await.0 });
        let aside = queue.inner.broker.names.later_jobs();
        eventually("put back", async || depth(&aside).await == 1).await;
        assert_eq!(depth(&queue.inner.broker.names.dead_jobs()).await, 0);
        let dead = receive_dead(&queue).await;
        assert_eq!(dead.death, Death::UnknownSchema { schema: 7 });
        assert_eq!(dead.id, Some(job(5).id));
        assert!(!waiting.is_finished());
        waiting.abort();
    })
    .await;
}

#[tokio::test]
async fn message_that_is_lost_with_whoever_has_it_is_dead_in_the_end() {
    let proxy = Proxy::start().await;
    let settings = RabbitSettings { url: proxy.url(), delivery_limit: 2, ..testing::settings() };
    with(settings, async |queue| {
        queue.publish(job(1)).await.unwrap();
        for _ in 0..3 {
            let (_, receipt) = receive(&queue).await;
            proxy.cut();
            assert!(receipt.ack().await.is_err());
        }
        let dead = receive_dead(&queue).await;
        assert_eq!(dead.death, Death::Deliveries);
        assert_eq!((dead.id, dead.attempt), (Some(job(1).id), Some(1)));
    })
    .await;
}
