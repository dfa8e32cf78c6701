use std::{fmt, str::FromStr};

use croner::{
    Cron,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    Span,
    civil::{Date, date},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{InvalidSchedule, TimeOfDay, recurrence::CYCLE_DAYS, words};

/// Minute, hour, day of the month, month and day of the week, as cron has them.
///
/// Days: if both the day of the month and the day of the week are limited, either will do; with `+`
/// before the day of the week, both must hold. `L` is the last day of the month, `15W` the weekday
/// nearest to the 15th, `FRI#2` the second Friday and `FRIL` the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronExpression {
    text: String,
    /// On a day that it falls on: every pair of an hour and a minute, earliest first.
    times: Vec<TimeOfDay>,
    cron: Box<Cron>,
}

impl CronExpression {
    /// In bytes. More than enough for anything that is not a list of all its times.
    pub const LONGEST: usize = 500;

    /// As it was given, with one blank between fields.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn times(&self) -> &[TimeOfDay] {
        &self.times
    }

    pub(crate) fn falls_on(&self, day: Date) -> bool {
        // A day matches if its first time does: hours and minutes are free of the day.
        let first = self.times.first().map(|time| day.to_datetime(time.civil()));
        first.is_some_and(|first| self.cron.is_time_matching(&first).unwrap_or(false))
    }
}

impl FromStr for CronExpression {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let refused = |problem: String| InvalidSchedule::new("cron", text, problem);
        if text.len() > Self::LONGEST {
            return Err(refused(format!("is longer than {} bytes", Self::LONGEST)));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != FIELDS.len() {
            return Err(refused(miscounted(&fields)));
        }
        for (field, given) in FIELDS.iter().zip(&fields) {
            field.check(given).map_err(refused)?;
        }
        let text = fields.join(" ");
        let cron = parse(&text)
            .map_err(|err| refused(format!("cannot be read: {}", clause(&err.to_string()))))?;
        let (hours, minutes) = (cron.pattern.hours.values(), cron.pattern.minutes.values());
        let pairs =
            hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (*hour, *minute)));
        let times = pairs.filter_map(|(hour, minute)| TimeOfDay::new(hour, minute)).collect();
        let expression = Self { text, times, cron: Box::new(cron) };
        // Dates and weekdays repeat after as many days, so this is all the days that there are.
        let mut days = date(2000, 1, 1).series(Span::new().days(1)).take(CYCLE_DAYS);
        if !days.any(|day| expression.falls_on(day)) {
            let problem = "never occurs: no month has such a day; change the day or the month";
            return Err(refused(problem.to_owned()));
        }
        Ok(expression)
    }
}

fn miscounted(fields: &[&str]) -> String {
    let what = "give five: minute, hour, day of the month, month, day of the week";
    match fields {
        [] => format!("is empty; {what}"),
        [one] if one.starts_with('@') => format!("is a nickname; {what}"),
        [_] => format!("has 1 field; {what}"),
        [_, _, _, _, _, _, ..] => {
            format!("has {} fields; {what}; seconds and years are not taken", fields.len())
        }
        _ => format!("has {} fields; {what}", fields.len()),
    }
}

struct Field {
    name: &'static str,
    takes: &'static str,
    /// The words that may be written for numbers.
    words: &'static [&'static str],
    /// What may follow a number or a word.
    suffix: Option<char>,
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", takes: "0 to 59", words: &[], suffix: None },
    Field { name: "hour", takes: "0 to 23", words: &[], suffix: None },
    Field {
        name: "day of the month",
        takes: "1 to 31, or L for the last",
        words: &["L", "LW"],
        suffix: Some('W'),
    },
    Field {
        name: "month",
        takes: "1 to 12, or JAN to DEC",
        words: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
        suffix: None,
    },
    Field {
        name: "day of the week",
        takes: "0 to 7, where 0 and 7 are Sunday, or SUN to SAT",
        words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
        suffix: Some('L'),
    },
];

impl Field {
    fn check(&self, given: &str) -> Result<(), String> {
        let wrong = |why: &str| {
            let Self { name, takes, .. } = self;
            Err(format!("has {given:?} for the {name}: {why}; write {takes}"))
        };
        // croner replaces names wherever they stand, so JAN1 is November and an hour may be MON.
        let upper = given.to_ascii_uppercase().replace("#L", "L");
        let listed = upper.strip_prefix('+').unwrap_or(&upper);
        for word in listed.split([',', '-', '/', '#']) {
            if word.is_empty() {
                return wrong("something is missing");
            }
            if !self.knows(word) {
                return wrong(&format!("{word:?} does not belong there"));
            }
        }
        // By itself, or croner does not tell which field is wrong.
        let alone = FIELDS.iter().map(|field| if field.name == self.name { given } else { "*" });
        match parse(&alone.collect::<Vec<_>>().join(" ")) {
            Ok(_) => Ok(()),
            Err(CronError::ComponentError(why) | CronError::IllegalCharacters(why)) => {
                wrong(&clause(&why))
            }
            Err(err) => wrong(&clause(&err.to_string())),
        }
    }

    fn knows(&self, word: &str) -> bool {
        let plain = |word: &str| {
            self.words.contains(&word)
                || !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
        };
        let stem = self.suffix.and_then(|suffix| word.strip_suffix(suffix));
        matches!(word, "*" | "?") || plain(word) || stem.is_some_and(plain)
    }
}

/// croner writes sentences.
fn clause(sentence: &str) -> String {
    let mut chars = sentence.trim_end_matches('.').chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

fn parse(text: &str) -> Result<Cron, CronError> {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(text)
}

impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for CronExpression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for CronExpression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        words::from_text(deserializer, "a cron expression in quotes, as \"0 6 * * MON-FRI\"")
    }
}

#[cfg(test)]
mod tests;
