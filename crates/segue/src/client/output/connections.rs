use segue_proto::v1;
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
    created_at: Option<String>,
}

#[derive(Serialize)]
struct Sharing {
    contributors: bool,
    list_ids: Vec<String>,
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
            created_at: time(connection.created_at),
        }
    }
}

/// What Klaviyo says of the key of a connection.
#[derive(Serialize)]
pub(in crate::client) struct Verified {
    #[serde(flatten)]
    pub(in crate::client) connection: Connection,
    pub(in crate::client) revision: String,
    /// Empty: the key is good.
    pub(in crate::client) problem: String,
}

impl Shown for Verified {
    const COLUMNS: &'static [&'static str] = Connection::COLUMNS;

    fn cells(&self) -> Vec<String> {
        self.connection.cells()
    }
}

impl Shown for Connection {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "ACCOUNT", "CONSENT", "FOR"];

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
        vec![self.id.clone(), self.display_name.clone(), account, consent, shared]
    }
}
