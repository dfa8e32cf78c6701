//! One cell becomes one JSON value, or is left out.

use segue_model::{Cell, WarningReason};
use serde_json::Value;

use crate::{
    Attribute, Country, MAX_EXTERNAL_ID_CHARS, PropertyType, json, phone, phone::InvalidPhone,
    place, scalar, text,
};

/// What a cell must be to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Text as it stands.
    Text,
    /// Text without the white space around it.
    Trimmed,
    ExternalId,
    Phone(Option<Country>),
    Locale,
    Latitude,
    Longitude,
    Timezone,
    Ip,
    Property {
        kind: PropertyType,
        from_text: bool,
    },
}

/// What became of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    Empty,
    Left(Misfit),
    /// The row cannot go: see [`MAX_EXTERNAL_ID_CHARS`].
    Reject(ExternalIdTooLong),
}

/// Why a cell is left out. The words do not quote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misfit {
    #[error(transparent)]
    Phone(#[from] InvalidPhone),
    #[error("the cell is not a language tag")]
    Locale,
    #[error("the cell is not the name of a time zone")]
    Timezone,
    #[error("the cell is not a number from -90 to 90")]
    Latitude,
    #[error("the cell is not a number from -180 to 180")]
    Longitude,
    #[error("the cell is not an IP address")]
    Ip,
    #[error("the cell is a list, not one value")]
    List,
    #[error("the column is of type {0}, the cell is not")]
    Type(PropertyType),
}

