use std::collections::BTreeMap;

use segue_proto::v1;
use serde::Serialize;

use super::{Shown, short, state_name, time};
use crate::ui;

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
        }
    }
}

impl Run {
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
