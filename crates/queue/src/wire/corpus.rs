//! The messages of released versions, as they were written then: each is still understood.
//!
//! `tests/corpus/v<version>/queue` has a file for each; README.md beside it tells how it came about.

use std::{fs, path::PathBuf};

use prost::Message as _;
use segue_model::{
    BatchNo, Cause, Counts, Id, Micros, RejectReason, RunState, Tally,
    work::{Job, JobKind},
};
use segue_proto::v1::{self, command::Action};
use uuid::Uuid;

use super::{
    JSON, PROTOBUF, RawCommand, SCHEMA, decode_command, decode_event, decode_job, encode_event,
    encode_job,
};
use crate::{Command, Event, EventBatch, EventFailure, EventFormat};

/// A file and what it means. A value that was ever here stays: the file of its version is not made again.
struct Sample {
    file: &'static str,
    meaning: Meaning,
}

enum Meaning {
    Job(Job),
    Command(Command),
    Event(Box<Event>),
}

fn id<K>(number: u128) -> Id<K> {
    Id::from_uuid(Uuid::from_u128(number))
}

fn job(kind: JobKind, run: Option<u128>) -> Meaning {
    Meaning::Job(Job { id: id(7), attempt: 3, kind, run: run.map(id), trace: None })
}

fn run_event() -> Event {
    let counts = Counts {
        rows_read: 40,
        delivered: 20,
        rejected: 5,
        duplicates: 4,
        unchanged: 0,
        suppressed: 0,
        undelivered: 11,
        warnings: 8,
    };
    Event {
        export: Some(id(2)),
        run: Some(id(1)),
        seq: 300,
        state: Some(RunState::Failed),
        cause: Some(Cause::Command),
        failure: Some(EventFailure { reason: "key_refused".into(), detail: "Klaviyo: 401".into() }),
        tally: Some(Tally {
            counts,
            batches: 9,
            requests: 10,
            repeated_sends: 1,
            throttled: 2,
            bytes: 1 << 33,
            rejects_by_reason: [(RejectReason::RefusedByKlaviyo, 5)].into(),
        }),
        ..Event::new("run.failed", Micros(1_790_000_000_123_456))
    }
}

fn samples() -> Vec<Sample> {
    let start = || Command::Start { export: id(2), request_id: "request-1".into() };
    let cancel = || Command::Cancel { run: id(1), request_id: "request-2".into() };
    let batch = EventBatch { batch: BatchNo(7), state: "accepted".into(), profiles: 10_000 };
    let batch = Event {
        run: Some(id(1)),
        seq: 12,
        batch: Some(batch),
        ..Event::new("batch.accepted", Micros(1_790_000_000_000_000))
    };
    let rejected = Event {
        request_id: Some("request-3".into()),
        failure: Some(EventFailure { reason: "malformed".into(), detail: "no export".into() }),
        ..Event::new("command.rejected", Micros(1_790_000_000_000_001))
    };
    let sample = |file, meaning| Sample { file, meaning };
    vec![
        sample("job-read.pb", job(JobKind::Read, Some(1))),
        sample("job-upload.pb", job(JobKind::Upload, Some(1))),
        sample("job-confirm.pb", job(JobKind::Confirm, None)),
        sample("run.start.pb", Meaning::Command(start())),
        sample("run.start.json", Meaning::Command(start())),
        sample("run.cancel.pb", Meaning::Command(cancel())),
        sample("run.cancel.json", Meaning::Command(cancel())),
        sample("run.failed.pb", Meaning::Event(Box::new(run_event()))),
        sample("run.failed.json", Meaning::Event(Box::new(run_event()))),
        sample("batch.accepted.pb", Meaning::Event(Box::new(batch.clone()))),
        sample("batch.accepted.json", Meaning::Event(Box::new(batch))),
        sample("command.rejected.pb", Meaning::Event(Box::new(rejected.clone()))),
        sample("command.rejected.json", Meaning::Event(Box::new(rejected))),
    ]
}

