use std::{collections::BTreeMap, convert::Infallible, future::ready, sync::Arc};

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::StreamExt as _;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use segue_proto::v1;

use super::{
    go_to, request_id,
    run_parts::{Fact, SegmentRow, facts, is_guarded, segments},
};
use crate::{
    account::{Failed, Progress, Reason, reasons},
    caller::Caller,
    chart::Chart,
    failure::Failure,
    form::{Form, address},
    page::{Chrome, Place, html},
    server::App,
    services::{asking, present},
    shown::{self, Markup, grouped, has_ended, state_words, trigger_words, when_given},
};

/// Runs on a page.
const PAGE: i32 = 25;
/// Runs in a chart.
pub(super) const CHART: i32 = 24;

/// What exports are called.
pub(super) struct Names(BTreeMap<String, String>);

/// A run as a table shows it.
pub(super) struct RunRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: Markup,
    pub(super) trigger: &'static str,
    pub(super) created: Option<Markup>,
    pub(super) read: String,
    pub(super) delivered: String,
    pub(super) rejected: String,
    pub(super) undelivered: String,
    /// Of 1000, while it goes on.
    pub(super) done: Option<u64>,
}

impl Names {
    pub(super) fn of(exports: &[v1::Export]) -> Self {
        let pair = |export: &v1::Export| (export.id.clone(), export.display_name.clone());
        Self(exports.iter().map(pair).collect())
    }

    pub(super) fn name(&self, export: &str) -> String {
        match self.0.get(export) {
            Some(name) => name.clone(),
            None if export.is_empty() => "Of the command line".to_owned(),
            None => "A removed export".to_owned(),
        }
    }

    pub(super) fn row(&self, run: &v1::Run) -> RunRow {
        let counts = run.counts.clone().unwrap_or_default();
        let settled = counts.rows_read.saturating_sub(counts.undelivered);
        let goes_on = !has_ended(run.state()) && counts.rows_read > 0;
        RunRow {
            id: run.id.clone(),
            name: self.name(&run.export_id),
            state: shown::state(run.state()),
            trigger: trigger_words(run.trigger()),
            created: when_given(run.created_at),
            read: grouped(counts.rows_read),
            delivered: grouped(counts.delivered),
            rejected: grouped(counts.rejected),
            undelivered: grouped(counts.undelivered),
            done: goes_on.then(|| settled.saturating_mul(1000) / counts.rows_read),
        }
    }
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    chrome: Chrome,
    runs: Vec<RunRow>,
    states: Vec<Choice>,
    exports: Vec<Choice>,
    is_filtered: bool,
    /// Where older ones are.
    older: Option<String>,
    is_first: bool,
}

struct Choice {
    value: String,
    words: String,
    chosen: bool,
}

/// `failed` for `RUN_STATE_FAILED`.
fn state_code(state: v1::RunState) -> String {
    state.as_str_name().trim_start_matches("RUN_STATE_").to_lowercase()
}

fn state_of(code: &str) -> v1::RunState {
    let named = format!("RUN_STATE_{}", code.to_uppercase());
    v1::RunState::from_str_name(&named).unwrap_or_default()
}

pub(super) async fn list(caller: Caller, form: Form) -> Result<Response, Failure> {
    let state = state_of(form.text("state"));
    let export = form.text("export");
    let request = v1::ListRunsRequest {
        export_id: export.to_owned(),
        state: state.into(),
        page_size: PAGE,
        page_token: form.text("page").to_owned(),
    };
    let mut client = caller.services.status();
    let (found, exports) =
        tokio::join!(client.list_runs(asking(request)), caller.services.all_exports(""));
    let v1::ListRunsResponse { runs, next_page_token } = found?.into_inner();
    let exports = exports?;
    let names = Names::of(&exports);
    let states = (1..).map_while(|number| v1::RunState::try_from(number).ok()).map(|it| Choice {
        value: state_code(it),
        words: state_words(it).to_owned(),
        chosen: it == state,
    });
    let older = (!next_page_token.is_empty()).then(|| {
        let query = [("state", form.text("state")), ("export", export), ("page", &next_page_token)];
        address("/runs", &query)
    });
    html(&RunsPage {
        chrome: Chrome::new(&caller, Place::Runs, "Runs").after(&form),
        runs: runs.iter().map(|run| names.row(run)).collect(),
        states: states.collect(),
        is_filtered: state != v1::RunState::Unspecified || !export.is_empty(),
        exports: exports
            .into_iter()
            .map(|it| Choice { chosen: it.id == export, value: it.id, words: it.display_name })
            .collect(),
        older,
        is_first: form.text("page").is_empty(),
    })
}

#[derive(Template)]
#[template(path = "run.html")]
#[expect(clippy::struct_excessive_bools, reason = "each is a button or a part of the page")]
struct RunPage {
    chrome: Chrome,
    id: String,
    export_id: String,
    name: String,
    progress: Progress,
    goes_on: bool,
    failed: Option<Failed>,
    reasons: Vec<Reason>,
    segments: Vec<SegmentRow>,
    facts: Vec<Fact>,
    chart: Option<Chart>,
    rejected: u64,
    warnings: String,
    has_warnings: bool,
    retry_of: String,
    request_id: String,
    may_cancel: bool,
    may_retry: bool,
    may_override: bool,
    may_see_people: bool,
}

pub(super) async fn get(caller: &Caller, run_id: &str) -> Result<v1::Run, Failure> {
    let request = v1::GetRunRequest { run_id: run_id.to_owned() };
    let found = caller.services.status().get_run(asking(request)).await?;
    Ok(present(found.into_inner().run)?)
}

