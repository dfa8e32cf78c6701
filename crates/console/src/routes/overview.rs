use askama::Template;
use axum::response::Response;
use segue_proto::v1;

use crate::{
    account::Failed,
    caller::Caller,
    failure::Failure,
    form::Form,
    page::{Chrome, Place, html},
    routes::runs::{Names, RunRow},
    services::asking,
    shown::{Markup, when_given},
};

#[derive(Template)]
#[template(path = "overview.html")]
#[expect(clippy::struct_excessive_bools, reason = "each is a button or a part of the page")]
struct OverviewPage {
    chrome: Chrome,
    running: Vec<RunRow>,
    recent: Vec<RunRow>,
    failed: Vec<FailedRow>,
    next: Vec<NextRow>,
    late: Vec<LateRow>,
    dead: bool,
    /// Nothing is set up: what comes first.
    first_steps: bool,
    may_connect: bool,
    may_export: bool,
}

struct FailedRow {
    run: RunRow,
    why: Failed,
}

struct NextRow {
    id: String,
    name: String,
    at: Markup,
}

/// An export that did not run when it should have.
struct LateRow {
    id: String,
    name: String,
    words: String,
}

/// How many of each are shown.
const FEW: i32 = 5;

pub(super) async fn show(caller: Caller, form: Form) -> Result<Response, Failure> {
    let services = &caller.services;
    let states = [v1::RunState::Running, v1::RunState::Cancelling, v1::RunState::Queued];
    let running = states.map(|state| services.newest_runs("", state, 20));
    let (running, recent, failed, exports, dead) = tokio::join!(
        futures::future::try_join_all(running),
        services.newest_runs("", v1::RunState::Unspecified, FEW),
        services.newest_runs("", v1::RunState::Failed, FEW),
        services.all_exports(""),
        dead_jobs(&caller),
    );
    let exports = exports?;
    let names = Names::of(&exports);
    let (recent, failed) = (recent?, failed?);
    let mut next: Vec<&v1::Export> = exports.iter().filter(|it| it.next_run_at.is_some()).collect();
    next.sort_by_key(|export| export.next_run_at.map(|at| (at.seconds, at.nanos)));
    let page = OverviewPage {
        chrome: Chrome::new(&caller, Place::Overview, "Overview").after(&form),
        running: running?.concat().iter().map(|run| names.row(run)).collect(),
        first_steps: exports.is_empty() && recent.is_empty(),
        recent: recent.iter().map(|run| names.row(run)).collect(),
        failed: failed.iter().map(|run| failed_row(&names, run)).collect(),
        next: next.into_iter().take(8).filter_map(next_row).collect(),
        late: exports.iter().filter_map(late_row).collect(),
        dead: dead?,
        may_connect: caller.may("ConnectionService/CreateConnection"),
        may_export: caller.may("ExportService/CreateExport"),
    };
    html(&page)
}

/// Whether there is one that waits for somebody.
async fn dead_jobs(caller: &Caller) -> Result<bool, Failure> {
    let request = v1::ListDeadJobsRequest { page_size: 1, ..v1::ListDeadJobsRequest::default() };
    let found = caller.services.jobs().list_dead_jobs(asking(request)).await?;
    Ok(!found.into_inner().dead_jobs.is_empty())
}

fn failed_row(names: &Names, run: &v1::Run) -> FailedRow {
    let why = Failed::of(&run.failure.clone().unwrap_or_default());
    FailedRow { run: names.row(run), why }
}

fn next_row(export: &v1::Export) -> Option<NextRow> {
    let at = when_given(export.next_run_at)?;
    Some(NextRow { id: export.id.clone(), name: export.display_name.clone(), at })
}

fn late_row(export: &v1::Export) -> Option<LateRow> {
    let problem = export.schedule_problem.as_ref()?;
    let words = problem.detail.clone();
    Some(LateRow { id: export.id.clone(), name: export.display_name.clone(), words })
}
