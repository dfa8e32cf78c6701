//! How answers are shown: as a table for people, as JSON with the names of the contract for programs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use segue_proto::v1;
use serde::Serialize;

use super::Output;
use crate::ui;

#[derive(Serialize)]
pub(super) struct Connection {
    id: String,
    display_name: String,
    account_id: String,
    account_name: String,
    consent: Option<Consent>,
    created_at: Option<String>,
}

#[derive(Serialize)]
struct Consent {
    text_version: String,
    accepted_by: String,
    accepted_at: Option<String>,
}

impl From<v1::Connection> for Connection {
    fn from(connection: v1::Connection) -> Self {
        Self {
            id: connection.id,
            display_name: connection.display_name,
            account_id: connection.account_id,
            account_name: connection.account_name,
            consent: connection.consent.map(|consent| Consent {
                text_version: consent.text_version,
                accepted_by: consent.accepted_by,
                accepted_at: time(consent.accepted_at),
            }),
            created_at: time(connection.created_at),
        }
    }
}

impl Shown for Connection {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "ACCOUNT", "CONSENT"];

    fn cells(&self) -> Vec<String> {
        let account = format!("{} ({})", self.account_name, self.account_id);
        let consent = self.consent.as_ref().map(|consent| consent.accepted_by.clone());
        vec![self.id.clone(), self.display_name.clone(), account, consent.unwrap_or_default()]
    }
}

#[derive(Serialize)]
pub(super) struct Export {
    id: String,
    display_name: String,
    connection_id: String,
    list_id: String,
    segments: Vec<String>,
    mapping: Option<Mapping>,
    guards: Option<Guards>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct Mapping {
    email: String,
    attributes: BTreeMap<String, String>,
    properties: Properties,
    default_country: String,
}

#[derive(Serialize)]
struct Properties {
    select: &'static str,
    columns: Vec<String>,
}

#[derive(Serialize)]
struct Guards {
    allow_live_flows: bool,
    allow_empty: bool,
    max_profiles: u64,
}

impl From<v1::Export> for Export {
    fn from(export: v1::Export) -> Self {
        Self {
            id: export.id,
            display_name: export.display_name,
            connection_id: export.connection_id,
            list_id: export.list_id,
            segments: export.segments,
            mapping: export.mapping.map(Mapping::from),
            guards: export.guards.map(|guards| Guards {
                allow_live_flows: guards.allow_live_flows,
                allow_empty: guards.allow_empty,
                max_profiles: guards.max_profiles,
            }),
            created_at: time(export.created_at),
            updated_at: time(export.updated_at),
        }
    }
}

impl From<v1::Mapping> for Mapping {
    fn from(mapping: v1::Mapping) -> Self {
        use v1::properties::Select;
        let properties = mapping.properties.unwrap_or_default();
        let select = match properties.select() {
            Select::Unspecified | Select::All => "all",
            Select::None => "none",
            Select::Only => "only",
        };
        Self {
            email: mapping.email,
            attributes: mapping.attributes.into_iter().collect(),
            properties: Properties { select, columns: properties.columns },
            default_country: mapping.default_country,
        }
    }
}

impl Shown for Export {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "CONNECTION", "LIST", "SEGMENTS"];

    fn cells(&self) -> Vec<String> {
        let segments = self.segments.join(" ");
        let Self { id, display_name, connection_id, list_id, .. } = self;
        vec![id.clone(), display_name.clone(), connection_id.clone(), list_id.clone(), segments]
    }
}

#[derive(Serialize)]
pub(super) struct Run {
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
        }
    }
}

impl Run {
    /// One line that tells how far it is, or how it ended.
    pub(super) fn line(&self) -> String {
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
        let mut cells = vec![self.id.clone(), self.state.clone()];
        cells.extend(numbers.map(ui::grouped));
        cells.push(self.created_at.clone().unwrap_or_default());
        let failure = self.failure.as_ref();
        cells.push(failure.map(|failure| failure.reason.clone()).unwrap_or_default());
        cells
    }
}

