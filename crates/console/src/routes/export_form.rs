use std::collections::HashMap;

use askama::Template;
use axum::{extract::Path, response::Response};
use prost_types::FieldMask;
use segue_proto::v1::{self, properties::Select};
use tonic::Status;

use super::{
    exports::{get, system_lines, system_schedule},
    go_to,
    guard_form::{self, GuardInputs},
    list_picker::{self, Asked, ListPart},
    problems::Problems,
    request_id,
    schedule_form::{ScheduleInputs, export_schedule_of, mode_code},
};
use crate::{
    caller::Caller,
    failure::Failure,
    form::{Form, address},
    page::{Chrome, Place, html_as},
    services::{asking, present},
};

/// Empty rows for more rules of the mapping.
const SPARE_ROWS: usize = 3;
/// Which input is meant by a field that is wrong.
const INPUTS: [(&str, &str); 18] = [
    ("export.display_name", "display_name"),
    ("export.connection_id", "connection"),
    ("export.list_id", "list_id"),
    ("export.source_id", "source"),
    ("export.segments", "segments"),
    ("export.mapping.email", "email"),
    ("export.mapping.attributes", "mapping"),
    ("export.mapping.properties.columns", "columns"),
    ("export.mapping.properties", "properties"),
    ("export.mapping.default_country", "default_country"),
    ("export.mapping", "mapping"),
    ("export.schedule.own.time_zone", "time_zone"),
    ("export.schedule.own.cron", "cron"),
    ("export.schedule.own.at", "at"),
    ("export.schedule.own.on", "on"),
    ("export.schedule.own", "kind"),
    ("export.schedule", "mode"),
    ("request_id", ""),
];
/// What the form decides about, besides the guards.
const FIELDS: [&str; 7] =
    ["display_name", "connection_id", "list_id", "source_id", "segments", "mapping", "schedule"];

#[derive(Template)]
#[template(path = "export_form.html")]
struct FormPage {
    chrome: Chrome,
    problems: Problems,
    /// Where it is sent.
    action: String,
    /// Where one goes without saving.
    back: String,
    is_new: bool,
    request_id: String,
    inputs: Inputs,
    connections: Vec<Choice>,
    sources: Vec<Choice>,
    list: ListPart,
    schedule: ScheduleInputs,
    system: Vec<String>,
}

struct Choice {
    id: String,
    words: String,
    chosen: bool,
}

/// What the inputs hold, apart from the schedule of its own.
struct Inputs {
    display_name: String,
    connection: String,
    list_id: String,
    source: String,
    segments: String,
    email: String,
    rules: Vec<Rule>,
    /// `all`, `none` or `only`.
    properties: &'static str,
    columns: String,
    default_country: String,
    guards: GuardInputs,
    /// `system`, `own` or `off`.
    mode: &'static str,
}

struct Rule {
    attribute: String,
    column: String,
}

impl Inputs {
    fn of(export: &v1::Export) -> Self {
        let mapping = export.mapping.clone().unwrap_or_default();
        let properties = mapping.properties.clone().unwrap_or_default();
        let mut rules: Vec<Rule> = mapping
            .attributes
            .into_iter()
            .map(|(attribute, column)| Rule { attribute, column })
            .collect();
        rules.sort_by(|one, other| one.attribute.cmp(&other.attribute));
        Self {
            display_name: export.display_name.clone(),
            connection: export.connection_id.clone(),
            list_id: export.list_id.clone(),
            source: export.source_id.clone(),
            segments: export.segments.join("\n"),
            email: mapping.email,
            rules: with_spare(rules),
            properties: match properties.select() {
                Select::Unspecified | Select::All => "all",
                Select::None => "none",
                Select::Only => "only",
            },
            columns: properties.columns.join("\n"),
            default_country: mapping.default_country,
            guards: GuardInputs::of(export),
            mode: mode_code(&export.schedule.clone().unwrap_or_default()),
        }
    }

    /// As somebody has filled it in.
    fn filled(form: &Form) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        Self {
            display_name: text("display_name"),
            connection: text("connection"),
            list_id: text("list_id"),
            source: text("source"),
            segments: text("segments"),
            email: text("email"),
            rules: with_spare(rules(form)),
            properties: match form.text("properties") {
                "none" => "none",
                "only" => "only",
                _ => "all",
            },
            columns: text("columns"),
            default_country: text("default_country"),
            guards: GuardInputs::filled(form),
            mode: mode_code(&export_schedule_of(form)),
        }
    }
}

fn with_spare(mut rules: Vec<Rule>) -> Vec<Rule> {
    let spare = || Rule { attribute: String::new(), column: String::new() };
    rules.extend(std::iter::repeat_with(spare).take(SPARE_ROWS));
    rules
}

