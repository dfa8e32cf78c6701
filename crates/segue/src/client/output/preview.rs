use std::collections::BTreeMap;

use segue_model::RejectReason;
use segue_proto::v1;
use serde::Serialize;

use super::{Shown, time};
use crate::ui;

/// What becomes of the columns of an export.
#[derive(Serialize)]
pub(in crate::client) struct Columns {
    pub(in crate::client) sent: Vec<Column>,
    not_sent: Vec<String>,
    #[serde(rename = "new_columns")]
    new: Vec<String>,
    settled_at: Option<String>,
    problem: String,
}

#[derive(Serialize)]
pub(in crate::client) struct Column {
    name: String,
    attribute: String,
    r#type: String,
}

impl From<v1::Columns> for Columns {
    fn from(columns: v1::Columns) -> Self {
        let v1::Columns { sent, not_sent, new_columns, settled_at, problem } = columns;
        let sent = sent.into_iter().map(Column::from).collect();
        Self { sent, not_sent, new: new_columns, settled_at: time(settled_at), problem }
    }
}

impl From<v1::Column> for Column {
    fn from(v1::Column { name, attribute, r#type }: v1::Column) -> Self {
        Self { name, attribute, r#type }
    }
}

impl Shown for Column {
    const COLUMNS: &'static [&'static str] = &["COLUMN", "BECOMES", "AS"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.attribute.clone(), self.r#type.clone()]
    }
}

impl Columns {
    /// What there is to say besides.
    pub(in crate::client) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match (&self.settled_at, self.problem.as_str()) {
            (Some(at), "") => {
                notes.push(format!("settled at {at}, and kept until you ask for more"));
            }
            (_, "") => notes.push("not settled yet: its first run decides".to_owned()),
            (_, problem) => {
                notes.push(format!("not settled yet, so its first run decides: {problem}"));
            }
        }
        notes.extend(not_sent(&self.not_sent));
        if !self.new.is_empty() {
            notes.push(format!(
                "new in the last run, and not sent: {}; to send them too, settle the columns with --again",
                self.new.join(", ")
            ));
        }
        notes
    }
}

fn not_sent(columns: &[String]) -> Option<String> {
    (!columns.is_empty()).then(|| format!("not sent: {}", columns.join(", ")))
}

/// What a run would send.
#[derive(Serialize)]
pub(in crate::client) struct Preview {
    pub(in crate::client) columns: Vec<Column>,
    not_sent: Vec<String>,
    first_profiles: Vec<serde_json::Value>,
    first_rejects: Vec<Reject>,
    rows: u64,
    profiles: u64,
    duplicates: u64,
    warnings: u64,
    rejects_by_reason: BTreeMap<String, u64>,
    batches: u64,
    body_bytes: u64,
    least_seconds: u64,
    complete: bool,
    bytes_read: u64,
    source_bytes: u64,
    new_profiles: NewProfiles,
    stopped_by: String,
}

#[derive(Serialize)]
struct Reject {
    file: String,
    row: u64,
    identifier: String,
    field: String,
    reason: String,
    detail: String,
}

#[derive(Serialize)]
struct NewProfiles {
    known: u64,
    asked: u64,
    low: u64,
    high: u64,
    problem: String,
}

impl From<v1::PreviewExportResponse> for Preview {
    fn from(preview: v1::PreviewExportResponse) -> Self {
        let reject = |it: v1::PreviewedReject| {
            let v1::PreviewedReject { file, row, identifier, field, reason, detail } = it;
            Reject { file, row, identifier, field, reason, detail }
        };
        // One that was cut is no JSON any more: it is shown as the text that is left of it.
        let profile = |json: String| serde_json::from_str(&json).unwrap_or_else(|_| json.into());
        let v1::NewProfiles { known, asked, low, high, problem } =
            preview.new_profiles.unwrap_or_default();
        Self {
            columns: preview.columns.into_iter().map(Column::from).collect(),
            not_sent: preview.not_sent,
            first_profiles: preview.first_profiles.into_iter().map(profile).collect(),
            first_rejects: preview.first_rejects.into_iter().map(reject).collect(),
            rows: preview.rows,
            profiles: preview.profiles,
            duplicates: preview.duplicates,
            warnings: preview.warnings,
            rejects_by_reason: preview.rejects_by_reason.into_iter().collect(),
            batches: preview.batches,
            body_bytes: preview.body_bytes,
            least_seconds: preview.least_seconds,
            complete: preview.complete,
            bytes_read: preview.bytes_read,
            source_bytes: preview.source_bytes,
            new_profiles: NewProfiles { known, asked, low, high, problem },
            stopped_by: preview.stopped_by,
        }
    }
}

impl Preview {
    pub(in crate::client) fn lines(&self) -> Vec<String> {
        let number = ui::grouped;
        let mut lines: Vec<String> = not_sent(&self.not_sent).into_iter().collect();
        lines.push(if self.complete {
            "everything was read; nothing was sent".to_owned()
        } else {
            format!(
                "{} of {} bytes were read, there was no time for more: all numbers are of these; nothing was sent",
                number(self.bytes_read),
                number(self.source_bytes)
            )
        });
        lines.push(format!(
            "{} rows: {} profiles, {} duplicates, {} rejected; {} fields would be left out",
            number(self.rows),
            number(self.profiles),
            number(self.duplicates),
            number(self.rejects_by_reason.values().sum()),
            number(self.warnings)
        ));
        lines.push(format!(
            "{} batches and as many requests, {} bytes: at least {} s at Klaviyo's limits",
            number(self.batches),
            number(self.body_bytes),
            number(self.least_seconds)
        ));
        lines.push(self.new_profiles.line());
        if !self.stopped_by.is_empty() {
            lines.push(format!("a run would be stopped by its guards: {}", self.stopped_by));
        }
        for (reason, n) in &self.rejects_by_reason {
            let fix = reason.parse().map(RejectReason::fix).unwrap_or_default();
            lines.push(format!("  {reason:<24} {:>12}  {fix}", number(*n)));
        }
        for it in &self.first_rejects {
            let Reject { file, row, identifier, field, reason, detail } = it;
            let field = if field.is_empty() { "the row" } else { field };
            lines.push(format!(
                "rejected: {file} row {row}, {identifier}: {field}: {detail} ({reason})"
            ));
        }
        lines.extend(self.first_profiles.iter().map(|it| format!("profile: {it}")));
        lines
    }
}

impl NewProfiles {
    fn line(&self) -> String {
        let Self { known, asked, low, high, problem } = self;
        if !problem.is_empty() {
            return format!("new profiles: not known: {problem}");
        }
        format!(
            "new profiles: between {} and {}, since Klaviyo has {} of {} that were asked for (it bills by active \
             profiles)",
            ui::grouped(*low),
            ui::grouped(*high),
            ui::grouped(*known),
            ui::grouped(*asked)
        )
    }
}
