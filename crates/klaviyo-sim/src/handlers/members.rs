use http::StatusCode;
use serde_json::{Value, json};

use super::{lists::not_found, profiles::Matching};
use crate::{
    account::State,
    answer::Answer,
    clock::Millis,
    context::Context,
    error::{ApiError, Refusal},
    filter::{Allowed, Filter},
    page::Page,
    profiles::{Number, render},
    unknowns::{Identifier, RemoveNonMember},
};

const FILTERS: Allowed = &[
    ("email", &["any", "equals"]),
    ("phone_number", &["any", "equals"]),
    ("joined_group_at", &["greater-than", "greater-or-equal", "less-than", "less-or-equal"]),
];
const SORTS: &[&str] = &["joined_group_at", "-joined_group_at"];

/// Profiles that can be added or removed at once. Source: Klaviyo's OpenAPI file.
const MAX_IDS: usize = 1_000;

/// `GET /api/lists/{id}/profiles` and `…/relationships/profiles`
pub(crate) fn list(context: &Context, ids_only: bool) -> Result<Answer, Refusal> {
    let unknowns = &context.shared.config.unknowns;
    let filter = Filter::parse(context.query.get("filter"), FILTERS, unknowns.any_max)?;
    let sort = context.query.sort(SORTS)?;
    let page = Page::read(&context.query, 20, 100)?;
    let state = context.account.state(&context.shared.clock);
    let list = state.lists.get(&context.id).ok_or_else(|| not_found(&context.id))?;
    let members = list.members();
    let matching = Matching::new(&state.profiles, &filter);
    let joined = |number: Number| members.joined(number).unwrap_or(0);
    let matches = |number: &Number| matching.passes(*number, |_| joined(*number));

    let (numbers, next) = if let Some(sort) = sort {
        let mut all: Vec<Number> = members.from(0).filter(matches).collect();
        all.sort_by_key(|number| (joined(*number), *number));
        if sort.starts_with('-') {
            all.reverse();
        }
        page.take((0_u64..).zip(all).filter(|(at, _)| *at >= page.first()))
    } else {
        let first = Number::try_from(page.first()).unwrap_or(Number::MAX);
        let found: Box<dyn Iterator<Item = Number>> = match matching.candidates() {
            Some(few) => Box::new(
                few.iter()
                    .copied()
                    .filter(|number| *number >= first && members.joined(*number).is_some()),
            ),
            None => Box::new(members.from(first)),
        };
        page.take(found.filter(matches).map(|number| (u64::from(number), number)))
    };
    let data: Vec<Value> = numbers
        .into_iter()
        .map(|number| member(context, &state, number, joined(number), ids_only))
        .collect();
    Ok(context.collection(&data, next))
}

fn member(
    context: &Context,
    state: &State,
    number: Number,
    joined: Millis,
    ids_only: bool,
) -> Value {
    if ids_only {
        return json!({"type": "profile", "id": state.profiles.id(number)});
    }
    render::profile(&state.profiles, number, &context.base, &context.query, Some(joined))
}

/// `POST /api/lists/{id}/relationships/profiles`
pub(crate) fn add(context: &Context) -> Result<Answer, Refusal> {
    let ids = ids(context)?;
    let now = context.shared.clock.now();
    let mut state = context.account.state(&context.shared.clock);
    let State { lists, profiles, .. } = &mut *state;
    let list = lists.get_mut(&context.id).ok_or_else(|| not_found(&context.id))?;
    let numbers: Result<Vec<Number>, Refusal> = ids
        .iter()
        .map(|id| profiles.find(Identifier::Id, id).ok_or_else(|| Refusal::profile_not_found(id)))
        .collect();
    for number in numbers? {
        list.members_mut().add(number, now);
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /api/lists/{id}/relationships/profiles`
pub(crate) fn remove(context: &Context) -> Result<Answer, Refusal> {
    let ids = ids(context)?;
    let strict = context.shared.config.unknowns.remove_non_member == RemoveNonMember::NotFound;
    let mut state = context.account.state(&context.shared.clock);
    let State { lists, profiles, .. } = &mut *state;
    let list = lists.get_mut(&context.id).ok_or_else(|| not_found(&context.id))?;
    let member = |id: &String| {
        profiles.find(Identifier::Id, id).filter(|n| list.members().joined(*n).is_some())
    };
    let members: Vec<Option<Number>> = ids.iter().map(member).collect();
    if let Some(stranger) = members.iter().position(Option::is_none).filter(|_| strict) {
        return Err(Refusal::profile_not_found(&ids[stranger]));
    }
    for number in members.into_iter().flatten() {
        list.members_mut().remove(number);
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn ids(context: &Context) -> Result<Vec<String>, Refusal> {
    let document = context.any_document()?;
    let Some(data) = document["data"].as_array() else {
        return Err(ApiError::invalid("/data", "This field is required.").into());
    };
    if data.len() > MAX_IDS {
        let detail = format!("Ensure this field has no more than {MAX_IDS} elements.");
        return Err(ApiError::invalid("/data", detail).into());
    }
    let id = |(index, item): (usize, &Value)| {
        let id = item["id"].as_str().filter(|_| item["type"] == "profile");
        let invalid = || ApiError::invalid(format!("/data/{index}/id"), "Not a valid id.").into();
        id.map(ToOwned::to_owned).ok_or_else(invalid)
    };
    data.iter().enumerate().map(id).collect()
}
