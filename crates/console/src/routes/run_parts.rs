//! What the page of a run says besides its progress: details, segment by segment, and what can be done about it.

use jiff::SignedDuration;
use segue_model::guards::can_be_overridden;
use segue_proto::v1;

use crate::shown::{
    Markup, bytes, counted, grouped, lasted, timestamp, trigger_words, when_exactly, when_given,
};

pub(super) struct Fact {
    pub(super) words: &'static str,
    pub(super) text: String,
    pub(super) time: Option<Markup>,
}

/// What became of the rows of one segment.
pub(super) struct SegmentRow {
    /// Empty: rows of which nobody has said of which segment they are.
    pub(super) name: String,
    pub(super) read: String,
    pub(super) delivered: String,
    pub(super) rejected: String,
    pub(super) duplicates: String,
}

impl SegmentRow {
    fn of(counts: &v1::SegmentCounts) -> Self {
        Self {
            name: counts.name.clone(),
            read: grouped(counts.rows_read),
            delivered: counts.delivered.map_or_else(|| "–".to_owned(), grouped),
            rejected: grouped(counts.rejected),
            duplicates: grouped(counts.duplicates),
        }
    }
}

/// In the order of the export. Of one segment the account of the run says it all.
pub(super) fn segments(run: &v1::Run) -> Vec<SegmentRow> {
    let rows: Vec<_> = run.segments.iter().chain(&run.not_by_segment).map(SegmentRow::of).collect();
    if rows.len() > 1 { rows } else { Vec::new() }
}

/// Whether a guard has stopped the run that can be overridden once.
pub(super) fn is_guarded(run: &v1::Run) -> bool {
    let reason = run.failure.as_ref().and_then(|failure| failure.reason.parse().ok());
    reason.is_some_and(can_be_overridden)
}

pub(super) fn facts(run: &v1::Run, counts: &v1::Counts) -> Vec<Fact> {
    let text = |words, text: String| Fact { words, text, time: None };
    let by = match run.started_by_name.as_str() {
        "" => trigger_words(run.trigger()).to_owned(),
        name => format!("{name}, {}", trigger_words(run.trigger())),
    };
    let mut facts = vec![text("Started by", by)];
    let times = [
        ("For the time", run.due_at),
        ("Asked for", run.created_at),
        ("Begun", run.started_at),
        ("First request", run.first_request_at),
        ("Last batch accepted", run.last_accepted_at),
        ("Ended", run.ended_at),
    ];
    for (words, at) in times {
        if let Some(at) = timestamp(at) {
            facts.push(Fact { words, text: String::new(), time: Some(when_exactly(at)) });
        }
    }
    if run.missed > 0 {
        facts.push(text("Missed times it makes up for", grouped(run.missed)));
    }
    if run.trial_rows > 0 {
        facts.push(text("Trial", format!("the first {}", counted(run.trial_rows, "row", "rows"))));
    }
    if run.guards_overridden {
        facts.push(text("Guards", "Overridden for this run".to_owned()));
    }
    facts.extend(source(run));
    facts.push(text("List", run.list_id.clone()));
    facts.push(text("Klaviyo account", run.account_id.clone()));
    let requests = format!(
        "{} batches in {} requests ({} repeated, {} throttled)",
        grouped(counts.batches),
        grouped(counts.requests),
        grouped(counts.repeated_sends),
        grouped(counts.throttled)
    );
    facts.push(text("Requests", requests));
    facts.push(text("Sent", bytes(counts.bytes)));
    facts
}

/// How old what it has read was.
fn source(run: &v1::Run) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(at) = when_given(run.source_modified_at) {
        facts.push(Fact { words: "Source of", text: String::new(), time: Some(at) });
    }
    if let Some(age) = run.source_age {
        let text = lasted(SignedDuration::new(age.seconds, age.nanos));
        facts.push(Fact { words: "How old it was", text, time: None });
    }
    if run.same_source {
        let text = "The same as in the last good run".to_owned();
        facts.push(Fact { words: "Data", text, time: None });
    }
    facts
}

#[cfg(test)]
mod tests {
    use segue_proto::v1;

    use super::{facts, is_guarded, segments};

    fn segment(name: &str, rows_read: u64, delivered: Option<u64>) -> v1::SegmentCounts {
        v1::SegmentCounts { name: name.to_owned(), rows_read, delivered, ..Default::default() }
    }

    #[test]
    fn segments_are_shown_when_there_are_several_or_rows_of_none() {
        let one = v1::Run { segments: vec![segment("a.csv", 1000, Some(5))], ..v1::Run::default() };
        assert!(segments(&one).is_empty());
        let more = v1::Run { not_by_segment: Some(segment("", 7, None)), ..one };
        let rows = segments(&more);
        assert_eq!((rows[0].name.as_str(), rows[0].read.as_str()), ("a.csv", "1,000"));
        assert_eq!((rows[1].name.as_str(), rows[1].delivered.as_str()), ("", "–"));
    }

    #[test]
    fn only_what_an_override_lets_through_is_offered_to_be_overridden() {
        let failed = |reason: &str| {
            let failure = v1::Failure { reason: reason.to_owned(), detail: String::new() };
            is_guarded(&v1::Run { failure: Some(failure), ..v1::Run::default() })
        };
        assert!(failed("grew_too_much") && failed("too_many_profiles"));
        assert!(!failed("segment_empty") && !failed("source_stale"));
        assert!(!is_guarded(&v1::Run::default()));
    }

    #[test]
    fn details_say_what_was_special_about_a_run() {
        let run = v1::Run {
            trial_rows: 1,
            guards_overridden: true,
            same_source: true,
            source_age: Some(prost_types::Duration { seconds: 7_500, nanos: 0 }),
            ..v1::Run::default()
        };
        let texts: Vec<String> =
            facts(&run, &v1::Counts::default()).into_iter().map(|fact| fact.text).collect();
        for words in ["the first 1 row", "Overridden for this run", "2 h 5 min", "last good run"] {
            assert!(texts.iter().any(|text| text.contains(words)), "{words} is not in {texts:?}");
        }
    }
}
