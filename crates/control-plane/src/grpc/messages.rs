//! What people decide about exports and schedules, as the contract has it. Public, because whoever compares a wish
//! with what a server answers has to write it in the same way.

use segue_proto::duration;
use segue_proto::v1::{
    self, export_schedule::Mode, properties::Select, schedule::Recurrence as Message,
};
use segue_schedule::{Recurrence, Times, Weekday};

use crate::{ExportFields, ExportSchedule, Freshness, Guards, Mapping, Properties, Schedule};

/// Only what people decide: what the server gives is left empty.
pub fn export_message(fields: ExportFields) -> v1::Export {
    // Destructured, so that a field that is added cannot be forgotten.
    let ExportFields {
        display_name,
        connection,
        list_id,
        source,
        segments,
        mapping,
        guards,
        schedule,
        freshness,
        disabled,
    } = fields;
    let Mapping { email, attributes, properties, default_country } = mapping;
    let Guards {
        allow_live_flows,
        allow_empty,
        max_profiles,
        max_growth,
        max_shrinkage,
        max_rejects,
    } = guards;
    let (select, columns) = match properties {
        Properties::All => (Select::All, Vec::new()),
        Properties::None => (Select::None, Vec::new()),
        Properties::Only(columns) => (Select::Only, columns),
    };
    v1::Export {
        display_name,
        connection_id: connection.map(|id| id.to_string()).unwrap_or_default(),
        list_id,
        source_id: source.map(|id| id.to_string()).unwrap_or_default(),
        segments,
        mapping: Some(v1::Mapping {
            email,
            attributes: attributes.into_iter().collect(),
            properties: Some(v1::Properties { select: select.into(), columns }),
            default_country,
        }),
        guards: Some(v1::Guards {
            allow_live_flows,
            allow_empty,
            max_profiles: max_profiles.unwrap_or(0),
            max_growth_percent: max_growth,
            max_shrinkage_percent: max_shrinkage,
            max_rejects_percent: max_rejects,
        }),
        freshness: freshness.map(|Freshness { max_source_age, wait }| v1::Freshness {
            max_source_age: Some(duration(max_source_age)),
            wait: Some(wait).filter(|wait| !wait.is_zero()).map(duration),
        }),
        schedule: Some(export_schedule_message(&schedule)),
        disabled,
        ..v1::Export::default()
    }
}

pub(super) fn export_schedule_message(schedule: &ExportSchedule) -> v1::ExportSchedule {
    let (mode, own) = match schedule {
        ExportSchedule::System => (Mode::System, None),
        ExportSchedule::Own(own) => (Mode::Own, Some(schedule_message(own))),
        ExportSchedule::Off => (Mode::Off, None),
    };
    v1::ExportSchedule { mode: mode.into(), own }
}

pub fn schedule_message(schedule: &Schedule) -> v1::Schedule {
    let Schedule { recurrence, zone } = schedule;
    let at = |times: &Times| times.as_slice().iter().map(ToString::to_string).collect();
    let recurrence = match recurrence {
        Recurrence::Daily { times } => Message::Daily(v1::Daily { at: at(times) }),
        Recurrence::Weekly { days, times } => {
            let on = days.as_slice().iter().map(|day| weekday(*day).into());
            Message::Weekly(v1::Weekly { on: on.collect(), at: at(times) })
        }
        Recurrence::Cron { expression } => Message::Cron(expression.to_string()),
    };
    v1::Schedule { recurrence: Some(recurrence), time_zone: zone.name().to_owned() }
}

fn weekday(day: Weekday) -> v1::Weekday {
    match day {
        Weekday::Monday => v1::Weekday::Monday,
        Weekday::Tuesday => v1::Weekday::Tuesday,
        Weekday::Wednesday => v1::Weekday::Wednesday,
        Weekday::Thursday => v1::Weekday::Thursday,
        Weekday::Friday => v1::Weekday::Friday,
        Weekday::Saturday => v1::Weekday::Saturday,
        Weekday::Sunday => v1::Weekday::Sunday,
    }
}
