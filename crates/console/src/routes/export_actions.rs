//! What the buttons of exports do.

use askama::Template;
use axum::{extract::Path, response::Response};
use prost_types::FieldMask;
use segue_proto::v1;
use tonic::Status;

use super::{exports::get, go_to, runs::Names};
use crate::{
    caller::Caller,
    failure::Failure,
    form::{Form, address},
    page::{Chrome, Place, html},
    services::{asking, present},
};

#[derive(Template)]
#[template(path = "export_remove.html")]
struct RemovePage {
    chrome: Chrome,
    id: String,
    name: String,
}

pub(super) async fn run(
    caller: Caller,
    Path(export_id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let trial_rows = match form.given("trial_rows").map(|rows| rows.replace([',', ' '], "").parse())
    {
        None if form.has("trial_rows") => return Err(no_rows()),
        None => 0,
        Some(Ok(rows)) if rows > 0 => rows,
        Some(_) => return Err(no_rows()),
    };
    let request = v1::StartRunRequest {
        export_id,
        request_id: form.text("request_id").to_owned(),
        override_guards: form.has("override"),
        trial_rows,
    };
    let run = present(caller.services.runs().start_run(asking(request)).await?.into_inner().run)?;
    Ok(go_to(&address(&format!("/runs/{}", run.id), &[("done", "started")])))
}

/// An empty number of rows would be a run of all.
fn no_rows() -> Failure {
    let words =
        "A trial needs a number of rows, from 1 on: go back and write one. Nothing was started.";
    Status::invalid_argument(words).into()
}

/// Turns an export on or off, or makes the caller its owner.
pub(super) async fn set(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let mut export = v1::Export { id, ..v1::Export::default() };
    let (path, done) = match form.text("action") {
        "enable" => ("disabled", "enabled"),
        "disable" => {
            export.disabled = true;
            ("disabled", "disabled")
        }
        "own" => {
            let subject = caller.subject.clone();
            export.owner = Some(v1::Owner { subject, display_name: String::new() });
            ("owner.subject", "owned")
        }
        _ => return Err(Failure::NoPage),
    };
    let update_mask = Some(FieldMask { paths: vec![path.to_owned()] });
    let request = v1::UpdateExportRequest { export: Some(export), update_mask };
    let saved = caller.services.exports().update_export(asking(request)).await?.into_inner();
    let id = present(saved.export)?.id;
    Ok(go_to(&address(&format!("/exports/{id}"), &[("done", done)])))
}

pub(super) async fn duplicate(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let request = v1::DuplicateExportRequest {
        id,
        display_name: String::new(),
        request_id: form.text("request_id").to_owned(),
    };
    let copy = caller.services.exports().duplicate_export(asking(request)).await?.into_inner();
    let id = present(copy.export)?.id;
    Ok(go_to(&address(&format!("/exports/{id}"), &[("done", "copied")])))
}

#[derive(Template)]
#[template(path = "run_all.html")]
struct RunAllPage {
    chrome: Chrome,
    rows: Vec<StartedRow>,
}

struct StartedRow {
    id: String,
    name: String,
    run: Option<String>,
    problem: String,
}

pub(super) async fn run_all(caller: Caller, form: Form) -> Result<Response, Failure> {
    let request = v1::StartAllRunsRequest { request_id: form.text("request_id").to_owned() };
    let started = caller.services.runs().start_all_runs(asking(request)).await?.into_inner();
    let names = Names::of(&caller.services.all_exports("").await?);
    let row = |started: v1::StartedRun| StartedRow {
        name: names.name(&started.export_id),
        id: started.export_id,
        run: started.run.map(|run| run.id),
        problem: started.problem,
    };
    let rows = started.runs.into_iter().map(row).collect();
    html(&RunAllPage { chrome: Chrome::new(&caller, Place::Exports, "Run all"), rows })
}

pub(super) async fn ask(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let export = get(&caller, id).await?;
    let chrome = Chrome::new(&caller, Place::Exports, "Remove an export");
    html(&RemovePage { chrome, id: export.id, name: export.display_name })
}

pub(super) async fn remove(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let request = v1::DeleteExportRequest { id };
    caller.services.exports().delete_export(asking(request)).await?;
    Ok(go_to("/exports?done=removed"))
}
