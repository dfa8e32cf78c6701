use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    clock::rfc3339,
    config::FlowConfig,
    context::Context,
    error::{ApiError, Refusal},
    filter::{Allowed, Filter},
    lists::List,
    page::Page,
    profiles::render::sparse,
};

const FILTERS: Allowed = &[
    ("name", &["any", "equals"]),
    ("id", &["any", "equals"]),
    ("created", &["greater-than"]),
    ("updated", &["greater-than"]),
];
const SORTS: &[&str] =
    &["created", "-created", "id", "-id", "name", "-name", "updated", "-updated"];

pub(crate) fn not_found(id: &str) -> Refusal {
    Refusal::not_found("A list", id)
}

/// `GET /api/lists`: ten a page, not one more.
pub(crate) fn list(context: &Context) -> Result<Answer, Refusal> {
    let unknowns = &context.shared.config.unknowns;
    let filter = Filter::parse(context.query.get("filter"), FILTERS, unknowns.any_max)?;
    let sort = context.query.sort(SORTS)?.unwrap_or("id");
    let page = Page::read(&context.query, 10, 10)?;
    let state = context.account.state(&context.shared.clock);
    let mut lists: Vec<&List> = state.lists.iter().collect();
    lists.retain(|list| filter.matches(|field| list.text(field), |field| list.time(field)));
    match sort.trim_start_matches('-') {
        "name" => lists.sort_by(|a, b| a.name.cmp(&b.name)),
        "created" => lists.sort_by_key(|list| list.created),
        "updated" => lists.sort_by_key(|list| list.updated),
        _ => {} // they come in the order of their ids
    }
    if sort.starts_with('-') {
        lists.reverse();
    }
    let (lists, next) = page.take((0_u64..).zip(lists).filter(|(at, _)| *at >= page.first()));
    let show = |list: &&List| list.render(&context.base, &context.query);
    let data: Vec<Value> = lists.iter().map(show).collect();
    Ok(context.collection(&data, next))
}

/// `POST /api/lists`
pub(crate) fn create(context: &Context) -> Result<Answer, Refusal> {
    let document = context.document("list")?;
    let attributes = &document["data"]["attributes"];
    let Some(name) = attributes["name"].as_str().filter(|name| !name.trim().is_empty()) else {
        return Err(
            ApiError::invalid("/data/attributes/name", "This field may not be blank.").into()
        );
    };
    let opt_in = opt_in(attributes)?.unwrap_or("double_opt_in");
    let mut state = context.account.state(&context.shared.clock);
    let id = state.new_list_id();
    let list = List::new(id, name.to_owned(), opt_in.to_owned(), context.shared.clock.now());
    let answer = document_of(context, &list);
    state.lists.insert(list);
    Ok(Answer::json(StatusCode::CREATED, &answer))
}

fn opt_in(attributes: &Value) -> Result<Option<&str>, Refusal> {
    match attributes.get("opt_in_process") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(process))
            if matches!(process.as_str(), "double_opt_in" | "single_opt_in") =>
        {
            Ok(Some(process))
        }
        Some(_) => {
            let pointer = "/data/attributes/opt_in_process";
            Err(ApiError::invalid(pointer, "Not a valid choice.").into())
        }
    }
}

fn document_of(context: &Context, list: &List) -> Value {
    json!({
        "data": list.render(&context.base, &context.query),
        "links": {"self": context.self_link()},
    })
}

/// `GET /api/lists/{id}`
pub(crate) fn get(context: &Context) -> Result<Answer, Refusal> {
    let state = context.account.state(&context.shared.clock);
    let list = state.lists.get(&context.id).ok_or_else(|| not_found(&context.id))?;
    let mut document = document_of(context, list);
    if context.query.names("include", "flow-triggers") {
        document["included"] = flows(context).into();
    }
    Ok(Answer::ok(&document))
}

/// `PATCH /api/lists/{id}`
pub(crate) fn update(context: &Context) -> Result<Answer, Refusal> {
    let document = context.document("list")?;
    let attributes = &document["data"]["attributes"];
    let opt_in = opt_in(attributes)?;
    let mut state = context.account.state(&context.shared.clock);
    let list = state.lists.get_mut(&context.id).ok_or_else(|| not_found(&context.id))?;
    if let Some(name) = attributes["name"].as_str() {
        name.clone_into(&mut list.name);
    }
    if let Some(opt_in) = opt_in {
        opt_in.clone_into(&mut list.opt_in_process);
    }
    list.updated = context.shared.clock.now();
    Ok(Answer::ok(&document_of(context, list)))
}

/// `DELETE /api/lists/{id}`: the profiles stay.
pub(crate) fn delete(context: &Context) -> Result<Answer, Refusal> {
    let mut state = context.account.state(&context.shared.clock);
    state.lists.remove(&context.id).ok_or_else(|| not_found(&context.id))?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// `GET /api/lists/{id}/flow-triggers`
pub(crate) fn flow_triggers(context: &Context) -> Result<Answer, Refusal> {
    let state = context.account.state(&context.shared.clock);
    state.lists.get(&context.id).ok_or_else(|| not_found(&context.id))?;
    Ok(context.collection(&flows(context), None))
}

fn flows(context: &Context) -> Vec<Value> {
    let triggered = context.account.flows.iter().filter(|flow| flow.list == context.id);
    triggered.map(|flow| render_flow(context, flow)).collect()
}

fn render_flow(context: &Context, flow: &FlowConfig) -> Value {
    let FlowConfig { id, name, status, archived, list: _ } = flow;
    let created = rfc3339(context.shared.clock.now());
    let attributes = json!({
        "name": name,
        "status": status,
        "archived": archived,
        "created": created,
        "updated": created,
        "trigger_type": "Added to List",
    });
    let Value::Object(attributes) = attributes else { return attributes };
    let this = format!("{}/api/flows/{id}", context.base);
    json!({
        "type": "flow",
        "id": id,
        "attributes": sparse(attributes, context.query.fields("flow").as_deref()),
        "links": {"self": this},
    })
}