impl Misfit {
    pub(crate) fn reason(self) -> WarningReason {
        match self {
            Self::Phone(fault) => fault.reason(),
            Self::Locale => WarningReason::LocaleInvalid,
            Self::Timezone => WarningReason::TimezoneInvalid,
            Self::Latitude => WarningReason::LatitudeInvalid,
            Self::Longitude => WarningReason::LongitudeInvalid,
            Self::Ip => WarningReason::IpInvalid,
            Self::List | Self::Type(_) => WarningReason::TypeMismatch,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id has {chars} characters, up to {MAX_EXTERNAL_ID_CHARS} are allowed")]
pub(crate) struct ExternalIdTooLong {
    chars: usize,
}

impl Rule {
    /// The rule of an attribute other than `email`, which has a place of its own.
    pub(crate) fn of(attribute: Attribute, country: Option<Country>) -> Self {
        match attribute {
            Attribute::PhoneNumber => Self::Phone(country),
            Attribute::ExternalId => Self::ExternalId,
            Attribute::Locale => Self::Locale,
            Attribute::Latitude => Self::Latitude,
            Attribute::Longitude => Self::Longitude,
            Attribute::Timezone => Self::Timezone,
            Attribute::Ip => Self::Ip,
            Attribute::Email | Attribute::Country | Attribute::Zip => Self::Trimmed,
            Attribute::FirstName
            | Attribute::LastName
            | Attribute::Organization
            | Attribute::Title
            | Attribute::Image
            | Attribute::Address1
            | Attribute::Address2
            | Attribute::City
            | Attribute::Region => Self::Text,
        }
    }

    /// Whether every text that is not empty is sent as it stands.
    #[inline]
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Property { kind: PropertyType::Text, .. })
    }

    /// Appends the cell as a JSON value. Unless it is `Sent`, what is in `out` beyond its former
    /// length means nothing.
    pub(crate) fn append(self, cell: Cell<'_>, out: &mut Vec<u8>) -> Outcome {
        if let Self::Property { kind, from_text } = self {
            return append_property(kind, from_text, cell, out);
        }
        let text = match cell {
            Cell::Empty => return Outcome::Empty,
            Cell::Text(text) | Cell::Number(text) => text,
            Cell::Bool(value) => bool_text(value),
            Cell::Json(_) => return Outcome::Left(Misfit::List),
        };
        let text = if self == Self::Text { text } else { text::trim(text) };
        if text.is_empty() { Outcome::Empty } else { self.append_text(text, out) }
    }

    fn append_text(self, text: &str, out: &mut Vec<u8>) -> Outcome {
        let misfit = match self {
            Self::Text | Self::Trimmed | Self::Property { .. } => None,
            Self::ExternalId => match check_external_id(text) {
                Ok(()) => None,
                Err(fault) => return Outcome::Reject(fault),
            },
            Self::Phone(country) => {
                return quoted(out, |out| Ok(phone::append_e164(text, country, out)?));
            }
            Self::Locale => {
                return quoted(out, |out| place::append_locale(text, out).ok_or(Misfit::Locale));
            }
            Self::Timezone => {
                return quoted(out, |out| {
                    let name = place::timezone(text).ok_or(Misfit::Timezone)?;
                    out.extend_from_slice(name.as_bytes());
                    Ok(())
                });
            }
            Self::Latitude if place::is_degrees(text, 90.0) => return verbatim(text, out),
            Self::Latitude => Some(Misfit::Latitude),
            Self::Longitude if place::is_degrees(text, 180.0) => return verbatim(text, out),
            Self::Longitude => Some(Misfit::Longitude),
            Self::Ip if place::is_ip(text) => None,
            Self::Ip => Some(Misfit::Ip),
        };
        match misfit {
            Some(misfit) => Outcome::Left(misfit),
            None => string(text, out),
        }
    }
}

/// Appends a string whose text needs no escape, or says why there is none.
fn quoted(out: &mut Vec<u8>, text: impl FnOnce(&mut Vec<u8>) -> Result<(), Misfit>) -> Outcome {
    out.push(b'"');
    match text(out) {
        Ok(()) => {
            out.push(b'"');
            Outcome::Sent
        }
        Err(misfit) => Outcome::Left(misfit),
    }
}

fn string(text: &str, out: &mut Vec<u8>) -> Outcome {
    json::append_string(text, out);
    Outcome::Sent
}

fn verbatim(json: &str, out: &mut Vec<u8>) -> Outcome {
    out.extend_from_slice(json.as_bytes());
    Outcome::Sent
}

fn check_external_id(id: &str) -> Result<(), ExternalIdTooLong> {
    // Characters are never more than bytes, so most ids need no count.
    if id.len() <= MAX_EXTERNAL_ID_CHARS {
        return Ok(());
    }
    match id.chars().count() {
        chars if chars > MAX_EXTERNAL_ID_CHARS => Err(ExternalIdTooLong { chars }),
        _ => Ok(()),
    }
}

/// A cell that does not have the type of its column is left out, never sent as another type: one
/// property of mixed types breaks the segments that are built on it.
///
/// The one conversion is to text: a number or boolean of JSON is sent as the text it is written as.
fn append_property(
    kind: PropertyType,
    from_text: bool,
    cell: Cell<'_>,
    out: &mut Vec<u8>,
) -> Outcome {
    match (kind, cell) {
        (_, Cell::Empty | Cell::Text("")) => Outcome::Empty,
        (PropertyType::Text, Cell::Text(text) | Cell::Number(text)) => string(text, out),
        (PropertyType::Text, Cell::Bool(value)) => string(bool_text(value), out),
        (PropertyType::Date, Cell::Text(text)) if scalar::is_iso_date(text) => string(text, out),
        (PropertyType::Number, Cell::Text(text)) if from_text && scalar::is_decimal(text) => {
            verbatim(text, out)
        }
        (PropertyType::Number, Cell::Number(text)) if scalar::is_exact_number(text) => {
            verbatim(text, out)
        }
        (PropertyType::Boolean, Cell::Bool(value)) => verbatim(bool_text(value), out),
        (PropertyType::Boolean, Cell::Text(text)) if from_text => match scalar::boolean(text) {
            Some(value) => verbatim(bool_text(value), out),
            None => Outcome::Left(Misfit::Type(kind)),
        },
        (PropertyType::List, Cell::Json(array)) => verbatim(array, out),
        (PropertyType::List, Cell::Text(text)) if from_text && is_array(text) => {
            verbatim(text, out)
        }
        _ => Outcome::Left(Misfit::Type(kind)),
    }
}

/// Whether the text is a JSON array that every reader of JSON can read: not too deep, and without half a
/// surrogate or NUL in its strings. What is only skipped may hold all of these.
fn is_array(text: &str) -> bool {
    text.trim_start().starts_with('[')
        && serde_json::from_str(text).is_ok_and(|value| is_readable(&value, MAX_ARRAY_DEPTH))
}

/// As deep as an array may be in NDJSON.
const MAX_ARRAY_DEPTH: usize = 64;

fn is_readable(value: &Value, depth: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_readable(item, depth - 1)),
        Value::Object(members) => {
            let mut members = members.iter();
            depth > 0
                && members.all(|(name, item)| !name.contains('\0') && is_readable(item, depth - 1))
        }
    }
}

fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

#[cfg(test)]
mod tests {
    use segue_model::{
        Cell::{self, Bool, Empty, Json, Number, Text},
        WarningReason,
    };

    use super::{Outcome, Rule};
    use crate::{Attribute, PropertyType};

    /// The JSON that is sent, or what became of the cell instead.
    fn sent(rule: Rule, cell: Cell<'_>) -> Result<String, Outcome> {
        let mut out = Vec::new();
        match rule.append(cell, &mut out) {
            Outcome::Sent => Ok(String::from_utf8(out).unwrap()),
            other => Err(other),
        }
    }

    fn property(kind: PropertyType, from_text: bool) -> Rule {
        Rule::Property { kind, from_text }
    }

    fn is_mismatch(result: &Result<String, Outcome>) -> bool {
        let Err(Outcome::Left(misfit)) = result else { return false };
        misfit.reason() == WarningReason::TypeMismatch
    }

    #[test]
    fn a_cell_is_sent_as_the_type_of_its_column() {
        use PropertyType::{Boolean, Date, List, Number as Num, Text as Txt};
        for (kind, from_text, cell, json) in [
            (Txt, false, Text(" a "), "\" a \""),
            (Txt, false, Number("1.50"), "\"1.50\""),
            (Txt, false, Bool(true), "\"true\""),
            (Num, true, Text("-12.50"), "-12.50"),
            (Num, false, Number("1e5"), "1e5"),
            (Boolean, true, Text("TRUE"), "true"),
            (Boolean, false, Bool(false), "false"),
            (Date, true, Text("2026-01-01"), "\"2026-01-01\""),
            (List, false, Json("[1,\"a\"]"), "[1,\"a\"]"),
            (List, true, Text("[1, 2]"), "[1, 2]"),
            (List, true, Text("[\"a\",{\"b\":null}]"), "[\"a\",{\"b\":null}]"),
            (List, true, Text(&nested(64)), &nested(64)),
            (List, true, Text(&objects(63)), &objects(63)),
        ] {
            assert_eq!(sent(property(kind, from_text), cell).as_deref(), Ok(json), "{cell:?}");
        }
    }

    fn nested(levels: usize) -> String {
        "[".repeat(levels) + &"]".repeat(levels)
    }

    /// A list of one object that holds an object, and so on.
    fn objects(levels: usize) -> String {
        format!("[{}1{}]", "{\"a\":".repeat(levels), "}".repeat(levels))
    }

