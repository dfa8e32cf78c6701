//! The file: what it may say, and on which line it says it.

use std::{collections::BTreeMap, fmt, marker::PhantomData, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{
        self,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_saphyr::Spanned;

/// What `apiVersion` has to be.
pub(super) const VERSION: &str = "segue/v1";

/// One file. What it does not say is left as it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    pub(super) api_version: Spanned<String>,
    pub(super) system_schedule: Option<Spanned<Timing>>,
    pub(super) connections: Option<Vec<Connection>>,
    pub(super) sources: Option<Vec<Source>>,
    pub(super) exports: Option<Vec<Export>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Connection {
    pub(super) name: Spanned<String>,
    pub(super) api_key: Spanned<ApiKey>,
    pub(super) consent: Spanned<Consent>,
    pub(super) sharing: Option<Spanned<Sharing>>,
}

/// Where the key is. A key that stands in the file itself is forgotten at once, and refused later.
pub(super) struct ApiKey(pub(super) Option<KeyPlace>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeyPlace {
    pub(super) env: Option<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) server_env: Option<String>,
    pub(super) server_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Consent {
    pub(super) version: String,
    pub(super) accepted_by: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Sharing {
    pub(super) contributors: bool,
    pub(super) lists: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Source {
    pub(super) name: Spanned<String>,
    pub(super) folder: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Export {
    pub(super) name: Spanned<String>,
    pub(super) connection: Spanned<String>,
    pub(super) list: Spanned<String>,
    pub(super) source: Option<Spanned<String>>,
    pub(super) segments: Spanned<Vec<String>>,
    pub(super) mapping: Option<Spanned<Mapping>>,
    pub(super) guards: Option<Spanned<Guards>>,
    pub(super) freshness: Option<Spanned<WordOr<Freshness>>>,
    pub(super) schedule: Option<Spanned<Timing>>,
    pub(super) disabled: Option<bool>,
    pub(super) owner: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Mapping {
    pub(super) email: Option<String>,
    pub(super) attributes: Option<BTreeMap<String, String>>,
    pub(super) properties: Option<WordOr<Vec<String>>>,
    pub(super) default_country: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Guards {
    pub(super) allow_live_flows: Option<bool>,
    pub(super) allow_empty: Option<bool>,
    pub(super) max_profiles: Option<u64>,
    pub(super) max_growth_percent: Option<u32>,
    pub(super) max_shrinkage_percent: Option<u32>,
    pub(super) max_rejects_percent: Option<u32>,
}

/// Durations, as `26h`. In its place `any`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Freshness {
    pub(super) max_source_age: String,
    pub(super) wait: Option<String>,
}

/// `never`, `system`, or when.
pub(super) type Timing = WordOr<Recurrence>;

/// `at` every day, or on `days`; or `cron`. Whoever reads YAML by its old rules takes `on` and `off` for
/// booleans, so neither is a word here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Recurrence {
    pub(super) at: Option<Vec<String>>,
    pub(super) days: Option<Vec<String>>,
    pub(super) cron: Option<String>,
    pub(super) time_zone: Option<String>,
}

/// By hand, because an untagged enum does not tell what is wrong with what is in it.
pub(super) enum WordOr<T> {
    Word(String),
    Other(T),
}

/// What may stand where a word may.
pub(super) trait Longer {
    /// A list; if not, named fields. serde would take a list for a struct too, by the order of its fields.
    const IS_LIST: bool;
}

impl Longer for KeyPlace {
    const IS_LIST: bool = false;
}

impl Longer for Freshness {
    const IS_LIST: bool = false;
}

impl Longer for Recurrence {
    const IS_LIST: bool = false;
}

impl Longer for Vec<String> {
    const IS_LIST: bool = true;
}

impl<'de, T: Deserialize<'de> + Longer> Deserialize<'de> for WordOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either(PhantomData))
    }
}

struct Either<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Longer> de::Visitor<'de> for Either<T> {
    type Value = WordOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if T::IS_LIST { "a word or a list" } else { "a word or named fields" })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<WordOr<T>, E> {
        Ok(WordOr::Word(text.to_owned()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<WordOr<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(WordOr::Other)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<WordOr<T>, A::Error> {
        if !T::IS_LIST {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        T::deserialize(SeqAccessDeserializer::new(list)).map(WordOr::Other)
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WordOr::deserialize(deserializer).map(|given| match given {
            WordOr::Word(_) => Self(None),
            WordOr::Other(place) => Self(Some(place)),
        })
    }
}
