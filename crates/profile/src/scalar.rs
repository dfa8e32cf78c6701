//! What a text must look like to be a number, a boolean or a date. Byte scans, no allocation.

/// Every integer up to here is exact in the 64-bit floating point that readers of JSON use.
const MAX_EXACT: u64 = 1 << 53;

/// A plain decimal within ±2^53: `0`, `-12`, `12.50`; not `007`, `+1`, `1e5`, `1,5`, `.5` or ` 1`.
pub(crate) fn is_decimal(text: &str) -> bool {
    matches!(number(text), Some(Number { exponent: false, whole, zero_fraction })
        if is_exact(whole, zero_fraction))
}

/// A number as JSON writes it, exponent allowed, within ±2^53.
pub(crate) fn is_exact_number(literal: &str) -> bool {
    match number(literal) {
        Some(Number { exponent: false, whole, zero_fraction }) => is_exact(whole, zero_fraction),
        #[expect(clippy::cast_precision_loss, reason = "2^53 is exact")]
        Some(_) => literal.parse::<f64>().is_ok_and(|value| value.abs() <= MAX_EXACT as f64),
        None => false,
    }
}

/// A number as JSON writes it, of any size.
pub(crate) fn is_json_number(literal: &str) -> bool {
    number(literal).is_some()
}

struct Number<'a> {
    /// The digits before the point.
    whole: &'a str,
    zero_fraction: bool,
    exponent: bool,
}

/// Reads the grammar of RFC 8259, section 6.
fn number(text: &str) -> Option<Number<'_>> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits(unsigned)?;
    if whole.len() > 1 && whole.starts_with('0') {
        return None;
    }
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest)?,
        None => ("", rest),
    };
    let exponent = rest.strip_prefix(['e', 'E']);
    if let Some(power) = exponent {
        let (_, rest) = digits(power.strip_prefix(['+', '-']).unwrap_or(power))?;
        rest.is_empty().then_some(())?;
    } else if !rest.is_empty() {
        return None;
    }
    let zero_fraction = fraction.bytes().all(|digit| digit == b'0');
    Some(Number { whole, zero_fraction, exponent: exponent.is_some() })
}

/// At least one digit, and what follows.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    (end > 0).then(|| text.split_at(end))
}

fn is_exact(whole: &str, zero_fraction: bool) -> bool {
    // 15 digits are below 2^53; most numbers need no arithmetic.
    whole.len() <= 15
        || whole
            .parse::<u64>()
            .is_ok_and(|whole| whole < MAX_EXACT || (whole == MAX_EXACT && zero_fraction))
}

/// `true` or `false` in any case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// ISO 8601: `2026-02-28`, or with a time `2026-02-28T09:30`, seconds, a fraction and an offset
/// optional. A space may stand for the `T`, as RFC 3339 allows. The day must exist.
pub(crate) fn is_iso_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some((date, time)) = bytes.split_at_checked(10) else { return false };
    is_date(date)
        && match time.split_first() {
            None => true,
            Some((b'T' | b't' | b' ', time)) => is_time(time),
            Some(_) => false,
        }
}

fn is_date(date: &[u8]) -> bool {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return false };
    let (Some(century), Some(year)) = (two([y1, y2]), two([y3, y4])) else { return false };
    let leap = year % 4 == 0 && (year != 0 || century % 4 == 0);
    let days = match two([m1, m2]) {
        Some(1 | 3 | 5 | 7 | 8 | 10 | 12) => 31,
        Some(4 | 6 | 9 | 11) => 30,
        Some(2) if leap => 29,
        Some(2) => 28,
        _ => return false,
    };
    two([d1, d2]).is_some_and(|day| (1..=days).contains(&day))
}

/// `hh:mm[:ss[.fraction]][offset]`; second 60 is a leap second.
fn is_time(time: &[u8]) -> bool {
    let &[h1, h2, b':', m1, m2, ref rest @ ..] = time else { return false };
    let clock = two([h1, h2]).is_some_and(|h| h < 24) && two([m1, m2]).is_some_and(|m| m < 60);
    let rest = match rest {
        [b':', s1, s2, rest @ ..] if two([*s1, *s2]).is_some_and(|s| s <= 60) => match rest {
            [b'.' | b',', fraction @ ..] => {
                let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if digits == 0 {
                    return false;
                }
                &fraction[digits..]
            }
            _ => rest,
        },
        _ => rest,
    };
    clock && is_offset(rest)
}

