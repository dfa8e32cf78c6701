//! Errors as gRPC has them: a code, words, and details of `google.rpc`.

use std::error::Error as _;

use segue_store::StoreError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt as _};

use crate::{Error, Refusal, Thing, Violation};

/// What a thing is called in the contract.
fn resource_type(thing: Thing) -> &'static str {
    match thing {
        Thing::Connection => "segue.v1.Connection",
        Thing::Export => "segue.v1.Export",
        Thing::Run => "segue.v1.Run",
        Thing::DeadJob => "segue.v1.DeadJob",
        Thing::Token => "segue.v1.Token",
        Thing::List => "segue.v1.List",
        Thing::Source => "segue.v1.Source",
    }
}

pub(super) fn invalid(violations: Vec<Violation>) -> Status {
    status(Error::Refused(Refusal::Invalid(violations)))
}

/// The one place where errors become codes. What only an operator can mend is logged, and whoever asked is
/// told no more than that.
pub(super) fn status(err: Error) -> Status {
    match err {
        Error::Refused(refusal) => refused(refusal),
        Error::NoRun(run) => refused(Refusal::no_such(Thing::Run, run)),
        Error::NoVault | Error::Seal(_) | Error::Elsewhere { .. } => {
            tracing::error!("{}", chain(&err));
            Status::failed_precondition(chain(&err))
        }
        Error::Store(ref store) if passes(store) => {
            tracing::error!("{}", chain(&err));
            let words = "the control-plane does not reach its database; ask again later";
            Status::unavailable(words)
        }
        Error::Store(_)
        | Error::Queue(_)
        | Error::NoKey { .. }
        | Error::NoRandomness
        | Error::NotDue
        | Error::Accounting { .. } => {
            tracing::error!("{}", chain(&err));
            Status::internal("the control-plane failed; its log says why")
        }
    }
}

fn passes(err: &StoreError) -> bool {
    matches!(err, StoreError::Connect { .. } | StoreError::NoAnswer { .. } | StoreError::Lost)
        || err.is_conflict()
}

fn chain(err: &Error) -> String {
    let mut words = err.to_string();
    let mut source = err.source();
    while let Some(err) = source {
        words.push_str(": ");
        words.push_str(&err.to_string());
        source = err.source();
    }
    words
}

fn refused(refusal: Refusal) -> Status {
    let words = refusal.to_string();
    let mut details = ErrorDetails::new();
    let code = match refusal {
        Refusal::Invalid(violations) => {
            let violations = violations.into_iter();
            let violations: Vec<_> =
                violations.map(|it| FieldViolation::new(it.field, it.words)).collect();
            details.set_bad_request(violations);
            Code::InvalidArgument
        }
        Refusal::NoSuch { thing, id } => {
            details.set_resource_info(resource_type(thing), id, "", words.as_str());
            Code::NotFound
        }
        Refusal::RequestUsed { request_id, thing, made } => {
            details.set_resource_info(resource_type(thing), made, "", words.as_str());
            details.set_request_info(request_id, "");
            Code::AlreadyExists
        }
        Refusal::Blocked(obstacles) => {
            let obstacles = obstacles.into_iter();
            let violations: Vec<_> = obstacles
                .map(|it| PreconditionViolation::new(it.code, it.subject, it.words))
                .collect();
            details.set_precondition_failure(violations);
            Code::FailedPrecondition
        }
        Refusal::Denied(_) => Code::PermissionDenied,
        Refusal::Unreachable { after, .. } => {
            details.set_retry_info(Some(after));
            Code::Unavailable
        }
    };
    Status::with_error_details(code, words, details)
}
