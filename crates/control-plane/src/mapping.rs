//! What an export says of the columns of its segments.

use std::collections::BTreeMap;

use segue_profile::{Country, MapOptions, MapRule, Properties as Selected};
use serde::{Deserialize, Serialize};

use crate::{Violation, exports::MAX_NAME_CHARS};

/// What columns become. It is kept as it was given, so that it comes back as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mapping {
    /// The column with the email address; empty: the one that is named so.
    pub email: String,
    /// Klaviyo's attribute, with a type after a colon if need be, to the name of a column.
    pub attributes: BTreeMap<String, String>,
    pub properties: Properties,
    /// ISO 3166 code; empty: none.
    pub default_country: String,
}

/// Which of the columns that nothing else claims become custom properties.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Properties {
    #[default]
    All,
    None,
    Only(Vec<String>),
}

impl Mapping {
    /// The mapping as a reader takes it.
    pub fn options(&self) -> Result<MapOptions, Vec<Violation>> {
        let mut violations = Vec::new();
        let mut note = |field: String, words: String| {
            violations.push(Violation::new(format!("export.mapping.{field}"), words));
        };
        let Self { email, attributes, properties, default_country } = self;
        if let Err(words) = check_column(email) {
            note("email".to_owned(), words);
        }
        let mut map = Vec::new();
        for (attribute, column) in attributes {
            match rule(attribute, column) {
                Ok(rule) => map.push(rule),
                Err(words) => note(format!("attributes[{attribute:?}]"), words),
            }
        }
        let properties = match properties {
            Properties::All => Selected::All,
            Properties::None => Selected::None,
            Properties::Only(columns) => {
                for (i, column) in columns.iter().enumerate() {
                    let words = if column.is_empty() { Err("is empty".to_owned()) } else { Ok(()) };
                    if let Err(words) = words.and_then(|()| check_column(column)) {
                        note(format!("properties.columns[{i}]"), words);
                    }
                }
                Selected::Only(columns.clone())
            }
        };
        let default_country = match default_country.as_str() {
            "" => None,
            code => match code.parse::<Country>() {
                Ok(country) => Some(country),
                Err(err) => {
                    note("default_country".to_owned(), err.to_string());
                    None
                }
            },
        };
        if !violations.is_empty() {
            return Err(violations);
        }
        let email = (!email.is_empty()).then(|| email.clone());
        Ok(MapOptions { email, map, properties, default_country })
    }
}

fn rule(attribute: &str, column: &str) -> Result<MapRule, String> {
    check_column(column)?;
    if column.is_empty() {
        return Err("names no column".to_owned());
    }
    // The first = of a rule ends the attribute.
    if attribute.contains('=') {
        return Err("no attribute has = in its name".to_owned());
    }
    if attribute.chars().count() > MAX_NAME_CHARS {
        return Err(format!("has more than {MAX_NAME_CHARS} characters"));
    }
    format!("{attribute}={column}")
        .parse()
        .map_err(|err: segue_profile::InvalidRule| err.to_string())
}

fn check_column(name: &str) -> Result<(), String> {
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(format!("has more than {MAX_NAME_CHARS} characters"));
    }
    Ok(())
}
