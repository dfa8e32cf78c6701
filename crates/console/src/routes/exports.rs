use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::Path, response::Response};
use segue_access::Role;
use segue_proto::v1;

use super::{
    guard_form::sentences,
    preview::{Column, Columns},
    request_id,
    runs::{CHART, Names, RunRow},
    schedule_form::{export_schedule_words, schedule_lines},
    sources,
};
use crate::{
    caller::Caller,
    chart::Chart,
    failure::Failure,
    form::Form,
    page::{Chrome, Place, html},
    services::{asking, present},
    shown::{Markup, Tone, counted, mark, when_given},
};

/// Among so many runs the last one of each export is looked for.
const LOOKED_AT: i32 = 500;

#[derive(Template)]
#[template(path = "exports.html")]
#[expect(clippy::struct_excessive_bools, reason = "each is a button or a part of the page")]
struct ExportsPage {
    chrome: Chrome,
    exports: Vec<ExportRow>,
    shows_connections: bool,
    may_create: bool,
    may_run: bool,
    may_run_all: bool,
    may_connect: bool,
    /// For the button that runs all.
    request_id: String,
}

struct ExportRow {
    id: String,
    name: String,
    connection: String,
    state: State,
    owner: String,
    list_id: String,
    segments: String,
    next: Option<Markup>,
    late: bool,
    last: Option<LastRun>,
    /// For the button that runs it.
    request_id: String,
}

/// Whether an export runs at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Enabled,
    Disabled,
    NoConnection,
}

impl State {
    fn of(export: &v1::Export) -> Self {
        match (export.disabled, export.connection_id.is_empty()) {
            (_, true) => Self::NoConnection,
            (true, _) => Self::Disabled,
            _ => Self::Enabled,
        }
    }

    fn runs(self) -> bool {
        self == Self::Enabled
    }

    /// Nothing is said of what is as it should be.
    fn chip(self) -> Option<Markup> {
        match self {
            Self::Enabled => None,
            Self::Disabled => Some(mark(Tone::Calm, "Disabled")),
            Self::NoConnection => Some(mark(Tone::Warn, "No connection")),
        }
    }
}

struct LastRun {
    id: String,
    state: Markup,
    at: Option<Markup>,
}

#[derive(Template)]
#[template(path = "export.html")]
#[expect(clippy::struct_excessive_bools, reason = "each is a button or a part of the page")]
struct ExportPage {
    chrome: Chrome,
    id: String,
    name: String,
    connection: Option<Named>,
    state: State,
    /// It is not turned off, though it may lack a connection.
    enabled: bool,
    owner: String,
    is_own: bool,
    list_id: String,
    source: Option<Named>,
    segments: Vec<String>,
    mapping: Vec<Mapped>,
    others: String,
    /// `None`: nobody has looked yet.
    settled: Option<Columns>,
    /// Of those, what is sent.
    columns: Vec<Column>,
    guards: Vec<String>,
    schedule: Vec<String>,
    next: Option<Markup>,
    late: Option<Late>,
    /// What is known against the key of its connection.
    problem: String,
    created: Option<Markup>,
    updated: Option<Markup>,
    chart: Option<Chart>,
    runs: Vec<RunRow>,
    request_id: String,
    may_run: bool,
    may_edit: bool,
    may_remove: bool,
    may_copy: bool,
    may_take: bool,
    may_preview: bool,
    may_settle: bool,
}

struct Named {
    id: String,
    name: String,
}

struct Mapped {
    attribute: String,
    column: String,
}

struct Late {
    at: Option<Markup>,
    reason: String,
    detail: String,
}

/// What connections are called, for whoever may see them.
async fn connection_names(caller: &Caller) -> Result<BTreeMap<String, String>, Failure> {
    if !caller.may("ConnectionService/ListConnections") {
        return Ok(BTreeMap::new());
    }
    let all = caller.services.all_connections().await?;
    Ok(all.into_iter().map(|it| (it.id, it.display_name)).collect())
}

