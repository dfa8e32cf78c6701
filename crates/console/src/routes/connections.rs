use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::Path, response::Response};
use http::StatusCode;
use segue_proto::v1;

use super::{go_to, problems::Problems, request_id};
use crate::{
    caller::Caller,
    failure::Failure,
    form::{Form, address},
    page::{Chrome, Place, html, html_as},
    services::{asking, present},
    shown::{Markup, counted, when_given},
};

/// The text that whoever makes a connection agrees to.
const CONSENT: &str = include_str!("../../../../docs/consent.md");
/// Which input is meant by a field that is wrong.
const INPUTS: [(&str, &str); 5] = [
    ("connection.display_name", "display_name"),
    ("connection.api_key", "api_key"),
    ("connection.consent.accepted_by", "accepted_by"),
    ("connection.consent", "agree"),
    ("request_id", ""),
];

#[derive(Template)]
#[template(path = "connections.html")]
struct ConnectionsPage {
    chrome: Chrome,
    connections: Vec<ConnectionRow>,
    may_create: bool,
}

struct ConnectionRow {
    id: String,
    name: String,
    account: String,
    account_id: String,
    exports: String,
    created: Option<Markup>,
}

#[derive(Template)]
#[template(path = "connection_new.html")]
struct NewPage {
    chrome: Chrome,
    problems: Problems,
    request_id: String,
    display_name: String,
    accepted_by: String,
    agreed: bool,
    consent: Consent,
}

#[derive(Template)]
#[template(path = "connection.html")]
struct ConnectionPage {
    chrome: Chrome,
    id: String,
    name: String,
    account: String,
    account_id: String,
    created: Option<Markup>,
    accepted_by: String,
    accepted: Option<Markup>,
    text_version: String,
    exports: Vec<Named>,
    verified: Option<Verified>,
    may_verify: bool,
    may_remove: bool,
}

#[derive(Template)]
#[template(path = "connection_remove.html")]
struct RemovePage {
    chrome: Chrome,
    id: String,
    name: String,
    account: String,
    exports: Vec<Named>,
}

struct Named {
    id: String,
    name: String,
}

/// What Klaviyo has just said of the key.
struct Verified {
    revision: String,
    problem: String,
}

/// The text as it stands in the documentation: a version, a first sentence, numbered points.
pub(crate) struct Consent {
    pub(crate) version: &'static str,
    pub(crate) opening: &'static str,
    pub(crate) points: Vec<String>,
}

impl Consent {
    pub(crate) fn current() -> Self {
        let mut consent = Self { version: "", opening: "", points: Vec::new() };
        for line in CONSENT.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let numbered = line.split_once(". ").filter(|(number, _)| number.parse::<u8>().is_ok());
            if let Some(version) = line.strip_prefix("Version ") {
                consent.version = version;
            } else if let Some((_, point)) = numbered {
                consent.points.push(point.to_owned());
            } else if let Some(point) = consent.points.last_mut() {
                point.push(' ');
                point.push_str(line);
            } else if !line.starts_with('#') {
                consent.opening = line;
            }
        }
        consent
    }
}

pub(super) async fn list(caller: Caller, form: Form) -> Result<Response, Failure> {
    let services = &caller.services;
    let (connections, exports) = tokio::join!(services.all_connections(), services.all_exports(""));
    let mut users: BTreeMap<String, u64> = BTreeMap::new();
    for export in exports? {
        *users.entry(export.connection_id).or_default() += 1;
    }
    let row = |connection: v1::Connection| ConnectionRow {
        exports: counted(users.get(&connection.id).copied().unwrap_or(0), "export", "exports"),
        name: connection.display_name,
        account: connection.account_name,
        account_id: connection.account_id,
        created: when_given(connection.created_at),
        id: connection.id,
    };
    html(&ConnectionsPage {
        chrome: Chrome::new(&caller, Place::Connections, "Connections").after(&form),
        connections: connections?.into_iter().map(row).collect(),
        may_create: caller.may("ConnectionService/CreateConnection"),
    })
}

fn new_page(caller: &Caller, problems: Problems, form: &Form) -> NewPage {
    let given = |name: &str, otherwise: String| {
        if form.has(name) { form.text(name).to_owned() } else { otherwise }
    };
    NewPage {
        chrome: Chrome::new(caller, Place::Connections, "Add a connection"),
        problems,
        request_id: given("request_id", request_id()),
        display_name: given("display_name", String::new()),
        accepted_by: given("accepted_by", caller.name.clone()),
        agreed: form.has("agree"),
        consent: Consent::current(),
    }
}

pub(super) async fn new(caller: Caller) -> Result<Response, Failure> {
    html(&new_page(&caller, Problems::default(), &Form::default()))
}

