//! Ids that look like Klaviyo's (a ULID, `01…`), and lead back to the profile without an index.

use super::store::Number;

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const PREFIX: &str = "01SEGVESTMX0Z";

/// An odd number and its inverse modulo 2^64: neighbours get ids that look unrelated.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const GATHER: u64 = inverse(SPREAD);

/// Newton's iteration: each step doubles the number of right bits, and an odd number is its own
/// inverse in the lowest three.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

pub(crate) fn of(account: u32, number: Number) -> String {
    let word = (u64::from(account) << 32 | u64::from(number)).wrapping_mul(SPREAD);
    let mut id = String::with_capacity(26);
    id.push_str(PREFIX);
    let digits = (0..13).rev().map(|place| (word >> (5 * place) & 31) as u8);
    id.extend(digits.map(|digit| char::from(CROCKFORD[usize::from(digit)])));
    id
}

/// `None` for an id of another account, or of nobody.
pub(crate) fn number(account: u32, id: &str) -> Option<Number> {
    let digits = id.strip_prefix(PREFIX).filter(|digits| digits.len() == 13)?;
    let mut word = 0_u128;
    for letter in digits.bytes() {
        let digit = CROCKFORD.iter().position(|known| *known == letter)?;
        word = word << 5 | digit as u128;
    }
    let word = u64::try_from(word).ok()?.wrapping_mul(GATHER);
    let number = u32::try_from(word & 0xffff_ffff).ok()?;
    (word >> 32 == u64::from(account)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::{number, of};

    #[test]
    fn id_leads_back_to_its_profile_and_only_in_its_account() {
        for n in [0, 1, 77, 9_999_999, u32::MAX] {
            let id = of(3, n);
            assert_eq!(id.len(), 26);
            assert_eq!(number(3, &id), Some(n));
            assert_eq!(number(2, &id), None);
        }
        for bad in ["", "01SEGVESTMX0Z", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01SEGVESTMX0ZZZZZZZZZZZZZZ"]
        {
            assert_eq!(number(0, bad), None, "{bad}");
        }
    }
}
