use segue_model::WarningReason;

use crate::Country;

/// Digits that a number may have after its `+`. Fewer than 7 is no subscriber's number anywhere;
/// 15 is the limit of ITU-T E.164, section 6.1.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Nobody writes a number at twice the length of the longest.
const MAX_NATIONAL: usize = 2 * *DIGITS.end();

/// Why a phone number is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPhone {
    #[error("the number does not begin with + and the code of a country")]
    NotInternational,
    #[error("the number holds something other than digits, spaces, dots, dashes and parentheses")]
    Character,
    #[error("the number has {digits} digits after the +, not 7 to 15")]
    Length { digits: usize },
    #[error(
        "the number is {characters} characters long, and one without + has at most {MAX_NATIONAL}"
    )]
    TooLong { characters: usize },
    #[error("the code of a country does not begin with 0")]
    LeadingZero,
    #[error("the number does not exist in the numbering plan of its country")]
    Plan,
}

impl InvalidPhone {
    pub(crate) fn reason(self) -> WarningReason {
        match self {
            Self::NotInternational => WarningReason::PhoneNotInternational,
            Self::Character
            | Self::Length { .. }
            | Self::TooLong { .. }
            | Self::LeadingZero
            | Self::Plan => WarningReason::PhoneInvalid,
        }
    }
}

/// Appends a trimmed, non-empty phone number as E.164. After an error, what is in `out` beyond its
/// former length means nothing.
pub(crate) fn append_e164(
    text: &str,
    default_country: Option<Country>,
    out: &mut Vec<u8>,
) -> Result<(), InvalidPhone> {
    let Some(digits) = text.strip_prefix('+') else {
        let country = default_country.ok_or(InvalidPhone::NotInternational)?;
        return append_by_plan(text, country, out);
    };
    let mut number = Digits::default();
    match trunk_zero(digits) {
        Some((code, rest)) => {
            number.push_all(code)?;
            number.push_all(rest)?;
        }
        None => number.push_all(digits)?,
    }
    let number = number.finish()?;
    out.push(b'+');
    out.extend_from_slice(number);
    Ok(())
}

/// The digits of a number, counted beyond those that it may have.
#[derive(Default)]
struct Digits {
    digits: [u8; *DIGITS.end()],
    count: usize,
}

impl Digits {
    fn push_all(&mut self, text: &str) -> Result<(), InvalidPhone> {
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' => {
                    if let Some(digit) = self.digits.get_mut(self.count) {
                        *digit = byte;
                    }
                    self.count += 1;
                }
                b' ' | b'.' | b'-' | b'(' | b')' => {}
                _ => return Err(InvalidPhone::Character),
            }
        }
        Ok(())
    }

    fn finish(&self) -> Result<&[u8], InvalidPhone> {
        match self.digits.get(..self.count) {
            Some([b'0', ..]) => Err(InvalidPhone::LeadingZero),
            Some(digits) if DIGITS.contains(&self.count) => Ok(digits),
            _ => Err(InvalidPhone::Length { digits: self.count }),
        }
    }
}

/// What stands before and after a zero in parentheses that is not part of the number.
fn trunk_zero(digits: &str) -> Option<(&str, &str)> {
    memchr::memchr(b'(', digits.as_bytes())?;
    digits.split_once("(0)").filter(|(code, _)| has_trunk_zero(code))
}

/// Whether the (0) of `+44 (0)20` is one that is dialled only at home. Italy keeps its zeros.
#[cold]
fn has_trunk_zero(code: &str) -> bool {
    code.trim()
        .parse::<u16>()
        .ok()
        .and_then(|code| phonenumber::metadata::DATABASE.by_code(&code))
        .is_some_and(|plans| plans.iter().all(|plan| plan.national_prefix() == Some("0")))
}

