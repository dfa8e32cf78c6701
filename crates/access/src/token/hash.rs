use std::{fmt, str::FromStr};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::TokenSecret;

/// What the store keeps of the secret of a token: its SHA-256. `Display` writes 64 hexadecimal digits.
///
/// A slow hash makes guessing dear where people choose the secret. This one is 256 random bits, which nobody
/// guesses however fast the hash is, and it is computed for each call.
#[derive(Clone)]
pub struct TokenHash([u8; SHA256_OUTPUT_LEN]);

/// Text that is no hash of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 in 64 lower-case hexadecimal digits")]
pub struct InvalidHash;

impl TokenHash {
    pub fn of(secret: &TokenSecret) -> Self {
        let mut hash = [0; SHA256_OUTPUT_LEN];
        let sum = digest(&SHA256, secret.expose_secret().as_bytes());
        hash.copy_from_slice(sum.as_ref());
        Self(hash)
    }

    /// Whether this is the hash of `secret`. How long that takes tells nothing about either.
    pub fn matches(&self, secret: &TokenSecret) -> bool {
        self.0.ct_eq(&Self::of(secret).0).into()
    }
}

/// In constant time as well, so that there is no other way to compare two.
impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}
impl Eq for TokenHash {}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash of a token]")
    }
}

impl FromStr for TokenHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let digits = text.as_bytes();
        let plain = digits.iter().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        if !plain || digits.len() != 2 * SHA256_OUTPUT_LEN {
            return Err(InvalidHash);
        }
        let mut hash = [0; SHA256_OUTPUT_LEN];
        for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| InvalidHash)?;
        }
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{InvalidHash, TokenHash};
    use crate::token::TokenSecret;

    fn secret(text: &str) -> TokenSecret {
        TokenSecret::from(text.to_owned())
    }

    #[test]
    fn the_hash_is_the_sha256_of_the_text() {
        // The example of FIPS 180-2.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hash = TokenHash::of(&secret("abc"));
        assert_eq!(hash.to_string(), known);
        assert_eq!(known.parse(), Ok(hash.clone()));
        assert!(!format!("{hash:?}").contains("ba78"));
    }

    #[test]
    fn other_text_is_no_hash() {
        let short = "0".repeat(63);
        for text in ["", &short, &format!("{short}g"), &format!("{short}A"), &"é".repeat(32)] {
            assert_eq!(text.parse::<TokenHash>(), Err(InvalidHash), "{text}");
        }
    }

    /// A clock cannot show this reliably, so the source has to.
    #[test]
    fn hashes_are_compared_in_constant_time_only() {
        let source = include_str!("hash.rs");
        let code = source.split("#[cfg(test)]").next().unwrap();
        assert_eq!(code.matches(".ct_eq(").count(), 2);
        assert!(!code.contains(" == ") && !code.contains("derive(Clone, PartialEq)"));
    }

    proptest! {
        #[test]
        fn a_hash_matches_its_secret_and_no_other(one in "[0-9a-z]{0,44}", two in "[0-9a-z]{0,44}") {
            let hash = TokenHash::of(&secret(&one));
            prop_assert!(hash.matches(&secret(&one)));
            prop_assert_eq!(hash.matches(&secret(&two)), one == two);
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        }

        #[test]
        fn one_wrong_bit_is_enough(byte in 0_usize..32, bit in 0_u8..8) {
            let mut hash = TokenHash::of(&secret("abc"));
            hash.0[byte] ^= 1 << bit;
            prop_assert!(!hash.matches(&secret("abc")));
            prop_assert!(hash != TokenHash::of(&secret("abc")));
        }
    }
}
