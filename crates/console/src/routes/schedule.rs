use askama::Template;
use axum::response::Response;
use segue_proto::v1;

use super::{
    exports::{system_lines, system_schedule},
    go_to,
    problems::Problems,
    schedule_form::{NextTime, ScheduleInputs, schedule_of},
};
use crate::{
    caller::Caller,
    failure::Failure,
    form::Form,
    page::{Chrome, Place, html_as},
    services::asking,
};

/// How many times are shown.
const NEXT: i32 = 6;
const INPUTS: [(&str, &str); 5] = [
    ("schedule.time_zone", "time_zone"),
    ("schedule.cron", "cron"),
    ("schedule.at", "at"),
    ("schedule.on", "on"),
    ("schedule", "kind"),
];

#[derive(Template)]
#[template(path = "schedule.html")]
struct SchedulePage {
    chrome: Chrome,
    problems: Problems,
    lines: Vec<String>,
    is_on: bool,
    /// Of the saved schedule, or of the one in the form if that is what was asked for.
    next: Vec<NextTime>,
    is_preview: bool,
    schedule: ScheduleInputs,
    may_set: bool,
}

/// A form as somebody has filled it in, and what came of it.
#[derive(Default)]
struct Filled {
    inputs: Option<ScheduleInputs>,
    problems: Problems,
    preview: Option<Vec<NextTime>>,
}

pub(super) async fn show(caller: Caller, form: Form) -> Result<Response, Failure> {
    page(&caller, &form, Filled::default()).await
}

async fn page(caller: &Caller, form: &Form, filled: Filled) -> Result<Response, Failure> {
    let saved = system_schedule(caller).await?;
    let is_preview = filled.preview.is_some();
    let next = match (filled.preview, &saved) {
        (Some(next), _) => next,
        (None, Some(saved)) => preview(caller, saved.clone()).await?,
        (None, None) => Vec::new(),
    };
    let status = filled.problems.status();
    let inputs = filled.inputs.unwrap_or_else(|| ScheduleInputs::of(saved.as_ref()));
    let page = SchedulePage {
        chrome: Chrome::new(caller, Place::Schedule, "Schedule of the system").after(form),
        problems: filled.problems,
        lines: system_lines(saved.as_ref()),
        is_on: saved.is_some(),
        next,
        is_preview,
        schedule: inputs,
        may_set: caller.may("ScheduleService/SetSystemSchedule"),
    };
    html_as(status, &page)
}

async fn preview(caller: &Caller, schedule: v1::Schedule) -> Result<Vec<NextTime>, tonic::Status> {
    let zone = schedule.time_zone.clone();
    let request = v1::PreviewScheduleRequest { schedule: Some(schedule), count: NEXT };
    let told = caller.services.schedule().preview_schedule(asking(request)).await?;
    Ok(told.into_inner().times.iter().map(|told| NextTime::of(told, &zone)).collect())
}

pub(super) async fn save(caller: Caller, form: Form) -> Result<Response, Failure> {
    let again = async |problems, preview| {
        let inputs = Some(ScheduleInputs::filled(&form));
        page(&caller, &Form::default(), Filled { inputs, problems, preview }).await
    };
    let off = form.text("action") == "off";
    if form.text("action") == "preview" {
        return match preview(&caller, schedule_of(&form)).await {
            Ok(next) => again(Problems::default(), Some(next)).await,
            Err(status) => again(Problems::of(&status, &INPUTS)?, None).await,
        };
    }
    let schedule = (!off).then(|| schedule_of(&form));
    let request = v1::SetSystemScheduleRequest { schedule };
    match caller.services.schedule().set_system_schedule(asking(request)).await {
        Ok(_) if off => Ok(go_to("/schedule?done=unscheduled")),
        Ok(_) => Ok(go_to("/schedule?done=scheduled")),
        Err(status) => again(Problems::of(&status, &INPUTS)?, None).await,
    }
}
