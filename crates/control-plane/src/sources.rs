//! What lies in the workers' source folder, for whoever picks segments.

use segue_model::look::{Asked, Description, Found, Listing};
use segue_store::StoreError;

use crate::{
    ControlPlane, Error, Refusal, Violation,
    exports::{MAX_SEGMENTS, check_segment},
};

impl ControlPlane {
    /// What is in a folder below the source folder; empty: in the source folder itself.
    ///
    /// # Errors
    /// As [`ControlPlane::look`], and [`Refusal::Invalid`] if a worker cannot list it, in its words.
    pub async fn list_segments(&self, folder: &str) -> Result<Listing, Error> {
        if !folder.is_empty() {
            check_segment(folder).map_err(|words| Refusal::invalid("folder", words))?;
        }
        let asked = Asked::List { within: String::new(), path: folder.to_owned() };
        match self.look(&asked).await? {
            Ok(Found::Listed(listing)) => Ok(listing),
            Ok(_) => Err(another_question()),
            Err(words) => Err(Refusal::invalid("folder", words).into()),
        }
    }

    /// The columns of the segment that files and globs below the source folder make.
    ///
    /// # Errors
    /// As [`ControlPlane::look`], and [`Refusal::Invalid`] if a worker cannot read it, in its words.
    pub async fn describe_segment(&self, segments: Vec<String>) -> Result<Description, Error> {
        check(&segments)?;
        let asked = Asked::Describe { within: String::new(), sources: segments };
        match self.look(&asked).await? {
            Ok(Found::Described(description)) => Ok(description),
            Ok(_) => Err(another_question()),
            Err(words) => Err(Refusal::invalid("segments", words).into()),
        }
    }
}

fn check(segments: &[String]) -> Result<(), Refusal> {
    let mut violations = Vec::new();
    match segments.len() {
        0 => violations.push(Violation::new("segments", "at least one is needed")),
        1..=MAX_SEGMENTS => {}
        n => {
            violations
                .push(Violation::new("segments", format!("{n} are more than {MAX_SEGMENTS}")));
        }
    }
    for (i, segment) in segments.iter().enumerate() {
        if let Err(words) = check_segment(segment) {
            violations.push(Violation::new(format!("segments[{i}]"), words));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(Refusal::Invalid(violations)) }
}

pub(crate) fn another_question() -> Error {
    StoreError::Inconsistent { what: "the answer of a look is for another question".to_owned() }
        .into()
}
