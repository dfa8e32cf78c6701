use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Klaviyo takes at most 10,000 profiles in one bulk import (OpenAPI file, `bulk_import_profiles`).
pub const MAX_BATCH_PROFILES: usize = 10_000;
/// Klaviyo takes at most 5 MB in one request. Whether that is 5·10⁶ or 5·2²⁰ bytes, and what else
/// is counted, is not published, so a batch stops well below.
pub const MAX_BATCH_BYTES: usize = 4_500_000;
/// Klaviyo takes at most 100 KB for one profile; read as 100,000 bytes, the smaller of the two.
pub const MAX_PROFILE_BYTES: usize = 100_000;

/// The number of a batch in its run, in the order of the source, from 0.
///
/// The children of a batch that had to be split come after all batches that were read.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BatchNo(pub u32);

impl fmt::Display for BatchNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A 128-bit hash of a body, by which the same batch is known again after a second read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub u128);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for ContentHash {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::{BatchNo, ContentHash};

    #[test]
    fn numbers_and_hashes_have_one_text_each() {
        assert_eq!(BatchNo(12).to_string(), "12");
        let hash = ContentHash(0xa0b);
        assert_eq!(hash.to_string(), "00000000000000000000000000000a0b");
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}
