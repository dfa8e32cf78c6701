use std::{fmt::Display, str::FromStr};

use prost_types::{Duration, Timestamp};
use segue_model::{BatchNo, Micros};

/// A message that says nothing sensible. Names the field as the contract does, `claimed.read.run_id`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {words}")]
pub struct Invalid {
    pub field: String,
    /// What is wrong with it, without personal data.
    pub words: String,
}

impl Invalid {
    pub fn new(field: impl Into<String>, words: impl Display) -> Self {
        Self { field: field.into(), words: words.to_string() }
    }

    /// The same, seen from the message that contains it in `outer`.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }
}

/// Text that has to be an id, a code or a hash.
pub fn parsed<T: FromStr>(field: &str, text: &str) -> Result<T, Invalid>
where
    T::Err: Display,
{
    text.parse().map_err(|err| Invalid::new(field, err))
}

/// What the contract lets out and the model does not.
pub(crate) fn need<T>(field: &str, value: Option<T>) -> Result<T, Invalid> {
    value.ok_or_else(|| Invalid::new(field, "is missing"))
}

/// A message within another.
pub(crate) fn inner<T, U>(field: &str, value: Option<T>) -> Result<U, Invalid>
where
    U: TryFrom<T, Error = Invalid>,
{
    U::try_from(need(field, value)?).map_err(|err| err.within(field))
}

pub(crate) fn batch_no(field: &str, number: u64) -> Result<BatchNo, Invalid> {
    u32::try_from(number).map(BatchNo).map_err(|_| Invalid::new(field, "is no number of a batch"))
}

/// Empty text says that there is none.
pub(crate) fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Saturates: no wait of this program comes near 2^63 seconds.
/// A duration as the contract has it.
pub fn duration(wait: std::time::Duration) -> Duration {
    Duration::try_from(wait).unwrap_or(Duration { seconds: i64::MAX, nanos: 0 })
}

pub(crate) fn wait(field: &str, wait: Duration) -> Result<std::time::Duration, Invalid> {
    std::time::Duration::try_from(wait).map_err(|err| Invalid::new(field, err))
}

pub(crate) fn micros(field: &str, at: Timestamp) -> Result<Micros, Invalid> {
    let whole = at.seconds.checked_mul(1_000_000);
    let micros = whole.and_then(|whole| whole.checked_add(i64::from(at.nanos) / 1000));
    micros.map(Micros).ok_or_else(|| Invalid::new(field, "is no time"))
}
