//! Commands are written by others: every mistake is answered with the name of the field.

use prost::Message as _;
use segue_model::{ExportId, InvalidId, RunId};
use segue_proto::v1::{self, command::Action};
use serde_json::{Map, Value};

use super::{JSON, PROTOBUF, REQUEST_ID, SCHEMA};
use crate::{Command, Malformed, ReceivedCommand};

/// A message before anybody has looked into it.
#[derive(Debug, Clone)]
pub(crate) struct RawCommand {
    /// The routing key.
    pub(crate) topic: String,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) trace: Option<String>,
}

/// What is wrong.
type Words = String;

pub(crate) fn decode_command(raw: &RawCommand) -> ReceivedCommand {
    let trace = raw.trace.as_deref().and_then(super::traceparent);
    ReceivedCommand { command: command(raw), trace }
}

fn command(raw: &RawCommand) -> Result<Command, Malformed> {
    let read = match format(raw) {
        Ok(Format::Json) => from_json(&raw.body),
        Ok(Format::Protobuf) => from_protobuf(&raw.body),
        Err(words) => Err((None, words)),
    };
    let (request_id, words) = match read {
        Ok(message) => match model(&message, &raw.topic) {
            Ok(command) => return Ok(command),
            Err(words) => (request_id(&message).map(str::to_owned), words),
        },
        Err(unread) => unread,
    };
    // An id that breaks the rules is not repeated: nobody could know the answer by it.
    let request_id = request_id.filter(|id| check_request_id(id).is_ok());
    Err(Malformed { request_id, words })
}

enum Format {
    Json,
    Protobuf,
}

fn format(raw: &RawCommand) -> Result<Format, Words> {
    let Some(content_type) = raw.content_type.as_deref().filter(|it| !it.is_empty()) else {
        // Easily forgotten. A command in protobuf never starts with a brace.
        let json = raw.body.trim_ascii_start().starts_with(b"{");
        return Ok(if json { Format::Json } else { Format::Protobuf });
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) {
        Ok(Format::Json)
    } else if essence.eq_ignore_ascii_case(PROTOBUF) {
        Ok(Format::Protobuf)
    } else {
        Err(format!("content_type is neither {JSON} nor {PROTOBUF}"))
    }
}

fn request_id(message: &v1::Command) -> Option<&str> {
    match message.action.as_ref()? {
        Action::StartRun(start) => Some(&start.request_id),
        Action::CancelRun(cancel) => Some(&cancel.request_id),
    }
}

fn check_request_id(id: &str) -> Result<(), Words> {
    match id.chars().count() {
        1..=REQUEST_ID if !id.contains(char::is_control) => Ok(()),
        1..=REQUEST_ID => Err("request_id holds a control character".to_owned()),
        0 => Err("request_id is missing".to_owned()),
        _ => Err(format!("request_id is longer than {REQUEST_ID} characters")),
    }
}

/// What the message means. The routing key has to say the same: a broker grants rights by it.
fn model(message: &v1::Command, topic: &str) -> Result<Command, Words> {
    match message.schema {
        SCHEMA => {}
        0 => return Err(format!("schema is missing: it is {SCHEMA}")),
        schema => return Err(format!("schema {schema} is not known: this version knows {SCHEMA}")),
    }
    let (key, field) = match message.action {
        Some(Action::StartRun(_)) => ("run.start", "start_run"),
        Some(Action::CancelRun(_)) => ("run.cancel", "cancel_run"),
        None => return Err("start_run or cancel_run is missing".to_owned()),
    };
    if topic != key {
        return Err(format!("the body holds {field}, so the routing key has to be {key}"));
    }
    let request_id = request_id(message).unwrap_or_default().to_owned();
    check_request_id(&request_id).map_err(|words| format!("{field}.{words}"))?;
    let id = |name: &str, err: InvalidId| format!("{field}.{name} is {err}");
    match &message.action {
        Some(Action::StartRun(start)) => {
            let export = start.export_id.parse::<ExportId>().map_err(|err| id("export_id", err))?;
            Ok(Command::Start { export, request_id })
        }
        Some(Action::CancelRun(cancel)) => {
            let run = cancel.run_id.parse::<RunId>().map_err(|err| id("run_id", err))?;
            Ok(Command::Cancel { run, request_id })
        }
        None => Err("start_run or cancel_run is missing".to_owned()),
    }
}

type Unread = (Option<String>, Words);

fn from_protobuf(body: &[u8]) -> Result<v1::Command, Unread> {
    let unread = |_| (None, "the body is not the message Command of segue.v1".to_owned());
    v1::Command::decode(body).map_err(unread)
}

