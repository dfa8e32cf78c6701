use std::fmt;

use crate::{Attribute, identity_of};

/// Why no mapping can be made for a header. Every text says what to do about it.
///
/// Column names are not personal data, but the first row of a file without a header is: then no
/// column is named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    #[error("no column holds the email address; name one with --email; the columns are: {0}")]
    NoEmail(Names),
    #[error("the first row holds an email address, so the file seems to have no header")]
    NoHeader,
    #[error("there is no column {column:?}; the columns are: {columns}")]
    UnknownColumn { column: String, columns: Names },
    #[error("two columns are named {column:?}; rename one of them")]
    DuplicateColumn { column: String },
    #[error(
        "both {first:?} and {second:?} would become {target}; choose one with \
         --map {target}=<column>, and give the other a name of its own if it is to be sent"
    )]
    TwoColumns { target: String, first: String, second: String },
}

impl MappingError {
    /// Refuses a first row that is somebody's data. To be asked before any other error, for those
    /// name columns.
    pub(crate) fn check_header(columns: &[String]) -> Result<(), Self> {
        if columns.iter().any(|name| identity_of(name).is_ok()) {
            return Err(Self::NoHeader);
        }
        Ok(())
    }
}

/// Text that is not a rule `attribute=column`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    #[error("a mapping is written attribute=column, for example location.city=town")]
    Form,
    #[error("unknown attribute {name:?}; the attributes are: {}, properties.<name>", AllAttributes)]
    UnknownAttribute { name: String },
    #[error("the property has no name; write properties.<name>=<column>")]
    PropertyUnnamed,
    #[error("Klaviyo keeps property names that begin with $ for itself; rename {name:?}")]
    PropertyReserved { name: String },
    #[error("only custom properties have a choice of type, {attribute} does not")]
    TypeOfAttribute { attribute: Attribute },
}

struct AllAttributes;

impl fmt::Display for AllAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, attribute) in Attribute::ALL.iter().enumerate() {
            write!(f, "{}{attribute}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Names of columns, of which an error prints the first [`Names::SHOWN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// More would hide the message they belong to.
    pub const SHOWN: usize = 50;
    /// Of each name, so many characters.
    pub const CHARS: usize = 100;

    pub(crate) fn new(names: &[String]) -> Self {
        Self(names.to_vec())
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().take(Self::SHOWN).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match name.char_indices().nth(Self::CHARS) {
                Some((end, _)) => write!(f, "{comma}{}…", &name[..end])?,
                None => write!(f, "{comma}{name}")?,
            }
        }
        match self.0.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
