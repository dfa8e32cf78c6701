//! What Klaviyo takes for an e-mail address and for a phone number.

/// Klaviyo's words for a bad phone number.
pub(crate) const BAD_PHONE: &str =
    "Invalid phone number format (Example of a valid format: +12345678901)";

/// Longest e-mail address. Source: "Profiles API overview" on developers.klaviyo.com.
const MAX_EMAIL: usize = 100;

/// Klaviyo's rule is not published. Seen refused: `mailto:x@…`, `x!@…`, a top-level domain that
/// ends in a digit. This is the common pattern of exporters that learned from its refusals:
/// ASCII, a few signs in the local part, a top-level domain of two letters or more, or in punycode.
pub(crate) fn is_email(address: &[u8]) -> bool {
    let Some(at) = memchr::memrchr(b'@', address) else { return false };
    let (local, domain) = (&address[..at], &address[at + 1..]);
    address.len() <= MAX_EMAIL && is_local_part(local) && is_domain(domain)
}

fn is_local_part(local: &[u8]) -> bool {
    let dots_are_inside = !local.starts_with(b".") && !local.ends_with(b".");
    let mut last = 0;
    !local.is_empty()
        && dots_are_inside
        && local.iter().all(|byte| {
            let double_dot = last == b'.' && *byte == b'.';
            last = *byte;
            !double_dot && (byte.is_ascii_alphanumeric() || b"._%+-'".contains(byte))
        })
}

fn is_domain(domain: &[u8]) -> bool {
    let mut labels = domain.rsplit(|byte| *byte == b'.');
    let top = labels.next().unwrap_or_default();
    let top_is_good = (top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic))
        || (top.starts_with(b"xn--") && is_label(top));
    let mut deeper = 0;
    top_is_good && labels.inspect(|_| deeper += 1).all(is_label) && deeper > 0
}

fn is_label(label: &[u8]) -> bool {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    (1..=63).contains(&label.len())
        && label.iter().all(inside)
        && !label.starts_with(b"-")
        && !label.ends_with(b"-")
}

/// E.164: a plus sign and up to 15 digits, the first of them not 0.
pub(crate) fn is_phone(number: &[u8]) -> bool {
    let Some(digits) = number.strip_prefix(b"+") else { return false };
    (7..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) && digits[0] != b'0'
}

#[cfg(test)]
mod tests {
    use super::{is_email, is_phone};

    #[test]
    fn addresses_that_klaviyo_was_seen_to_refuse_are_refused() {
        for bad in [
            "mailto:x@example.com",
            "x!@example.com",
            "x@example.c0",
            "x@example.c",
            "x@example",
            "@example.com",
            "x@",
            "x@-example.com",
            "x..y@example.com",
            ".x@example.com",
            "x y@example.com",
            "x@y@example.com",
            "ü@example.com",
            "",
        ] {
            assert!(!is_email(bad.as_bytes()), "{bad}");
        }
        assert!(!is_email(format!("{}@example.com", "x".repeat(89)).as_bytes()));
    }

    #[test]
    fn ordinary_addresses_are_taken() {
        for good in [
            "x@example.com",
            "Ann.O'Neil+tag_1%2@sub.example.org",
            "x@xn--bcher-kva.example.xn--p1ai",
            "1@1.example.net",
        ] {
            assert!(is_email(good.as_bytes()), "{good}");
        }
        assert!(is_email(format!("{}@example.com", "x".repeat(88)).as_bytes()));
    }

    #[test]
    fn phone_numbers_are_e164() {
        assert!(is_phone(b"+12025550123") && is_phone(b"+447700900123"));
        for bad in ["12025550123", "+1 202 555 0123", "+02025550123", "+1202", "+1234567890123456"]
        {
            assert!(!is_phone(bad.as_bytes()), "{bad}");
        }
    }
}
