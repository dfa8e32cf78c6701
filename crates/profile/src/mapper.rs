use std::ops::Range;

use segue_model::{Cell, Cells, Field, MAX_PROFILE_BYTES, Pii, RejectReason};

use crate::{
    Attribute, FieldCount, FieldStats, Mapping, MappingError, Names, PropertyType, Target, Warning,
    email::{self, InvalidEmail},
    json,
    key::Key,
    value::{Outcome, Rule},
};

/// Klaviyo publishes no limit; other exporters found that it refuses ids beyond 255 characters
/// (segmentio/action-destinations, pull request 3777).
pub const MAX_EXTERNAL_ID_CHARS: usize = 255;

/// More of an unusable identifier would not help to find the row, and a cell may be megabytes.
const MAX_IDENTIFIER_CHARS: usize = 120;

const OPENING: &[u8] = br#"{"type":"profile","attributes":{"email":""#;

/// Turns rows into profiles, one after the other, by one mapping and the columns of one file.
#[derive(Debug, Clone)]
pub struct Mapper {
    email: usize,
    email_cells: u64,
    attributes: Vec<Step>,
    location: Vec<Step>,
    properties: Vec<Step>,
    warnings: Vec<Warning>,
    absent: Vec<String>,
    unknown: Vec<String>,
}

/// What is done with one column, with the key already in JSON.
#[derive(Debug, Clone)]
struct Step {
    column: usize,
    key: Key,
    rule: Rule,
    field: Field,
    non_empty: u64,
    left_out: u64,
}

/// A profile that was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Where in the output the identity stands: what is sent as `email`, ASCII, never escaped. It
    /// begins at the same distance from the start of every profile.
    pub identity: Range<usize>,
    /// Of everything after the identity: two rows with one identity and different hashes hold
    /// different values. Stable across processes; not for security.
    pub payload_hash: u64,
}

/// A row that cannot be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Empty when the row as a whole is the fault.
    pub field: Field,
    pub reason: RejectReason,
    /// Words for people. It does not quote the row.
    pub detail: String,
    /// The address as it stands in the row, or else its external id or phone number, shortened to
    /// 120 characters. Empty if the row has none of them.
    pub identifier: Pii<String>,
}

impl Mapper {
    /// Prepares for a file with these columns, in their order. Only the email column must be there:
    /// see [`Mapper::absent`].
    pub fn new(mapping: &Mapping, columns: &[String]) -> Result<Self, MappingError> {
        MappingError::check_header(columns)?;
        let mut mapper = Self {
            email: usize::MAX,
            email_cells: 0,
            attributes: Vec::new(),
            location: Vec::new(),
            properties: Vec::new(),
            warnings: Vec::new(),
            absent: Vec::new(),
            unknown: Vec::new(),
        };
        for entry in mapping.entries() {
            let Some(column) = columns.iter().position(|name| name == entry.column()) else {
                mapper.absent.push(entry.column().to_owned());
                continue;
            };
            let (steps, rule, key) = match entry.target() {
                Target::Attribute(Attribute::Email) => {
                    mapper.email = column;
                    continue;
                }
                Target::Attribute(attribute) => {
                    let rule = Rule::of(*attribute, mapping.default_country);
                    let steps = if attribute.is_location() {
                        &mut mapper.location
                    } else {
                        &mut mapper.attributes
                    };
                    (steps, rule, attribute.key())
                }
                Target::Property(name) => {
                    let kind = entry.kind.unwrap_or(PropertyType::Text);
                    let rule = Rule::Property { kind, from_text: entry.from_text };
                    (&mut mapper.properties, rule, name.as_str())
                }
            };
            steps.push(Step::new(column, key, rule, entry.target().to_string()));
        }
        if mapper.email == usize::MAX {
            return Err(MappingError::NoEmail(Names::new(columns)));
        }
        let known = |name: &String| {
            mapping.unsent().contains(name)
                || mapping.entries().iter().any(|entry| entry.column() == name)
        };
        mapper.unknown.extend(columns.iter().filter(|name| !known(name)).cloned());
        Ok(mapper)
    }

    /// Columns of the mapping that this file does not have; their cells count as empty.
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// Columns of this file that the mapping has never seen; they are not sent.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Appends the profile's JSON to `out`, or leaves `out` as it was and returns the reject.
    pub fn map(
        &mut self,
        row: &(impl Cells + ?Sized),
        out: &mut Vec<u8>,
    ) -> Result<Profile, Reject> {
        self.warnings.clear();
        let start = out.len();
        self.append(row, start, out).map_err(|fault| {
            out.truncate(start);
            // A warning says that the person goes all the same.
            self.warnings.clear();
            self.reject(row, fault)
        })
    }

    /// What was left out of the row that was mapped last; nothing if it was rejected.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// How each mapped field fared so far.
    pub fn stats(&self) -> FieldStats {
        let email = FieldCount {
            field: Attribute::Email.name().to_owned(),
            non_empty: self.email_cells,
            left_out: 0,
        };
        let steps = self.attributes.iter().chain(&self.location).chain(&self.properties);
        FieldStats::new(std::iter::once(email).chain(steps.map(|step| FieldCount {
            field: step.field.clone(),
            non_empty: step.non_empty,
            left_out: step.left_out,
        })))
    }

