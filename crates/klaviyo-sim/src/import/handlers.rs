//! The endpoints below `/api/profile-bulk-import-jobs`.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    body::ImportBody,
    importer::{self, Work},
    jobs::{Job, Sequence},
};
use crate::{
    account::State,
    answer::Answer,
    config::Completion,
    context::Context,
    error::{ApiError, Refusal},
    filter::{Allowed, Filter},
    page::Page,
    profiles::render,
    unknowns::{SeveralLists, UnknownListPointer},
};

/// Bodies from this size on are read outside of the async threads.
const LARGE: usize = 64 * 1024;

const JOB_FILTERS: Allowed = &[("status", &["any", "equals"])];
const JOB_SORTS: &[&str] = &["created_at", "-created_at"];

/// `POST /api/profile-bulk-import-jobs`
pub(crate) async fn create(context: Context) -> Result<Answer, Refusal> {
    if context.body.len() < LARGE {
        return accept(&context);
    }
    let accepted = tokio::task::spawn_blocking(move || accept(&context)).await;
    accepted.unwrap_or_else(|_| Err(Refusal::server_error(StatusCode::INTERNAL_SERVER_ERROR)))
}

fn accept(context: &Context) -> Result<Answer, Refusal> {
    let shared = &context.shared;
    let body = ImportBody::parse(context.body.clone(), &shared.config)?;
    let unknowns = &shared.config.unknowns;
    if body.lists.len() > 1 && unknowns.several_lists == SeveralLists::Refused {
        let detail = "Only one list can be given.";
        return Err(ApiError::invalid("/data/relationships/lists/data", detail).into());
    }
    let (fate, failing) = {
        let mut faults = shared.faults();
        (faults.fate_of_job(), faults.failing_profiles(body.rows.len()))
    };
    let mut state = context.account.state(&shared.clock);
    for (index, list) in body.lists.iter().enumerate() {
        if state.lists.get(list).is_none() {
            return Err(unknown_list(unknowns.unknown_list_pointer, index, list).into());
        }
    }
    let id = state.new_job_id();
    let now = shared.clock.now();
    let job = Job::new(id, now, body.lists.clone(), body.rows.len(), body.len(), fate);
    let job = state.jobs.push(job);
    let answer = Answer::json(StatusCode::ACCEPTED, &document(context, &state, job));
    drop(state);
    let work = Work { job, body, failing };
    if shared.config.completion == Completion::Immediate && shared.config.process_rate.is_none() {
        importer::carry_out_now(shared, &context.account, &work);
    } else {
        shared.import(&context.account, work);
    }
    Ok(answer)
}

fn unknown_list(pointer: UnknownListPointer, index: usize, list: &str) -> ApiError {
    let pointer = match pointer {
        UnknownListPointer::ListId => format!("/data/relationships/lists/data/{index}/id"),
        UnknownListPointer::Data => "/data".to_owned(),
    };
    ApiError::invalid(pointer, format!("List not found with id {list}."))
}

fn document(context: &Context, state: &State, job: Sequence) -> Value {
    json!({
        "data": resource(context, state, job),
        "links": {"self": context.self_link()},
    })
}

fn resource(context: &Context, state: &State, job: Sequence) -> Value {
    let job = state.jobs.get(job);
    job.render(&context.base, &context.query, state.jobs.expires(job))
}

/// `GET /api/profile-bulk-import-jobs`
pub(crate) fn list(context: &Context) -> Result<Answer, Refusal> {
    let unknowns = &context.shared.config.unknowns;
    let filter = Filter::parse(context.query.get("filter"), JOB_FILTERS, unknowns.any_max)?;
    let newest_first = context.query.sort(JOB_SORTS)? == Some("-created_at");
    let page = Page::read(&context.query, 20, 100)?;
    let now = context.shared.clock.now();
    let mut state = context.account.state(&context.shared.clock);
    let (jobs, next) = {
        let matching = state
            .jobs
            .readable(now)
            .filter(|(_, job)| filter.matches(|_| Some(job.status()), |_| job.created))
            .map(|(sequence, _)| (sequence as u64, sequence));
        if newest_first {
            let rest = |at: &(u64, Sequence)| page.after.is_none_or(|after| at.0 < after);
            page.take(matching.rev().filter(rest))
        } else {
            page.take(matching.filter(|at| at.0 >= page.first()))
        }
    };
    let data: Vec<Value> = jobs.iter().map(|job| resource(context, &state, *job)).collect();
    for job in jobs {
        state.jobs.show(job);
    }
    Ok(context.collection(&data, next))
}

/// `GET /api/profile-bulk-import-jobs/{id}`
pub(crate) fn get(context: &Context) -> Result<Answer, Refusal> {
    let mut state = context.account.state(&context.shared.clock);
    let job = find(context, &state)?;
    let mut document = document(context, &state, job);
    if context.query.names("include", "lists") {
        document["included"] = lists(context, &state, job).into();
    }
    state.jobs.show(job);
    Ok(Answer::ok(&document))
}

/// `GET /api/profile-bulk-import-jobs/{id}/import-errors`
pub(crate) fn errors(context: &Context) -> Result<Answer, Refusal> {
    let page = Page::read(&context.query, 20, 100)?;
    let state = context.account.state(&context.shared.clock);
    let errors = &state.jobs.get(find(context, &state)?).errors;
    let rest = (0_u64..).zip(errors).filter(|(at, _)| *at >= page.first());
    let (errors, next) = page.take(rest);
    let data: Vec<Value> = errors.iter().map(|error| error.render(&context.query)).collect();
    Ok(context.collection(&data, next))
}

/// `GET /api/profile-bulk-import-jobs/{id}/profiles` and `…/relationships/profiles`
pub(crate) fn profiles(context: &Context, ids_only: bool) -> Result<Answer, Refusal> {
    let page = Page::read(&context.query, 20, 100)?;
    let state = context.account.state(&context.shared.clock);
    let numbers = &state.jobs.get(find(context, &state)?).profiles;
    let rest = (0_u64..).zip(numbers).filter(|(at, _)| *at >= page.first());
    let (numbers, next) = page.take(rest);
    let data: Vec<Value> = numbers
        .into_iter()
        .map(|number| {
            if ids_only {
                return json!({"type": "profile", "id": state.profiles.id(*number)});
            }
            render::profile(&state.profiles, *number, &context.base, &context.query, None)
        })
        .collect();
    Ok(context.collection(&data, next))
}

/// `GET /api/profile-bulk-import-jobs/{id}/lists` and `…/relationships/lists`
pub(crate) fn job_lists(context: &Context, ids_only: bool) -> Result<Answer, Refusal> {
    let state = context.account.state(&context.shared.clock);
    let job = find(context, &state)?;
    let mut data = lists(context, &state, job);
    if ids_only {
        for list in &mut data {
            *list = json!({"type": "list", "id": list["id"]});
        }
    }
    Ok(context.collection(&data, None))
}

/// The lists of the job that still exist.
fn lists(context: &Context, state: &State, job: Sequence) -> Vec<Value> {
    let lists = state.jobs.get(job).lists.iter().filter_map(|id| state.lists.get(id));
    lists.map(|list| list.render(&context.base, &context.query)).collect()
}

fn find(context: &Context, state: &State) -> Result<Sequence, Refusal> {
    let now = context.shared.clock.now();
    let unknown = || Refusal::not_found("A profile-bulk-import-job", &context.id);
    state.jobs.find(&context.id, now).ok_or_else(unknown)
}
