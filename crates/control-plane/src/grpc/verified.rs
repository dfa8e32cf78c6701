//! What Verify tells, as the contract has it.

use segue_access::Principal;
use segue_klaviyo::{RateWindow, RevisionState};
use segue_proto::{
    timestamp,
    v1::{self, VerifyConnectionResponse},
};
use tonic::Status;

use super::connections::shown;
use crate::{LimitLeft, LimitSource, Revision, ScopeCheck, ScopeState, Verified};

pub(super) fn shown_verified(
    verified: Verified,
    by: &Principal,
) -> Result<VerifyConnectionResponse, Status> {
    // Destructured, here and below, so that a field that is added cannot be forgotten.
    let Verified { connection, revision, scopes, limits, problem } = verified;
    let nothing = Revision { asked: String::new(), served: None, state: None, retires: None };
    let Revision { asked, served, state, retires } = revision.unwrap_or(nothing);
    let state = match state {
        Some(RevisionState::Stable) => v1::RevisionState::Stable,
        Some(RevisionState::Deprecated) => v1::RevisionState::Deprecated,
        Some(RevisionState::Retired) => v1::RevisionState::Retired,
        None => v1::RevisionState::Unspecified,
    };
    Ok(VerifyConnectionResponse {
        connection: Some(shown(connection, by)?),
        revision: served.unwrap_or_default(),
        problem: problem.unwrap_or_default(),
        scopes: scopes.into_iter().map(shown_scope).collect(),
        requested_revision: asked,
        revision_state: state.into(),
        revision_retires_at: retires.map(timestamp),
        limits: limits.into_iter().map(shown_limit).collect(),
    })
}

fn shown_scope(check: ScopeCheck) -> v1::ScopeCheck {
    let ScopeCheck { scope, state, detail } = check;
    let state = match state {
        ScopeState::Granted => v1::ScopeState::Granted,
        ScopeState::Missing => v1::ScopeState::Missing,
        ScopeState::Unknown => v1::ScopeState::Unknown,
    };
    v1::ScopeCheck {
        scope: scope.name().to_owned(),
        state: state.into(),
        required: scope.is_required(),
        needed_for: scope.needed_for().to_owned(),
        detail,
    }
}

fn shown_limit(left: LimitLeft) -> v1::LimitLeft {
    let LimitLeft { endpoint, window, limit, remaining, source, closed_until } = left;
    let window = match window {
        RateWindow::Burst => v1::LimitWindow::Burst,
        RateWindow::Steady => v1::LimitWindow::Steady,
    };
    let source = match source {
        LimitSource::Klaviyo => v1::LimitSource::Klaviyo,
        LimitSource::Segue => v1::LimitSource::Segue,
    };
    v1::LimitLeft {
        endpoint: endpoint.name().to_owned(),
        window: window.into(),
        limit,
        remaining,
        source: source.into(),
        closed_until: closed_until.map(timestamp),
    }
}