/// By the numbering plans of the world: about 7 µs for a number, thirty times a whole row.
///
/// A number without `+` must be in the plan of its country: `555-0123` is dialled in the United
/// States, but is nobody's number abroad. With `+` only the form is checked: plans change faster
/// than programs.
fn append_by_plan(text: &str, country: Country, out: &mut Vec<u8>) -> Result<(), InvalidPhone> {
    let plain = |byte: u8| matches!(byte, b'0'..=b'9' | b' ' | b'.' | b'-' | b'(' | b')' | b'/');
    // The parser need not see any odd text.
    if !text.bytes().all(plain) {
        return Err(InvalidPhone::Character);
    }
    if text.len() > MAX_NATIONAL {
        return Err(InvalidPhone::TooLong { characters: text.len() });
    }
    let number = phonenumber::parse(Some(country.0), text)
        .ok()
        .filter(phonenumber::PhoneNumber::is_valid)
        .ok_or(InvalidPhone::Plan)?;
    let start = out.len();
    out.extend_from_slice(number.format().mode(phonenumber::Mode::E164).to_string().as_bytes());
    match out.len() - start - 1 {
        digits if DIGITS.contains(&digits) => Ok(()),
        digits => Err(InvalidPhone::Length { digits }),
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidPhone, append_e164, has_trunk_zero};

    fn e164(text: &str, country: Option<&str>) -> Result<String, InvalidPhone> {
        let mut out = Vec::new();
        append_e164(text, country.map(|code| code.parse().unwrap()), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn international_numbers_lose_their_punctuation() {
        for (text, number) in [
            ("+12025550123", "+12025550123"),
            ("+1 (202) 555-0123", "+12025550123"),
            ("+44 7700.900.123", "+447700900123"),
            ("+44 (0)7700 900123", "+447700900123"),
            ("+1234567", "+1234567"),
            ("+123456789012345", "+123456789012345"),
        ] {
            assert_eq!(e164(text, None).as_deref(), Ok(number), "{text}");
            assert_eq!(e164(text, Some("DE")).as_deref(), Ok(number), "{text}");
        }
    }

    #[test]
    fn a_zero_in_parentheses_goes_where_it_is_dialled_only_at_home() {
        assert!(has_trunk_zero("44 ") && has_trunk_zero("49"));
        for code in ["39", "1", "999", "", "x"] {
            assert!(!has_trunk_zero(code), "{code}");
        }
    }

    #[test]
    fn what_is_not_e164_is_refused() {
        for (text, fault) in [
            ("2025550123", InvalidPhone::NotInternational),
            ("0044 7700 900123", InvalidPhone::NotInternational),
            ("+123456", InvalidPhone::Length { digits: 6 }),
            ("+1234567890123456", InvalidPhone::Length { digits: 16 }),
            ("+", InvalidPhone::Length { digits: 0 }),
            ("+0447700900123", InvalidPhone::LeadingZero),
            ("+1 202 555 0123 x7", InvalidPhone::Character),
            ("++12025550123", InvalidPhone::Character),
            ("+1202555０123", InvalidPhone::Character),
        ] {
            assert_eq!(e164(text, None), Err(fault), "{text}");
        }
    }

    #[test]
    fn national_numbers_are_read_by_the_plan_of_the_default_country() {
        for (text, country, number) in [
            ("(202) 555-0123", "US", "+12025550123"),
            ("1 202 555 0123", "US", "+12025550123"),
            ("202/555-0123", "US", "+12025550123"),
            ("202.555.0123", "CA", "+12025550123"),
            ("00 1 202 555 0123", "DE", "+12025550123"),
        ] {
            assert_eq!(e164(text, Some(country)).as_deref(), Ok(number), "{text}");
        }
        assert_eq!(e164("12", Some("US")), Err(InvalidPhone::Plan));
        assert_eq!(e164("555-0123", Some("US")), Err(InvalidPhone::Plan));
        // In a range that the plan sets apart for fiction.
        assert_eq!(e164("07700 900123", Some("GB")), Err(InvalidPhone::Plan));
        assert_eq!(e164("call me", Some("US")), Err(InvalidPhone::Character));
        let long = |text: &str| e164(&text.repeat(31), Some("US"));
        assert_eq!(long("1"), Err(InvalidPhone::TooLong { characters: 31 }));
        assert_eq!(long("x"), Err(InvalidPhone::Character));
        let words = "the number is 31 characters long, and one without + has at most 30";
        assert_eq!(long("1").unwrap_err().to_string(), words);
        // With its + the digits are what is counted.
        let digits = format!("+{}", "1".repeat(31));
        assert_eq!(e164(&digits, None), Err(InvalidPhone::Length { digits: 31 }));
    }

    #[test]
    fn national_numbers_may_be_spaced_out_to_30_characters() {
        let spaced = |length: usize| format!("202{}5550123", " ".repeat(length - 10));
        assert_eq!(e164(&spaced(30), Some("US")).as_deref(), Ok("+12025550123"));
        assert_eq!(e164(&spaced(31), Some("US")), Err(InvalidPhone::TooLong { characters: 31 }));
    }

    /// Some plans have numbers that E.164 or common sense has not.
    #[test]
    fn national_numbers_have_7_to_15_digits_with_the_code_of_their_country() {
        for (text, country, number) in [
            ("12000", "AT", Ok("+4312000")),
            ("1110", "AT", Err(InvalidPhone::Length { digits: 6 })),
            ("3000000000000", "DE", Ok("+493000000000000")),
            ("30000000000000", "DE", Err(InvalidPhone::Length { digits: 16 })),
        ] {
            assert_eq!(e164(text, Some(country)), number.map(str::to_owned), "{text}");
        }
    }
}
