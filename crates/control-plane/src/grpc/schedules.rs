use std::sync::Arc;

use segue_model::ExportId;
use segue_proto::v1::{
    self, GetSystemScheduleRequest, GetSystemScheduleResponse, PreviewScheduleRequest,
    PreviewScheduleResponse, ScheduleExportsRequest, ScheduleExportsResponse,
    SetSystemScheduleRequest, SetSystemScheduleResponse, export_schedule::Mode,
    schedule::Recurrence as Wire, schedule_service_server::ScheduleService,
};
use segue_schedule::{
    CronExpression, Days, InvalidSchedule, Recurrence, TimeOfDay, Times, Weekday as Day, Zone,
};
use tonic::{Request, Response, Status};

use super::{caller::caller, errors::status, fields::Problems, messages::schedule_message};
use crate::{ControlPlane, ExportSchedule, Schedule};

/// [`ScheduleService`] of a control-plane.
#[derive(Debug)]
pub struct Schedules(pub(super) Arc<ControlPlane>);

const PREVIEWED: i32 = 10;
const MOST_PREVIEWED: i32 = 100;

#[tonic::async_trait]
impl ScheduleService for Schedules {
    async fn get_system_schedule(
        &self,
        _: Request<GetSystemScheduleRequest>,
    ) -> Result<Response<GetSystemScheduleResponse>, Status> {
        let schedule = self.0.system_schedule().await.map_err(status)?;
        let schedule = schedule.as_ref().map(schedule_message);
        Ok(Response::new(GetSystemScheduleResponse { schedule }))
    }

    async fn set_system_schedule(
        &self,
        request: Request<SetSystemScheduleRequest>,
    ) -> Result<Response<SetSystemScheduleResponse>, Status> {
        let by = caller(&request)?.clone();
        let mut problems = Problems::default();
        let given = request.into_inner().schedule;
        let schedule = given.and_then(|given| problems.schedule("schedule", given));
        problems.check()?;
        self.0.set_system_schedule(schedule.as_ref(), &by).await.map_err(status)?;
        let schedule = schedule.as_ref().map(schedule_message);
        Ok(Response::new(SetSystemScheduleResponse { schedule }))
    }

    async fn schedule_exports(
        &self,
        request: Request<ScheduleExportsRequest>,
    ) -> Result<Response<ScheduleExportsResponse>, Status> {
        let by = caller(&request)?.clone();
        let ScheduleExportsRequest { export_ids, schedule, keep_own } = request.into_inner();
        let mut problems = Problems::default();
        let mut ids: Vec<ExportId> = Vec::new();
        for (i, id) in export_ids.iter().enumerate() {
            match id.parse() {
                Ok(id) => ids.push(id),
                Err(err) => problems.note(format!("export_ids[{i}]"), format!("is {err}")),
            }
        }
        let schedule = if let Some(schedule) = schedule {
            problems.export_schedule("schedule", schedule)
        } else {
            problems.note("schedule", "is missing");
            ExportSchedule::System
        };
        problems.check()?;
        let changed = self.0.schedule_exports(&ids, &schedule, keep_own, &by).await;
        let changed = changed.map_err(status)?;
        let export_ids = changed.iter().map(ToString::to_string).collect();
        Ok(Response::new(ScheduleExportsResponse { export_ids }))
    }

    async fn preview_schedule(
        &self,
        request: Request<PreviewScheduleRequest>,
    ) -> Result<Response<PreviewScheduleResponse>, Status> {
        let PreviewScheduleRequest { schedule, count } = request.into_inner();
        let mut problems = Problems::default();
        let count = match count {
            0 => PREVIEWED,
            1..=MOST_PREVIEWED => count,
            _ => {
                problems.note("count", format!("{count} is not between 1 and {MOST_PREVIEWED}"));
                0
            }
        };
        let schedule = schedule.unwrap_or_default();
        let schedule = problems.schedule("schedule", schedule);
        problems.check()?;
        let now = self.0.now().await.map_err(status)?;
        let count = usize::try_from(count).unwrap_or_default();
        let times = schedule.map(|Schedule { recurrence, zone }| {
            let upcoming = Schedule { recurrence, zone: zone.clone() };
            upcoming.upcoming(now).take(count).map(|at| zone.rfc3339(at)).collect()
        });
        Ok(Response::new(PreviewScheduleResponse { times: times.unwrap_or_default() }))
    }
}

