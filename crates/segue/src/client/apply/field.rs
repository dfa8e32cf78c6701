//! What an export is made of: by its name in the file, by its path in the contract, and as a value that both
//! sides are compared by.

use segue_model::guards::{DEFAULT_MAX_GROWTH, DEFAULT_MAX_REJECTS, DEFAULT_MAX_SHRINKAGE};
use segue_proto::v1::{self, export_schedule::Mode, properties::Select, schedule::Recurrence};
use serde_json::{Map, Value, json};

use crate::client::guards::typed;

/// What a file calls the things that the contract knows by their ids.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names<'a> {
    pub(super) connection: &'a str,
    /// Empty: none.
    pub(super) source: &'a str,
}

/// In the order in which differences are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Connection,
    List,
    Segments,
    Source,
    Email,
    Attributes,
    Properties,
    DefaultCountry,
    AllowLiveFlows,
    AllowEmpty,
    MaxProfiles,
    MaxGrowth,
    MaxShrinkage,
    MaxRejects,
    Freshness,
    Schedule,
    Disabled,
    Owner,
}

impl Field {
    pub(super) const ALL: [Self; 18] = [
        Self::Connection,
        Self::List,
        Self::Segments,
        Self::Source,
        Self::Email,
        Self::Attributes,
        Self::Properties,
        Self::DefaultCountry,
        Self::AllowLiveFlows,
        Self::AllowEmpty,
        Self::MaxProfiles,
        Self::MaxGrowth,
        Self::MaxShrinkage,
        Self::MaxRejects,
        Self::Freshness,
        Self::Schedule,
        Self::Disabled,
        Self::Owner,
    ];

    /// As in the file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::List => "list",
            Self::Segments => "segments",
            Self::Source => "source",
            Self::Email => "mapping.email",
            Self::Attributes => "mapping.attributes",
            Self::Properties => "mapping.properties",
            Self::DefaultCountry => "mapping.defaultCountry",
            Self::AllowLiveFlows => "guards.allowLiveFlows",
            Self::AllowEmpty => "guards.allowEmpty",
            Self::MaxProfiles => "guards.maxProfiles",
            Self::MaxGrowth => "guards.maxGrowthPercent",
            Self::MaxShrinkage => "guards.maxShrinkagePercent",
            Self::MaxRejects => "guards.maxRejectsPercent",
            Self::Freshness => "freshness",
            Self::Schedule => "schedule",
            Self::Disabled => "disabled",
            Self::Owner => "owner",
        }
    }

    /// As in an update mask of the contract.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Connection => "connection_id",
            Self::List => "list_id",
            Self::Segments => "segments",
            Self::Source => "source_id",
            Self::Email => "mapping.email",
            Self::Attributes => "mapping.attributes",
            Self::Properties => "mapping.properties",
            Self::DefaultCountry => "mapping.default_country",
            Self::AllowLiveFlows => "guards.allow_live_flows",
            Self::AllowEmpty => "guards.allow_empty",
            Self::MaxProfiles => "guards.max_profiles",
            Self::MaxGrowth => "guards.max_growth_percent",
            Self::MaxShrinkage => "guards.max_shrinkage_percent",
            Self::MaxRejects => "guards.max_rejects_percent",
            Self::Freshness => "freshness",
            Self::Schedule => "schedule",
            Self::Disabled => "disabled",
            Self::Owner => "owner.subject",
        }
    }

    /// As the file would say it.
    pub(super) fn value(self, export: &v1::Export, names: Names<'_>) -> Value {
        let mapping = export.mapping.as_ref();
        let guards = export.guards.unwrap_or_default();
        match self {
            Self::Connection => names.connection.into(),
            Self::List => export.list_id.as_str().into(),
            Self::Segments => export.segments.clone().into(),
            Self::Source => names.source.into(),
            Self::Email => mapping.map(|it| it.email.as_str()).unwrap_or_default().into(),
            Self::Attributes => {
                let given = mapping.map(|it| it.attributes.iter()).into_iter().flatten();
                let mut pairs: Vec<_> = given.collect();
                pairs.sort();
                let pairs = pairs.into_iter();
                pairs.map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect()
            }
            Self::Properties => properties(mapping.and_then(|it| it.properties.as_ref())),
            Self::DefaultCountry => {
                mapping.map(|it| it.default_country.as_str()).unwrap_or_default().into()
            }
            Self::AllowLiveFlows => guards.allow_live_flows.into(),
            Self::AllowEmpty => guards.allow_empty.into(),
            Self::MaxProfiles => guards.max_profiles.into(),
            Self::MaxGrowth => guards.max_growth_percent.unwrap_or(DEFAULT_MAX_GROWTH).into(),
            Self::MaxShrinkage => {
                guards.max_shrinkage_percent.unwrap_or(DEFAULT_MAX_SHRINKAGE).into()
            }
            Self::MaxRejects => guards.max_rejects_percent.unwrap_or(DEFAULT_MAX_REJECTS).into(),
            Self::Freshness => freshness(export.freshness),
            Self::Schedule => export_schedule(export.schedule.as_ref()),
            Self::Disabled => export.disabled.into(),
            Self::Owner => {
                export.owner.as_ref().map(|it| it.subject.as_str()).unwrap_or_default().into()
            }
        }
    }
}

