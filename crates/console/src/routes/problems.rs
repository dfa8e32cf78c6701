//! What is wrong with a form, as a service has said it.

use askama::Template;
use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    failure::{Failure, words_of},
    shown::Markup,
};

/// What is wrong, and with which input. An input is named by its `id`; empty: with the whole.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) input: &'static str,
    pub(crate) words: String,
}

impl Problems {
    pub(crate) fn note(&mut self, input: &'static str, words: impl Into<String>) {
        self.0.push(Problem { input, words: words.into() });
    }

    /// Of a refused call: what can be mended in the form. `inputs` says which input a field of the contract is, by
    /// what its path begins with; the first that fits counts.
    ///
    /// # Errors
    /// Nothing in the form could mend it.
    pub(crate) fn of(status: &Status, inputs: &[(&str, &'static str)]) -> Result<Self, Failure> {
        match status.code() {
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::AlreadyExists
            | Code::NotFound
            | Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded => {}
            _ => return Err(status.clone().into()),
        }
        let details = status.get_error_details();
        let bad = details.bad_request().map(|bad| &*bad.field_violations).unwrap_or_default();
        let mut problems = Self::default();
        for violation in bad {
            let input = inputs.iter().find(|(path, _)| violation.field.starts_with(path));
            let words = sentence(&violation.description);
            match input {
                Some((_, input)) => problems.note(input, words),
                None => problems.note("", format!("{}: {words}", violation.field)),
            }
        }
        if problems.0.is_empty() {
            problems.note("", sentence(&words_of(status)));
        }
        Ok(problems)
    }

    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn all(&self) -> &[Problem] {
        &self.0
    }

    /// Of the page that shows the form again.
    pub(crate) fn status(&self) -> StatusCode {
        if self.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
    }

    /// [`Self::with`], for a template.
    pub(crate) fn shown(&self, input: &'static str) -> Wrong {
        Wrong { input, words: self.with(input) }
    }

    /// The attributes of an input with a hint, by which it is said aloud what is wrong with it.
    pub(crate) fn marks(&self, input: &'static str) -> Markup {
        Markup::of_ours(if self.with(input).is_empty() {
            format!(" aria-describedby=\"{input}-hint\"")
        } else {
            format!(" aria-describedby=\"{input}-wrong {input}-hint\" aria-invalid=\"true\"")
        })
    }

    /// What is wrong with one input, empty if nothing is.
    pub(crate) fn with(&self, input: &str) -> String {
        let words = self.0.iter().filter(|problem| problem.input == input);
        words.map(|problem| problem.words.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// What is wrong with an input, below it.
#[derive(Template)]
#[template(path = "wrong.html")]
pub(crate) struct Wrong {
    input: &'static str,
    words: String,
}

/// Services say `is missing` behind the name of a field; here it stands below its input.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let Some(first) = letters.next() else { return String::new() };
    let mut text: String = first.to_uppercase().chain(letters).collect();
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::Problems;

    #[test]
    fn problems_stand_at_the_inputs_that_they_name() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("export.segments[3]", "is empty");
        details.add_bad_request_violation("export.list_id", "is no id");
        details.add_bad_request_violation("update_mask", "is missing");
        let status = Status::with_error_details(Code::InvalidArgument, "no", details);
        let inputs = [("export.segments", "segments"), ("export.list_id", "list")];
        let problems = Problems::of(&status, &inputs).unwrap();
        assert_eq!(problems.with("segments"), "Is empty.");
        assert_eq!(problems.with("list"), "Is no id.");
        assert_eq!(problems.with("name"), "");
        assert_eq!(problems.with(""), "update_mask: Is missing.");
        assert_eq!(problems.all().len(), 3);
    }

    #[test]
    fn refusal_without_fields_concerns_the_whole_and_others_are_pages_of_their_own() {
        let status = Status::failed_precondition("a run is under way");
        let problems = Problems::of(&status, &[]).unwrap();
        assert_eq!(problems.with(""), "A run is under way.");
        assert!(Problems::of(&Status::permission_denied("no"), &[]).is_err());
        assert!(Problems::of(&Status::unauthenticated("no"), &[]).is_err());
    }
}
