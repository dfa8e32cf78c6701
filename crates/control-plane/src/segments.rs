//! What lies in the folder of a source, for whoever picks segments.

use segue_model::{
    SourceId,
    look::{Asked, Description, Found, Listing},
};
use segue_store::StoreError;

use crate::{
    ControlPlane, Error, Refusal, Violation,
    exports::{MAX_SEGMENTS, check_segment},
};

impl ControlPlane {
    /// What is in a folder below that of a source; empty: in that folder itself. `source`: none is the workers'
    /// source folder.
    ///
    /// # Errors
    /// As [`ControlPlane::look`], and [`Refusal::Invalid`] if a worker cannot list it, in its words.
    pub async fn list_segments(
        &self,
        source: Option<SourceId>,
        folder: &str,
    ) -> Result<Listing, Error> {
        if !folder.is_empty() {
            check_segment(folder).map_err(|words| Refusal::invalid("folder", words))?;
        }
        let within = self.folder_of(source).await?;
        let asked = Asked::List { within, path: folder.to_owned() };
        match self.look(&asked).await? {
            Ok(Found::Listed(listing)) => Ok(listing),
            Ok(_) => Err(another_question()),
            Err(words) => Err(Refusal::invalid("folder", words).into()),
        }
    }

    /// The columns of the segment that files and globs below the folder of a source make.
    ///
    /// # Errors
    /// As [`ControlPlane::look`], and [`Refusal::Invalid`] if a worker cannot read it, in its words.
    pub async fn describe_segment(
        &self,
        source: Option<SourceId>,
        segments: Vec<String>,
    ) -> Result<Description, Error> {
        check(&segments)?;
        let within = self.folder_of(source).await?;
        let asked = Asked::Describe { within, sources: segments };
        match self.look(&asked).await? {
            Ok(Found::Described(description)) => Ok(description),
            Ok(_) => Err(another_question()),
            Err(words) => Err(Refusal::invalid("segments", words).into()),
        }
    }

    async fn folder_of(&self, source: Option<SourceId>) -> Result<String, Error> {
        match source {
            Some(id) => Ok(self.source(id).await?.folder),
            None => Ok(String::new()),
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
