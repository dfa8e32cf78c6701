//! What comes from the queue: a message that says what it means, or an error, and never another target.

use segue_queue::{Command, Death, EventFormat, Malformed, raw};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// Any bytes as each kind of message.
pub fn messages(data: &[u8]) {
    job(data);
    for topic in ["run.start", "run.cancel", ""] {
        for content_type in [None, Some(JSON), Some(PROTOBUF), Some("text/plain")] {
            command(topic, content_type, data);
        }
    }
    event(data);
}

fn job(data: &[u8]) {
    let read = raw::decode_a_job(data);
    assert_eq!(raw::decode_a_job(data), read, "the second time");
    let dead = raw::decode_a_dead_job(data);
    match read {
        Ok(job) => {
            let encoded = raw::encode_a_job(&job);
            assert_eq!(raw::decode_a_job(&encoded), Ok(job.clone()));
            assert_eq!((dead.id, dead.attempt), (Some(job.id), Some(job.attempt)));
            assert_eq!(dead.death, Death::Deliveries);
        }
        Err(unread) => {
            assert_eq!(dead, unread);
            let words = unread.death.to_string();
            assert!(!words.is_empty() && words.len() < 300, "{words}");
        }
    }
}

fn command(topic: &str, content_type: Option<&str>, data: &[u8]) {
    let read = raw::decode_a_command(topic, content_type, data).command;
    let again = raw::decode_a_command(topic, content_type, data).command;
    assert_eq!(again, read, "the second time");
    match read {
        Ok(command) => {
            let (key, body) = match &command {
                Command::Start { export, .. } => {
                    ("run.start", serde_json::json!({"export_id": export.to_string()}))
                }
                Command::Cancel { run, .. } => {
                    ("run.cancel", serde_json::json!({"run_id": run.to_string()}))
                }
            };
            assert_eq!(topic, key, "a right is given by the routing key");
            let id = command.request_id();
            assert!((1..=100).contains(&id.chars().count()) && !id.contains(char::is_control));
            let written = written(key, body, id);
            let back = raw::decode_a_command(topic, Some(JSON), written.as_bytes()).command;
            assert_eq!(back, Ok(command));
        }
        Err(Malformed { request_id, words }) => {
            assert!(!words.is_empty() && words.len() < 300, "{words}");
            let fits = |id: &String| (1..=100).contains(&id.chars().count());
            assert!(request_id.as_ref().is_none_or(fits), "{request_id:?}");
        }
    }
}

/// As somebody else writes the command.
fn written(key: &str, mut body: serde_json::Value, request_id: &str) -> String {
    body["request_id"] = request_id.into();
    let field = key.replace("run.", "") + "_run";
    serde_json::json!({"schema": 1, field: body}).to_string()
}

fn event(data: &[u8]) {
    for content_type in [None, Some(JSON), Some(PROTOBUF)] {
        let Some(event) = raw::decode_an_event("run.failed", content_type, data) else { continue };
        for format in [EventFormat::Json, EventFormat::Protobuf] {
            let (body, content_type) = raw::encode_an_event(&event, format);
            let back = raw::decode_an_event("run.failed", Some(content_type), &body);
            assert_eq!(back.as_ref(), Some(&event), "{format:?}");
        }
    }
}