fn is_offset(offset: &[u8]) -> bool {
    match *offset {
        [] | [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2] => two([h1, h2]).is_some_and(|h| h < 24),
        [b'+' | b'-', h1, h2, m1, m2] | [b'+' | b'-', h1, h2, b':', m1, m2] => {
            two([h1, h2]).is_some_and(|h| h < 24) && two([m1, m2]).is_some_and(|m| m < 60)
        }
        _ => false,
    }
}

fn two([tens, ones]: [u8; 2]) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{boolean, is_decimal, is_exact_number, is_iso_date};

    #[test]
    fn plain_decimals_are_numbers() {
        for text in ["0", "0.5", "-12", "12.50", "-0", "9007199254740992", "-9007199254740992.0"] {
            assert!(is_decimal(text), "{text}");
        }
    }

    #[test]
    fn what_only_resembles_a_decimal_is_none() {
        for text in [
            "",
            "-",
            "007",
            "00",
            "1e5",
            "+1",
            "1,5",
            " 1 ",
            "1 ",
            ".5",
            "5.",
            "1.2.3",
            "0x1",
            "٣",
            "NaN",
            "9007199254740993",
            "9007199254740992.5",
            "99999999999999999999999",
            "-01",
        ] {
            assert!(!is_decimal(text), "{text}");
        }
    }

    #[test]
    fn json_numbers_may_have_an_exponent_but_stay_exact() {
        for text in ["1e5", "1E+5", "-2.5e-3", "9007199254740992", "0e0"] {
            assert!(is_exact_number(text), "{text}");
        }
        for text in ["1e16", "1e999", "9007199254740993", "1e", "e5", "1e5.0", "nan"] {
            assert!(!is_exact_number(text), "{text}");
        }
    }

    #[test]
    fn booleans_are_true_and_false_in_any_case() {
        assert_eq!([boolean("TRUE"), boolean("false")], [Some(true), Some(false)]);
        for text in ["yes", "1", "t", " true", "wahr"] {
            assert_eq!(boolean(text), None, "{text}");
        }
    }

    #[test]
    fn iso_dates_are_dates() {
        for text in [
            "2026-02-28",
            "2024-02-29",
            "2000-02-29",
            "2026-12-31T23:59",
            "2026-01-01T00:00:00Z",
            "2026-01-01 09:30:15",
            "2026-06-30T23:59:60Z",
            "2026-01-01T00:00:00.123456+02:00",
            "2026-01-01T00:00:00-0330",
            "2026-01-01t00:00z",
            "2026-01-01T00:00+02",
            "2026-01-01T00:00+23:59",
            "2026-01-01T00:00-23",
        ] {
            assert!(is_iso_date(text), "{text}");
        }
    }

    #[test]
    fn other_spellings_and_days_that_do_not_exist_are_no_dates() {
        for text in [
            "",
            "2026",
            "2026-2-28",
            "2026-02-30",
            "2023-02-29",
            "1900-02-29",
            "2026-00-10",
            "2026-13-01",
            "2026-04-31",
            "2026-01-00",
            "28.02.2026",
            "02/28/2026",
            "20260228",
            "2026-01-01T",
            "2026-01-01T24:00",
            "2026-01-01T10:60",
            "2026-01-01T10:00:61",
            "2026-01-01T10:00:00.",
            "2026-01-01T10:00+24",
            "2026-01-01T10:00+24:00",
            "2026-01-01T10:00-00:60",
            "2026-01-01T10:00+1",
            "2026-01-0:",
            "2026-0/-10",
            "2026-01-01X10:00",
            "2026-01-01 ",
            "２026-01-01",
        ] {
            assert!(!is_iso_date(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_date_is_one_that_the_calendar_has(
            text in "[0-9]{3}[0-9]-[01][0-9]-[0-3][0-9]",
        ) {
            prop_assert_eq!(is_iso_date(&text), text.parse::<jiff::civil::Date>().is_ok());
        }

        #[test]
        fn a_time_is_one_that_the_clock_has(text in "[012][0-9]:[0-6][0-9]:[0-5][0-9]([.][0-9]{1,9})?") {
            let parsed = format!("2026-02-03T{text}").parse::<jiff::civil::DateTime>();
            prop_assert_eq!(is_iso_date(&format!("2026-02-03T{text}")), parsed.is_ok());
        }

        #[test]
        fn a_decimal_is_a_json_number_that_reads_back_as_it_is_written(text in "[-+]?[0-9]{1,17}([.,][0-9]{0,3})?") {
            if is_decimal(&text) {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert!(value.as_f64().unwrap().abs() <= 9_007_199_254_740_992.0);
                if let Some(whole) = value.as_i64() {
                    prop_assert_eq!(whole.to_string(), if text == "-0" { "0" } else { &text });
                }
            }
        }
    }
}
