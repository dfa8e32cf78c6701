//! What Klaviyo has just said of a key.

use askama::Template;
use segue_proto::v1::{self, LimitSource, LimitWindow, RevisionState, ScopeState};

use crate::shown::{Markup, Tone, grouped, mark, when_given};

#[derive(Template)]
#[template(path = "verified.html")]
pub(super) struct Verified {
    problem: String,
    revision: String,
    /// How it stands with the revision that Segue asks for.
    revision_words: String,
    retires: Option<Markup>,
    scopes: Vec<Scope>,
    /// Scopes that an export cannot run without and that the key lacks.
    missing: Vec<String>,
    limits: Vec<Limit>,
}

struct Scope {
    name: String,
    state: Markup,
    needed_for: String,
    detail: String,
    required: bool,
}

struct Limit {
    endpoint: String,
    window: &'static str,
    left: String,
    counted_by: &'static str,
    closed_until: Option<Markup>,
}

impl Verified {
    pub(super) fn of(said: v1::VerifyConnectionResponse) -> Self {
        let missing =
            |check: &&v1::ScopeCheck| check.required && check.state() == ScopeState::Missing;
        Self {
            revision_words: revision_words(said.revision_state(), &said.requested_revision),
            retires: when_given(said.revision_retires_at),
            missing: said.scopes.iter().filter(missing).map(|check| check.scope.clone()).collect(),
            scopes: said.scopes.into_iter().map(Scope::of).collect(),
            limits: said.limits.into_iter().map(Limit::of).collect(),
            problem: said.problem,
            revision: said.revision,
        }
    }
}

impl Scope {
    fn of(check: v1::ScopeCheck) -> Self {
        Self {
            state: match check.state() {
                ScopeState::Granted => mark(Tone::Good, "Granted"),
                ScopeState::Missing => mark(Tone::Warn, "Missing"),
                ScopeState::Unspecified | ScopeState::Unknown => mark(Tone::Calm, "Not known"),
            },
            name: check.scope,
            needed_for: check.needed_for,
            detail: check.detail,
            required: check.required,
        }
    }
}

impl Limit {
    fn of(left: v1::LimitLeft) -> Self {
        Self {
            window: match left.window() {
                LimitWindow::Burst => "second",
                LimitWindow::Steady => "minute",
                LimitWindow::Unspecified => "window",
            },
            counted_by: match left.source() {
                LimitSource::Klaviyo => "Klaviyo, for all that use the account",
                LimitSource::Segue => "Segue, its own requests",
                LimitSource::Unspecified => "not known",
            },
            left: format!("{} of {}", grouped(left.remaining.into()), grouped(left.limit.into())),
            closed_until: when_given(left.closed_until),
            endpoint: left.endpoint,
        }
    }
}

fn revision_words(state: RevisionState, asked: &str) -> String {
    match state {
        RevisionState::Unspecified => {
            format!("Segue asks for revision {asked}; Klaviyo did not say what it answered with.")
        }
        RevisionState::Stable => format!("Segue asks for revision {asked}, which is stable."),
        RevisionState::Deprecated => {
            format!(
                "Segue asks for revision {asked}, which is deprecated: bring Segue up to date in time."
            )
        }
        RevisionState::Retired => {
            format!(
                "Segue asks for revision {asked}, which has been retired: bring Segue up to date."
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use askama::Template as _;
    use segue_proto::v1::{self, LimitSource, LimitWindow, RevisionState, ScopeState};

    use super::Verified;

    fn scope(name: &str, state: ScopeState, required: bool) -> v1::ScopeCheck {
        v1::ScopeCheck {
            scope: name.to_owned(),
            state: state.into(),
            required,
            needed_for: "uploads".to_owned(),
            detail: "<b>tried</b>".to_owned(),
        }
    }

    #[test]
    fn missing_scopes_are_named_and_what_is_only_not_known_is_not_called_missing() {
        let said = v1::VerifyConnectionResponse {
            revision: "2026-07-15".to_owned(),
            requested_revision: "2026-07-15".to_owned(),
            revision_state: RevisionState::Stable.into(),
            scopes: vec![
                scope("lists:read", ScopeState::Granted, true),
                scope("profiles:write", ScopeState::Missing, true),
                scope("lists:write", ScopeState::Unknown, true),
                scope("flows:read", ScopeState::Missing, false),
            ],
            limits: vec![v1::LimitLeft {
                endpoint: "import".to_owned(),
                window: LimitWindow::Steady.into(),
                limit: 150,
                remaining: 140,
                source: LimitSource::Segue.into(),
                closed_until: None,
            }],
            ..v1::VerifyConnectionResponse::default()
        };
        let verified = Verified::of(said);
        assert_eq!(verified.missing, ["profiles:write"]);
        let page = verified.render().unwrap();
        assert!(page.contains("140 of 150") && page.contains("its own requests"), "{page}");
        assert!(page.contains("2026-07-15, which is stable"), "{page}");
        assert!(page.contains("&#60;b&#62;tried") && !page.contains("<b>tried"), "{page}");
    }
}
