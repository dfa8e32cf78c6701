//! Schedules as the file says them. They are read by the server's own rules, so that both sides write the same
//! schedule in the same way and compare equal.

use segue_schedule::{
    CronExpression, Days, ExportSchedule, InvalidSchedule, Recurrence, Schedule, TimeOfDay, Times,
    Weekday,
};

use super::document::{self, Timing, WordOr};

/// When exports without a schedule of their own run; `None`: never. What is wrong is told so that it goes on
/// behind the name of the field.
pub(super) fn of_system(given: Timing) -> Result<Option<Schedule>, String> {
    match given {
        WordOr::Word(word) if word == "never" => Ok(None),
        WordOr::Word(word) => Err(format!(": {word:?} is neither never nor a schedule, {EXAMPLE}")),
        WordOr::Other(recurrence) => schedule(recurrence).map(Some),
    }
}

/// When an export runs.
pub(super) fn of_export(given: Timing) -> Result<ExportSchedule, String> {
    match given {
        WordOr::Word(word) => match word.as_str() {
            "system" => Ok(ExportSchedule::System),
            "never" => Ok(ExportSchedule::Off),
            _ => Err(format!(": {word:?} is neither system nor never nor a schedule, {EXAMPLE}")),
        },
        WordOr::Other(recurrence) => schedule(recurrence).map(ExportSchedule::Own),
    }
}

const EXAMPLE: &str = r#"as {at: ["03:00"], timeZone: Europe/Berlin}"#;

fn schedule(given: document::Recurrence) -> Result<Schedule, String> {
    let document::Recurrence { at, days, cron, time_zone } = given;
    let recurrence = match (at, days, cron) {
        (Some(at), None, None) => Recurrence::Daily { times: times(&at)? },
        (Some(at), Some(days), None) => {
            let days = days.iter().map(|day| day.parse()).collect::<Result<Vec<Weekday>, _>>();
            let days = days.and_then(Days::new).map_err(words)?;
            Recurrence::Weekly { days, times: times(&at)? }
        }
        (None, None, Some(expression)) => {
            let expression = expression.parse::<CronExpression>().map_err(words)?;
            Recurrence::Cron { expression }
        }
        _ => {
            let advice = "give at for every day, at and days for some days, or cron";
            return Err(format!(": {advice}, {EXAMPLE}"));
        }
    };
    let Some(zone) = time_zone else {
        return Err(".timeZone: is missing: whose time is meant? Write Europe/Berlin".to_owned());
    };
    Ok(Schedule { recurrence, zone: zone.parse().map_err(words)? })
}

fn times(at: &[String]) -> Result<Times, String> {
    let at = at.iter().map(|time| time.parse()).collect::<Result<Vec<TimeOfDay>, _>>();
    at.and_then(Times::new).map_err(words)
}

fn words(err: InvalidSchedule) -> String {
    let InvalidSchedule { field, value, problem } = err;
    let field = match field {
        "on" => "days",
        "time_zone" => "timeZone",
        same => same,
    };
    format!(".{field}: {value:?} {problem}")
}
