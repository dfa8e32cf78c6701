use std::{fmt, str::FromStr};

use jiff::civil::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{InvalidSchedule, words};

/// Hours and minutes of the local clock, from 00:00 to 23:59.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(Time);

impl TimeOfDay {
    pub(crate) fn new(hour: u16, minute: u16) -> Option<Self> {
        let (hour, minute) = (i8::try_from(hour).ok()?, i8::try_from(minute).ok()?);
        Time::new(hour, minute, 0, 0).ok().map(Self)
    }

    pub(crate) fn civil(self) -> Time {
        self.0
    }
}

impl FromStr for TimeOfDay {
    type Err = InvalidSchedule;

    /// Two digits each: "03:00", never "3:00".
    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        // jiff forgives a missing zero and blanks; one time should have one text form.
        let time = Time::strptime("%H:%M", text).ok().map(Self);
        time.filter(|time| time.to_string() == text).ok_or_else(|| {
            let problem = "is not a time of day; write two digits for the hours, 00 to 23, and two \
                           for the minutes, as \"03:00\"";
            InvalidSchedule::new("at", text, problem)
        })
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        words::from_text(deserializer, "a time of day in quotes, as \"03:00\"")
    }
}

/// One to four different times of day, earliest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<TimeOfDay>", into = "Vec<TimeOfDay>")]
pub struct Times(Vec<TimeOfDay>);

impl Times {
    /// As many refreshes a day as Dynamics 365 Customer Insights has.
    pub const MOST: usize = 4;

    /// In any order. None, more than [`Times::MOST`] or the same one twice are an error.
    pub fn new(times: impl IntoIterator<Item = TimeOfDay>) -> Result<Self, InvalidSchedule> {
        let times = words::distinct("at", times)?;
        let problem = match times.len() {
            0 => "holds no time of day; give one to four".to_owned(),
            n if n > Self::MOST => format!("holds {n} times of day; give at most {}", Self::MOST),
            _ => return Ok(Self(times)),
        };
        let given: Vec<String> = times.iter().map(ToString::to_string).collect();
        Err(InvalidSchedule::new("at", &given.join(", "), problem))
    }

    pub fn as_slice(&self) -> &[TimeOfDay] {
        &self.0
    }
}

impl TryFrom<Vec<TimeOfDay>> for Times {
    type Error = InvalidSchedule;

    fn try_from(times: Vec<TimeOfDay>) -> Result<Self, InvalidSchedule> {
        Self::new(times)
    }
}

impl From<Times> for Vec<TimeOfDay> {
    fn from(times: Times) -> Self {
        times.0
    }
}

/// "03:00, 09:00 and 15:00".
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        words::list(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{TimeOfDay, Times};
    use crate::InvalidSchedule;

    fn times(texts: &[&str]) -> Result<Times, InvalidSchedule> {
        Times::new(texts.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn a_time_of_day_has_one_text_form() {
        for text in ["00:00", "03:05", "23:59"] {
            assert_eq!(text.parse::<TimeOfDay>().unwrap().to_string(), text);
        }
        let others = ["", "3:00", "03:0", "24:00", "03:60", "03:00:00", " 03:00", "03:00 ", "3am"];
        for text in others {
            let error = text.parse::<TimeOfDay>().unwrap_err();
            assert_eq!((error.field, error.value.as_str()), ("at", text));
            assert!(error.to_string().contains("as \"03:00\""), "{error}");
        }
    }

    #[test]
    fn times_are_kept_in_order() {
        let times = times(&["15:00", "03:00", "09:30"]).unwrap();
        assert_eq!(times.to_string(), "03:00, 09:30 and 15:00");
    }

    #[test]
    fn there_are_one_to_four_different_times() {
        assert!(times(&["01:00", "02:00", "03:00", "04:00"]).is_ok());
        for (given, problem) in [
            (&[][..], "at: \"\" holds no time of day; give one to four"),
            (
                &["05:00", "01:00", "02:00", "03:00", "04:00"],
                "at: \"01:00, 02:00, 03:00, 04:00, 05:00\" holds 5 times of day; give at most 4",
            ),
            (
                &["01:00", "02:00", "01:00"],
                "at: \"01:00\" is there more than once; leave it out once",
            ),
        ] {
            assert_eq!(times(given).unwrap_err().to_string(), problem);
        }
    }
}