pub(super) async fn create(caller: Caller, form: Form) -> Result<Response, Failure> {
    let again = |problems| {
        html_as(StatusCode::UNPROCESSABLE_ENTITY, &new_page(&caller, problems, &form))
    };
    let mut problems = Problems::default();
    if !form.has("agree") {
        problems.note("agree", "Nothing is sent to Klaviyo without consent: read the text, then tick this.");
    }
    if form.text("display_name").is_empty() {
        problems.note("display_name", "Give it a name.");
    }
    if form.text("api_key").is_empty() {
        problems.note("api_key", "Paste the private key.");
    }
    if problems.any() {
        return again(problems);
    }
    let consent = v1::Consent {
        text_version: Consent::current().version.to_owned(),
        accepted_by: form.text("accepted_by").to_owned(),
        accepted_at: None,
    };
    let connection = v1::Connection {
        display_name: form.text("display_name").to_owned(),
        api_key: form.text("api_key").to_owned(),
        consent: Some(consent),
        ..v1::Connection::default()
    };
    let request = v1::CreateConnectionRequest {
        connection: Some(connection),
        request_id: form.text("request_id").to_owned(),
    };
    match caller.services.connections().create_connection(asking(request)).await {
        Ok(made) => {
            let made = present(made.into_inner().connection)?;
            Ok(go_to(&address(&format!("/connections/{}", made.id), &[("done", "connected")])))
        }
        Err(status) => again(Problems::of(status, &INPUTS)?),
    }
}

async fn get(caller: &Caller, id: String) -> Result<v1::Connection, Failure> {
    let request = v1::GetConnectionRequest { id };
    let found = caller.services.connections().get_connection(asking(request)).await?;
    Ok(present(found.into_inner().connection)?)
}

async fn users(caller: &Caller, id: &str) -> Result<Vec<Named>, Failure> {
    let exports = caller.services.all_exports(id).await?;
    let named = |export: v1::Export| Named { id: export.id, name: export.display_name };
    Ok(exports.into_iter().map(named).collect())
}

async fn page(
    caller: &Caller,
    form: &Form,
    connection: v1::Connection,
    verified: Option<Verified>,
) -> Result<Response, Failure> {
    let exports = users(caller, &connection.id).await?;
    let consent = connection.consent.unwrap_or_default();
    html(&ConnectionPage {
        chrome: Chrome::new(caller, Place::Connections, connection.display_name.as_str())
            .after(form),
        id: connection.id,
        name: connection.display_name,
        account: connection.account_name,
        account_id: connection.account_id,
        created: when_given(connection.created_at),
        accepted_by: consent.accepted_by,
        accepted: when_given(consent.accepted_at),
        text_version: consent.text_version,
        exports,
        verified,
        may_verify: caller.may("ConnectionService/VerifyConnection"),
        may_remove: caller.may("ConnectionService/DeleteConnection"),
    })
}

pub(super) async fn show(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let connection = get(&caller, id).await?;
    page(&caller, &form, connection, None).await
}

pub(super) async fn verify(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let request = v1::VerifyConnectionRequest { id };
    let said = caller.services.connections().verify_connection(asking(request)).await?;
    let v1::VerifyConnectionResponse { connection, revision, problem } = said.into_inner();
    let verified = Some(Verified { revision, problem });
    page(&caller, &Form::default(), present(connection)?, verified).await
}

pub(super) async fn ask(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let connection = get(&caller, id).await?;
    html(&RemovePage {
        chrome: Chrome::new(&caller, Place::Connections, "Remove a connection"),
        exports: users(&caller, &connection.id).await?,
        id: connection.id,
        name: connection.display_name,
        account: connection.account_name,
    })
}

pub(super) async fn remove(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let request = v1::DeleteConnectionRequest { id };
    caller.services.connections().delete_connection(asking(request)).await?;
    Ok(go_to("/connections?done=disconnected"))
}

#[cfg(test)]
mod tests {
    use super::{CONSENT, Consent};

    #[test]
    fn consent_is_shown_with_its_version_and_all_its_points() {
        let consent = Consent::current();
        assert!(CONSENT.contains(&format!("Version {}\n", consent.version)));
        assert!(!consent.version.is_empty() && consent.opening.ends_with(':'));
        let numbered = (1..).take_while(|nth| CONSENT.contains(&format!("\n{nth}. "))).count();
        assert_eq!(consent.points.len(), numbered);
        let words: usize = CONSENT.split_whitespace().count();
        let shown: usize = consent.points.iter().map(|it| it.split_whitespace().count()).sum();
        let around = consent.opening.split_whitespace().count() + numbered + "# Consent to send personal data Version x".split(' ').count();
        assert_eq!(words, shown + around, "a word of the text is not shown");
    }
}