pub(super) async fn list(caller: Caller, form: Form) -> Result<Response, Failure> {
    let services = &caller.services;
    let (exports, runs, connections) = tokio::join!(
        services.all_exports(""),
        services.newest_runs("", v1::RunState::Unspecified, LOOKED_AT),
        connection_names(&caller),
    );
    let connections = connections?;
    let mut last: BTreeMap<String, LastRun> = BTreeMap::new();
    for run in runs? {
        let (state, at) = (crate::shown::state(run.state()), when_given(run.created_at));
        last.entry(run.export_id).or_insert(LastRun { id: run.id, state, at });
    }
    let row = |export: v1::Export| ExportRow {
        connection: connections.get(&export.connection_id).cloned().unwrap_or_default(),
        segments: counted(
            u64::try_from(export.segments.len()).unwrap_or(u64::MAX),
            "segment",
            "segments",
        ),
        next: when_given(export.next_run_at),
        late: export.schedule_problem.is_some(),
        last: last.remove(&export.id),
        state: State::of(&export),
        owner: owner_name(&export),
        request_id: request_id(),
        id: export.id,
        name: export.display_name,
        list_id: export.list_id,
    };
    html(&ExportsPage {
        chrome: Chrome::new(&caller, Place::Exports, "Exports").after(&form),
        exports: exports?.into_iter().map(row).collect(),
        shows_connections: !connections.is_empty(),
        may_create: caller.may("ExportService/CreateExport"),
        may_run: caller.may("RunService/StartRun"),
        may_run_all: caller.may("RunService/StartAllRuns"),
        request_id: request_id(),
        may_connect: caller.may("ConnectionService/CreateConnection"),
    })
}

pub(super) async fn get(caller: &Caller, id: String) -> Result<v1::Export, Failure> {
    Ok(get_with_columns(caller, id).await?.0)
}

async fn get_with_columns(
    caller: &Caller,
    id: String,
) -> Result<(v1::Export, Option<v1::Columns>), Failure> {
    let request = v1::GetExportRequest { id };
    let found = caller.services.exports().get_export(asking(request)).await?.into_inner();
    Ok((present(found.export)?, found.columns))
}

pub(super) async fn show(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let (export, columns) = get_with_columns(&caller, id).await?;
    let services = &caller.services;
    let (runs, connections, sources, system) = tokio::join!(
        services.newest_runs(&export.id, v1::RunState::Unspecified, CHART),
        connection_names(&caller),
        sources::names(&caller),
        system_schedule(&caller),
    );
    let runs = runs?;
    let names = Names::of(std::slice::from_ref(&export));
    let name = connections?.remove(&export.connection_id);
    let source = sources?.remove(&export.source_id);
    let schedule = export.schedule.clone().unwrap_or_default();
    let mapping = export.mapping.clone().unwrap_or_default();
    let mut settled = columns.map(Columns::of);
    html(&ExportPage {
        chrome: Chrome::new(&caller, Place::Exports, export.display_name.as_str()).after(&form),
        connection: name.map(|name| Named { id: export.connection_id.clone(), name }),
        source: source.map(|name| Named { id: export.source_id.clone(), name }),
        state: State::of(&export),
        enabled: !export.disabled,
        owner: owner_name(&export),
        is_own: export.owner.as_ref().is_some_and(|owner| owner.subject == caller.subject),
        others: others(&mapping),
        columns: settled.as_mut().map(|it| std::mem::take(&mut it.sent)).unwrap_or_default(),
        settled,
        mapping: mapped(mapping),
        guards: sentences(&export),
        schedule: export_schedule_words(&schedule, system?.as_ref()),
        next: when_given(export.next_run_at),
        late: export.schedule_problem.map(|problem| Late {
            at: when_given(problem.due_at),
            reason: problem.reason,
            detail: problem.detail,
        }),
        problem: export.connection_problem,
        created: when_given(export.created_at),
        updated: when_given(export.updated_at),
        chart: Chart::of(&runs),
        runs: runs.iter().take(10).map(|run| names.row(run)).collect(),
        request_id: request_id(),
        may_run: caller.may("RunService/StartRun"),
        may_edit: caller.may("ExportService/UpdateExport"),
        may_remove: caller.may("ExportService/DeleteExport"),
        may_copy: caller.may("ExportService/DuplicateExport"),
        // Only administrators give an export to somebody.
        may_preview: caller.may("ExportService/PreviewExport"),
        may_settle: caller.may("ExportService/SettleColumns"),
        may_take: caller.role == Some(Role::Administrator),
        id: export.id,
        name: export.display_name,
        list_id: export.list_id,
        segments: export.segments,
    })
}

/// For whom it runs by its schedule.
fn owner_name(export: &v1::Export) -> String {
    match &export.owner {
        Some(owner) if owner.display_name.is_empty() => owner.subject.clone(),
        Some(owner) => owner.display_name.clone(),
        None => "Segue".to_owned(),
    }
}

