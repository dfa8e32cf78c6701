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
    created_at: Option<String>,
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
            created_at: time(connection.created_at),
        }
    }
}

impl Shown for Connection {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "ACCOUNT", "CONSENT"];

    fn cells(&self) -> Vec<String> {
        let account = format!("{} ({})", self.account_name, self.account_id);
        let consent = self.consent.as_ref().map(|consent| consent.accepted_by.clone());
        vec![self.id.clone(), self.display_name.clone(), account, consent.unwrap_or_default()]
    }
}