fn from_json(body: &[u8]) -> Result<v1::Command, Unread> {
    // The words of `serde_json` repeat what was sent, which may be anything.
    let value: Value = serde_json::from_slice(body).map_err(|err| {
        let words = format!("the body is not JSON: line {}, column {}", err.line(), err.column());
        (None, words)
    })?;
    let found = find_request_id(&value).map(str::to_owned);
    json_command(&value).map_err(|words| (found, words))
}

/// Wherever a sender may have put it.
fn find_request_id(value: &Value) -> Option<&str> {
    let object = value.as_object()?;
    let inner = object.values().filter_map(Value::as_object);
    let mut places = std::iter::once(object).chain(inner);
    places.find_map(|place| place.get("request_id").or_else(|| place.get("requestId"))?.as_str())
}

fn json_command(value: &Value) -> Result<v1::Command, Words> {
    let fields = Fields::of(value, "the body")?;
    fields.only(&["schema", "start_run", "cancel_run"])?;
    let schema = match fields.get("schema") {
        None => 0,
        Some(value) => {
            let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
            number.ok_or_else(|| "schema is not a number".to_owned())?
        }
    };
    let ids = |value: &Value, name: &'static str, of: &'static str| {
        let fields = Fields::of(value, name)?;
        fields.only(&[of, "request_id"])?;
        Ok::<_, Words>((fields.text(of)?, fields.text("request_id")?))
    };
    let action = match (fields.get("start_run"), fields.get("cancel_run")) {
        (Some(_), Some(_)) => {
            return Err("start_run and cancel_run are two commands: send two messages".to_owned());
        }
        (Some(start), None) => {
            let (export_id, request_id) = ids(start, "start_run", "export_id")?;
            Some(Action::StartRun(v1::StartRun { export_id, request_id }))
        }
        (None, Some(cancel)) => {
            let (run_id, request_id) = ids(cancel, "cancel_run", "run_id")?;
            Some(Action::CancelRun(v1::CancelRun { run_id, request_id }))
        }
        (None, None) => None,
    };
    Ok(v1::Command { schema, action })
}

/// The fields of a message, each under its name of the `.proto` file or under the one that JSON writers of
/// protobuf give it.
struct Fields<'a> {
    of: &'static str,
    object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn of(value: &'a Value, of: &'static str) -> Result<Self, Words> {
        let object = value.as_object().ok_or_else(|| format!("{of} is not a JSON object"))?;
        Ok(Self { of, object })
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        let value = self.object.get(name).or_else(|| self.object.get(&camel(name)));
        value.filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<String, Words> {
        match self.get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(format!("{}.{name} is not a string", self.of)),
        }
    }

    /// A misspelled field would be ignored otherwise, and of a field under both of its names one.
    fn only(&self, names: &[&str]) -> Result<(), Words> {
        let twice = |name: &&&str| {
            let other = camel(name);
            other != **name && self.object.contains_key(**name) && self.object.contains_key(&other)
        };
        if let Some(name) = names.iter().find(twice) {
            return Err(format!("{}.{name} is given under two names", self.of));
        }
        let known = |key: &str| names.iter().any(|name| key == *name || key == camel(name));
        if self.object.keys().all(|key| known(key)) {
            Ok(())
        } else {
            Err(format!("{} has a field that is none of {}", self.of, names.join(", ")))
        }
    }
}

