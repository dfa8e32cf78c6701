use std::{fmt, str::FromStr};

use phonenumber::country::Id;
use serde::{Deserialize, Serialize};

/// A country by its ISO 3166 alpha-2 code, for phone numbers written without `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Country(pub(crate) Id);

/// Text that is not the two-letter code of a country that has phone numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown country {0:?}: use an ISO 3166 alpha-2 code such as DE")]
pub struct UnknownCountry(String);

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref())
    }
}

impl FromStr for Country {
    type Err = UnknownCountry;
    fn from_str(code: &str) -> Result<Self, UnknownCountry> {
        code.to_ascii_uppercase().parse().map(Self).map_err(|_| UnknownCountry(code.to_owned()))
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.to_string()
    }
}

impl TryFrom<String> for Country {
    type Error = UnknownCountry;
    fn try_from(code: String) -> Result<Self, UnknownCountry> {
        code.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::Country;

    #[test]
    fn a_code_is_read_in_any_case_and_written_in_capitals() {
        assert_eq!("de".parse::<Country>().unwrap().to_string(), "DE");
        assert!("Germany".parse::<Country>().is_err());
        assert!("XX".parse::<Country>().is_err());
    }
}
