//! The body of an import: checked in one pass, kept as positions in the bytes that came.

use bytes::Bytes;

use super::identifiers;
use crate::{
    config::Config,
    error::{ApiError, Refusal},
    scan::{Malformed, Quoted, Scanner, Span},
    unknowns::{BadPhoneWithEmail, BadRowPointer},
};

/// Profiles of one job. Source: Klaviyo's OpenAPI file.
const MAX_PROFILES: usize = 10_000;

const PROFILES: &str = "/data/attributes/profiles/data";

/// An import that passed every check which needs no account.
#[derive(Debug)]
pub(crate) struct ImportBody {
    text: Bytes,
    pub(crate) rows: Vec<Row>,
    pub(crate) lists: Vec<String>,
}

/// One profile: where its parts are.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) resource: Span,
    pub(crate) attributes: Span,
    pub(crate) meta: Option<Span>,
    pub(crate) id: Text,
    pub(crate) email: Text,
    pub(crate) phone_number: Text,
    pub(crate) external_id: Text,
}

/// A string of the body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Text {
    /// Not there, or null.
    #[default]
    Absent,
    /// As it stands in the body.
    Plain(Span),
    /// It had escapes in it.
    Decoded(Box<str>),
}

impl ImportBody {
    /// All bad profiles in one refusal, or the first few of them, as `config.unknowns` says.
    pub(crate) fn parse(text: Bytes, config: &Config) -> Result<Self, Refusal> {
        let Parts { rows, lists, kind, bad } = read(&text, config).map_err(|Malformed| {
            ApiError::invalid("/data/", "The payload provided in the request is invalid.")
        })?;
        if !kind {
            return Err(ApiError::invalid("/data/type", "Invalid type.").into());
        }
        let Some(rows) = rows else {
            return Err(ApiError::invalid(PROFILES, "This field is required.").into());
        };
        if rows.is_empty() {
            return Err(ApiError::invalid(PROFILES, "This list may not be empty.").into());
        }
        if rows.len() > MAX_PROFILES {
            let detail = format!("Ensure this field has no more than {MAX_PROFILES} elements.");
            return Err(ApiError::invalid(PROFILES, detail).into());
        }
        if bad.is_empty() { Ok(Self { text, rows, lists }) } else { Err(bad.into()) }
    }

    /// The bytes that are kept.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    #[expect(clippy::expect_used, reason = "`parse` has looked at every byte")]
    pub(crate) fn raw(&self, span: Span) -> &str {
        simdutf8::basic::from_utf8(span.of(&self.text))
            .expect("the whole body was checked, and no span cuts a letter")
    }

    pub(crate) fn text<'a>(&'a self, text: &'a Text) -> Option<&'a str> {
        match text {
            Text::Absent => None,
            Text::Plain(span) => Some(self.raw(*span)),
            Text::Decoded(text) => Some(text),
        }
    }
}

struct Parts {
    /// `None` when `profiles.data` is not there.
    rows: Option<Vec<Row>>,
    lists: Vec<String>,
    /// `data.type` is what it has to be.
    kind: bool,
    bad: Vec<ApiError>,
}

fn read(text: &[u8], config: &Config) -> Result<Parts, Malformed> {
    simdutf8::basic::from_utf8(text).map_err(|_| Malformed)?;
    let mut parts = Parts { rows: None, lists: Vec::new(), kind: false, bad: Vec::new() };
    let mut scanner = Scanner::new(text);
    scanner.object(|data, key| match key {
        b"data" => data.object(|member, key| match key {
            b"type" => {
                parts.kind = member.value()?.of(text) == b"\"profile-bulk-import-job\"";
                Ok(())
            }
            b"attributes" => member.object(|profiles, key| match key {
                b"profiles" => read_profiles(profiles, text, config, &mut parts),
                _ => profiles.value().map(drop),
            }),
            b"relationships" => member.object(|lists, key| match key {
                b"lists" => read_lists(lists, text, &mut parts.lists),
                _ => lists.value().map(drop),
            }),
            _ => member.value().map(drop),
        }),
        _ => data.value().map(drop),
    })?;
    scanner.end()?;
    Ok(parts)
}

fn read_profiles(
    scanner: &mut Scanner<'_>,
    text: &[u8],
    config: &Config,
    parts: &mut Parts,
) -> Result<(), Malformed> {
    scanner.object(|data, key| {
        if key != b"data" {
            return data.value().map(drop);
        }
        // A short profile has about this many bytes: most bodies then grow never or once.
        let mut rows = Vec::with_capacity((text.len() / 256).min(MAX_PROFILES));
        let mut check = RowCheck { config, bad: &mut parts.bad, bad_rows: 0 };
        data.array(|item, index| {
            let (mut row, kinds) = read_row(item, text)?;
            check.row(index, text, &mut row, &kinds);
            rows.push(row);
            Ok(())
        })?;
        parts.rows = Some(rows);
        Ok(())
    })
}

fn read_lists(
    scanner: &mut Scanner<'_>,
    text: &[u8],
    lists: &mut Vec<String>,
) -> Result<(), Malformed> {
    scanner.object(|data, key| {
        if key != b"data" {
            return data.value().map(drop);
        }
        data.array(|item, _| {
            item.object(|member, key| match key {
                b"id" => {
                    member.peek();
                    let id = member.string()?;
                    lists.push(decode(text, id)?);
                    Ok(())
                }
                _ => member.value().map(drop),
            })
        })
    })
}

/// What has the wrong type: the members, by name.
#[derive(Default)]
struct Kinds {
    wrong: Vec<&'static str>,
    is_profile: bool,
}

