//! Puts the layers together.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use crate::config::{
    Config, ConfigError, Key, Origin, Role,
    keys::{SPECS, Spec},
    values,
};

const FILE_VARIABLE: &str = "SEGUE_CONFIG";
/// Variables that are no configuration of a service: of the command line, of tests, of scripts.
const OTHERS: [&str; 5] =
    [FILE_VARIABLE, "SEGUE_BIN", "SEGUE_REQUIRE_OPENAPI", "SEGUE_TOKEN", "SEGUE_UP_FOLDER"];
/// Tests may have variables of their own.
const TESTS: &str = "SEGUE_TEST_";
/// Variables with API keys, which connections refer to.
pub(crate) const KEY_VARIABLES: &str = "SEGUE_KLAVIYO_KEY_";
/// By these Kubernetes and Docker tell about services whose names begin with `segue`.
const LINK_ENDS: [&str; 2] = ["_SERVICE_", "_PORT"];

/// What is in force of what the role takes, each with where it stands.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) role: &'static str,
    pub(crate) keys: &'static [Key],
    pub(crate) values: BTreeMap<Key, Value>,
}

pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({})", self.origin)
    }
}

/// The `SEGUE_*` variables, all of which are known.
pub(crate) fn variables<T: Into<OsString>>(
    environment: impl IntoIterator<Item = (T, T)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut found = BTreeMap::new();
    for (name, value) in environment {
        let Ok(name) = name.into().into_string() else { continue };
        if name.starts_with("SEGUE_") {
            let value = value
                .into()
                .into_string()
                .map_err(|_| ConfigError::NotText { name: name.clone() })?;
            found.insert(name, value);
        }
    }
    let links: Vec<String> = found
        .keys()
        .filter_map(|name| name.strip_suffix("_SERVICE_HOST"))
        .map(str::to_owned)
        .collect();
    let is_link = |name: &str| {
        let end = |link: &String| name.strip_prefix(link.as_str());
        links.iter().filter_map(end).any(|end| LINK_ENDS.iter().any(|it| end.starts_with(it)))
    };
    let known = |name: &str| SPECS.iter().any(|spec| spec.key.variable() == name);
    for name in found.keys() {
        let other = OTHERS.contains(&name.as_str())
            || name.starts_with(TESTS)
            || name.starts_with(KEY_VARIABLES);
        if !known(name) && !other && !is_link(name) {
            return Err(ConfigError::UnknownVariable {
                nearest: nearest(name.trim_start_matches("SEGUE_")).key.variable(),
                name: name.clone(),
            });
        }
    }
    // `NAME=` is how scripts and compose files say that something is not set.
    found.retain(|_, value| !value.is_empty());
    Ok(found)
}

pub(crate) fn load<R: Role>(
    flags: &BTreeMap<Key, String>,
    file: Option<PathBuf>,
    variables: &BTreeMap<String, String>,
    only_print: bool,
) -> Result<Config, ConfigError> {
    let file = file.or_else(|| variables.get(FILE_VARIABLE).map(PathBuf::from));
    let in_file = file.as_deref().map(read).transpose()?.unwrap_or_default();
    let value = |key: Key| {
        let spec = key.spec();
        let flag = || flags.get(&key).map(|text| (text.clone(), Origin::Flag(key.flag())));
        let variable = || {
            let name = key.variable();
            variables.get(&name).map(|text| (text.clone(), Origin::Variable(name)))
        };
        let in_file = || {
            let (text, line) = in_file.get(&key)?;
            let path = file.clone()?;
            Some((text.clone(), Origin::File { path, line: *line }))
        };
        let default = || spec.default.map(|text| (text.to_owned(), Origin::Default));
        let found = if R::KEYS.contains(&key) {
            flag().or_else(variable).or_else(in_file).or_else(default)
        } else {
            default()
        };
        found.map(|(text, origin)| (key, Value { text, origin }))
    };
    let settled = SPECS.iter().filter_map(|spec| value(spec.key)).collect();
    let config = values::config(Settled { role: R::NAME, keys: R::KEYS, values: settled })?;
    let missing = R::REQUIRED.iter().find(|key| !config.settled.values.contains_key(key));
    match missing {
        Some(key) if !only_print => Err(ConfigError::Missing { key: *key }),
        _ => Ok(config),
    }
}

/// What the file holds, and in which lines.
fn read(path: &Path) -> Result<BTreeMap<Key, (String, usize)>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let table = DeTable::parse(&text).map_err(|err| ConfigError::Syntax {
        path: path.to_owned(),
        line: line(err.span().map_or(0, |span| span.start)),
        // Not the whole error: it shows the line, which may hold a password.
        words: err.message().to_owned(),
    })?;
    let mut found = BTreeMap::new();
    for (name, value) in table.get_ref() {
        let line = line(name.span().start);
        let Some(spec) = SPECS.iter().find(|spec| spec.key.name() == name.get_ref().as_ref())
        else {
            return Err(ConfigError::UnknownKey {
                name: name.get_ref().to_string(),
                path: path.to_owned(),
                line,
                nearest: nearest(name.get_ref()).key.name(),
            });
        };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.as_str().to_owned(),
            other => {
                return Err(ConfigError::Value {
                    key: spec.key,
                    origin: Origin::File { path: path.to_owned(), line },
                    words: format!("write it in quotes, as text; this is a {}", other.type_str()),
                });
            }
        };
        found.insert(spec.key, (text, line));
    }
    Ok(found)
}

/// The key that was probably meant.
fn nearest(name: &str) -> &'static Spec {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SPECS
        .iter()
        .min_by_key(|spec| strsim::damerau_levenshtein(&name, spec.key.name()))
        .unwrap_or(&SPECS[0])
}