    #[test]
    fn a_cell_of_another_type_is_left_out() {
        use PropertyType::{Boolean, Date, List, Number as Num, Text as Txt};
        let (deep, deepest) = (nested(65), nested(100_000));
        for (kind, from_text, cell) in [
            (Txt, true, Json("[]")),
            (Num, true, Text("007")),
            (Num, true, Text(" 1")),
            (Num, true, Bool(true)),
            (Num, false, Text("12")),
            (Num, false, Number("9007199254740993")),
            (Num, false, Number("not json")),
            (Boolean, true, Text("yes")),
            (Boolean, false, Text("true")),
            (Boolean, true, Number("1")),
            (Date, true, Text("soon")),
            (Date, true, Number("2026")),
            (List, false, Text("[1]")),
            (List, true, Text("[1")),
            (List, true, Text("[\"half \\ud83d\"]")),
            (List, true, Text("[{\"\\u0000\":1}]")),
            (List, true, Text("[\"\\u0000\"]")),
            (List, true, Text("[1e999]")),
            (List, true, Text(&deep)),
            (List, true, Text(&deepest)),
            (List, true, Text(&objects(64))),
            (List, true, Text("{}")),
        ] {
            assert!(is_mismatch(&sent(property(kind, from_text), cell)), "{kind} {cell:?}");
        }
    }

    #[test]
    fn empty_cells_are_neither_sent_nor_left_out() {
        for cell in [Empty, Text("")] {
            assert_eq!(sent(property(PropertyType::Number, true), cell), Err(Outcome::Empty));
            assert_eq!(sent(Rule::Text, cell), Err(Outcome::Empty));
        }
        assert_eq!(sent(Rule::Trimmed, Text(" \t")), Err(Outcome::Empty));
        assert_eq!(sent(Rule::Phone(None), Text("  ")), Err(Outcome::Empty));
    }

    #[test]
    fn attributes_are_trimmed_where_white_space_has_no_meaning() {
        for (attribute, text, json) in [
            (Attribute::FirstName, " Ann ", "\" Ann \""),
            (Attribute::Country, " DE ", "\"DE\""),
            (Attribute::Zip, " 01067 ", "\"01067\""),
            (Attribute::ExternalId, " c-1 ", "\"c-1\""),
            (Attribute::PhoneNumber, " +1 202 555 0123 ", "\"+12025550123\""),
            (Attribute::Locale, " de_AT ", "\"de-AT\""),
            (Attribute::Timezone, " Europe/Vienna ", "\"Europe/Vienna\""),
            (Attribute::Latitude, " 48.2 ", "48.2"),
            (Attribute::Longitude, "-180", "-180"),
            (Attribute::Ip, " 192.0.2.1 ", "\"192.0.2.1\""),
        ] {
            let rule = Rule::of(attribute, None);
            assert_eq!(sent(rule, Text(text)).as_deref(), Ok(json), "{attribute}");
        }
    }

    #[test]
    fn a_bad_attribute_is_left_out_with_its_reason() {
        for (attribute, reason) in [
            (Attribute::PhoneNumber, WarningReason::PhoneNotInternational),
            (Attribute::Locale, WarningReason::LocaleInvalid),
            (Attribute::Timezone, WarningReason::TimezoneInvalid),
            (Attribute::Latitude, WarningReason::LatitudeInvalid),
            (Attribute::Longitude, WarningReason::LongitudeInvalid),
            (Attribute::Ip, WarningReason::IpInvalid),
        ] {
            match sent(Rule::of(attribute, None), Text("no such thing")) {
                Err(Outcome::Left(misfit)) => assert_eq!(misfit.reason(), reason),
                other => panic!("{attribute}: {other:?}"),
            }
        }
        assert!(is_mismatch(&sent(Rule::Text, Json("[]"))));
    }

    #[test]
    fn an_external_id_has_up_to_255_characters() {
        let longest = "é".repeat(255);
        assert!(sent(Rule::ExternalId, Text(&longest)).is_ok());
        let result = sent(Rule::ExternalId, Text(&format!("{longest}x")));
        let Err(Outcome::Reject(fault)) = result else { panic!("{result:?}") };
        assert!(fault.to_string().contains("256 characters"), "{fault}");
        assert_eq!(sent(Rule::ExternalId, Number("12")).as_deref(), Ok("\"12\""));
    }
}
