use std::error::Error;

use segue_model::work::Verdict;
use segue_staging::StagingError;

/// The control-plane did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// What the worker had in hand is not lost: its claim runs out and the job is released.
    #[error("the control-plane did not do what it was asked")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// It answers no call of this worker, and will not later.
    #[error("the control-plane refuses this worker")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

impl PortError {
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(source.into())
    }
}

/// What a job cannot go on without.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Staging(#[from] StagingError),
}

/// Why a job is over before its end.
pub(crate) enum End {
    Failure(Failure),
    Verdict(Verdict),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<PortError> for End {
    fn from(err: PortError) -> Self {
        Self::Failure(err.into())
    }
}

impl End {
    /// What becomes of the claim.
    pub(crate) fn verdict(self) -> Result<Verdict, Failure> {
        match self {
            Self::Failure(failure) => Err(failure),
            Self::Verdict(verdict) => Ok(verdict),
        }
    }
}

/// An error with all its causes, for people.
pub(crate) fn words(err: &dyn Error) -> String {
    let mut words = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        let text = err.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = err.source();
    }
    words
}
