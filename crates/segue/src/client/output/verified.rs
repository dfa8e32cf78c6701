use segue_proto::v1;
use serde::Serialize;

use super::{Connection, Output, Shown, many, one, short, time};
use crate::{client::present, ui};

/// What Verify tells of a connection.
#[derive(Serialize)]
pub(in crate::client) struct Verified {
    #[serde(flatten)]
    connection: Connection,
    revision: String,
    requested_revision: String,
    revision_state: String,
    revision_retires_at: Option<String>,
    scopes: Vec<Scope>,
    limits: Vec<Limit>,
}

#[derive(Serialize)]
struct Scope {
    #[serde(rename = "scope")]
    name: String,
    state: String,
    required: bool,
    needed_for: String,
    detail: String,
}

#[derive(Serialize)]
struct Limit {
    endpoint: String,
    window: String,
    #[serde(rename = "limit")]
    most: u32,
    remaining: u32,
    source: String,
    closed_until: Option<String>,
}

impl TryFrom<v1::VerifyConnectionResponse> for Verified {
    type Error = anyhow::Error;

    fn try_from(verified: v1::VerifyConnectionResponse) -> anyhow::Result<Self> {
        let state = verified.revision_state();
        let mut connection = Connection::from(present(verified.connection, "connection")?);
        // What was found just now, although not all of it is remembered.
        connection.problem = verified.problem;
        Ok(Self {
            connection,
            revision: verified.revision,
            requested_revision: verified.requested_revision,
            revision_state: short(state.as_str_name(), "REVISION_STATE_"),
            revision_retires_at: time(verified.revision_retires_at),
            scopes: verified.scopes.into_iter().map(Scope::from).collect(),
            limits: verified.limits.into_iter().map(Limit::from).collect(),
        })
    }
}

impl From<v1::ScopeCheck> for Scope {
    fn from(check: v1::ScopeCheck) -> Self {
        Self {
            state: short(check.state().as_str_name(), "SCOPE_STATE_"),
            name: check.scope,
            required: check.required,
            needed_for: check.needed_for,
            detail: check.detail,
        }
    }
}

impl From<v1::LimitLeft> for Limit {
    fn from(left: v1::LimitLeft) -> Self {
        Self {
            window: match left.window() {
                v1::LimitWindow::Unspecified => "unspecified",
                v1::LimitWindow::Burst => "second",
                v1::LimitWindow::Steady => "minute",
            }
            .to_owned(),
            source: short(left.source().as_str_name(), "LIMIT_SOURCE_"),
            endpoint: left.endpoint,
            most: left.limit,
            remaining: left.remaining,
            closed_until: time(left.closed_until),
        }
    }
}

impl Shown for Scope {
    const COLUMNS: &'static [&'static str] = &["SCOPE", "STATE", "NEEDED", "WHY"];

    fn cells(&self) -> Vec<String> {
        let needed = if self.required { "yes" } else { "optional" };
        let why = format!("{}: {}", self.needed_for, self.detail);
        vec![self.name.clone(), self.state.clone(), needed.to_owned(), why]
    }
}

impl Shown for Limit {
    const COLUMNS: &'static [&'static str] = &["LIMIT", "LEFT", "OF", "IN A", "AS TOLD BY"];

    fn cells(&self) -> Vec<String> {
        let (left, limit) = (self.remaining.to_string(), self.most.to_string());
        let source = match &self.closed_until {
            Some(until) => format!("{} (Klaviyo asked to wait until {until})", self.source),
            None => self.source.clone(),
        };
        vec![self.endpoint.clone(), left, limit, self.window.clone(), source]
    }
}

impl Verified {
    /// For people in the order in which they would ask: is it the right account, may the key do it all, and for how
    /// long.
    pub(in crate::client) fn show(&self, output: Output) -> anyhow::Result<()> {
        if output == Output::Json {
            ui::say(serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        one(output, &self.connection)?;
        if !self.requested_revision.is_empty() {
            let retires = self.revision_retires_at.as_deref().unwrap_or("unknown");
            ui::say(format_args!(
                "revision   {} ({}), answered with {}, retires {retires}",
                ui::plain(&self.requested_revision),
                self.revision_state,
                ui::plain(&self.revision)
            ));
        }
        ui::say("");
        many(output, &self.scopes)?;
        if !self.limits.is_empty() {
            ui::say("");
            many(output, &self.limits)?;
        }
        Ok(())
    }

    pub(in crate::client) fn problem(&self) -> Option<&str> {
        Some(self.connection.problem.as_str()).filter(|words| !words.is_empty())
    }
}
