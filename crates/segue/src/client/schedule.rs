use std::process::ExitCode;

use anyhow::{Context as _, bail};
use segue_proto::v1::{self, export_schedule::Mode, schedule::Recurrence};
use serde_json::json;

use super::{
    Output, Servers,
    args::{ExportScheduleArgs, RecurrenceArgs, Schedule, ScheduleArgs},
    asking, explain, output,
};
use crate::ui;

pub(super) async fn run(args: ScheduleArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    let mut client = servers.schedule();
    let shown = match args.command {
        Schedule::Get => {
            let request = v1::GetSystemScheduleRequest {};
            client
                .get_system_schedule(asking(request))
                .await
                .map_err(explain)?
                .into_inner()
                .schedule
        }
        Schedule::Set { recurrence } => set(&servers, Some(needed(recurrence)?)).await?,
        Schedule::Off => set(&servers, None).await?,
        Schedule::Preview { recurrence, count } => {
            let schedule = needed(recurrence)?;
            let request = v1::PreviewScheduleRequest { schedule: Some(schedule), count };
            let reply = client.preview_schedule(asking(request)).await.map_err(explain)?;
            let times = reply.into_inner().times;
            match servers.output {
                Output::Json => ui::say(serde_json::to_string_pretty(&json!({ "times": times }))?),
                Output::Table => times.iter().for_each(ui::say),
            }
            return Ok(ExitCode::SUCCESS);
        }
    };
    output::one(servers.output, &output::Schedule::from(shown))?;
    Ok(ExitCode::SUCCESS)
}

async fn set(
    servers: &Servers,
    schedule: Option<v1::Schedule>,
) -> anyhow::Result<Option<v1::Schedule>> {
    let request = v1::SetSystemScheduleRequest { schedule };
    let reply = servers.schedule().set_system_schedule(asking(request)).await.map_err(explain)?;
    Ok(reply.into_inner().schedule)
}

fn needed(args: RecurrenceArgs) -> anyhow::Result<v1::Schedule> {
    schedule_of(args)?.context("say when: --at 03:00 every day, with --on on some days, or --cron")
}

/// `None`: nothing was said.
pub(super) fn schedule_of(args: RecurrenceArgs) -> anyhow::Result<Option<v1::Schedule>> {
    let RecurrenceArgs { at, on, cron, time_zone } = args;
    let recurrence = match (at.is_empty(), on.is_empty(), cron) {
        (true, _, None) => return Ok(None),
        (true, _, Some(expression)) => Recurrence::Cron(expression),
        (false, true, _) => Recurrence::Daily(v1::Daily { at }),
        (false, false, _) => {
            let on = on.iter().map(|day| weekday(day)).collect::<anyhow::Result<_>>()?;
            Recurrence::Weekly(v1::Weekly { on, at })
        }
    };
    let time_zone = time_zone
        .context("whose time is meant? Give --time-zone, as in --time-zone Europe/Berlin")?;
    Ok(Some(v1::Schedule { recurrence: Some(recurrence), time_zone }))
}

/// `None`: nothing was said.
pub(super) fn export_schedule_of(
    args: ExportScheduleArgs,
) -> anyhow::Result<Option<v1::ExportSchedule>> {
    let ExportScheduleArgs { own, follow_system, unscheduled } = args;
    let plain = |mode: Mode| v1::ExportSchedule { mode: mode.into(), own: None };
    Ok(match (follow_system, unscheduled) {
        (true, _) => Some(plain(Mode::System)),
        (_, true) => Some(plain(Mode::Off)),
        _ => schedule_of(own)?
            .map(|own| v1::ExportSchedule { mode: Mode::Own.into(), own: Some(own) }),
    })
}

fn weekday(name: &str) -> anyhow::Result<i32> {
    let wanted = format!("WEEKDAY_{}", name.trim().to_ascii_uppercase());
    match v1::Weekday::from_str_name(&wanted) {
        Some(day) if day != v1::Weekday::Unspecified => Ok(day.into()),
        _ => bail!("{name:?} is no day of the week: write monday, tuesday and so on"),
    }
}
