use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value::MapAccessDeserializer},
};

use crate::Schedule;

/// When an export runs by itself. The JSON form is `"system"`, `"off"` or the schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ExportSchedule {
    /// By the schedule of the system; while that is off, not at all.
    #[default]
    System,
    Own(Schedule),
    /// Only when somebody asks for it.
    Off,
}

impl ExportSchedule {
    /// The schedule that holds, given that of the system. `None`: it does not run by itself.
    pub fn effective<'a>(&'a self, system: Option<&'a Schedule>) -> Option<&'a Schedule> {
        match self {
            Self::System => system,
            Self::Own(schedule) => Some(schedule),
            Self::Off => None,
        }
    }
}

impl Serialize for ExportSchedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::System => serializer.serialize_str("system"),
            Self::Own(schedule) => schedule.serialize(serializer),
            Self::Off => serializer.serialize_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for ExportSchedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Form)
    }
}

/// By hand, because an untagged enum does not tell what is wrong with the schedule in it.
struct Form;

impl<'de> de::Visitor<'de> for Form {
    type Value = ExportSchedule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"system\", \"off\" or a schedule")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ExportSchedule, E> {
        match text {
            "system" => Ok(ExportSchedule::System),
            "off" => Ok(ExportSchedule::Off),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ExportSchedule, A::Error> {
        Schedule::deserialize(MapAccessDeserializer::new(map)).map(ExportSchedule::Own)
    }
}

#[cfg(test)]
mod tests {
    use super::ExportSchedule;
    use crate::Schedule;

    const OWN: &str = r#"{"daily":{"at":["03:00"]},"time_zone":"UTC"}"#;
    const SYSTEM: &str = r#"{"cron":"0 6 * * *","time_zone":"UTC"}"#;

    fn read(json: &str) -> ExportSchedule {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn each_form_reads_back() {
        for json in ["\"system\"", "\"off\"", OWN] {
            assert_eq!(serde_json::to_string(&read(json)).unwrap(), json);
        }
        assert_eq!(read("\"system\""), ExportSchedule::default());
        assert_eq!(read("\"off\""), ExportSchedule::Off);
    }

    #[test]
    fn an_export_runs_by_its_own_schedule_before_the_systems() {
        let system: Schedule = serde_json::from_str(SYSTEM).unwrap();
        let own: Schedule = serde_json::from_str(OWN).unwrap();
        for (export, with, without) in [
            (ExportSchedule::System, Some(&system), None),
            (ExportSchedule::Own(own.clone()), Some(&own), Some(&own)),
            (ExportSchedule::Off, None, None),
        ] {
            assert_eq!(export.effective(Some(&system)), with);
            assert_eq!(export.effective(None), without);
        }
    }

    #[test]
    fn what_is_neither_is_told_what_is_wrong() {
        for (json, problem) in [
            ("\"on\"", "expected \"system\", \"off\" or a schedule"),
            ("null", "expected \"system\", \"off\" or a schedule"),
            (r#"{"daily":{"at":["3:00"]},"time_zone":"UTC"}"#, "at: \"3:00\" is not a time of day"),
        ] {
            let error = serde_json::from_str::<ExportSchedule>(json).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
