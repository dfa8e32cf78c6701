use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::Path, response::Response};
use segue_proto::v1;

use super::{go_to, key_fields::KeyAt, verified::Verified};
use crate::{
    caller::Caller,
    failure::Failure,
    form::{Form, address},
    page::{Chrome, Place, html},
    services::{asking, present},
    shown::{Markup, counted, when_given},
};

#[derive(Template)]
#[template(path = "connections.html")]
struct ConnectionsPage {
    chrome: Chrome,
    connections: Vec<ConnectionRow>,
    may_create: bool,
    may_rotate: bool,
}

struct ConnectionRow {
    id: String,
    name: String,
    account: String,
    account_id: String,
    sharing: String,
    exports: String,
    created: Option<Markup>,
}

#[derive(Template)]
#[template(path = "connection.html")]
#[expect(clippy::struct_excessive_bools, reason = "each is a button or a part of the page")]
struct ConnectionPage {
    chrome: Chrome,
    id: String,
    name: String,
    sharing: String,
    /// What only administrators see.
    account: Option<Account>,
    exports: Vec<Named>,
    verified: Option<Verified>,
    /// What is known against its key.
    problem: String,
    may_verify: bool,
    may_edit: bool,
    may_remove: bool,
    may_export: bool,
}

struct Account {
    name: String,
    id: String,
    created: Option<Markup>,
    accepted_by: String,
    accepted: Option<Markup>,
    text_version: String,
    key: KeyAt,
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

/// Who may use a connection, in words.
fn sharing_words(sharing: Option<&v1::Sharing>) -> String {
    match sharing {
        Some(v1::Sharing { contributors: true, list_ids }) if list_ids.is_empty() => {
            "Contributors, for any list".to_owned()
        }
        Some(v1::Sharing { contributors: true, list_ids }) => {
            format!("Contributors, for {}", list_ids.join(", "))
        }
        _ => "Administrators only".to_owned(),
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
        sharing: sharing_words(connection.sharing.as_ref()),
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
        may_rotate: caller.may("ConnectionService/RotateKeys"),
    })
}

pub(super) async fn get(caller: &Caller, id: String) -> Result<v1::Connection, Failure> {
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
    let chrome = Chrome::new(caller, Place::Connections, connection.display_name.as_str());
    let consent = connection.consent;
    html(&ConnectionPage {
        chrome: chrome.after(form),
        id: connection.id,
        name: connection.display_name,
        sharing: sharing_words(connection.sharing.as_ref()),
        account: consent.map(|consent| Account {
            name: connection.account_name,
            id: connection.account_id,
            created: when_given(connection.created_at),
            accepted_by: consent.accepted_by,
            accepted: when_given(consent.accepted_at),
            text_version: consent.text_version,
            key: KeyAt::of(connection.key_reference),
        }),
        exports,
        verified,
        problem: connection.problem,
        may_verify: caller.may("ConnectionService/VerifyConnection"),
        may_edit: caller.may("ConnectionService/UpdateConnection"),
        may_remove: caller.may("ConnectionService/DeleteConnection"),
        may_export: caller.may("ExportService/CreateExport"),
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
    let mut said = said.into_inner();
    let connection = present(said.connection.take())?;
    page(&caller, &Form::default(), connection, Some(Verified::of(said))).await
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

pub(super) async fn remove(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let request = v1::DeleteConnectionRequest { id, detach: form.has("detach") };
    let detached = caller.services.connections().delete_connection(asking(request)).await?;
    let done = match detached.into_inner().detached_export_ids.as_slice() {
        [] => "disconnected",
        _ => "detached",
    };
    Ok(go_to(&address("/connections", &[("done", done)])))
}

#[cfg(test)]
mod tests {
    use segue_proto::v1;

    use super::sharing_words;

    #[test]
    fn sharing_is_told_in_words() {
        let of = |contributors, lists: &[&str]| {
            let list_ids = lists.iter().map(|&list| list.to_owned()).collect();
            sharing_words(Some(&v1::Sharing { contributors, list_ids }))
        };
        assert_eq!(of(false, &[]), "Administrators only");
        assert_eq!(of(true, &[]), "Contributors, for any list");
        assert_eq!(of(true, &["A", "B"]), "Contributors, for A, B");
        assert_eq!(sharing_words(None), "Administrators only");
    }
}
