//! Messages as the bytes that travel, for tests that feed any bytes.

use segue_model::work::Job;

use super::{
    RawCommand, decode_command, decode_dead, decode_event, decode_job, encode_event, encode_job,
};
use crate::{DeadJob, Event, EventFormat, ReceivedCommand};

pub fn encode_a_job(job: &Job) -> Vec<u8> {
    encode_job(job)
}

/// The error is what would be written down of a dead job.
pub fn decode_a_job(body: &[u8]) -> Result<Job, DeadJob> {
    decode_job(body, None)
}

/// A message that the broker has put aside.
pub fn decode_a_dead_job(body: &[u8]) -> DeadJob {
    decode_dead(body)
}

/// `topic` is the routing key.
pub fn decode_a_command(topic: &str, content_type: Option<&str>, body: &[u8]) -> ReceivedCommand {
    let content_type = content_type.map(str::to_owned);
    decode_command(&RawCommand {
        topic: topic.into(),
        content_type,
        body: body.into(),
        trace: None,
    })
}

/// The body and its content type.
pub fn encode_an_event(event: &Event, format: EventFormat) -> (Vec<u8>, &'static str) {
    encode_event(event, format)
}

pub fn decode_an_event(topic: &str, content_type: Option<&str>, body: &[u8]) -> Option<Event> {
    decode_event(topic, content_type, body)
}
