//! What a caller hears when something is wrong: a code, words, and details that name the field or the thing.

use std::{error::Error, time::Duration};

use segue_model::RunId;
use segue_store::{StoreError, read::Removed};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt as _};

/// How long to wait before asking again what could not be answered.
const SOON: Duration = Duration::from_secs(1);

/// A field of the request is not as it must be.
pub(crate) fn invalid(field: &str, words: impl Into<String>) -> Status {
    let words = words.into();
    let message = format!("{field}: {words}");
    let details = ErrorDetails::with_bad_request_violation(field, words);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

pub(crate) fn no_run(run: RunId) -> Status {
    let words = "there is no such run";
    let details = ErrorDetails::with_resource_info("segue.v1.Run", run.to_string(), "", words);
    Status::with_error_details(Code::NotFound, format!("{run}: {words}"), details)
}

/// What is asked for is not kept any more. Not `NOT_FOUND`, which says that there is no such run.
pub(crate) fn removed(run: RunId, removed: Removed) -> Status {
    let days = removed.after.as_secs() / 86_400;
    let words = format!(
        "the rows that reports of {run} told of, {} of them, are counted still, but were removed {days} days \
         after the run had ended",
        removed.rows
    );
    let violation = PreconditionViolation::new("REPORTS_REMOVED", run.to_string(), words.as_str());
    let details = ErrorDetails::with_precondition_failure(vec![violation]);
    Status::with_error_details(Code::FailedPrecondition, words, details)
}

/// The store did not answer, or holds what cannot be. What exactly is for the log.
pub(crate) fn store(err: &StoreError) -> Status {
    tracing::error!(error = %chain(err), "the store cannot be read");
    match err {
        StoreError::Inconsistent { .. } | StoreError::Arguments { .. } => Status::internal(
            "the store holds something that this version of segue does not understand: see the log \
             of the status service",
        ),
        _ => unavailable("the store cannot be read at the moment: try again"),
    }
}

pub(crate) fn unavailable(words: &str) -> Status {
    let details = ErrorDetails::with_retry_info(Some(SOON));
    Status::with_error_details(Code::Unavailable, words, details)
}

pub(crate) fn stopping() -> Status {
    unavailable("this status service is stopping: ask again, another will answer")
}

/// Too much of something is under way.
pub(crate) fn exhausted(subject: &str, words: &str) -> Status {
    let mut details = ErrorDetails::with_quota_failure_violation(subject, words);
    details.set_retry_info(Some(SOON));
    Status::with_error_details(Code::ResourceExhausted, words, details)
}

/// An error with all its causes.
pub(crate) fn chain(err: &(dyn Error + 'static)) -> String {
    let mut words = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        words = format!("{words}: {err}");
        cause = err.source();
    }
    words
}
