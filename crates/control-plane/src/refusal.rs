use std::{fmt, time::Duration};

/// What people and programs name in requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    Connection,
    Export,
    Run,
    DeadJob,
    Token,
    /// A list of Klaviyo's.
    List,
    Source,
}

impl Thing {
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Export => "export",
            Self::Run => "run",
            Self::DeadJob => "dead job",
            Self::Token => "token",
            Self::List => "list",
            Self::Source => "source",
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with one field of a request. No value of a key is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path in the request, as `connection.display_name`.
    pub field: String,
    pub words: String,
}

impl Violation {
    pub fn new(field: impl Into<String>, words: impl Into<String>) -> Self {
        Self { field: field.into(), words: words.into() }
    }
}

/// What stands in the way of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// A code for programs, in capitals.
    pub code: &'static str,
    /// The id of what stands in the way.
    pub subject: String,
    pub words: String,
}

/// Why something that somebody asked for is not done. A variant for each thing that the asker can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Ask for something else.
    #[error("{}", listed(.0.iter().map(|it| format!("{}: {}", it.field, it.words))))]
    Invalid(Vec<Violation>),
    #[error("there is no {thing} {id}")]
    NoSuch { thing: Thing, id: String },
    /// Take another request id, or repeat what was asked for.
    #[error(
        "the request id {request_id:?} was used for another request, which made {made}: take a new id"
    )]
    RequestUsed { request_id: String, thing: Thing, made: String },
    /// Do something about what stands in the way.
    #[error("{}", listed(.0.iter().map(|it| it.words.clone())))]
    Blocked(Vec<Obstacle>),
    /// Ask somebody who may.
    #[error("{0}")]
    Denied(String),
    /// Ask again later.
    #[error("{words}")]
    Unreachable { words: String, after: Duration },
}

impl Refusal {
    pub(crate) fn invalid(field: impl Into<String>, words: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation::new(field, words)])
    }

    pub(crate) fn no_such(thing: Thing, id: impl fmt::Display) -> Self {
        Self::NoSuch { thing, id: id.to_string() }
    }

    pub(crate) fn blocked(
        code: &'static str,
        subject: impl fmt::Display,
        words: impl Into<String>,
    ) -> Self {
        Self::Blocked(vec![Obstacle { code, subject: subject.to_string(), words: words.into() }])
    }
}

fn listed(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join("; ")
}
