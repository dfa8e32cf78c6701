use std::collections::BTreeMap;

use prost::Message as _;
use segue_model::{BatchNo, Cause, Counts, Micros, RunState, Tally};
use segue_proto::v1;
use serde::{Deserialize, Serialize};

use super::{JSON, PROTOBUF, SCHEMA, given};
use crate::{Event, EventBatch, EventFailure, EventFormat};

/// The body and its content type.
pub(crate) fn encode_event(event: &Event, format: EventFormat) -> (Vec<u8>, &'static str) {
    let message = message(event);
    match format {
        // Numbers, strings and maps of strings: there is nothing in it that JSON cannot say.
        EventFormat::Json => (serde_json::to_vec(&Json::from(message)).unwrap_or_default(), JSON),
        EventFormat::Protobuf => (message.encode_to_vec(), PROTOBUF),
    }
}

/// `None`: it cannot be read, or is of a later version.
pub(crate) fn decode_event(topic: &str, content_type: Option<&str>, body: &[u8]) -> Option<Event> {
    let message = match content_type {
        Some(JSON) => serde_json::from_slice::<Json>(body).ok()?.into(),
        _ => v1::RunEvent::decode(body).ok()?,
    };
    (message.schema == SCHEMA).then(|| event(topic, message))
}

fn message(event: &Event) -> v1::RunEvent {
    // Destructured, so that a field that is added cannot be forgotten.
    let Event { topic: _, run, seq, at, export, state, failure, tally, batch, request_id, cause } =
        event.clone();
    v1::RunEvent {
        schema: SCHEMA,
        run_id: run.map(|id| id.to_string()).unwrap_or_default(),
        seq,
        at_us: at.0,
        export_id: export.map(|id| id.to_string()).unwrap_or_default(),
        state: state.map(|state| v1::RunState::from(state).into()).unwrap_or_default(),
        failure: failure.map(|EventFailure { reason, detail }| v1::Failure { reason, detail }),
        counts: tally.map(v1::Counts::from),
        batch: batch.map(|EventBatch { batch, state, profiles }| v1::BatchEvent {
            number: batch.0.into(),
            state,
            profiles,
        }),
        request_id: request_id.unwrap_or_default(),
        trigger: cause.map(|cause| v1::Trigger::from(cause).into()).unwrap_or_default(),
    }
}

fn event(topic: &str, message: v1::RunEvent) -> Event {
    let (state, trigger) = (message.state(), message.trigger());
    Event {
        topic: topic.to_owned(),
        run: message.run_id.parse().ok(),
        seq: message.seq,
        at: Micros(message.at_us),
        export: message.export_id.parse().ok(),
        state: Option::<RunState>::from(state),
        failure: message.failure.map(|it| EventFailure { reason: it.reason, detail: it.detail }),
        tally: message.counts.map(tally),
        batch: message.batch.map(|it| EventBatch {
            batch: BatchNo(u32::try_from(it.number).unwrap_or(u32::MAX)),
            state: it.state,
            profiles: it.profiles,
        }),
        request_id: given(message.request_id),
        cause: Cause::ALL.iter().copied().find(|cause| v1::Trigger::from(*cause) == trigger),
    }
}

fn tally(counts: v1::Counts) -> Tally {
    // A reason that this version does not know is left out: the sums do not depend on it.
    let by_reason = counts.rejects_by_reason.into_iter();
    Tally {
        counts: Counts {
            rows_read: counts.rows_read,
            delivered: counts.delivered,
            rejected: counts.rejected,
            duplicates: counts.duplicates,
            unchanged: counts.unchanged,
            suppressed: counts.suppressed,
            undelivered: counts.undelivered,
            warnings: counts.warnings,
        },
        batches: counts.batches,
        requests: counts.requests,
        repeated_sends: counts.repeated_sends,
        throttled: counts.throttled,
        bytes: counts.bytes,
        rejects_by_reason: by_reason
            .filter_map(|(reason, n)| Some((reason.parse().ok()?, n)))
            .collect(),
    }
}

