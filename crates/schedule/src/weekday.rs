use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{InvalidSchedule, words};

/// Its text form is the English name in small letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Tuesday => "tuesday",
            Self::Wednesday => "wednesday",
            Self::Thursday => "thursday",
            Self::Friday => "friday",
            Self::Saturday => "saturday",
            Self::Sunday => "sunday",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Monday => "Mondays",
            Self::Tuesday => "Tuesdays",
            Self::Wednesday => "Wednesdays",
            Self::Thursday => "Thursdays",
            Self::Friday => "Fridays",
            Self::Saturday => "Saturdays",
            Self::Sunday => "Sundays",
        }
    }
}

impl From<jiff::civil::Weekday> for Weekday {
    fn from(day: jiff::civil::Weekday) -> Self {
        match day {
            jiff::civil::Weekday::Monday => Self::Monday,
            jiff::civil::Weekday::Tuesday => Self::Tuesday,
            jiff::civil::Weekday::Wednesday => Self::Wednesday,
            jiff::civil::Weekday::Thursday => Self::Thursday,
            jiff::civil::Weekday::Friday => Self::Friday,
            jiff::civil::Weekday::Saturday => Self::Saturday,
            jiff::civil::Weekday::Sunday => Self::Sunday,
        }
    }
}

impl FromStr for Weekday {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        if let Some(day) = Self::ALL.into_iter().find(|day| day.name() == text) {
            return Ok(day);
        }
        let small = text.to_lowercase();
        // "Monday", "mon", "Mondays".
        let near = |day: &Self| {
            small.get(..3).is_some_and(|start| day.name().starts_with(start))
                && (day.name().starts_with(&small) || small.starts_with(day.name()))
        };
        let meant = Self::ALL.into_iter().find(near).unwrap_or(Self::Monday);
        let problem = format!("is not a weekday; write its English name, as \"{meant}\"");
        Err(InvalidSchedule::new("on", text, problem))
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Weekday {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Weekday {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        words::from_text(deserializer, "the name of a weekday, as \"monday\"")
    }
}

/// One or more different weekdays, from Monday on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Weekday>", into = "Vec<Weekday>")]
pub struct Days(Vec<Weekday>);

impl Days {
    /// In any order. None or the same one twice are an error.
    pub fn new(days: impl IntoIterator<Item = Weekday>) -> Result<Self, InvalidSchedule> {
        let days = words::distinct("on", days)?;
        if days.is_empty() {
            return Err(InvalidSchedule::new("on", "", "holds no weekday; give at least one"));
        }
        Ok(Self(days))
    }

    pub fn as_slice(&self) -> &[Weekday] {
        &self.0
    }
}

impl TryFrom<Vec<Weekday>> for Days {
    type Error = InvalidSchedule;

    fn try_from(days: Vec<Weekday>) -> Result<Self, InvalidSchedule> {
        Self::new(days)
    }
}

impl From<Days> for Vec<Weekday> {
    fn from(days: Days) -> Self {
        days.0
    }
}

/// "Mondays, Wednesdays and Fridays".
impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|day| day.plural()).collect();
        words::list(&names, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Days, Weekday};

    #[test]
    fn weekdays_read_back() {
        for day in Weekday::ALL {
            assert_eq!(day.to_string().parse(), Ok(day));
        }
    }

    #[test]
    fn a_near_miss_is_told_the_right_name() {
        for (text, meant) in [
            ("Tuesday", "tuesday"),
            ("SAT", "saturday"),
            ("thurs", "thursday"),
            ("fridays", "friday"),
            ("Montag", "monday"),
            ("", "monday"),
            ("日曜日", "monday"),
        ] {
            let error = text.parse::<Weekday>().unwrap_err();
            assert_eq!((error.field, error.value.as_str()), ("on", text));
            assert!(error.to_string().ends_with(&format!("as \"{meant}\"")), "{error}");
        }
    }

    #[test]
    fn days_are_different_and_at_least_one() {
        let days = Days::new([Weekday::Sunday, Weekday::Monday, Weekday::Friday]).unwrap();
        assert_eq!(days.to_string(), "Mondays, Fridays and Sundays");
        let none = Days::new([]).unwrap_err();
        assert_eq!(none.to_string(), "on: \"\" holds no weekday; give at least one");
        let twice = Days::new([Weekday::Sunday, Weekday::Sunday]).unwrap_err();
        assert!(twice.to_string().starts_with("on: \"sunday\" is there more than once"), "{twice}");
    }
}
