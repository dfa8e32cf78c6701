use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    account::State,
    answer::Answer,
    clock::Millis,
    context::Context,
    error::{ApiError, Refusal},
    filter::{Allowed, Filter, Test},
    import::identifiers,
    page::Page,
    profiles::{
        Identity, Number, Profiles, Resolution,
        merge::{Nulls, Upsert, Upserted},
        render,
    },
    unknowns::Identifier,
};

const FILTERS: Allowed = &[
    ("id", &["any", "equals"]),
    ("email", &["any", "equals"]),
    ("phone_number", &["any", "equals"]),
    ("external_id", &["any", "equals"]),
    ("created", &["greater-than", "less-than"]),
    ("updated", &["greater-than", "less-than"]),
];
const SORTS: &[&str] =
    &["created", "-created", "email", "-email", "id", "-id", "updated", "-updated"];

/// A filter over profiles: identifiers are looked up, times are compared.
pub(crate) struct Matching<'a> {
    filter: &'a Filter,
    /// In the order of creation; `None` when no identifier narrows the search.
    candidates: Option<Vec<Number>>,
}

impl<'a> Matching<'a> {
    pub(crate) fn new(profiles: &Profiles, filter: &'a Filter) -> Self {
        let mut candidates: Option<Vec<Number>> = None;
        for condition in filter.conditions() {
            let Test::OneOf(values) = &condition.test else { continue };
            let Some(identifier) = identifier(&condition.field) else { continue };
            let found = values.iter().filter_map(|value| profiles.find(identifier, value));
            let mut found: Vec<Number> = found.collect();
            found.sort_unstable();
            found.dedup();
            if let Some(others) = candidates {
                found.retain(|number| others.binary_search(number).is_ok());
            }
            candidates = Some(found);
        }
        Self { filter, candidates }
    }

    pub(crate) fn candidates(&self) -> Option<&[Number]> {
        self.candidates.as_deref()
    }

    pub(crate) fn passes(&self, number: Number, time: impl Fn(&str) -> Millis) -> bool {
        let found = |all: &[Number]| all.binary_search(&number).is_ok();
        self.candidates().is_none_or(found)
            && self.filter.conditions().iter().all(|condition| match condition.test {
                Test::OneOf(_) => true,
                Test::Time(order, bound) => order.holds(time(&condition.field), bound),
            })
    }
}

fn identifier(field: &str) -> Option<Identifier> {
    match field {
        "id" => Some(Identifier::Id),
        "email" => Some(Identifier::Email),
        "phone_number" => Some(Identifier::PhoneNumber),
        "external_id" => Some(Identifier::ExternalId),
        _ => None,
    }
}

/// `GET /api/profiles`
pub(crate) fn list(context: &Context) -> Result<Answer, Refusal> {
    let unknowns = &context.shared.config.unknowns;
    let filter = Filter::parse(context.query.get("filter"), FILTERS, unknowns.any_max)?;
    let sort = context.query.sort(SORTS)?.unwrap_or("created");
    let page = Page::read(&context.query, 20, 100)?;
    let state = context.account.state(&context.shared.clock);
    let profiles = &state.profiles;
    let matching = Matching::new(profiles, &filter);
    let time = |number: Number, field: &str| match field {
        "created" => profiles.created(number),
        _ => profiles.updated(number),
    };
    let passes = |number: &Number| matching.passes(*number, |field| time(*number, field));
    let all: Box<dyn Iterator<Item = Number>> = match matching.candidates() {
        Some(few) => Box::new(few.iter().copied()),
        None => Box::new(profiles.numbers()),
    };
    let (numbers, next) = if sort == "created" {
        let rest = all.filter(|number| u64::from(*number) >= page.first() && passes(number));
        page.take(rest.map(|number| (u64::from(number), number)))
    } else {
        let mut all: Vec<Number> = all.filter(passes).collect();
        match sort.trim_start_matches('-') {
            "email" => all.sort_by(|a, b| profiles.email(*a).cmp(&profiles.email(*b))),
            "id" => all.sort_by_key(|number| profiles.id(*number)),
            "updated" => all.sort_by_key(|number| profiles.updated(*number)),
            _ => {} // they come in the order of their creation
        }
        if sort.starts_with('-') {
            all.reverse();
        }
        page.take((0_u64..).zip(all).filter(|(at, _)| *at >= page.first()))
    };
    let show = |number| render::profile(profiles, number, &context.base, &context.query, None);
    let data: Vec<Value> = numbers.into_iter().map(show).collect();
    Ok(context.collection(&data, next))
}

/// `GET /api/profiles/{id}`
pub(crate) fn get(context: &Context) -> Result<Answer, Refusal> {
    let state = context.account.state(&context.shared.clock);
    let number = find(context, &state)?;
    let mut document = document(context, &state, number);
    if context.query.names("include", "lists") {
        let on = state.lists.iter().filter(|list| list.members().joined(number).is_some());
        let lists: Vec<Value> = on.map(|list| list.render(&context.base, &context.query)).collect();
        document["included"] = lists.into();
    }
    Ok(Answer::ok(&document))
}

