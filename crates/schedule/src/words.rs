use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserializer, de};

use crate::InvalidSchedule;

/// "a", "a and b", "a, b and c".
pub(crate) fn list(words: &[impl fmt::Display], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, word) in words.iter().enumerate() {
        let before = match i {
            0 => "",
            _ if i + 1 == words.len() => " and ",
            _ => ", ",
        };
        write!(f, "{before}{word}")?;
    }
    Ok(())
}

/// In order. A value that is there twice was probably meant to be another, so it is an error.
pub(crate) fn distinct<T: Ord + fmt::Display>(
    field: &'static str,
    items: impl IntoIterator<Item = T>,
) -> Result<Vec<T>, InvalidSchedule> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort_unstable();
    match items.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let value = pair[0].to_string();
            Err(InvalidSchedule::new(field, &value, "is there more than once; leave it out once"))
        }
        None => Ok(items),
    }
}

/// Reads a value from its text form. `wanted` is told to who gives a number: YAML 1.1 takes `03:00`
/// without quotes for one.
pub(crate) fn from_text<'de, T, D>(deserializer: D, wanted: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err = InvalidSchedule>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(Text { wanted, value: PhantomData })
}

struct Text<T> {
    wanted: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T: FromStr<Err = InvalidSchedule>> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}
