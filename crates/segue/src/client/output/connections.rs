use segue_proto::v1::{self, key_reference::Place};
use serde::Serialize;

use super::{Shown, time};

#[derive(Serialize)]
pub(in crate::client) struct Connection {
    id: String,
    display_name: String,
    account_id: String,
    account_name: String,
    consent: Option<Consent>,
    sharing: Sharing,
    /// Where the server finds the key; null: it keeps it.
    key_reference: Option<KeyReference>,
    created_at: Option<String>,
    checked_at: Option<String>,
    /// Empty: nothing is known against the key.
    pub(super) problem: String,
}

#[derive(Serialize)]
struct Sharing {
    contributors: bool,
    list_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum KeyReference {
    Env(String),
    File(String),
}

#[derive(Serialize)]
struct Consent {
    text_version: String,
    accepted_by: String,
    accepted_at: Option<String>,
}

impl From<v1::Connection> for Connection {
    fn from(connection: v1::Connection) -> Self {
        Self {
            id: connection.id,
            display_name: connection.display_name,
            account_id: connection.account_id,
            account_name: connection.account_name,
            consent: connection.consent.map(|consent| Consent {
                text_version: consent.text_version,
                accepted_by: consent.accepted_by,
                accepted_at: time(consent.accepted_at),
            }),
            sharing: {
                let v1::Sharing { contributors, list_ids } = connection.sharing.unwrap_or_default();
                Sharing { contributors, list_ids }
            },
            key_reference: connection.key_reference.and_then(|it| it.place).map(|it| match it {
                Place::Env(name) => KeyReference::Env(name),
                Place::File(path) => KeyReference::File(path),
            }),
            created_at: time(connection.created_at),
            checked_at: time(connection.checked_at),
            problem: connection.problem,
        }
    }
}

impl Shown for Connection {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "ACCOUNT", "KEY", "CONSENT", "FOR", "PROBLEM"];

    fn cells(&self) -> Vec<String> {
        // Whoever only uses it is not told.
        let account = match self.account_id.as_str() {
            "" => "-".to_owned(),
            id => format!("{} ({id})", self.account_name),
        };
        let consent = self.consent.as_ref().map_or("-", |consent| &consent.accepted_by).to_owned();
        let shared = match &self.sharing {
            Sharing { contributors: false, .. } => "administrators".to_owned(),
            Sharing { list_ids, .. } if list_ids.is_empty() => "contributors".to_owned(),
            Sharing { list_ids, .. } => format!("contributors, {}", list_ids.join(" ")),
        };
        let key = match &self.key_reference {
            Some(KeyReference::Env(name)) => format!("variable {name}"),
            Some(KeyReference::File(path)) => format!("file {path}"),
            None if self.account_id.is_empty() => "-".to_owned(),
            None => "sealed".to_owned(),
        };
        let problem = if self.problem.is_empty() { "-" } else { &self.problem };
        vec![
            self.id.clone(),
            self.display_name.clone(),
            account,
            key,
            consent,
            shared,
            problem.to_owned(),
        ]
    }
}