impl Problems {
    pub(super) fn schedule(&mut self, field: &str, schedule: v1::Schedule) -> Option<Schedule> {
        let v1::Schedule { recurrence, time_zone } = schedule;
        let zone = self.part(field, time_zone.parse::<Zone>());
        let recurrence = match recurrence {
            Some(Wire::Daily(v1::Daily { at })) => {
                let times = self.part(field, times(&at));
                times.map(|times| Recurrence::Daily { times })
            }
            Some(Wire::Weekly(v1::Weekly { on, at })) => {
                let times = self.part(field, times(&at));
                let days = on.iter().map(|day| self.weekday(field, *day)).collect::<Vec<_>>();
                let days = days.into_iter().collect::<Option<Vec<_>>>();
                let days = days.and_then(|days| self.part(field, Days::new(days)));
                days.zip(times).map(|(days, times)| Recurrence::Weekly { days, times })
            }
            Some(Wire::Cron(expression)) => {
                let expression = self.part(field, expression.parse::<CronExpression>());
                expression.map(|expression| Recurrence::Cron { expression })
            }
            None => {
                self.note(field, "says neither daily nor weekly nor cron");
                None
            }
        };
        recurrence.zip(zone).map(|(recurrence, zone)| Schedule { recurrence, zone })
    }

    /// `None`: it is wrong, and noted.
    fn part<T>(&mut self, field: &str, part: Result<T, InvalidSchedule>) -> Option<T> {
        part.map_err(|err| {
            let InvalidSchedule { field: part, value, problem } = err;
            self.note(format!("{field}.{part}"), format!("{value:?} {problem}"));
        })
        .ok()
    }

    fn weekday(&mut self, field: &str, day: i32) -> Option<Day> {
        let day = match v1::Weekday::try_from(day) {
            Ok(v1::Weekday::Monday) => Day::Monday,
            Ok(v1::Weekday::Tuesday) => Day::Tuesday,
            Ok(v1::Weekday::Wednesday) => Day::Wednesday,
            Ok(v1::Weekday::Thursday) => Day::Thursday,
            Ok(v1::Weekday::Friday) => Day::Friday,
            Ok(v1::Weekday::Saturday) => Day::Saturday,
            Ok(v1::Weekday::Sunday) => Day::Sunday,
            Ok(v1::Weekday::Unspecified) | Err(_) => {
                self.note(format!("{field}.on"), format!("{day} is no day of the week"));
                return None;
            }
        };
        Some(day)
    }

    /// The system's, if there is something wrong with it.
    pub(super) fn export_schedule(
        &mut self,
        field: &str,
        schedule: v1::ExportSchedule,
    ) -> ExportSchedule {
        let v1::ExportSchedule { mode, own } = schedule;
        let own_field = format!("{field}.own");
        match (Mode::try_from(mode), own) {
            (Ok(Mode::Own), Some(own)) => {
                let own = self.schedule(&own_field, own);
                return own.map_or(ExportSchedule::System, ExportSchedule::Own);
            }
            (Ok(Mode::Own), None) => self.note(own_field, "is missing"),
            (Ok(_), Some(_)) => self.note(own_field, "is for MODE_OWN"),
            (Ok(Mode::Off), None) => return ExportSchedule::Off,
            (Ok(Mode::Unspecified | Mode::System), None) => {}
            (Err(_), _) => self.note(format!("{field}.mode"), format!("{mode} is no choice")),
        }
        ExportSchedule::System
    }
}

fn times(at: &[String]) -> Result<Times, InvalidSchedule> {
    Times::new(at.iter().map(|time| time.parse()).collect::<Result<Vec<TimeOfDay>, _>>()?)
}
