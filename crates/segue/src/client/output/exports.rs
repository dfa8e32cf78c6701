use std::collections::BTreeMap;

use segue_model::guards::{DEFAULT_MAX_GROWTH, DEFAULT_MAX_REJECTS, DEFAULT_MAX_SHRINKAGE};
use segue_proto::v1;
use serde::Serialize;

use super::{Shown, short, time};
use crate::client::guards::typed;

#[derive(Serialize)]
pub(in crate::client) struct Export {
    id: String,
    display_name: String,
    connection_id: String,
    list_id: String,
    source_id: String,
    segments: Vec<String>,
    mapping: Option<Mapping>,
    guards: Option<Guards>,
    freshness: Option<Freshness>,
    schedule: String,
    next_run_at: Option<String>,
    schedule_problem: Option<ScheduleProblem>,
    owner: Option<Owner>,
    disabled: bool,
    connection_problem: String,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct Owner {
    subject: String,
    display_name: String,
}

#[derive(Serialize)]
struct ScheduleProblem {
    due_at: Option<String>,
    reason: String,
    detail: String,
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
    // What holds, whether somebody has said so or not.
    max_growth_percent: u32,
    max_shrinkage_percent: u32,
    max_rejects_percent: u32,
}

#[derive(Serialize)]
struct Freshness {
    max_source_age: String,
    wait: String,
}

impl From<v1::Export> for Export {
    fn from(export: v1::Export) -> Self {
        Self {
            id: export.id,
            display_name: export.display_name,
            connection_id: export.connection_id,
            list_id: export.list_id,
            source_id: export.source_id,
            segments: export.segments,
            mapping: export.mapping.map(Mapping::from),
            guards: export.guards.map(|guards| Guards {
                allow_live_flows: guards.allow_live_flows,
                allow_empty: guards.allow_empty,
                max_profiles: guards.max_profiles,
                max_growth_percent: guards.max_growth_percent.unwrap_or(DEFAULT_MAX_GROWTH),
                max_shrinkage_percent: guards
                    .max_shrinkage_percent
                    .unwrap_or(DEFAULT_MAX_SHRINKAGE),
                max_rejects_percent: guards.max_rejects_percent.unwrap_or(DEFAULT_MAX_REJECTS),
            }),
            freshness: export.freshness.map(|it| Freshness {
                max_source_age: typed(it.max_source_age.unwrap_or_default()),
                wait: typed(it.wait.unwrap_or_default()),
            }),
            schedule: export_schedule_in_words(export.schedule),
            next_run_at: time(export.next_run_at),
            schedule_problem: export.schedule_problem.map(|problem| ScheduleProblem {
                due_at: time(problem.due_at),
                reason: problem.reason,
                detail: problem.detail,
            }),
            owner: export
                .owner
                .map(|v1::Owner { subject, display_name }| Owner { subject, display_name }),
            disabled: export.disabled,
            connection_problem: export.connection_problem,
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
    const COLUMNS: &'static [&'static str] = &[
        "ID",
        "NAME",
        "CONNECTION",
        "LIST",
        "SOURCE",
        "SEGMENTS",
        "OWNER",
        "SCHEDULE",
        "NEXT RUN",
        "PROBLEM",
    ];

    fn cells(&self) -> Vec<String> {
        let Self { id, display_name, connection_id, list_id, schedule, .. } = self;
        let connection = match connection_id.as_str() {
            "" => "no connection",
            id => id,
        };
        let mut cells = vec![id.clone(), display_name.clone(), connection.to_owned()];
        let owner = self.owner.as_ref().map_or("-", |owner| &owner.display_name);
        let schedule = if self.disabled { "disabled" } else { schedule };
        let source = if self.source_id.is_empty() { "-" } else { &self.source_id };
        cells.extend([list_id.clone(), source.to_owned(), self.segments.join(" ")]);
        cells.extend([owner.to_owned(), schedule.to_owned()]);
        cells.push(match (&self.next_run_at, &self.schedule_problem) {
            (next, Some(problem)) => {
                let next = next.as_deref().unwrap_or("-");
                format!("{next} (did not run: {})", problem.detail)
            }
            (Some(next), None) => next.clone(),
            (None, None) => "-".to_owned(),
        });
        let problem = self.connection_problem.as_str();
        cells.push(if problem.is_empty() { "-" } else { problem }.to_owned());
        cells
    }
}

/// The schedule of the system.
#[derive(Serialize)]
pub(in crate::client) struct Schedule {
    schedule: String,
}

impl From<Option<v1::Schedule>> for Schedule {
    fn from(schedule: Option<v1::Schedule>) -> Self {
        Self { schedule: schedule.map_or_else(|| "off".to_owned(), schedule_in_words) }
    }
}

impl Shown for Schedule {
    const COLUMNS: &'static [&'static str] = &["SCHEDULE"];

    fn cells(&self) -> Vec<String> {
        vec![self.schedule.clone()]
    }
}

fn export_schedule_in_words(schedule: Option<v1::ExportSchedule>) -> String {
    use v1::export_schedule::Mode;
    let schedule = schedule.unwrap_or_default();
    match schedule.mode() {
        Mode::Unspecified | Mode::System => "as the system".to_owned(),
        Mode::Own => schedule.own.map(schedule_in_words).unwrap_or_default(),
        Mode::Off => "off".to_owned(),
    }
}

fn schedule_in_words(schedule: v1::Schedule) -> String {
    use v1::schedule::Recurrence;
    let v1::Schedule { recurrence, time_zone } = schedule;
    let when = match recurrence {
        Some(Recurrence::Daily(daily)) => format!("daily at {}", daily.at.join(", ")),
        Some(Recurrence::Weekly(weekly)) => {
            let days = weekly.on().map(|day| short(day.as_str_name(), "WEEKDAY_"));
            format!("{} at {}", days.collect::<Vec<_>>().join(", "), weekly.at.join(", "))
        }
        Some(Recurrence::Cron(expression)) => format!("cron {expression}"),
        // Of a later version than this.
        None => "?".to_owned(),
    };
    format!("{when}, {time_zone}")
}