fn freshness(freshness: Option<v1::Freshness>) -> Value {
    let Some(v1::Freshness { max_source_age, wait }) = freshness else { return "any".into() };
    let mut value = json!({ "maxSourceAge": typed(max_source_age.unwrap_or_default()) });
    if let Some(wait) = wait.filter(|wait| wait.seconds > 0) {
        value["wait"] = typed(wait).into();
    }
    value
}

fn properties(properties: Option<&v1::Properties>) -> Value {
    match properties.map(v1::Properties::select).unwrap_or_default() {
        Select::Unspecified | Select::All => "all".into(),
        Select::None => "none".into(),
        Select::Only => properties.map(|it| it.columns.clone()).unwrap_or_default().into(),
    }
}

fn export_schedule(schedule: Option<&v1::ExportSchedule>) -> Value {
    match schedule.map(v1::ExportSchedule::mode).unwrap_or_default() {
        Mode::Unspecified | Mode::System => "system".into(),
        Mode::Off => "never".into(),
        Mode::Own => self::schedule(schedule.and_then(|it| it.own.as_ref())),
    }
}

/// `None`: the schedule of the system is off.
pub(super) fn schedule(schedule: Option<&v1::Schedule>) -> Value {
    let Some(v1::Schedule { recurrence, time_zone }) = schedule else { return "never".into() };
    let mut value = match recurrence {
        Some(Recurrence::Daily(daily)) => json!({ "at": daily.at }),
        Some(Recurrence::Weekly(weekly)) => {
            let name = |day: v1::Weekday| day.as_str_name().replace("WEEKDAY_", "").to_lowercase();
            let days: Vec<String> = weekly.on().map(name).collect();
            json!({ "at": weekly.at, "days": days })
        }
        Some(Recurrence::Cron(expression)) => json!({ "cron": expression }),
        // Of a later version than this: it is like nothing that a file can say.
        None => Value::Object(Map::new()),
    };
    value["timeZone"] = time_zone.as_str().into();
    value
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use segue_proto::v1;

    use super::{Field, Names};

    #[test]
    fn every_field_has_a_name_and_a_path_of_its_own() {
        let names: BTreeSet<_> = Field::ALL.iter().map(|field| field.name()).collect();
        let paths: BTreeSet<_> = Field::ALL.iter().map(|field| field.path()).collect();
        assert_eq!((names.len(), paths.len()), (Field::ALL.len(), Field::ALL.len()));
    }

    #[test]
    fn what_the_server_leaves_out_is_what_it_is_without() {
        let bare = v1::Export::default();
        let full = v1::Export {
            mapping: Some(v1::Mapping::default()),
            guards: Some(v1::Guards::default()),
            schedule: Some(v1::ExportSchedule::default()),
            ..bare.clone()
        };
        for field in Field::ALL {
            let value = |export| field.value(export, Names::default());
            assert_eq!(value(&bare), value(&full), "{}", field.name());
        }
    }
}