    fn append(
        &mut self,
        row: &(impl Cells + ?Sized),
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<Profile, Fault> {
        let identity = self.append_email(row.cell(self.email), out)?;
        for step in &mut self.attributes {
            step.append(false, row.cell(step.column), out, &mut self.warnings)?;
        }
        append_group(b",\"location\":{", &mut self.location, row, out, &mut self.warnings)?;
        append_group(b",\"properties\":{", &mut self.properties, row, out, &mut self.warnings)?;
        out.extend_from_slice(b"}}");
        let bytes = out.len() - start;
        if bytes > MAX_PROFILE_BYTES {
            let detail =
                format!("the profile has {bytes} bytes, Klaviyo allows {MAX_PROFILE_BYTES}");
            return Err(Fault { field: None, reason: RejectReason::ProfileTooLarge, detail });
        }
        let payload_hash = xxhash_rust::xxh3::xxh3_64(&out[identity.end..]);
        Ok(Profile { identity, payload_hash })
    }

    fn append_email(
        &mut self,
        cell: Cell<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Range<usize>, InvalidEmail> {
        let address = match cell {
            Cell::Empty | Cell::Text("") => return Err(InvalidEmail::Empty),
            Cell::Text(text) | Cell::Number(text) | Cell::Json(text) => text,
            // No word without an @ is an address.
            Cell::Bool(_) => return Err(InvalidEmail::NoAt),
        };
        self.email_cells += 1;
        out.extend_from_slice(OPENING);
        let start = out.len();
        email::append_identity(address, out)?;
        let end = out.len();
        out.push(b'"');
        Ok(start..end)
    }

    #[cold]
    fn reject(&self, row: &(impl Cells + ?Sized), fault: Fault) -> Reject {
        let column_of = |wanted: fn(&Rule) -> bool| {
            self.attributes.iter().find(|step| wanted(&step.rule)).map(|step| step.column)
        };
        let identifier = [
            Some(self.email),
            column_of(|rule| matches!(rule, Rule::ExternalId)),
            column_of(|rule| matches!(rule, Rule::Phone(_))),
        ]
        .into_iter()
        .flatten()
        .map(|column| match row.cell(column) {
            Cell::Text(text) | Cell::Number(text) => text.trim(),
            Cell::Empty | Cell::Bool(_) | Cell::Json(_) => "",
        })
        .find(|text| !text.is_empty())
        .unwrap_or_default();
        let Fault { field, reason, detail } = fault;
        Reject {
            field: field.unwrap_or_default(),
            reason,
            detail,
            identifier: Pii::new(identifier.chars().take(MAX_IDENTIFIER_CHARS).collect()),
        }
    }
}

/// Why a row is rejected; without a field, the row as a whole.
struct Fault {
    field: Option<Field>,
    reason: RejectReason,
    detail: String,
}

impl From<InvalidEmail> for Fault {
    fn from(fault: InvalidEmail) -> Self {
        let field = Some(Attribute::Email.name().to_owned());
        Self { field, reason: fault.reason(), detail: fault.to_string() }
    }
}

/// Appends an object of those members that have a value, or nothing if none has.
fn append_group(
    opening: &[u8],
    steps: &mut [Step],
    row: &(impl Cells + ?Sized),
    out: &mut Vec<u8>,
    warnings: &mut Vec<Warning>,
) -> Result<(), Fault> {
    let start = out.len();
    out.extend_from_slice(opening);
    let mut first = true;
    for step in steps {
        first &= !step.append(first, row.cell(step.column), out, warnings)?;
    }
    if first {
        out.truncate(start);
    } else {
        out.push(b'}');
    }
    Ok(())
}

impl Step {
    fn new(column: usize, key: &str, rule: Rule, field: Field) -> Self {
        Self { column, key: Key::new(key), rule, field, non_empty: 0, left_out: 0 }
    }

    /// Appends the member, with a comma before it unless it is the first; false if there is none.
    fn append(
        &mut self,
        first: bool,
        cell: Cell<'_>,
        out: &mut Vec<u8>,
        warnings: &mut Vec<Warning>,
    ) -> Result<bool, Fault> {
        if matches!(cell, Cell::Empty | Cell::Text("")) {
            return Ok(false);
        }
        let start = out.len();
        self.key.append(first, out);
        if let Cell::Text(text) = cell
            && self.rule.is_text()
        {
            json::append_string(text, out);
            self.non_empty += 1;
            return Ok(true);
        }
        match self.rule.append(cell, out) {
            Outcome::Sent => {
                self.non_empty += 1;
                return Ok(true);
            }
            Outcome::Empty => {}
            Outcome::Left(misfit) => {
                self.non_empty += 1;
                self.left_out += 1;
                warnings.push(Warning {
                    field: self.field.clone(),
                    reason: misfit.reason(),
                    detail: misfit.to_string(),
                });
            }
            Outcome::Reject(fault) => {
                self.non_empty += 1;
                return Err(Fault {
                    field: Some(self.field.clone()),
                    reason: RejectReason::ExternalIdTooLong,
                    detail: fault.to_string(),
                });
            }
        }
        out.truncate(start);
        Ok(false)
    }
}
