use serde::{Deserialize, Serialize};

use crate::{CronExpression, Days, InvalidSchedule, Recurrence, Schedule, Times, Zone};

/// The JSON form of a schedule: flat, as people write it. serde cannot refuse unknown fields beside
/// an enum that is flattened, so the kinds are options.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    daily: Option<Daily>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weekly: Option<Weekly>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<CronExpression>,
    time_zone: Zone,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Daily {
    at: Times,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weekly {
    on: Days,
    at: Times,
}

impl TryFrom<Form> for Schedule {
    type Error = InvalidSchedule;

    fn try_from(form: Form) -> Result<Self, InvalidSchedule> {
        let Form { daily, weekly, cron, time_zone: zone } = form;
        let recurrence = match (daily, weekly, cron) {
            (Some(Daily { at }), None, None) => Recurrence::Daily { times: at },
            (None, Some(Weekly { on, at }), None) => Recurrence::Weekly { days: on, times: at },
            (None, None, Some(expression)) => Recurrence::Cron { expression },
            (daily, weekly, cron) => {
                let kinds = [
                    ("daily", daily.is_some()),
                    ("weekly", weekly.is_some()),
                    ("cron", cron.is_some()),
                ];
                let given = kinds.iter().filter(|kind| kind.1).map(|kind| kind.0);
                let given = given.collect::<Vec<_>>().join(", ");
                let problem =
                    "is not one kind of schedule; give exactly one of daily, weekly, cron";
                return Err(InvalidSchedule::new("schedule", &given, problem));
            }
        };
        Ok(Self { recurrence, zone })
    }
}

impl From<Schedule> for Form {
    fn from(Schedule { recurrence, zone: time_zone }: Schedule) -> Self {
        let nothing = Self { daily: None, weekly: None, cron: None, time_zone };
        match recurrence {
            Recurrence::Daily { times: at } => Self { daily: Some(Daily { at }), ..nothing },
            Recurrence::Weekly { days: on, times: at } => {
                Self { weekly: Some(Weekly { on, at }), ..nothing }
            }
            Recurrence::Cron { expression } => Self { cron: Some(expression), ..nothing },
        }
    }
}
