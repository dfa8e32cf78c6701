use std::{fmt, str::FromStr};

use segue_model::{Field, WarningReason};
use serde::{Deserialize, Serialize};

use crate::{Country, Target};

/// The type of a custom property. Klaviyo compares text with text and numbers with numbers, so one
/// property has one type for all people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PropertyType {
    Text,
    /// Within ±2^53, beyond which a reader of JSON may round.
    Number,
    Boolean,
    /// ISO 8601 date or date-time, sent as the text it is.
    Date,
    /// A JSON array, sent verbatim.
    List,
}

impl PropertyType {
    pub const ALL: &'static [Self] =
        &[Self::Text, Self::Number, Self::Boolean, Self::Date, Self::List];

    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::List => "list",
        }
    }
}

impl fmt::Display for PropertyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that names no type of property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown type; the types are text, number, boolean, date and list")]
pub struct UnknownType;

impl FromStr for PropertyType {
    type Err = UnknownType;
    fn from_str(name: &str) -> Result<Self, UnknownType> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or(UnknownType)
    }
}

/// One line of a [`Mapping`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub(crate) attribute: Target,
    pub(crate) column: String,
    /// Of a custom property; a standard attribute has its own rules.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<PropertyType>,
    /// Whether a text cell is read as a value of the type: so it is in CSV, where every cell is
    /// text, and where the user chose the type. In NDJSON the text `"12"` is not the number 12.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) from_text: bool,
}

impl Entry {
    pub fn target(&self) -> &Target {
        &self.attribute
    }

    pub fn column(&self) -> &str {
        &self.column
    }

    /// The type in words, for people.
    pub fn kind(&self) -> &'static str {
        match (&self.attribute, self.kind) {
            (Target::Attribute(attribute), _) => attribute.kind(),
            (Target::Property(_), kind) => kind.unwrap_or(PropertyType::Text).name(),
        }
    }
}

/// What each column becomes. A run freezes it in its plan, so that every file of a segment, and
/// every later attempt, is read by the same rules. Columns are named, not numbered: two files may
/// order them differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    pub(crate) entries: Vec<Entry>,
    /// Columns that were seen and are not sent.
    #[serde(default)]
    pub(crate) unsent: Vec<String>,
    #[serde(default)]
    pub(crate) default_country: Option<Country>,
    #[serde(default)]
    pub(crate) warnings: Vec<Warning>,
}

impl Mapping {
    /// Standard attributes in Klaviyo's order, then the properties in the order of their columns.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Columns that were seen and are not sent, by choice or because their name is reserved.
    pub fn unsent(&self) -> &[String] {
        &self.unsent
    }

    /// What the user should know of the columns themselves; once per column, not per row.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Notes columns that were not there when the mapping was made: they are not sent.
    pub fn leave_out(&mut self, columns: &[String]) {
        for column in columns {
            let is_known = self.entries.iter().any(|entry| entry.column == *column)
                || self.unsent.contains(column);
            if !is_known {
                self.unsent.push(column.clone());
            }
        }
    }

    /// The mapping as a table for people: attribute, column, type.
    pub fn describe(&self) -> impl Iterator<Item = [String; 3]> + '_ {
        self.entries.iter().map(|entry| {
            [entry.attribute.to_string(), entry.column.clone(), entry.kind().to_owned()]
        })
    }
}

/// A field that was left out although the person was sent, or a column that is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub field: Field,
    pub reason: WarningReason,
    /// Words for people. It does not quote the cell.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::Mapping;

    #[test]
    fn only_columns_that_it_has_never_seen_are_noted_as_left_out() {
        let json = r#"{"entries":[{"attribute":"email","column":"mail"}],"unsent":["$note"]}"#;
        let mut mapping: Mapping = serde_json::from_str(json).unwrap();
        let columns = ["mail", "$note", "town", "tier"].map(str::to_owned);
        mapping.leave_out(&columns);
        mapping.leave_out(&columns);
        assert_eq!(mapping.unsent(), ["$note", "town", "tier"]);
        assert_eq!(mapping.entries().len(), 1);
    }
}
