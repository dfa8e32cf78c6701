use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Letters and digits only: a double click selects a token whole, and no `_` is among them. In the order of
/// ASCII, so that ids sort as the numbers do.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Digits of base 62 for 128 bits.
pub(super) const LEN: usize = 22;

/// Names an API token; no secret. A UUID of version 7, so that ids sort by the time when tokens were made.
///
/// `Display` writes 22 letters and digits, the same as within the token; each id has one such text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(Uuid);

/// Text that is no id of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an API token: those have 22 letters and digits")]
pub struct InvalidTokenId;

impl TokenId {
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

/// Appends `number` in base 62, with leading zeros.
pub(super) fn push(text: &mut String, mut number: u128) {
    let mut digits = Zeroizing::new([0_u8; LEN]);
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    text.extend(digits.iter().copied().map(char::from));
}

fn value(digit: u8) -> Option<u128> {
    DIGITS.iter().zip(0..).find_map(|(it, value)| (*it == digit).then_some(value))
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(LEN);
        push(&mut text, self.0.as_u128());
        f.write_str(&text)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TokenId {
    type Err = InvalidTokenId;

    fn from_str(text: &str) -> Result<Self, InvalidTokenId> {
        if text.len() != LEN {
            return Err(InvalidTokenId);
        }
        // Checked, because 22 digits can say more than 128 bits hold.
        let number = text
            .bytes()
            .try_fold(0_u128, |number, digit| number.checked_mul(62)?.checked_add(value(digit)?));
        number.map(|number| Self(Uuid::from_u128(number))).ok_or(InvalidTokenId)
    }
}

impl Serialize for TokenId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TokenId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{InvalidTokenId, TokenId};

    fn id(number: u128) -> TokenId {
        TokenId::from_uuid(Uuid::from_u128(number))
    }

    proptest! {
        #[test]
        fn text_form_reads_back_and_sorts_like_the_id(one: u128, two: u128) {
            let (one, two) = (id(one), id(two));
            prop_assert_eq!(one.to_string().parse(), Ok(one));
            prop_assert_eq!(one.cmp(&two), one.to_string().cmp(&two.to_string()));
        }

        #[test]
        fn each_id_has_one_text(text in "[0-9A-Za-z]{20,23}|.{22}") {
            if let Ok(id) = text.parse::<TokenId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn the_whole_range_fits_and_not_one_more() {
        assert_eq!(id(0).to_string(), "0".repeat(22));
        assert_eq!(id(u128::MAX).to_string(), "7n42DGM5Tflk9n8mt7Fhc7");
        assert_eq!("7n42DGM5Tflk9n8mt7Fhc8".parse::<TokenId>(), Err(InvalidTokenId));
        assert_eq!("z".repeat(22).parse::<TokenId>(), Err(InvalidTokenId));
    }
}
