//! What all requests have in common.

use std::fmt::Display;

use prost_types::Timestamp;
use segue_model::{Id, InvalidId, Kind, Micros, SourceId};
use tonic::{Status, metadata::MetadataMap};

use super::errors::invalid;
use crate::{ControlPlane, Violation};

const MAX_REQUEST_ID_CHARS: usize = 100;
/// 1 January of the years 1 and 10000, in seconds: what the contract calls a time.
const TIMES: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

/// Collects what is wrong with a request, so that whoever asks hears all of it at once.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Violation>);

impl Problems {
    pub(super) fn note(&mut self, field: impl Into<String>, words: impl Into<String>) {
        self.0.push(Violation::new(field, words));
    }

    /// The value of a field, or its default if it is wrong.
    pub(super) fn take<T: Default>(&mut self, field: &str, value: Result<T, impl Display>) -> T {
        value.unwrap_or_else(|words| {
            self.note(field, words.to_string());
            T::default()
        })
    }

    /// The source that a field names; empty: none.
    pub(super) fn source(&mut self, field: &str, text: &str) -> Option<SourceId> {
        let parsed = Some(text).filter(|text| !text.is_empty()).map(str::parse).transpose();
        self.take(field, parsed.map_err(|err: InvalidId| format!("is {err}")))
    }

    pub(super) fn check(self) -> Result<(), Status> {
        if self.0.is_empty() { Ok(()) } else { Err(invalid(self.0)) }
    }
}

pub(super) fn id<K: Kind>(field: &str, text: &str) -> Result<Id<K>, Status> {
    text.parse().map_err(|err| invalid(vec![Violation::new(field, format!("is {err}"))]))
}

pub(super) fn request_id(text: &str) -> Result<(), &'static str> {
    if text.chars().count() > MAX_REQUEST_ID_CHARS {
        return Err("has more than 100 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("holds control characters");
    }
    Ok(())
}

pub(super) fn needed_request_id(text: &str) -> Result<(), Status> {
    let checked = if text.is_empty() {
        Err("is empty: without it nobody can tell a repeated request from a new one")
    } else {
        request_id(text)
    };
    checked.map_err(|words| invalid(vec![Violation::new("request_id", words)]))
}

pub(super) fn micros(at: Timestamp) -> Result<Micros, &'static str> {
    match u32::try_from(at.nanos) {
        Ok(nanos) if nanos < 1_000_000_000 && TIMES.contains(&at.seconds) => {
            Ok(Micros(at.seconds * 1_000_000 + i64::from(nanos / 1000)))
        }
        _ => Err("is no time"),
    }
}

/// The trace that a call belongs to: that of its span, or the one that came with it if nobody traces here.
pub(super) fn trace(control_plane: &ControlPlane, metadata: &MetadataMap) -> Option<String> {
    (control_plane.settings.current_trace)().or_else(|| {
        let given = metadata.get("traceparent")?.to_str().ok()?;
        is_traceparent(given).then(|| given.to_owned())
    })
}

/// `00-<32 hex>-<16 hex>-<2 hex>`.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    parts.iter().map(|part| part.len()).eq([2, 32, 16, 2]) && parts.into_iter().all(hex)
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use segue_model::Micros;

    use super::{is_traceparent, micros};

    #[test]
    fn only_times_of_the_contract_are_times() {
        let at = |seconds, nanos| micros(Timestamp { seconds, nanos });
        assert_eq!(at(1, 999), Ok(Micros(1_000_000)));
        assert_eq!(at(-1, 1000), Ok(Micros(-999_999)));
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000)] {
            assert!(at(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
    }

    #[test]
    fn trace_of_another_form_is_not_passed_on() {
        assert!(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for bad in
            ["", "00-0af7", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a-b-c-d"]
        {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