fn read_row(scanner: &mut Scanner<'_>, text: &[u8]) -> Result<(Row, Kinds), Malformed> {
    let mut row = Row::default();
    let mut kinds = Kinds::default();
    row.resource = scanner.spanned(|scanner| {
        scanner.object(|member, key| {
            match key {
                b"type" => kinds.is_profile = member.value()?.of(text) == b"\"profile\"",
                b"id" => row.id = read_text(member, text, "id", &mut kinds)?,
                b"attributes" => {
                    row.attributes = member.spanned(|attributes| {
                        attributes.object(|member, key| {
                            read_attribute(member, key, text, &mut row, &mut kinds)
                        })
                    })?;
                }
                b"meta" => row.meta = Some(member.value()?),
                _ => drop(member.value()?),
            }
            Ok(())
        })
    })?;
    Ok((row, kinds))
}

/// Attributes that the OpenAPI file does not know are let through: integrations still send some.
fn read_attribute(
    member: &mut Scanner<'_>,
    key: &[u8],
    text: &[u8],
    row: &mut Row,
    kinds: &mut Kinds,
) -> Result<(), Malformed> {
    match key {
        b"email" => row.email = read_text(member, text, "attributes/email", kinds)?,
        b"phone_number" => {
            row.phone_number = read_text(member, text, "attributes/phone_number", kinds)?;
        }
        b"external_id" => {
            row.external_id = read_text(member, text, "attributes/external_id", kinds)?;
        }
        b"first_name" => check_kind(member, b'"', "attributes/first_name", kinds)?,
        b"last_name" => check_kind(member, b'"', "attributes/last_name", kinds)?,
        b"organization" => check_kind(member, b'"', "attributes/organization", kinds)?,
        b"locale" => check_kind(member, b'"', "attributes/locale", kinds)?,
        b"title" => check_kind(member, b'"', "attributes/title", kinds)?,
        b"image" => check_kind(member, b'"', "attributes/image", kinds)?,
        b"location" => check_kind(member, b'{', "attributes/location", kinds)?,
        b"properties" => check_kind(member, b'{', "attributes/properties", kinds)?,
        _ => drop(member.value()?),
    }
    Ok(())
}

/// Null is allowed everywhere.
fn check_kind(
    scanner: &mut Scanner<'_>,
    first: u8,
    name: &'static str,
    kinds: &mut Kinds,
) -> Result<(), Malformed> {
    let found = scanner.peek();
    if found != first && found != b'n' {
        kinds.wrong.push(name);
    }
    scanner.value().map(drop)
}

fn read_text(
    scanner: &mut Scanner<'_>,
    text: &[u8],
    name: &'static str,
    kinds: &mut Kinds,
) -> Result<Text, Malformed> {
    if scanner.peek() != b'"' {
        check_kind(scanner, b'"', name, kinds)?;
        return Ok(Text::Absent);
    }
    let quoted = scanner.string()?;
    if quoted.escaped {
        return Ok(Text::Decoded(decode(text, quoted)?.into()));
    }
    Ok(Text::Plain(quoted.inner))
}

fn decode(text: &[u8], quoted: Quoted) -> Result<String, Malformed> {
    let Span { start, end } = quoted.inner;
    let with_quotes = Span { start: start - 1, end: end + 1 };
    serde_json::from_slice(with_quotes.of(text)).map_err(|_| Malformed)
}

struct RowCheck<'a> {
    config: &'a Config,
    bad: &'a mut Vec<ApiError>,
    bad_rows: usize,
}

impl RowCheck<'_> {
    fn row(&mut self, index: usize, text: &[u8], row: &mut Row, kinds: &Kinds) {
        let before = self.bad.len();
        let at = |part: &str| format!("{PROFILES}/{index}/{part}");
        if !kinds.is_profile {
            self.bad.push(ApiError::invalid(at("type"), "Invalid type."));
        }
        for part in &kinds.wrong {
            self.bad.push(ApiError::invalid(at(part), "Not a valid value."));
        }
        let email = bytes_of(text, &row.email);
        let good_email = email
            .map(|email| identifiers::is_email(email) && !self.refuses(email))
            .inspect(|good| {
                if !good {
                    let error = ApiError::invalid(at("attributes/email"), "Invalid email address");
                    self.bad.push(error);
                }
            });
        if bytes_of(text, &row.phone_number).is_some_and(|phone| !identifiers::is_phone(phone)) {
            let tolerant = self.config.unknowns.bad_phone_with_email == BadPhoneWithEmail::Dropped;
            if tolerant && good_email == Some(true) {
                row.phone_number = Text::Absent;
            } else {
                let pointer = at("attributes/phone_number");
                self.bad.push(ApiError::invalid(pointer, identifiers::BAD_PHONE));
            }
        }
        if self.bad.len() > before {
            if self.config.unknowns.bad_row_pointer == BadRowPointer::Profiles {
                self.bad.truncate(before);
                if before == 0 {
                    let detail = "One or more profiles are invalid.";
                    self.bad.push(ApiError::invalid("/data/attributes/profiles", detail));
                }
                return;
            }
            self.bad_rows += 1;
            if self.config.unknowns.named_rows.is_some_and(|named| self.bad_rows > named) {
                self.bad.truncate(before);
            }
        }
    }

    fn refuses(&self, email: &[u8]) -> bool {
        let prefix = self.config.refuse_prefix.as_bytes();
        !prefix.is_empty() && email.starts_with(prefix)
    }
}

fn bytes_of<'a>(text: &'a [u8], part: &'a Text) -> Option<&'a [u8]> {
    match part {
        Text::Absent => None,
        Text::Plain(span) => Some(span.of(text)),
        Text::Decoded(text) => Some(text.as_bytes()),
    }
}