/// The rules of the mapping that are not empty.
fn rules(form: &Form) -> Vec<Rule> {
    let pairs = form.values("attribute").zip(form.values("column"));
    let filled = pairs.filter(|(attribute, column)| !attribute.is_empty() || !column.is_empty());
    let rule = |(attribute, column): (&str, &str)| Rule {
        attribute: attribute.to_owned(),
        column: column.to_owned(),
    };
    filled.map(rule).collect()
}

/// What the form says, as the contract has it, and what the contract could not even say.
fn export_of(form: &Form) -> (v1::Export, Problems) {
    let mut problems = Problems::default();
    let mut attributes = HashMap::new();
    for Rule { attribute, column } in rules(form) {
        if attribute.is_empty() || column.is_empty() {
            problems.note("mapping", "A rule needs both an attribute and a column.");
        } else if attributes.insert(attribute.clone(), column).is_some() {
            problems.note("mapping", format!("{attribute} has two columns: leave one."));
        }
    }
    let (guards, freshness) = guard_form::said(form, &mut problems);
    let (select, columns) = match form.text("properties") {
        "none" => (Select::None, Vec::new()),
        "only" => (Select::Only, form.lines("columns")),
        _ => (Select::All, Vec::new()),
    };
    let export = v1::Export {
        display_name: form.text("display_name").to_owned(),
        connection_id: form.text("connection").to_owned(),
        list_id: form.text("list_id").to_owned(),
        source_id: form.text("source").to_owned(),
        segments: form.lines("segments"),
        mapping: Some(v1::Mapping {
            email: form.text("email").to_owned(),
            attributes,
            properties: Some(v1::Properties { select: select.into(), columns }),
            default_country: form.text("default_country").to_ascii_uppercase(),
        }),
        guards: Some(guards),
        freshness,
        schedule: Some(export_schedule_of(form)),
        ..v1::Export::default()
    };
    (export, problems)
}

/// What is being edited: an export that there is, or one to be.
struct Edited<'a> {
    id: Option<&'a str>,
    request_id: String,
}

/// What the inputs hold, and what is said beside them.
struct Content {
    inputs: Inputs,
    schedule: ScheduleInputs,
    list: ListPart,
    problems: Problems,
}

async fn page(caller: &Caller, edited: Edited<'_>, content: Content) -> Result<Response, Failure> {
    let Content { inputs, schedule, list, problems } = content;
    let services = &caller.services;
    let (connections, sources, system) =
        tokio::join!(services.all_connections(), services.all_sources(), system_schedule(caller));
    let choice = |connection: v1::Connection| Choice {
        chosen: connection.id == inputs.connection,
        // Of the account only administrators are told.
        words: match connection.account_name.as_str() {
            "" => connection.display_name,
            account => format!("{} ({account})", connection.display_name),
        },
        id: connection.id,
    };
    let connections = connections?.into_iter().map(choice).collect();
    let choice = |source: v1::Source| Choice {
        chosen: source.id == inputs.source,
        words: match source.folder.as_str() {
            "" => source.display_name,
            folder => format!("{} ({folder})", source.display_name),
        },
        id: source.id,
    };
    let sources = sources?.into_iter().map(choice).collect();
    let status = problems.status();
    let title = if edited.id.is_some() { "Edit an export" } else { "Add an export" };
    let page = FormPage {
        chrome: Chrome::new(caller, Place::Exports, title),
        problems,
        action: match edited.id {
            Some(id) => format!("/exports/{id}/edit"),
            None => "/exports/new".to_owned(),
        },
        back: edited.id.map_or_else(|| "/exports".to_owned(), |id| format!("/exports/{id}")),
        is_new: edited.id.is_none(),
        request_id: edited.request_id,
        inputs,
        connections,
        sources,
        list,
        schedule,
        system: system_lines(system?.as_ref()),
    };
    html_as(status, &page)
}

pub(super) async fn new(caller: Caller, form: Form) -> Result<Response, Failure> {
    let connection_id = form.text("connection").to_owned();
    let inputs = Inputs::of(&v1::Export { connection_id, ..v1::Export::default() });
    let edited = Edited { id: None, request_id: request_id() };
    let (schedule, list) = (ScheduleInputs::of(None), ListPart::new());
    page(&caller, edited, Content { inputs, schedule, list, problems: Problems::default() }).await
}

pub(super) async fn edit(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let export = get(&caller, id).await?;
    let own = export.schedule.as_ref().and_then(|schedule| schedule.own.as_ref());
    let (inputs, schedule) = (Inputs::of(&export), ScheduleInputs::of(own));
    let edited = Edited { id: Some(&export.id), request_id: String::new() };
    let list = ListPart::new();
    page(&caller, edited, Content { inputs, schedule, list, problems: Problems::default() }).await
}

