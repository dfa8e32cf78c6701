use askama::Template;
use axum::{extract::Path, response::Response};
use segue_proto::v1;

use super::go_to;
use crate::{
    caller::Caller,
    failure::Failure,
    form::{Form, address},
    page::{Chrome, Place, html},
    services::asking,
    shown::{Markup, Tone, grouped, mark, when_given},
};

/// Jobs on a page.
const PAGE: i32 = 50;

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    chrome: Chrome,
    jobs: Vec<JobRow>,
    more: Option<String>,
    may_requeue: bool,
    may_drop: bool,
}

struct JobRow {
    id: String,
    state: Markup,
    cause: &'static str,
    detail: String,
    run_id: String,
    what: String,
    deaths: String,
    last_died: Option<Markup>,
    next_attempt: Option<Markup>,
    waits: bool,
}

#[derive(Template)]
#[template(path = "job_drop.html")]
struct DropPage {
    chrome: Chrome,
    id: String,
}

pub(super) async fn list(caller: Caller, form: Form) -> Result<Response, Failure> {
    let request = v1::ListDeadJobsRequest {
        run_id: String::new(),
        page_size: PAGE,
        page_token: form.text("page").to_owned(),
    };
    let found = caller.services.jobs().list_dead_jobs(asking(request)).await?.into_inner();
    let v1::ListDeadJobsResponse { dead_jobs, next_page_token } = found;
    html(&JobsPage {
        chrome: Chrome::new(&caller, Place::Jobs, "Dead jobs").after(&form),
        jobs: dead_jobs.into_iter().map(row).collect(),
        more: (!next_page_token.is_empty())
            .then(|| address("/jobs", &[("page", &next_page_token)])),
        may_requeue: caller.may("JobService/RequeueDeadJob"),
        may_drop: caller.may("JobService/DropDeadJob"),
    })
}

fn row(job: v1::DeadJob) -> JobRow {
    let state = match job.state() {
        v1::DeadJobState::Waiting => mark(Tone::Warn, "Waiting"),
        v1::DeadJobState::Over => mark(Tone::Calm, "Over"),
        v1::DeadJobState::NoJob => mark(Tone::Calm, "Of no job"),
        v1::DeadJobState::Unspecified => mark(Tone::Calm, "Unknown"),
    };
    let cause = match job.cause() {
        v1::DeathCause::Deliveries => "Delivered too often to workers that ended.",
        v1::DeathCause::Unreadable => "No version can read it.",
        v1::DeathCause::UnknownSchema => "Of a later version than every worker.",
        v1::DeathCause::Unspecified => "Unknown.",
    };
    let what = match (job.kind(), job.batch) {
        (v1::JobKind::Read, _) => "Reading a segment".to_owned(),
        (v1::JobKind::Upload, Some(batch)) => format!("Uploading batch {}", grouped(batch)),
        (v1::JobKind::Upload, None) => "Uploading a batch".to_owned(),
        (v1::JobKind::Confirm, _) => "Asking Klaviyo what was imported".to_owned(),
        (v1::JobKind::Look, _) => "Looking at files for somebody who waits".to_owned(),
        (v1::JobKind::Unspecified, _) => "Unknown".to_owned(),
    };
    JobRow {
        waits: job.state() == v1::DeadJobState::Waiting,
        state,
        cause,
        what,
        deaths: grouped(job.deaths),
        last_died: when_given(job.last_died_at),
        next_attempt: when_given(job.next_attempt_at),
        id: job.id,
        detail: job.detail,
        run_id: job.run_id,
    }
}

pub(super) async fn requeue(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let request = v1::RequeueDeadJobRequest { id };
    caller.services.jobs().requeue_dead_job(asking(request)).await?;
    Ok(go_to("/jobs?done=requeued"))
}

pub(super) async fn ask(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    html(&DropPage { chrome: Chrome::new(&caller, Place::Jobs, "Drop a dead job"), id })
}

pub(super) async fn remove(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let request = v1::DropDeadJobRequest { id };
    caller.services.jobs().drop_dead_job(asking(request)).await?;
    Ok(go_to("/jobs?done=dropped"))
}
