use std::{fmt, path::PathBuf};

use url::Url;

use crate::config::Key;

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag(&'static str),
    Variable(String),
    File { path: PathBuf, line: usize },
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Why a service has no configuration. No message repeats a value that may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("unknown key `{name}` in {}, line {line}: did you mean `{nearest}`?", path.display())]
    UnknownKey { name: String, path: PathBuf, line: usize, nearest: &'static str },
    #[error("unknown variable {name} in the environment: did you mean {nearest}?")]
    UnknownVariable { name: String, nearest: String },
    #[error("variable {name} is not UTF-8")]
    NotText { name: String },
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}, line {line} is not TOML: {words}", path.display())]
    Syntax { path: PathBuf, line: usize, words: String },
    #[error("{} ({origin}): {words}", key.name())]
    Value { key: Key, origin: Origin, words: String },
    #[error(
        "{} is not set: pass --{}, set {}, or write it into the file that --config names",
        key.name(), key.flag(), key.variable()
    )]
    Missing { key: Key },
    #[error(
        "{} is {url}: the tokens of people would travel to another machine in the clear; use https, or set {} \
         ({}=true) if nobody else sees that network",
        key.name(), Key::InsecureHttp.name(), Key::InsecureHttp.variable()
    )]
    Plaintext { key: Key, url: Box<Url> },
    #[error("{} is set, but {} is not: a certificate and its key belong together", is.name(), is_not.name())]
    Half { is: Key, is_not: Key },
}
