//! What is around every page.

use askama::Template;
use axum::response::{Html, IntoResponse as _, Response};
use http::StatusCode;

use crate::{
    assets::{self, Asset},
    caller::Caller,
    failure::Failure,
    form::Form,
};

/// Where in the console a page belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Exports,
    Runs,
    Connections,
    Sources,
    Schedule,
    Jobs,
    Tokens,
    Audit,
}

impl Place {
    /// With the call that a page makes first: who may not make it finds no link.
    const ALL: [(Self, &'static str, &'static str, &'static str); 9] = [
        (Self::Overview, "/", "Overview", "StatusService/ListRuns"),
        (Self::Exports, "/exports", "Exports", "ExportService/ListExports"),
        (Self::Runs, "/runs", "Runs", "StatusService/ListRuns"),
        (Self::Connections, "/connections", "Connections", "ConnectionService/ListConnections"),
        (Self::Sources, "/sources", "Sources", "SourceService/ListSources"),
        (Self::Schedule, "/schedule", "Schedule", "ScheduleService/GetSystemSchedule"),
        (Self::Jobs, "/jobs", "Dead jobs", "JobService/ListDeadJobs"),
        (Self::Tokens, "/tokens", "Tokens", "TokenService/ListTokens"),
        (Self::Audit, "/audit", "Audit", "AuditService/ListAuditEntries"),
    ];
}

pub(crate) struct Link {
    pub(crate) address: &'static str,
    pub(crate) words: &'static str,
    pub(crate) is_here: bool,
}

/// What is around a page of somebody who is signed in.
pub(crate) struct Chrome {
    pub(crate) title: String,
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) csrf: String,
    pub(crate) links: Vec<Link>,
    /// What was just done.
    pub(crate) notice: Option<&'static str>,
}

impl Chrome {
    pub(crate) fn new(caller: &Caller, place: Place, title: impl Into<String>) -> Self {
        let links = Place::ALL.into_iter().filter(|(.., method)| caller.may(method));
        let links = links.map(|(it, address, words, _)| {
            let is_here = it == place;
            Link { address, words, is_here }
        });
        Self {
            title: title.into(),
            name: caller.name.clone(),
            role: caller.role.map_or("unknown role", segue_access::Role::as_str),
            csrf: caller.csrf.as_str().to_owned(),
            links: links.collect(),
            notice: None,
        }
    }

    /// Says what was done before this page was asked for.
    #[must_use]
    pub(crate) fn after(self, form: &Form) -> Self {
        Self { notice: notice(form.text("done")), ..self }
    }
}

pub(crate) fn style() -> Asset {
    assets::STYLE
}

pub(crate) fn script() -> Asset {
    assets::SCRIPT
}

pub(crate) fn icon() -> Asset {
    assets::ICON
}

/// Codes in addresses, since nobody else should be able to put words onto a page.
fn notice(code: &str) -> Option<&'static str> {
    Some(match code {
        "signed-in" => "You are signed in.",
        "signed-out" => "You are signed out.",
        "connected" => "The connection is made: Klaviyo has accepted the key.",
        "changed" => "The connection is changed.",
        "detached" => {
            "The connection is removed, and its key with it. Exports without a connection do not run."
        }
        "disconnected" => "The connection is removed, and its key with it.",
        "source-saved" => "The source is saved.",
        "source-removed" => "The source is removed. Its files stay.",
        "saved" => "The export is saved. Saving runs nothing.",
        "settled" => "The columns are settled anew. Runs that begin from now on go by them.",
        "enabled" => "The export is enabled: it runs again.",
        "disabled" => {
            "The export is disabled: it does not run, neither by itself nor when asked to."
        }
        "owned" => "The export runs for you from now on.",
        "copied" => "This is the copy. It is yours, and disabled until you enable it.",
        "removed" => "The export is removed. Its ended runs stay.",
        "started" => "The run is started.",
        "retried" => "A new run sends what was left undelivered.",
        "cancelled" => "The run is being cancelled. Nothing more is sent.",
        "scheduled" => "The schedule is saved. The first run is at the next time below.",
        "unscheduled" => "The schedule of the system is off.",
        "revoked" => "The token is refused from now on.",
        "requeued" => "The job is announced again.",
        "dropped" => "The job is dropped.",
        _ => return None,
    })
}

/// A page for somebody who is signed in.
pub(crate) fn html(template: &impl Template) -> Result<Response, Failure> {
    html_as(StatusCode::OK, template)
}

/// As [`html`], for forms that were not accepted.
pub(crate) fn html_as(status: StatusCode, template: &impl Template) -> Result<Response, Failure> {
    Ok((status, Html(template.render()?)).into_response())
}

/// A page that has to be made whatever happens.
pub(crate) fn answer(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(page) => (status, Html(page)).into_response(),
        Err(err) => {
            tracing::error!(error = %err, "a page was not made");
            (StatusCode::INTERNAL_SERVER_ERROR, "The console failed; its log says why.")
                .into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::notice;

    #[test]
    fn addresses_put_no_words_onto_a_page() {
        assert_eq!(notice("started"), Some("The run is started."));
        assert_eq!(notice("Call this number"), None);
    }
}
