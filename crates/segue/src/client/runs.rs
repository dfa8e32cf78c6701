use std::{io::Write as _, process::ExitCode};

use anyhow::{Context as _, bail};
use segue_proto::v1;
use uuid::Uuid;

use super::{
    Output, Servers,
    args_runs::{Runs, RunsArgs},
    asking, explain,
    output::{self, Run},
    present, watch,
};
use crate::ui;

pub(super) async fn run(args: RunsArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    match args.command {
        Runs::Start { export: None, request_id, .. } => start_all(&servers, request_id).await,
        Runs::Start {
            export: Some(export),
            all: _,
            request_id,
            override_guards,
            trial_rows,
            watch,
        } => {
            let request = v1::StartRunRequest {
                export_id: export,
                request_id: id_of(request_id),
                override_guards,
                trial_rows: trial_rows.unwrap_or(0),
            };
            let reply = servers.runs().start_run(asking(request)).await.map_err(explain)?;
            begun(&servers, reply.into_inner().run, watch).await
        }
        Runs::Retry { run, request_id, watch } => {
            let request = v1::RetryRunRequest { run_id: run, request_id: id_of(request_id) };
            let reply = servers.runs().retry_run(asking(request)).await.map_err(explain)?;
            begun(&servers, reply.into_inner().run, watch).await
        }
        Runs::Cancel { run: run_id } => {
            let request = v1::CancelRunRequest { run_id };
            let reply = servers.runs().cancel_run(asking(request)).await.map_err(explain)?;
            show(&servers, reply.into_inner().run)
        }
        Runs::Get { run: run_id } => {
            let request = v1::GetRunRequest { run_id };
            let reply = servers.status().get_run(asking(request)).await.map_err(explain)?;
            show(&servers, reply.into_inner().run)
        }
        Runs::List { export, state, limit } => list(&servers, export, state, limit).await,
        Runs::Watch { run } => watch::run(&servers, run).await,
        Runs::Rejects { run, warnings } => rejects(&servers, run, warnings).await,
    }
}

/// The id by which a request that comes twice is known again.
pub(super) fn id_of(given: Option<String>) -> String {
    given.unwrap_or_else(|| Uuid::now_v7().to_string())
}

/// Those that could not be started make the command fail, once all were tried.
async fn start_all(servers: &Servers, request_id: Option<String>) -> anyhow::Result<ExitCode> {
    let request = v1::StartAllRunsRequest { request_id: id_of(request_id) };
    let reply = servers.runs().start_all_runs(asking(request)).await.map_err(explain)?;
    let (mut runs, mut refused) = (Vec::new(), 0);
    for started in reply.into_inner().runs {
        if let Some(run) = started.run {
            runs.push(Run::from(run));
        } else {
            ui::note(format_args!("{}: {}", started.export_id, ui::plain(&started.problem)));
            refused += 1;
        }
    }
    output::many(servers.output, &runs)?;
    if refused > 0 {
        bail!("{refused} exports were not started");
    }
    Ok(ExitCode::SUCCESS)
}

async fn begun(servers: &Servers, run: Option<v1::Run>, watch: bool) -> anyhow::Result<ExitCode> {
    let run = present(run, "run")?;
    if watch {
        ui::note(format_args!("run {}", run.id));
        return watch::run(servers, run.id).await;
    }
    show(servers, Some(run))
}

fn show(servers: &Servers, run: Option<v1::Run>) -> anyhow::Result<ExitCode> {
    output::one(servers.output, &Run::from(present(run, "run")?))?;
    Ok(ExitCode::SUCCESS)
}

async fn list(
    servers: &Servers,
    export: Option<String>,
    state: Option<String>,
    limit: usize,
) -> anyhow::Result<ExitCode> {
    let state = match state {
        Some(name) => state_of(&name)?,
        None => v1::RunState::Unspecified,
    };
    let mut all: Vec<Run> = Vec::new();
    let mut page_token = String::new();
    while all.len() < limit {
        let request = v1::ListRunsRequest {
            export_id: export.clone().unwrap_or_default(),
            state: state.into(),
            page_size: i32::try_from((limit - all.len()).min(1000))?,
            page_token,
        };
        let page = servers.status().list_runs(asking(request)).await.map_err(explain)?.into_inner();
        all.extend(page.runs.into_iter().map(Run::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    output::many(servers.output, &all)?;
    Ok(ExitCode::SUCCESS)
}

fn state_of(name: &str) -> anyhow::Result<v1::RunState> {
    let full = format!("RUN_STATE_{}", name.to_uppercase().replace('-', "_"));
    v1::RunState::from_str_name(&full).with_context(|| {
        let all = (1..).map_while(|n| v1::RunState::try_from(n).ok()).map(output::state_name);
        format!("{name:?} is no state of a run: they are {}", all.collect::<Vec<_>>().join(", "))
    })
}

async fn rejects(servers: &Servers, run_id: String, warnings: bool) -> anyhow::Result<ExitCode> {
    use v1::list_rejects_request::Kind;
    let kind = if warnings { Kind::Warnings } else { Kind::Rejects };
    let request = v1::ListRejectsRequest { run_id, kind: kind.into() };
    let mut stream = servers.status().list_rejects(request).await.map_err(explain)?.into_inner();
    let mut rows = Rows::new(servers.output)?;
    while let Some(reply) = stream.message().await.map_err(explain)? {
        for row in &reply.rows {
            rows.write(row)?;
        }
    }
    rows.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// Rows on standard output, one after the other.
enum Rows {
    Csv(Box<csv::Writer<std::io::Stdout>>),
    Json(std::io::Stdout),
}

impl Rows {
    fn new(output: Output) -> anyhow::Result<Self> {
        Ok(match output {
            Output::Json => Self::Json(std::io::stdout()),
            Output::Table => {
                let mut out = csv::Writer::from_writer(std::io::stdout());
                out.write_record(segue_staging::REPORT_COLUMNS)?;
                Self::Csv(Box::new(out))
            }
        })
    }

    fn write(&mut self, row: &v1::RowReport) -> anyhow::Result<()> {
        let v1::RowReport { source, row: number, identifier, field, reason, detail } = row;
        match self {
            Self::Csv(out) => {
                let number = number.to_string();
                // As in the file of `--rejects`: no spreadsheet runs what a person typed.
                let cells = [source, &number, identifier, field, reason, detail];
                let cells = cells.map(|cell| segue_staging::neutralise(cell));
                out.write_record(cells.iter().map(|cell| cell.as_bytes()))?;
            }
            Self::Json(out) => {
                let line = serde_json::json!({
                    "source": source, "row": number, "identifier": identifier,
                    "field": field, "reason": reason, "detail": detail,
                });
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Csv(mut out) => out.flush()?,
            Self::Json(mut out) => out.flush()?,
        }
        Ok(())
    }
}
