use std::fmt;

/// What is remembered of an identity: its 128-bit hash under the seed of the run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

/// The fingerprint of an identity: XXH3-128 with the run's seed.
///
/// The seed is random for each run and frozen in its plan, so nobody who chooses the data can prepare
/// addresses that collide, and a second read of the same run decides the same.
pub fn fingerprint(seed: u64, identity: &[u8]) -> Fingerprint {
    Fingerprint(xxhash_rust::xxh3::xxh3_128_with_seed(identity, seed))
}

impl Fingerprint {
    /// The half that decides where an entry stands.
    pub(crate) fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
    pub(crate) fn low(self) -> u64 {
        self.0 as u64
    }

    pub(crate) fn from_halves(high: u64, low: u64) -> Self {
        Self((u128::from(high) << 64) | u128::from(low))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// `high`, a uniform 64-bit number, scaled to `0..size`. It keeps the order.
pub(crate) fn scale(high: u64, size: u64) -> u64 {
    ((u128::from(high) * u128::from(size)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::{Fingerprint, fingerprint, scale};

    #[test]
    fn another_seed_gives_another_fingerprint() {
        assert_eq!(fingerprint(1, b"ann@example.com"), fingerprint(1, b"ann@example.com"));
        assert_ne!(fingerprint(1, b"ann@example.com"), fingerprint(2, b"ann@example.com"));
    }

    #[test]
    fn fingerprint_is_xxh3_128() {
        // The empty input under seed 0 is in the reference implementation's own test vectors.
        let empty = fingerprint(0, b"");
        assert_eq!(empty, Fingerprint(0x99aa_06d3_0147_98d8_6001_c324_468d_497f));
    }

    #[test]
    fn scaling_covers_the_range_and_stays_in_it() {
        assert_eq!(scale(0, 7), 0);
        assert_eq!(scale(u64::MAX, 7), 6);
        assert_eq!(scale(u64::MAX, u64::MAX), u64::MAX - 1);
    }
}
