use std::collections::BTreeMap;

use segue_proto::v1;
use serde::Serialize;

use super::{Shown, short, state_name, time};
use crate::{client::guards::typed, ui};

#[derive(Serialize)]
pub(in crate::client) struct Run {
    id: String,
    export_id: String,
    state: String,
    trigger: String,
    counts: Counts,
    failure: Option<Failure>,
    connection_id: String,
    account_id: String,
    list_id: String,
    request_id: String,
    retry_of: String,
    created_at: Option<String>,
    started_at: Option<String>,
    first_request_at: Option<String>,
    last_accepted_at: Option<String>,
    ended_at: Option<String>,
    seq: u64,
    due_at: Option<String>,
    missed: u64,
    started_by: String,
    started_by_name: String,
    guards_overridden: bool,
    trial_rows: u64,
    segments: Vec<Segment>,
    not_by_segment: Option<Segment>,
    source_modified_at: Option<String>,
    source_age: Option<String>,
    same_source: bool,
}

/// What became of the rows of one segment; without a name, of rows of which nobody knows of which they are.
#[derive(Serialize)]
struct Segment {
    name: String,
    rows_read: u64,
    duplicates: u64,
    rejected: u64,
    delivered: Option<u64>,
}

impl From<v1::SegmentCounts> for Segment {
    fn from(counts: v1::SegmentCounts) -> Self {
        let v1::SegmentCounts { name, rows_read, duplicates, rejected, delivered } = counts;
        Self { name, rows_read, duplicates, rejected, delivered }
    }
}

impl Segment {
    fn line(&self) -> String {
        let Self { name, rows_read, duplicates, rejected, delivered } = self;
        let name = if name.is_empty() { "not known by segment" } else { name };
        let mut line = format!(
            "{}: {} rows, {} rejected, {} duplicates",
            ui::plain(name),
            ui::grouped(*rows_read),
            ui::grouped(*rejected),
            ui::grouped(*duplicates),
        );
        if let Some(delivered) = delivered {
            line = format!("{line}, {} delivered", ui::grouped(*delivered));
        }
        line
    }
}

#[derive(Serialize)]
struct Failure {
    reason: String,
    detail: String,
}

/// The numbers of the report, by their names there.
#[derive(Serialize)]
struct Counts {
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

impl From<v1::Counts> for Counts {
    fn from(counts: v1::Counts) -> Self {
        let v1::Counts {
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
            bytes,
            rejects_by_reason,
        } = counts;
        Self {
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
            bytes,
            rejects_by_reason: rejects_by_reason.into_iter().collect(),
        }
    }
}

impl From<v1::Run> for Run {
    fn from(run: v1::Run) -> Self {
        Self {
            state: state_name(run.state()),
            trigger: short(run.trigger().as_str_name(), "TRIGGER_"),
            id: run.id,
            export_id: run.export_id,
            counts: run.counts.unwrap_or_default().into(),
            failure: run
                .failure
                .map(|failure| Failure { reason: failure.reason, detail: failure.detail }),
            connection_id: run.connection_id,
            account_id: run.account_id,
            list_id: run.list_id,
            request_id: run.request_id,
            retry_of: run.retry_of,
            created_at: time(run.created_at),
            started_at: time(run.started_at),
            first_request_at: time(run.first_request_at),
            last_accepted_at: time(run.last_accepted_at),
            ended_at: time(run.ended_at),
            seq: run.seq,
            due_at: time(run.due_at),
            missed: run.missed,
            started_by: run.started_by,
            started_by_name: run.started_by_name,
            guards_overridden: run.guards_overridden,
            trial_rows: run.trial_rows,
            segments: run.segments.into_iter().map(Segment::from).collect(),
            not_by_segment: run.not_by_segment.map(Segment::from),
            source_modified_at: time(run.source_modified_at),
            source_age: run.source_age.map(typed),
            same_source: run.same_source,
        }
    }
}

impl Run {
    /// What is worth knowing of one run besides its row: how it was started, its source, its segments.
    fn notes(&self) -> Vec<(&'static str, String)> {
        let mut notes = Vec::new();
        if let Some(Failure { detail, .. }) = &self.failure {
            notes.push(("detail", detail.clone()));
        }
        if self.trial_rows > 0 {
            notes.push(("trial", format!("at most {} rows", ui::grouped(self.trial_rows))));
        }
        if self.guards_overridden {
            notes.push(("guards", "overridden".to_owned()));
        }
        if let (Some(at), Some(age)) = (&self.source_modified_at, &self.source_age) {
            let same = if self.same_source { ", the same as in the last good run" } else { "" };
            notes.push(("source", format!("of {at}, {age} old when it was read{same}")));
        } else if self.same_source {
            notes.push(("source", "the same as in the last good run".to_owned()));
        }
        let segments = self.segments.iter().chain(&self.not_by_segment);
        notes.extend(segments.map(|segment| ("segment", segment.line())));
        notes
    }

    /// One line that tells how far it is, or how it ended.
    pub(in crate::client) fn line(&self) -> String {
        let Counts { rows_read, delivered, rejected, duplicates, undelivered, .. } = self.counts;
        let mut line = format!(
            "{}: {} of {} rows delivered, {} rejected, {} duplicates, {} undelivered",
            self.state,
            ui::grouped(delivered),
            ui::grouped(rows_read),
            ui::grouped(rejected),
            ui::grouped(duplicates),
            ui::grouped(undelivered),
        );
        if let Some(Failure { reason, detail }) = &self.failure {
            line = format!("{line} ({reason}: {})", ui::plain(detail));
        }
        line
    }
}

impl Shown for Run {
    const COLUMNS: &'static [&'static str] = &[
        "ID",
        "STATE",
        "TRIGGER",
        "BY",
        "ROWS",
        "DELIVERED",
        "REJECTED",
        "DUPLICATES",
        "UNDELIVERED",
        "CREATED",
        "FAILURE",
    ];

    fn more(&self) -> Vec<(&'static str, String)> {
        self.notes()
    }

    fn cells(&self) -> Vec<String> {
        let counts = &self.counts;
        let numbers = [
            counts.rows_read,
            counts.delivered,
            counts.rejected,
            counts.duplicates,
            counts.undelivered,
        ];
        let mut cells = vec![self.id.clone(), self.state.clone(), self.trigger.clone()];
        let by = if self.started_by.is_empty() { "-" } else { &self.started_by_name };
        cells.push(by.to_owned());
        cells.extend(numbers.map(ui::grouped));
        cells.push(self.created_at.clone().unwrap_or_default());
        let failure = self.failure.as_ref();
        cells.push(failure.map(|failure| failure.reason.clone()).unwrap_or_default());
        cells
    }
}