/// `export_id` becomes `exportId`.
fn camel(name: &str) -> String {
    let mut upper = false;
    let letters = name.chars().filter_map(|letter| {
        if letter == '_' {
            upper = true;
            return None;
        }
        Some(if std::mem::take(&mut upper) { letter.to_ascii_uppercase() } else { letter })
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use segue_model::Id;
    use uuid::Uuid;

    use super::*;

    const EXPORT: &str = "exp_00000000-0000-0000-0000-000000000007";

    fn raw(topic: &str, content_type: Option<&str>, body: impl AsRef<[u8]>) -> RawCommand {
        let content_type = content_type.map(str::to_owned);
        RawCommand { topic: topic.into(), content_type, body: body.as_ref().to_vec(), trace: None }
    }

    fn start() -> Command {
        let export = Id::from_uuid(Uuid::from_u128(7));
        Command::Start { export, request_id: "r-1".into() }
    }

    fn json(start_run: &str) -> String {
        format!(r#"{{"schema": 1, "start_run": {start_run}}}"#)
    }

    fn malformed(topic: &str, content_type: Option<&str>, body: impl AsRef<[u8]>) -> Malformed {
        command(&raw(topic, content_type, body)).unwrap_err()
    }

    #[test]
    fn json_and_protobuf_say_the_same() {
        let message = v1::Command {
            schema: 1,
            action: Some(Action::StartRun(v1::StartRun {
                export_id: EXPORT.into(),
                request_id: "r-1".into(),
            })),
        };
        let protobuf = message.encode_to_vec();
        let json = json(&format!(r#"{{"export_id": "{EXPORT}", "request_id": "r-1"}}"#));
        for (content_type, body) in [
            (Some("application/json"), json.as_bytes()),
            (Some("Application/JSON; charset=utf-8"), json.as_bytes()),
            (Some("application/x-protobuf"), &protobuf),
            (None, json.as_bytes()),
            (None, &protobuf),
        ] {
            assert_eq!(command(&raw("run.start", content_type, body)), Ok(start()));
        }
    }

    #[test]
    fn names_as_json_writers_of_protobuf_give_them_are_understood() {
        let body =
            format!(r#"{{"schema":1,"startRun":{{"exportId":"{EXPORT}","requestId":"r-1"}}}}"#);
        assert_eq!(command(&raw("run.start", Some(JSON), body)), Ok(start()));
    }

    #[test]
    fn field_under_two_names_is_no_choice_between_them() {
        let other = EXPORT.replace('7', "8");
        let ids = format!(r#""export_id": "{EXPORT}", "exportId": "{other}", "request_id": "r-1""#);
        let one = format!(r#"{{"export_id": "{EXPORT}", "request_id": "r-1"}}"#);
        let both = format!(r#"{{"schema": 1, "start_run": {one}, "startRun": {one}}}"#);
        for body in [json(&format!("{{{ids}}}")), both] {
            let malformed = malformed("run.start", Some(JSON), &body);
            assert!(malformed.words.contains("two names"), "{malformed}");
            assert_eq!(malformed.request_id.as_deref(), Some("r-1"));
        }
    }

    #[test]
    fn cancel_is_read() {
        let body = r#"{"schema":1,"cancel_run":{"run_id":"run_00000000-0000-0000-0000-000000000009","request_id":"c"}}"#;
        let run = Id::from_uuid(Uuid::from_u128(9));
        let cancel = Command::Cancel { run, request_id: "c".into() };
        assert_eq!(command(&raw("run.cancel", Some(JSON), body)), Ok(cancel));
    }

    #[test]
    fn mistakes_are_answered_with_the_request_id_and_the_field() {
        let id = format!(r#""export_id": "{EXPORT}""#);
        for (start_run, words) in [
            (format!(r#"{{{id}, "request_id": "r-1", "extra": 1}}"#), "start_run has a field"),
            (r#"{"request_id": "r-1"}"#.to_owned(), "start_run.export_id is not an id"),
            (r#"{"export_id": "run_x", "request_id": "r-1"}"#.to_owned(), "start_run.export_id"),
            (
                r#"{"export_id": 5, "request_id": "r-1"}"#.to_owned(),
                "start_run.export_id is not a string",
            ),
        ] {
            let malformed = malformed("run.start", Some(JSON), json(&start_run));
            assert_eq!(malformed.request_id.as_deref(), Some("r-1"), "{start_run}");
            assert!(malformed.words.contains(words), "{malformed}");
        }
        let unknown = format!(r#"{{"schema": 2, "start_run": {{{id}, "request_id": "r-1"}}}}"#);
        let unknown = malformed("run.start", Some(JSON), unknown);
        assert_eq!(unknown.request_id.as_deref(), Some("r-1"));
        assert!(unknown.words.contains("schema 2"));
    }

    #[test]
    fn request_ids_that_break_the_rules_are_not_repeated() {
        for (id, words) in [
            (String::new(), "missing"),
            ("x".repeat(101), "longer"),
            ("a\\u0000b".into(), "control"),
        ] {
            let body = json(&format!(r#"{{"export_id": "{EXPORT}", "request_id": "{id}"}}"#));
            let malformed = malformed("run.start", Some(JSON), body);
            assert_eq!(malformed.request_id, None);
            assert!(malformed.words.contains(words), "{malformed}");
        }
    }

    #[test]
    fn words_never_repeat_what_was_sent() {
        for (content_type, body) in [
            (Some(JSON), r#"{"schema":1,"ada@example.com":1}"#.to_owned()),
            (Some(JSON), r#"{"schema":"ada@example.com"}"#.to_owned()),
            (Some(JSON), "ada@example.com".to_owned()),
            (Some(JSON), json(r#"{"export_id":"ada@example.com","request_id":"r"}"#)),
            (Some("ada@example.com"), "x".to_owned()),
            (Some(PROTOBUF), "ada@example.com".to_owned()),
        ] {
            let malformed = malformed("run.start", content_type, body);
            assert!(!malformed.words.contains("ada"), "{malformed}");
        }
    }

    #[test]
    fn routing_key_has_to_say_the_same_as_the_body() {
        let body = json(&format!(r#"{{"export_id": "{EXPORT}", "request_id": "r-1"}}"#));
        for topic in ["run.cancel", "segue.commands", ""] {
            let malformed = malformed(topic, Some(JSON), &body);
            assert!(malformed.words.contains("run.start"), "{malformed}");
        }
    }
}