pub(super) async fn system_schedule(caller: &Caller) -> Result<Option<v1::Schedule>, Failure> {
    let request = v1::GetSystemScheduleRequest {};
    let found = caller.services.schedule().get_system_schedule(asking(request)).await?;
    Ok(found.into_inner().schedule)
}

fn mapped(mapping: v1::Mapping) -> Vec<Mapped> {
    let v1::Mapping { email, attributes, .. } = mapping;
    let email = Some(email).filter(|column| !column.is_empty());
    let email = email.map(|column| Mapped { attribute: "email".to_owned(), column });
    let mut others: Vec<Mapped> =
        attributes.into_iter().map(|(attribute, column)| Mapped { attribute, column }).collect();
    others.sort_by(|one, other| one.attribute.cmp(&other.attribute));
    email.into_iter().chain(others).collect()
}

/// What becomes of columns that no rule names.
fn others(mapping: &v1::Mapping) -> String {
    use v1::properties::Select;
    let properties = mapping.properties.clone().unwrap_or_default();
    let mut words = match properties.select() {
        Select::Unspecified | Select::All => {
            "Columns with well-known names become standard attributes, all others custom properties."
                .to_owned()
        }
        Select::None => {
            "Columns with well-known names become standard attributes, others are not sent.".to_owned()
        }
        Select::Only => format!(
            "Columns with well-known names become standard attributes, and of the others these become custom \
             properties: {}.",
            properties.columns.join(", ")
        ),
    };
    if !mapping.default_country.is_empty() {
        words = format!(
            "{words} Phone numbers without a country are taken for numbers of {}.",
            mapping.default_country
        );
    }
    words
}

/// The schedule that a page shows, in lines.
pub(super) fn system_lines(schedule: Option<&v1::Schedule>) -> Vec<String> {
    schedule.map_or_else(|| vec!["Off.".to_owned()], schedule_lines)
}

#[cfg(test)]
mod tests {
    use segue_proto::v1;

    use askama::Template as _;

    use super::{ExportRow, ExportsPage, State, mapped, others};
    use crate::page::Chrome;

    fn list(name: &str, may: bool) -> String {
        let chrome = Chrome {
            title: "Exports".to_owned(),
            name: name.to_owned(),
            role: "viewer",
            csrf: "0".to_owned(),
            links: Vec::new(),
            notice: None,
        };
        let row = ExportRow {
            id: "exp_1".to_owned(),
            name: name.to_owned(),
            connection: name.to_owned(),
            state: State::Enabled,
            owner: name.to_owned(),
            list_id: name.to_owned(),
            segments: "1 segment".to_owned(),
            next: None,
            late: false,
            last: None,
            request_id: "r".to_owned(),
        };
        let page = ExportsPage {
            chrome,
            exports: vec![row],
            shows_connections: true,
            may_create: may,
            may_run: may,
            may_run_all: may,
            may_connect: may,
            request_id: "r".to_owned(),
        };
        page.render().unwrap()
    }

    #[test]
    fn names_are_text_and_nothing_else() {
        let page = list("<script>alert(1)</script>\"'&", true);
        assert!(!page.contains("<script>alert"), "{page}");
        assert_eq!(
            page.matches("&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;").count(),
            6
        );
    }

    #[test]
    fn whoever_may_only_look_gets_no_button() {
        for button in ["Run now", "Run all", "Add an export"] {
            assert!(list("Everyone", true).contains(button), "{button}");
            assert!(!list("Everyone", false).contains(button), "{button}");
        }
    }

    #[test]
    fn mapping_is_told_in_sentences() {
        let mut properties =
            v1::Properties { columns: vec!["tier".to_owned()], ..Default::default() };
        properties.set_select(v1::properties::Select::Only);
        let attributes = [("last_name", "b"), ("first_name", "a")];
        let mapping = v1::Mapping {
            email: "mail".to_owned(),
            attributes: attributes
                .iter()
                .map(|(a, c)| ((*a).to_owned(), (*c).to_owned()))
                .collect(),
            properties: Some(properties),
            default_country: "DE".to_owned(),
        };
        assert!(
            others(&mapping).contains("properties: tier.") && others(&mapping).contains("of DE.")
        );
        let rows = mapped(mapping);
        let attributes: Vec<&str> = rows.iter().map(|row| row.attribute.as_str()).collect();
        assert_eq!(attributes, ["email", "first_name", "last_name"]);
    }
}
