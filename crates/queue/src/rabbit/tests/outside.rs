//! What other programs see of it, and what they say to it.

use futures::StreamExt as _;
use lapin::{
    options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use prost::Message as _;
use segue_model::{
    Id, Micros, RunId,
    work::{Job, JobKind},
};
use segue_proto::v1;
use uuid::Uuid;

use super::{LATE, TRACE, job, with, with_proxy};
use crate::{
    Command, CommandReceipt as _, Commands as _, Event, Events as _, Heard, Queue as _,
    Receipt as _,
    conformance::commands::Sender as _,
    rabbit::{
        testing::{self, channel},
        topology,
    },
    wire,
};

#[tokio::test]
async fn job_carries_its_trace_in_a_header_and_its_ids_in_protobuf() {
    with(testing::settings(), async |queue| {
        let job = Job { trace: Some(TRACE.to_owned()), ..job(1) };
        queue.publish(job.clone()).await.unwrap();
        let name = queue.inner.broker.names.jobs_of(JobKind::Upload);
        let channel = channel().await;
        let got = channel.basic_get(name.into(), BasicGetOptions::default()).await.unwrap();
        let got = got.unwrap().delivery;
        assert_eq!(topology::trace(&got), Some(TRACE));
        assert_eq!(got.properties.content_type().as_ref().unwrap().as_str(), wire::PROTOBUF);
        let message = v1::Job::decode(&*got.data).unwrap();
        assert_eq!((message.schema, message.job_id), (1, job.id.to_string()));
    })
    .await;
}

#[tokio::test]
async fn events_can_be_followed_by_topic_and_without_protobuf() {
    with(testing::settings(), async |queue| {
        let channel = channel().await;
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let mine = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
        let name = mine.name().clone();
        let (exchange, options) =
            (queue.inner.broker.names.events().into(), QueueBindOptions::default());
        channel
            .queue_bind(name.clone(), exchange, "run.*".into(), options, FieldTable::default())
            .await
            .unwrap();
        let run: RunId = Id::from_uuid(Uuid::from_u128(1));
        let mut event = Event::new("batch.ready", Micros(5));
        event.run = Some(run);
        queue.publish_event(&event).await.unwrap();
        event.topic = "run.queued".into();
        queue.publish_event(&event).await.unwrap();
        let got = channel.basic_get(name, BasicGetOptions { no_ack: true }).await.unwrap();
        let got = got.unwrap();
        assert_eq!(got.message_count, 0, "only what was asked for");
        assert_eq!(got.routing_key.as_str(), "run.queued");
        assert_eq!(got.properties.content_type().as_ref().unwrap().as_str(), "application/json");
        let json: serde_json::Value = serde_json::from_slice(&got.data).unwrap();
        assert_eq!(json["run_id"], run.to_string());
    })
    .await;
}

#[tokio::test]
async fn subscriber_hears_that_it_missed_something_and_then_what_comes_next() {
    with_proxy(async |queue, proxy| {
        let mut heard = queue.subscribe().await.unwrap();
        proxy.cut();
        let next = tokio::time::timeout(LATE, heard.next()).await.unwrap();
        assert_eq!(next, Some(Heard::Missed));
        let event = Event::new("run.queued", Micros(5));
        queue.publish_event(&event).await.unwrap();
        let next = tokio::time::timeout(LATE, heard.next()).await.unwrap();
        assert_eq!(next, Some(Heard::Event(Box::new(event))));
    })
    .await;
}

#[tokio::test]
async fn rejected_command_is_put_aside_with_its_reason() {
    with(testing::settings(), async |queue| {
        queue.send("run.start", Some("application/json"), b"nonsense", Some(TRACE)).await;
        let (received, receipt) = queue.receive_command().await.unwrap();
        let words = received.command.unwrap_err().words;
        receipt.reject(&words).await.unwrap();
        let name = queue.inner.broker.names.dead_commands();
        let channel = channel().await;
        let got = channel.basic_get(name.into(), BasicGetOptions { no_ack: true }).await.unwrap();
        let got = got.unwrap().delivery;
        assert_eq!(got.data, b"nonsense");
        assert_eq!(topology::trace(&got), Some(TRACE));
        let headers = got.properties.headers().as_ref().unwrap().inner();
        let reason = AMQPValue::LongString(words.into());
        assert_eq!(headers.get(topology::REASON), Some(&reason));
    })
    .await;
}

#[tokio::test]
async fn command_under_any_key_is_received_so_that_it_can_be_answered() {
    with(testing::settings(), async |queue| {
        let run: RunId = Id::from_uuid(Uuid::from_u128(9));
        let body = format!(r#"{{"schema":1,"cancel_run":{{"run_id":"{run}","request_id":"c"}}}}"#);
        queue.send("run.stop", None, body.as_bytes(), None).await;
        queue.send("run.cancel", None, body.as_bytes(), None).await;
        let (wrong, receipt) = queue.receive_command().await.unwrap();
        assert!(wrong.command.unwrap_err().words.contains("run.cancel"));
        receipt.reject("wrong key").await.unwrap();
        let (right, receipt) = queue.receive_command().await.unwrap();
        assert_eq!(right.command, Ok(Command::Cancel { run, request_id: "c".into() }));
        receipt.ack().await.unwrap();
    })
    .await;
}
