//! How times, numbers and states look.

use std::fmt;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use segue_proto::v1;

/// HTML that was made here, of nothing that somebody else has written: templates take it as it is.
#[derive(Debug, Clone)]
pub(crate) struct Markup(String);

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Markup {}

impl Markup {
    /// `text` holds nothing but what this program has written.
    pub(crate) fn of_ours(text: String) -> Self {
        Self(text)
    }
}

/// A time of the contract. `None`: it is none.
pub(crate) fn timestamp(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.seconds, at.nanos).ok()
}

/// `27 Nov 2026, 23:15 UTC`, for people and for programs.
pub(crate) fn when(at: Timestamp) -> Markup {
    let zoned = at.to_zoned(TimeZone::UTC);
    let words = zoned.strftime("%-d %b %Y, %H:%M UTC");
    Markup(format!("<time datetime=\"{}\">{words}</time>", zoned.strftime("%Y-%m-%dT%H:%M:%SZ")))
}

/// As [`when`], to the second.
pub(crate) fn when_exactly(at: Timestamp) -> Markup {
    let zoned = at.to_zoned(TimeZone::UTC);
    let words = zoned.strftime("%-d %b %Y, %H:%M:%S UTC");
    Markup(format!("<time datetime=\"{}\">{words}</time>", zoned.strftime("%Y-%m-%dT%H:%M:%SZ")))
}

/// [`when`] of a time that the contract may leave out.
pub(crate) fn when_given(at: Option<prost_types::Timestamp>) -> Option<Markup> {
    timestamp(at).map(when)
}

/// With commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `1,000 rows`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `32.8 MB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (size, unit) in UNITS {
        if number >= size {
            let tenths = number / (size / 10);
            return format!("{}.{} {unit}", grouped(tenths / 10), tenths % 10);
        }
    }
    format!("{number} B")
}

/// `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn lasted(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    match seconds {
        0..10 => {
            let tenths = time.as_millis().max(0) / 100;
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A word with a colour, never a colour alone.
fn chip(tone: &str, words: &str) -> Markup {
    Markup(format!("<span class=\"chip chip-{tone}\">{words}</span>"))
}

pub(crate) fn state_words(state: v1::RunState) -> &'static str {
    match state {
        v1::RunState::Unspecified => "Unknown",
        v1::RunState::Queued => "Queued",
        v1::RunState::Running => "Running",
        v1::RunState::Cancelling => "Cancelling",
        v1::RunState::Succeeded => "Succeeded",
        v1::RunState::CompletedWithRejects => "Completed with rejects",
        v1::RunState::Failed => "Failed",
        v1::RunState::Cancelled => "Cancelled",
    }
}

pub(crate) fn state(state: v1::RunState) -> Markup {
    let tone = match state {
        v1::RunState::Unspecified | v1::RunState::Queued | v1::RunState::Cancelled => "calm",
        v1::RunState::Running | v1::RunState::Cancelling => "busy",
        v1::RunState::Succeeded => "good",
        v1::RunState::CompletedWithRejects => "warn",
        v1::RunState::Failed => "bad",
    };
    chip(tone, state_words(state))
}

/// As [`state`], for tokens and jobs.
pub(crate) fn mark(tone: Tone, words: &'static str) -> Markup {
    let tone = match tone {
        Tone::Calm => "calm",
        Tone::Good => "good",
        Tone::Warn => "warn",
    };
    chip(tone, words)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Calm,
    Good,
    Warn,
}

pub(crate) fn has_ended(state: v1::RunState) -> bool {
    match state {
        v1::RunState::Unspecified
        | v1::RunState::Queued
        | v1::RunState::Running
        | v1::RunState::Cancelling => false,
        v1::RunState::Succeeded
        | v1::RunState::CompletedWithRejects
        | v1::RunState::Failed
        | v1::RunState::Cancelled => true,
    }
}

/// What started a run.
pub(crate) fn trigger_words(trigger: v1::Trigger) -> &'static str {
    match trigger {
        v1::Trigger::Unspecified => "unknown",
        v1::Trigger::OnDemand => "on demand",
        v1::Trigger::Command => "a message",
        v1::Trigger::Retry => "a retry",
        v1::Trigger::CommandLine => "the command line",
        v1::Trigger::Schedule => "its schedule",
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::{bytes, counted, grouped, lasted, when, when_exactly};

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(1000, "row", "rows"), "1,000 rows");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(32_850_000), "32.8 MB");
        assert_eq!(bytes(1_000), "1.0 kB");
    }

    #[test]
    fn times_name_their_zone_for_people_and_programs() {
        let at = "2026-11-07T03:05:09Z".parse().unwrap();
        assert_eq!(
            when(at).to_string(),
            "<time datetime=\"2026-11-07T03:05:09Z\">7 Nov 2026, 03:05 UTC</time>"
        );
        assert!(when_exactly(at).to_string().contains("03:05:09 UTC"));
    }

    #[test]
    fn durations_are_as_exact_as_people_want_them() {
        let of = |millis| lasted(SignedDuration::from_millis(millis));
        assert_eq!(of(0), "0.0 s");
        assert_eq!(of(450), "0.4 s");
        assert_eq!(of(59_900), "59 s");
        assert_eq!(of(200_000), "3 min 20 s");
        assert_eq!(of(7_500_000), "2 h 5 min");
        assert_eq!(of(100_000_000), "1 d 3 h");
        assert_eq!(of(-5), "0.0 s");
    }
}