/// `RunEvent` in the JSON form of protobuf: what is not set is left out, but numbers that are counted are
/// always there.
#[derive(Debug, Serialize, Deserialize)]
struct Json {
    schema: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    run_id: String,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    at_us: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    export_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<JsonFailure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts: Option<JsonCounts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch: Option<JsonBatch>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trigger: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct JsonFailure {
    reason: String,
    detail: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct JsonBatch {
    number: u64,
    state: String,
    profiles: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct JsonCounts {
    rows_read: u64,
    delivered: u64,
    rejected: u64,
    duplicates: u64,
    unchanged: u64,
    suppressed: u64,
    undelivered: u64,
    warnings: u64,
    batches: u64,
    requests: u64,
    repeated_sends: u64,
    throttled: u64,
    bytes: u64,
    rejects_by_reason: BTreeMap<String, u64>,
}

impl From<v1::RunEvent> for Json {
    fn from(message: v1::RunEvent) -> Self {
        let (state, trigger) = (message.state(), message.trigger());
        let state = (state != v1::RunState::Unspecified).then(|| state.as_str_name().to_owned());
        let trigger =
            (trigger != v1::Trigger::Unspecified).then(|| trigger.as_str_name().to_owned());
        let v1::RunEvent {
            schema,
            run_id,
            seq,
            at_us,
            export_id,
            state: _,
            failure,
            counts,
            batch,
            request_id,
            trigger: _,
        } = message;
        Self {
            schema,
            run_id,
            seq,
            at_us,
            export_id,
            state,
            failure: failure.map(|v1::Failure { reason, detail }| JsonFailure { reason, detail }),
            counts: counts.map(JsonCounts::from),
            batch: batch.map(|v1::BatchEvent { number, state, profiles }| JsonBatch {
                number,
                state,
                profiles,
            }),
            request_id,
            trigger,
        }
    }
}

impl From<Json> for v1::RunEvent {
    fn from(json: Json) -> Self {
        let state = json.state.as_deref().and_then(v1::RunState::from_str_name);
        let trigger = json.trigger.as_deref().and_then(v1::Trigger::from_str_name);
        Self {
            schema: json.schema,
            run_id: json.run_id,
            seq: json.seq,
            at_us: json.at_us,
            export_id: json.export_id,
            state: state.unwrap_or_default().into(),
            failure: json
                .failure
                .map(|JsonFailure { reason, detail }| v1::Failure { reason, detail }),
            counts: json.counts.map(v1::Counts::from),
            batch: json.batch.map(|JsonBatch { number, state, profiles }| v1::BatchEvent {
                number,
                state,
                profiles,
            }),
            request_id: json.request_id,
            trigger: trigger.unwrap_or_default().into(),
        }
    }
}

type Wire = v1::Counts;

macro_rules! counts {
    ($($field:ident),*) => {
        impl From<Wire> for JsonCounts {
            fn from(Wire { $($field,)* rejects_by_reason }: Wire) -> Self {
                Self { $($field,)* rejects_by_reason: rejects_by_reason.into_iter().collect() }
            }
        }
        impl From<JsonCounts> for Wire {
            fn from(JsonCounts { $($field,)* rejects_by_reason }: JsonCounts) -> Self {
                Self { $($field,)* rejects_by_reason: rejects_by_reason.into_iter().collect() }
            }
        }
    };
}

counts!(
    rows_read,
    delivered,
    rejected,
    duplicates,
    unchanged,
    suppressed,
    undelivered,
    warnings,
    batches,
    requests,
    repeated_sends,
    throttled,
    bytes
);

#[cfg(test)]
mod tests {
    use segue_model::{Id, RejectReason};
    use uuid::Uuid;

    use super::*;

    fn full() -> Event {
        let counts = Counts {
            rows_read: 31,
            delivered: 2,
            rejected: 3,
            duplicates: 4,
            unchanged: 5,
            suppressed: 6,
            undelivered: 11,
            warnings: 8,
        };
        Event {
            topic: "run.failed".into(),
            run: Some(Id::from_uuid(Uuid::from_u128(1))),
            seq: u64::MAX,
            at: Micros(1_790_000_000_123_456),
            export: Some(Id::from_uuid(Uuid::from_u128(2))),
            state: Some(RunState::Failed),
            failure: Some(EventFailure { reason: "a_code".into(), detail: "words".into() }),
            tally: Some(Tally {
                counts,
                batches: 9,
                requests: 10,
                repeated_sends: 11,
                throttled: 12,
                bytes: 13,
                rejects_by_reason: RejectReason::ALL.iter().map(|reason| (*reason, 1)).collect(),
            }),
            batch: Some(EventBatch { batch: BatchNo(7), state: "split".into(), profiles: 14 }),
            request_id: Some("r-1".into()),
            cause: Some(Cause::Command),
        }
    }

    #[test]
    fn event_reads_back_as_itself_in_both_formats() {
        for event in [full(), Event::new("run.failed", Micros(-5))] {
            for format in [EventFormat::Json, EventFormat::Protobuf] {
                let (body, content_type) = encode_event(&event, format);
                let back = decode_event("run.failed", Some(content_type), &body);
                assert_eq!(back.as_ref(), Some(&event), "{format:?}");
            }
        }
    }

    #[test]
    fn every_state_and_cause_reads_back_as_itself() {
        for format in [EventFormat::Json, EventFormat::Protobuf] {
            for state in RunState::ALL {
                for cause in Cause::ALL {
                    let mut event = full();
                    (event.state, event.cause) = (Some(*state), Some(*cause));
                    let (body, content_type) = encode_event(&event, format);
                    assert_eq!(decode_event("run.failed", Some(content_type), &body), Some(event));
                }
            }
        }
    }

    #[test]
    fn json_has_the_names_of_the_contract_and_plain_numbers() {
        let (body, _) = encode_event(&full(), EventFormat::Json);
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["run_id"], "run_00000000-0000-0000-0000-000000000001");
        assert_eq!(json["at_us"], 1_790_000_000_123_456_i64);
        assert_eq!(json["state"], "RUN_STATE_FAILED");
        assert_eq!(json["trigger"], "TRIGGER_COMMAND");
        assert_eq!(json["counts"]["rows_read"], 31);
        assert_eq!(json["batch"]["number"], 7);
        assert_eq!(json["failure"]["reason"], "a_code");
        let (body, _) = encode_event(&Event::new("run.queued", Micros(5)), EventFormat::Json);
        assert_eq!(String::from_utf8(body).unwrap(), r#"{"schema":1,"seq":0,"at_us":5}"#);
    }

    #[test]
    fn event_of_a_later_version_is_not_guessed_at() {
        assert_eq!(decode_event("run.queued", Some(JSON), br#"{"schema":2,"seq":1}"#), None);
        let later = v1::RunEvent { schema: 2, ..message(&full()) }.encode_to_vec();
        assert_eq!(decode_event("run.queued", Some(PROTOBUF), &later), None);
        assert_eq!(decode_event("run.queued", None, b"\xff"), None);
    }

    #[test]
    fn fields_and_names_that_this_version_does_not_know_are_left_out() {
        let body = br#"{"schema":1,"seq":3,"state":"RUN_STATE_NEW","counts":{"rows_read":2,"new":1,
            "rejects_by_reason":{"new_reason":1}},"new":{}}"#;
        let event = decode_event("run.new", Some(JSON), body).unwrap();
        assert_eq!((event.state, event.seq), (None, 3));
        let tally = event.tally.unwrap();
        assert_eq!((tally.counts.rows_read, tally.rejects_by_reason.len()), (2, 0));
    }
}