fn find(context: &Context, state: &State) -> Result<Number, Refusal> {
    let unknown = || Refusal::profile_not_found(&context.id);
    state.profiles.find(Identifier::Id, &context.id).ok_or_else(unknown)
}

fn document(context: &Context, state: &State, number: Number) -> Value {
    json!({
        "data": render::profile(&state.profiles, number, &context.base, &context.query, None),
        "links": {"self": context.self_link()},
    })
}

/// `POST /api/profiles`
pub(crate) fn create(context: &Context) -> Result<Answer, Refusal> {
    let sent = Sent::read(context)?;
    sent.needs_identifier()?;
    let mut state = context.account.state(&context.shared.clock);
    if let Resolution::Known(other) | Resolution::Conflict(other) =
        state.profiles.resolve(&sent.identity())
    {
        return Err(Refusal::duplicate_profile(&state.profiles.id(other)));
    }
    let number =
        match state.profiles.upsert(&sent.upsert(sent.identity()), context.shared.clock.now()) {
            Upserted::Created(number) | Upserted::Updated(number) => number,
            Upserted::Conflict(other) => {
                return Err(Refusal::duplicate_profile(&state.profiles.id(other)));
            }
        };
    Ok(Answer::json(StatusCode::CREATED, &document(context, &state, number)))
}

/// `POST /api/profile-import`: 201 for a new profile, 200 for a known one.
pub(crate) fn upsert(context: &Context) -> Result<Answer, Refusal> {
    let sent = Sent::read(context)?;
    sent.needs_identifier()?;
    let mut state = context.account.state(&context.shared.clock);
    let now = context.shared.clock.now();
    let (status, number) = match state.profiles.upsert(&sent.upsert(sent.identity()), now) {
        Upserted::Created(number) => (StatusCode::CREATED, number),
        Upserted::Updated(number) => (StatusCode::OK, number),
        Upserted::Conflict(other) => {
            return Err(Refusal::duplicate_profile(&state.profiles.id(other)));
        }
    };
    Ok(Answer::json(status, &document(context, &state, number)))
}

/// `PATCH /api/profiles/{id}`
pub(crate) fn update(context: &Context) -> Result<Answer, Refusal> {
    let sent = Sent::read(context)?;
    let mut state = context.account.state(&context.shared.clock);
    let number = find(context, &state)?;
    let identity = Identity { id: None, ..sent.identity() };
    if let Some(other) = state.profiles.owner_beside(number, &identity) {
        return Err(Refusal::duplicate_profile(&state.profiles.id(other)));
    }
    state.profiles.update(number, &sent.upsert(identity), context.shared.clock.now());
    Ok(Answer::ok(&document(context, &state, number)))
}

/// One profile as a single endpoint receives it.
struct Sent {
    id: Option<String>,
    attributes: Map<String, Value>,
    attributes_text: String,
    meta: Option<String>,
}

impl Sent {
    fn read(context: &Context) -> Result<Self, Refusal> {
        if context.body.len() > context.shared.config.unknowns.megabyte.profile_limit() {
            return Err(Refusal::too_large());
        }
        let mut document = context.document("profile")?;
        let data = &mut document["data"];
        let Value::Object(attributes) = data["attributes"].take() else {
            return Err(ApiError::invalid("/data/attributes", "This field is required.").into());
        };
        let invalid = |name: &str, detail: &str| {
            Err(ApiError::invalid(format!("/data/attributes/{name}"), detail).into())
        };
        let text = |name: &str| attributes.get(name).and_then(Value::as_str);
        if text("email").is_some_and(|email| {
            let prefix = &context.shared.config.refuse_prefix;
            let refused = !prefix.is_empty() && email.starts_with(prefix.as_str());
            refused || !identifiers::is_email(email.as_bytes())
        }) {
            return invalid("email", "Invalid email address");
        }
        if text("phone_number").is_some_and(|phone| !identifiers::is_phone(phone.as_bytes())) {
            return invalid("phone_number", identifiers::BAD_PHONE);
        }
        Ok(Self {
            id: data["id"].as_str().map(ToOwned::to_owned),
            attributes_text: Value::Object(attributes.clone()).to_string(),
            attributes,
            meta: data.get("meta").filter(|meta| meta.is_object()).map(Value::to_string),
        })
    }

    fn needs_identifier(&self) -> Result<(), Refusal> {
        if !self.identity().is_empty() {
            return Ok(());
        }
        let detail = "At least one identifier is required.";
        Err(ApiError::invalid("/data/attributes", detail).into())
    }

    fn identity(&self) -> Identity<'_> {
        let text = |name: &str| self.attributes.get(name).and_then(Value::as_str);
        Identity {
            id: self.id.as_deref(),
            email: text("email"),
            phone_number: text("phone_number"),
            external_id: text("external_id"),
        }
    }

    fn upsert<'a>(&'a self, identity: Identity<'a>) -> Upsert<'a> {
        Upsert {
            identity,
            attributes: &self.attributes_text,
            meta: self.meta.as_deref(),
            nulls: Nulls::Clear,
        }
    }
}