/// What the export of a run is called.
pub(super) async fn export_name(caller: &Caller, run: &v1::Run) -> Result<String, Failure> {
    if run.export_id.is_empty() {
        return Ok(Names(BTreeMap::new()).name(""));
    }
    let request = v1::GetExportRequest { id: run.export_id.clone() };
    match caller.services.exports().get_export(asking(request)).await {
        Ok(found) => Ok(present(found.into_inner().export)?.display_name),
        Err(status) if status.code() == tonic::Code::NotFound => {
            Ok(Names(BTreeMap::new()).name(&run.export_id))
        }
        Err(status) => Err(status.into()),
    }
}

pub(super) async fn show(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let run = get(&caller, &id).await?;
    let (name, past) = tokio::join!(export_name(&caller, &run), past(&caller, &run.export_id));
    let name = name?;
    let counts = run.counts.clone().unwrap_or_default();
    let ended = has_ended(run.state());
    html(&RunPage {
        chrome: Chrome::new(&caller, Place::Runs, format!("Run of {name}")).after(&form),
        progress: Progress::of(&run, Timestamp::now()),
        goes_on: !ended,
        failed: run.failure.as_ref().map(Failed::of),
        reasons: reasons(&counts),
        segments: segments(&run),
        facts: facts(&run, &counts),
        chart: Chart::of(&past?),
        rejected: counts.rejected,
        warnings: grouped(counts.warnings),
        has_warnings: counts.warnings > 0,
        request_id: request_id(),
        may_cancel: !ended
            && run.state() != v1::RunState::Cancelling
            && caller.may("RunService/CancelRun"),
        may_retry: ended
            && counts.undelivered > 0
            && !run.export_id.is_empty()
            && caller.may("RunService/RetryRun"),
        may_override: is_guarded(&run)
            && !run.export_id.is_empty()
            && caller.may("RunService/StartRun"),
        may_see_people: caller.may("StatusService/ListRejects"),
        retry_of: run.retry_of,
        export_id: run.export_id,
        id: run.id,
        name,
    })
}

/// The newest runs of an export; of none there is no past.
async fn past(caller: &Caller, export: &str) -> Result<Vec<v1::Run>, Failure> {
    if export.is_empty() {
        return Ok(Vec::new());
    }
    Ok(caller.services.newest_runs(export, v1::RunState::Unspecified, CHART).await?)
}

/// The part of the page that changes, each time it does.
pub(super) async fn live(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(run_id): Path<String>,
) -> Result<Response, Failure> {
    let request = v1::WatchRunRequest { run_id };
    let states = caller.services.status().watch_run(request).await?.into_inner();
    // After an error browsers ask again by themselves.
    let events = states
        .scan((), |(), reply| ready(reply.ok().and_then(|reply| event(&reply.run?))))
        .take_until(app.stop.clone().cancelled_owned())
        .map(Ok::<Event, Infallible>);
    let mut response = Sse::new(events).keep_alive(KeepAlive::default()).into_response();
    // A proxy that gathers an answer before it hands it on would show the end only.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(unbuffered, HeaderValue::from_static("no"));
    Ok(response)
}

fn event(run: &v1::Run) -> Option<Event> {
    let progress = Progress::of(run, Timestamp::now());
    let html = progress.render().ok()?;
    let said = progress.said(run);
    let data = serde_json::json!({ "html": html, "said": said, "ended": progress.ended });
    Some(Event::default().data(data.to_string()))
}

#[derive(Template)]
#[template(path = "run_cancel.html")]
struct CancelPage {
    chrome: Chrome,
    id: String,
    name: String,
}

pub(super) async fn ask(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let run = get(&caller, &id).await?;
    let name = export_name(&caller, &run).await?;
    let chrome = Chrome::new(&caller, Place::Runs, "Cancel a run");
    html(&CancelPage { chrome, id: run.id, name })
}

pub(super) async fn cancel(
    caller: Caller,
    Path(run_id): Path<String>,
) -> Result<Response, Failure> {
    let request = v1::CancelRunRequest { run_id };
    let run = present(caller.services.runs().cancel_run(asking(request)).await?.into_inner().run)?;
    Ok(go_to(&format!("/runs/{}?done=cancelled", run.id)))
}

pub(super) async fn retry(
    caller: Caller,
    Path(run_id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let request = v1::RetryRunRequest { run_id, request_id: form.text("request_id").to_owned() };
    let run = present(caller.services.runs().retry_run(asking(request)).await?.into_inner().run)?;
    Ok(go_to(&format!("/runs/{}?done=retried", run.id)))
}

#[cfg(test)]
mod tests {
    use segue_proto::v1;

    use super::{Names, state_code, state_of};

    #[test]
    fn states_have_codes_for_addresses() {
        for state in (1..).map_while(|number| v1::RunState::try_from(number).ok()) {
            assert_eq!(state_of(&state_code(state)), state);
        }
        assert_eq!(state_of(""), v1::RunState::Unspecified);
        assert_eq!(state_of("'; drop"), v1::RunState::Unspecified);
    }

    #[test]
    fn runs_are_named_by_their_exports_and_say_how_far_they_are() {
        let export = v1::Export {
            id: "exp_1".to_owned(),
            display_name: "Everyone".to_owned(),
            ..v1::Export::default()
        };
        let names = Names::of(&[export]);
        let counts = v1::Counts { rows_read: 200, undelivered: 50, ..v1::Counts::default() };
        let mut run =
            v1::Run { export_id: "exp_1".to_owned(), counts: Some(counts), ..v1::Run::default() };
        run.set_state(v1::RunState::Running);
        let row = names.row(&run);
        assert_eq!((row.name.as_str(), row.done), ("Everyone", Some(750)));
        run.set_state(v1::RunState::Failed);
        run.export_id = "exp_2".to_owned();
        let row = names.row(&run);
        assert_eq!((row.name.as_str(), row.done), ("A removed export", None));
    }
}