#[derive(Serialize)]
pub(super) struct DeadJob {
    id: String,
    state: String,
    cause: String,
    detail: String,
    job_id: String,
    /// Empty, like the ids, if nobody knows which job it was.
    kind: String,
    account_id: String,
    run_id: String,
    batch: Option<u64>,
    attempt: u32,
    deaths: u64,
    first_died_at: Option<String>,
    last_died_at: Option<String>,
    next_attempt_at: Option<String>,
    message_bytes: u64,
    message_sha256: String,
}

impl From<v1::DeadJob> for DeadJob {
    fn from(dead: v1::DeadJob) -> Self {
        let kind = match dead.kind() {
            v1::JobKind::Unspecified => String::new(),
            kind => short(kind.as_str_name(), "JOB_KIND_"),
        };
        Self {
            state: short(dead.state().as_str_name(), "DEAD_JOB_STATE_"),
            cause: short(dead.cause().as_str_name(), "DEATH_CAUSE_"),
            kind,
            id: dead.id,
            detail: dead.detail,
            job_id: dead.job_id,
            account_id: dead.account_id,
            run_id: dead.run_id,
            batch: dead.batch,
            attempt: dead.attempt,
            deaths: dead.deaths,
            first_died_at: time(dead.first_died_at),
            last_died_at: time(dead.last_died_at),
            next_attempt_at: time(dead.next_attempt_at),
            message_bytes: dead.message_bytes,
            message_sha256: dead.message_sha256,
        }
    }
}

impl Shown for DeadJob {
    const COLUMNS: &'static [&'static str] =
        &["ID", "STATE", "KIND", "RUN", "BATCH", "DEATHS", "LAST", "NEXT", "WHY"];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let at = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.id.clone(),
            self.state.clone(),
            or_dash(&self.kind),
            or_dash(&self.run_id),
            self.batch.map_or_else(|| "-".to_owned(), |batch| batch.to_string()),
            ui::grouped(self.deaths),
            at(&self.last_died_at),
            at(&self.next_attempt_at),
            self.detail.clone(),
        ]
    }
}

/// `RUN_STATE_COMPLETED_WITH_REJECTS` as the documentation has it.
pub(super) fn state_name(state: v1::RunState) -> String {
    short(state.as_str_name(), "RUN_STATE_")
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

fn time(at: Option<prost_types::Timestamp>) -> Option<String> {
    let at = at?;
    let at = Timestamp::new(at.seconds, at.nanos).ok()?;
    Some(format!("{at:.3}"))
}

/// What has a row in a table.
pub(super) trait Shown: Serialize {
    const COLUMNS: &'static [&'static str];

    fn cells(&self) -> Vec<String>;
}

/// Shows one.
pub(super) fn one<T: Shown>(output: Output, item: &T) -> anyhow::Result<()> {
    match output {
        Output::Json => ui::say(serde_json::to_string_pretty(item)?),
        Output::Table => {
            let width = T::COLUMNS.iter().map(|column| column.len()).max().unwrap_or(0);
            for (column, cell) in T::COLUMNS.iter().zip(item.cells()) {
                ui::say(format_args!("{:width$}  {}", column.to_lowercase(), ui::plain(&cell)));
            }
        }
    }
    Ok(())
}

/// Shows several.
pub(super) fn many<T: Shown>(output: Output, items: &[T]) -> anyhow::Result<()> {
    if output == Output::Json {
        ui::say(serde_json::to_string_pretty(items)?);
        return Ok(());
    }
    let header = T::COLUMNS.iter().map(|column| (*column).to_owned()).collect();
    let mut rows: Vec<Vec<String>> = vec![header];
    rows.extend(items.iter().map(|item| item.cells().iter().map(|cell| ui::plain(cell)).collect()));
    let width = |nth: usize| rows.iter().map(|row| row[nth].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..T::COLUMNS.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        ui::say(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    Ok(())
}