/// The form as it was filled in, with what somebody asked of the lists.
async fn with_lists(
    caller: &Caller,
    edited: Edited<'_>,
    form: &Form,
    asked: Asked,
) -> Result<Response, Failure> {
    let mut inputs = Inputs::filled(form);
    if let Some(list_id) = asked.list_id {
        inputs.list_id = list_id;
    }
    let schedule = ScheduleInputs::filled(form);
    page(caller, edited, Content { inputs, schedule, list: asked.part, problems: asked.problems })
        .await
}

/// The export to be saved, or what is to be said beside the form instead.
async fn filled_in(caller: &Caller, form: &Form) -> Result<Result<v1::Export, Asked>, Failure> {
    if let Some(asked) = list_picker::pressed(caller, form).await? {
        return Ok(Err(asked));
    }
    let (export, mut problems) = export_of(form);
    let more = form.text("action") == "more";
    if !more && !problems.any() {
        problems = list_picker::doubts(caller, form).await;
    }
    let save = !more && !problems.any();
    Ok(if save { Ok(export) } else { Err(Asked::nothing(problems)) })
}

pub(super) async fn create(caller: Caller, form: Form) -> Result<Response, Failure> {
    let request_id = form.text("request_id").to_owned();
    let edited = Edited { id: None, request_id: request_id.clone() };
    let export = match filled_in(&caller, &form).await? {
        Ok(export) => export,
        Err(asked) => return with_lists(&caller, edited, &form, asked).await,
    };
    let request = v1::CreateExportRequest { export: Some(export), request_id };
    match caller.services.exports().create_export(asking(request)).await {
        Ok(made) => {
            let made = present(made.into_inner().export)?;
            Ok(go_to(&address(&format!("/exports/{}", made.id), &[("done", "saved")])))
        }
        Err(status) => with_lists(&caller, edited, &form, Asked::nothing(refused(&status)?)).await,
    }
}

pub(super) async fn update(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let edited = Edited { id: Some(&id), request_id: String::new() };
    let export = match filled_in(&caller, &form).await? {
        Ok(export) => export,
        Err(asked) => return with_lists(&caller, edited, &form, asked).await,
    };
    let paths = FIELDS.iter().chain(&guard_form::FIELDS).map(|&field| field.to_owned()).collect();
    let request = v1::UpdateExportRequest {
        export: Some(v1::Export { id: id.clone(), ..export }),
        update_mask: Some(FieldMask { paths }),
    };
    match caller.services.exports().update_export(asking(request)).await {
        Ok(saved) => {
            let saved = present(saved.into_inner().export)?;
            Ok(go_to(&address(&format!("/exports/{}", saved.id), &[("done", "saved")])))
        }
        Err(status) => with_lists(&caller, edited, &form, Asked::nothing(refused(&status)?)).await,
    }
}

fn refused(status: &Status) -> Result<Problems, Failure> {
    Problems::of(status, &[&INPUTS[..], &guard_form::INPUTS].concat())
}

#[cfg(test)]
mod tests {
    use segue_proto::v1::properties::Select;

    use super::{Form, Inputs, export_of};

    const FILLED: &str = "display_name=+Everyone+&connection=con_1&list_id=Y6nRLr&segments=a.csv%0D%0Ab.csv%0D%0A\
        &email=mail&attribute=location.city&column=town&attribute=&column=&properties=only&columns=tier%0D%0Aage\
        &default_country=de&allow_empty=on&max_profiles=50,000&mode=off";

    #[test]
    fn form_says_an_export_and_an_export_fills_the_form() {
        let (export, problems) = export_of(&Form::parse(FILLED.as_bytes()));
        assert!(!problems.any());
        assert_eq!((export.display_name.as_str(), export.segments.len()), ("Everyone", 2));
        let mapping = export.mapping.clone().unwrap();
        assert_eq!(mapping.attributes["location.city"], "town");
        assert_eq!(mapping.default_country, "DE");
        assert_eq!(mapping.properties.unwrap().select(), Select::Only);
        let guards = export.guards.unwrap();
        assert!(guards.allow_empty && guards.max_profiles == 50_000);
        let inputs = Inputs::of(&export);
        assert_eq!(
            (inputs.segments.as_str(), inputs.columns.as_str()),
            ("a.csv\nb.csv", "tier\nage")
        );
        assert_eq!((inputs.rules.len(), inputs.mode, inputs.properties), (4, "off", "only"));
    }

    #[test]
    fn what_the_contract_cannot_say_is_a_problem_of_an_input() {
        let form = "attribute=a&column=x&attribute=a&column=y&attribute=b&column=";
        let (_, problems) = export_of(&Form::parse(form.as_bytes()));
        assert!(problems.with("mapping").contains("two columns"));
        assert!(problems.with("mapping").contains("both"));
    }
}
