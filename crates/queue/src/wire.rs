//! Messages as bytes: protobuf, and JSON with the names of the `.proto` file.

mod command;
#[cfg(test)]
mod corpus;
mod event;
mod job;
#[cfg(any(test, feature = "test-util"))]
pub mod raw;
mod trace;

pub(crate) use command::{RawCommand, decode_command};
pub(crate) use event::{decode_event, encode_event};
pub(crate) use job::{decode_dead, decode_job, encode_job};
pub(crate) use trace::traceparent;

/// Of every message in this version.
pub(crate) const SCHEMA: u32 = 1;

pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";

/// Longest request id, in characters.
const REQUEST_ID: usize = 100;

/// The start of `words`: short enough for a header of AMQP.
pub(crate) fn shorten(words: &str) -> &str {
    let mut end = words.len().min(500);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    &words[..end]
}

/// `None` for proto3's default.
fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn long_words_are_cut_between_characters() {
        let words = format!("a{}", "é".repeat(300));
        assert_eq!(shorten(&words).len(), 499);
        assert_eq!(shorten("short"), "short");
    }
}