impl Sample {
    /// The routing key, and the content type.
    fn name(&self) -> (&str, &'static str) {
        match self.file.rsplit_once('.') {
            Some((topic, "json")) => (topic, JSON),
            Some((topic, _)) => (topic, PROTOBUF),
            None => (self.file, PROTOBUF),
        }
    }

    /// As this version writes it, or, for a command, as somebody else would.
    fn encode(&self) -> Vec<u8> {
        let (_, content_type) = self.name();
        let json = content_type == JSON;
        match &self.meaning {
            Meaning::Job(job) => encode_job(job),
            Meaning::Event(event) => {
                let format = if json { EventFormat::Json } else { EventFormat::Protobuf };
                encode_event(event, format).0
            }
            Meaning::Command(Command::Start { export, request_id }) if json => format!(
                r#"{{"schema":1,"start_run":{{"export_id":"{export}","request_id":"{request_id}"}}}}"#
            )
            .into_bytes(),
            Meaning::Command(Command::Cancel { run, request_id }) if json => format!(
                r#"{{"schema":1,"cancel_run":{{"run_id":"{run}","request_id":"{request_id}"}}}}"#
            )
            .into_bytes(),
            Meaning::Command(command) => message(command).encode_to_vec(),
        }
    }

    fn assert_read_from(&self, body: &[u8]) {
        let (topic, content_type) = self.name();
        match &self.meaning {
            Meaning::Job(job) => {
                assert_eq!(decode_job(body, None).as_ref(), Ok(job), "{}", self.file);
            }
            Meaning::Event(event) => {
                let read = decode_event(topic, Some(content_type), body);
                assert_eq!(read.as_ref(), Some(&**event), "{}", self.file);
            }
            Meaning::Command(command) => {
                let raw = RawCommand {
                    topic: topic.to_owned(),
                    content_type: Some(content_type.to_owned()),
                    body: body.to_owned(),
                    trace: None,
                };
                let read = decode_command(&raw).command;
                assert_eq!(read.as_ref().ok(), Some(command), "{}: {read:?}", self.file);
            }
        }
    }
}

fn message(command: &Command) -> v1::Command {
    let action = match command.clone() {
        Command::Start { export, request_id } => {
            Action::StartRun(v1::StartRun { export_id: export.to_string(), request_id })
        }
        Command::Cancel { run, request_id } => {
            Action::CancelRun(v1::CancelRun { run_id: run.to_string(), request_id })
        }
    };
    v1::Command { schema: SCHEMA, action: Some(action) }
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus")
}

#[test]
fn messages_of_every_released_version_are_understood() {
    let samples = samples();
    let mut versions = 0;
    for version in fs::read_dir(corpus()).unwrap() {
        let folder = version.unwrap().path().join("queue");
        if !folder.is_dir() {
            continue;
        }
        versions += 1;
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let sample = samples.iter().find(|sample| sample.file == name);
            let sample = sample.unwrap_or_else(|| panic!("nobody says what {name} means"));
            sample.assert_read_from(&fs::read(&path).unwrap());
        }
    }
    assert!(versions > 0, "no corpus");
}

/// Each kind of message is in the corpus of the version that is being made, before it is released.
#[test]
fn corpus_of_this_version_is_whole() {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let folder = corpus().join(version).join("queue");
    if std::env::var_os("SEGUE_TEST_WRITE_CORPUS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for sample in samples() {
            fs::write(folder.join(sample.file), sample.encode()).unwrap();
        }
    }
    for sample in samples() {
        let kept = fs::read(folder.join(sample.file));
        let kept = kept.unwrap_or_else(|err| panic!("{version}: {}: {err}", sample.file));
        sample.assert_read_from(&sample.encode());
        assert_eq!(kept, sample.encode(), "{version}: {} is written in another way", sample.file);
    }
}
