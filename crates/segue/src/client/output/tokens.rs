use segue_proto::v1;
use serde::Serialize;

use super::{Shown, short, time};

#[derive(Serialize)]
pub(in crate::client) struct Token {
    id: String,
    display_name: String,
    role: String,
    expires_at: Option<String>,
    created_by: String,
    created_at: Option<String>,
    revoked_at: Option<String>,
}

impl From<v1::Token> for Token {
    fn from(token: v1::Token) -> Self {
        Self {
            role: short(token.role().as_str_name(), "ROLE_"),
            id: token.id,
            display_name: token.display_name,
            expires_at: time(token.expires_at),
            created_by: token.created_by,
            created_at: time(token.created_at),
            revoked_at: time(token.revoked_at),
        }
    }
}

/// A token and what proves it, which is shown this once.
#[derive(Serialize)]
pub(in crate::client) struct NewToken<'a> {
    pub(in crate::client) token: Token,
    pub(in crate::client) secret: &'a str,
}

impl Shown for Token {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "ROLE", "EXPIRES", "REVOKED"];

    fn cells(&self) -> Vec<String> {
        let or_dash = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".to_owned());
        let Self { id, display_name, role, expires_at, revoked_at, .. } = self;
        let mut cells = vec![id.clone(), display_name.clone(), role.clone()];
        cells.extend([or_dash(expires_at), or_dash(revoked_at)]);
        cells
    }
}

/// Whoever asks, as the server knows them.
#[derive(Serialize)]
pub(in crate::client) struct Caller {
    subject: String,
    display_name: String,
    role: String,
}

impl From<v1::GetCallerResponse> for Caller {
    fn from(caller: v1::GetCallerResponse) -> Self {
        let role = short(caller.role().as_str_name(), "ROLE_");
        Self { subject: caller.subject, display_name: caller.display_name, role }
    }
}

impl Shown for Caller {
    const COLUMNS: &'static [&'static str] = &["SUBJECT", "NAME", "ROLE"];

    fn cells(&self) -> Vec<String> {
        vec![self.subject.clone(), self.display_name.clone(), self.role.clone()]
    }
}
