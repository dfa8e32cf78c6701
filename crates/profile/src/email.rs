//! The address of a person: what is valid, and what is sent.

use segue_model::RejectReason;

use crate::text;

/// Klaviyo allows an address 100 characters (its profiles API overview). Counted on what is sent,
/// which is ASCII, so characters are bytes.
pub const MAX_EMAIL_CHARS: usize = 100;

/// RFC 5321, section 4.5.3.1.1.
const MAX_LOCAL_BYTES: usize = 64;
/// RFC 1035, section 2.3.4.
const MAX_LABEL_BYTES: usize = 63;

/// Why a text is not an address that Klaviyo takes. No variant quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    #[error("the address is empty")]
    Empty,
    #[error("there is no @")]
    NoAt,
    #[error("there is more than one @")]
    ManyAts,
    #[error("write the address alone, without mailto:")]
    Mailto,
    #[error("there is nothing before the @")]
    LocalEmpty,
    #[error("the part before the @ begins or ends with a dot, or has two dots in a row")]
    LocalDots,
    #[error("the part before the @ holds a character that an address cannot have")]
    LocalCharacter,
    #[error("the part before the @ holds a character outside ASCII")]
    LocalNotAscii,
    #[error("the part before the @ is longer than 64 characters")]
    LocalTooLong,
    #[error("the domain is not a valid domain name")]
    Domain,
    #[error("the domain has no dot, so it cannot be reached from outside")]
    DomainSingleLabel,
    #[error("the domain does not end in a top-level domain such as .com")]
    TopLevel,
    #[error("the address has {chars} characters, Klaviyo allows {MAX_EMAIL_CHARS}")]
    TooLong { chars: usize },
}

impl InvalidEmail {
    pub fn reason(self) -> RejectReason {
        match self {
            Self::Empty => RejectReason::EmailMissing,
            Self::TooLong { .. } => RejectReason::EmailTooLong,
            Self::NoAt
            | Self::ManyAts
            | Self::Mailto
            | Self::LocalEmpty
            | Self::LocalDots
            | Self::LocalCharacter
            | Self::LocalNotAscii
            | Self::LocalTooLong
            | Self::Domain
            | Self::DomainSingleLabel
            | Self::TopLevel => RejectReason::EmailInvalid,
        }
    }
}

/// The identity of the person with this address: what is sent to Klaviyo as `email`, and by which
/// duplicates and Klaviyo's own answers are matched.
///
/// Trimmed; ASCII letters before the @ in lower case; the domain by UTS 46 to ASCII.
///
/// Valid is the dot-atom of RFC 5321 before the @, without `!`: Klaviyo was seen to refuse `x!@…`
/// (a public report of a migration, 2026-06), and one refused address costs its batch a round trip.
/// The domain has at least two labels and a top-level domain of letters, for no other can exist.
pub fn identity_of(address: &str) -> Result<String, InvalidEmail> {
    let mut identity = Vec::with_capacity(address.len());
    append_identity(address, &mut identity)?;
    // Only bytes that passed as ASCII were appended, so the fallback is never taken.
    String::from_utf8(identity).map_err(|_| InvalidEmail::LocalNotAscii)
}

/// Appends the identity: ASCII that JSON needs no escape for. After an error, what is in `out`
/// beyond its former length means nothing.
pub(crate) fn append_identity(address: &str, out: &mut Vec<u8>) -> Result<(), InvalidEmail> {
    let address = text::trim(address);
    if address.is_empty() {
        return Err(InvalidEmail::Empty);
    }
    let start = out.len();
    let at = memchr::memchr(b'@', address.as_bytes()).ok_or(InvalidEmail::NoAt)?;
    let (local, domain) = (&address[..at], &address[at + 1..]);
    check_local(local.as_bytes())?;
    out.extend_from_slice(local.as_bytes());
    out.push(b'@');
    append_domain(domain, out)?;
    out[start..].make_ascii_lowercase();
    match out.len() - start {
        chars if chars > MAX_EMAIL_CHARS => Err(InvalidEmail::TooLong { chars }),
        _ if local.len() > MAX_LOCAL_BYTES => Err(InvalidEmail::LocalTooLong),
        _ => Ok(()),
    }
}

/// `atext` of RFC 5322 without `!`: see [`identity_of`].
const ATOM: [bool; 256] = {
    let mut table = [false; 256];
    let specials = b"#$%&'*+-/=?^_`{|}~";
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut i = 0;
    while i < specials.len() {
        table[specials[i] as usize] = true;
        i += 1;
    }
    table
};

fn check_local(local: &[u8]) -> Result<(), InvalidEmail> {
    if local.is_empty() {
        return Err(InvalidEmail::LocalEmpty);
    }
    let mut after_dot = true;
    for &byte in local {
        if byte == b'.' && after_dot {
            return Err(InvalidEmail::LocalDots);
        }
        if byte != b'.' && !ATOM[usize::from(byte)] {
            return Err(local_fault(local));
        }
        after_dot = byte == b'.';
    }
    if after_dot { Err(InvalidEmail::LocalDots) } else { Ok(()) }
}

#[cold]
fn local_fault(local: &[u8]) -> InvalidEmail {
    if local.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"mailto:")) {
        InvalidEmail::Mailto
    } else if local.is_ascii() {
        InvalidEmail::LocalCharacter
    } else {
        InvalidEmail::LocalNotAscii
    }
}

fn append_domain(domain: &str, out: &mut Vec<u8>) -> Result<(), InvalidEmail> {
    if domain.is_ascii() && check_domain(domain.as_bytes())? == Labels::Plain {
        out.extend_from_slice(domain.as_bytes());
        return Ok(());
    }
    if domain.contains('@') {
        return Err(InvalidEmail::ManyAts);
    }
    let ascii = idna::uts46::Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            idna::AsciiDenyList::STD3,
            // Hyphens in the third and fourth place are in real names.
            idna::uts46::Hyphens::CheckFirstLast,
            // Lengths are checked below, for ASCII domains too.
            idna::uts46::DnsLength::Ignore,
        )
        .map_err(|_| InvalidEmail::Domain)?;
    check_domain(ascii.as_bytes())?;
    out.extend_from_slice(ascii.as_bytes());
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Labels {
    Plain,
    /// A label claims to be the ASCII form of an international one; it may not be.
    Ace,
}

fn check_domain(domain: &[u8]) -> Result<Labels, InvalidEmail> {
    let mut labels = Labels::Plain;
    let mut rest = domain;
    let last = loop {
        let end = rest.iter().position(|byte| !LABEL[usize::from(*byte)]).unwrap_or(rest.len());
        let (label, tail) = rest.split_at(end);
        if label.is_empty()
            || label.len() > MAX_LABEL_BYTES
            || label.starts_with(b"-")
            || label.ends_with(b"-")
        {
            return Err(domain_fault(domain));
        }
        if is_ace(label) {
            labels = Labels::Ace;
        }
        match tail {
            [] => break label,
            [b'.', tail @ ..] => rest = tail,
            _ => return Err(domain_fault(domain)),
        }
    };
    let top_level = last.len() >= 2 && last.iter().all(u8::is_ascii_alphabetic);
    if last.len() == domain.len() {
        Err(InvalidEmail::DomainSingleLabel)
    } else if top_level || is_ace(last) {
        Ok(labels)
    } else {
        Err(InvalidEmail::TopLevel)
    }
}

const LABEL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'-';
        byte += 1;
    }
    table
};

fn is_ace(label: &[u8]) -> bool {
    label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"xn--"))
}

#[cold]
fn domain_fault(domain: &[u8]) -> InvalidEmail {
    if domain.contains(&b'@') { InvalidEmail::ManyAts } else { InvalidEmail::Domain }
}

#[cfg(test)]
mod tests {
    use super::{InvalidEmail as E, MAX_EMAIL_CHARS, identity_of};

    #[test]
    fn valid_addresses_have_an_identity() {
        for (address, identity) in [
            ("ann@example.com", "ann@example.com"),
            ("  Ann.B@Example.COM \u{a0}", "ann.b@example.com"),
            ("o'brien+x@exämple.co.uk", "o'brien+x@xn--exmple-cua.co.uk"),
            ("O'Brien+X@XN--EXMPLE-CUA.co.uk", "o'brien+x@xn--exmple-cua.co.uk"),
            ("a@straße.example.org", "a@xn--strae-oqa.example.org"),
            ("a@例え.jp", "a@xn--r8jz45g.jp"),
            ("a@ｅxample．com", "a@example.com"),
            ("#$%&'*+-/=?^_`{|}~@example.com", "#$%&'*+-/=?^_`{|}~@example.com"),
            ("1@1.example.net", "1@1.example.net"),
            ("a@r3---sn-a.example.com", "a@r3---sn-a.example.com"),
            ("a@example.рф", "a@example.xn--p1ai"),
            ("a.b.c@a-b.example.com", "a.b.c@a-b.example.com"),
        ] {
            assert_eq!(identity_of(address).as_deref(), Ok(identity), "{address}");
        }
    }

    #[test]
    fn invalid_addresses_are_refused_with_their_fault() {
        for (address, fault) in [
            ("", E::Empty),
            (" \t\u{a0}", E::Empty),
            ("ann", E::NoAt),
            ("ann.example.com", E::NoAt),
            ("@example.com", E::LocalEmpty),
            ("a@b@example.com", E::ManyAts),
            ("a@b@exämple.com", E::ManyAts),
            ("mailto:ann@example.com", E::Mailto),
            ("x!@example.com", E::LocalCharacter),
            ("a!b@example.com", E::LocalCharacter),
            ("a b@example.com", E::LocalCharacter),
            ("Ann <ann@example.com>", E::LocalCharacter),
            ("\"a b\"@example.com", E::LocalCharacter),
            ("a,b@example.com", E::LocalCharacter),
            ("a\u{0}b@example.com", E::LocalCharacter),
            ("a\u{7f}b@example.com", E::LocalCharacter),
            ("änn@example.com", E::LocalNotAscii),
            ("\u{feff}ann@example.com", E::LocalNotAscii),
            (".ann@example.com", E::LocalDots),
            ("ann.@example.com", E::LocalDots),
            ("a..b@example.com", E::LocalDots),
            ("ann@", E::Domain),
            ("ann@example.com>", E::Domain),
            ("ann@example..com", E::Domain),
            ("ann@.example.com", E::Domain),
            ("ann@example.com.", E::Domain),
            ("ann@-example.com", E::Domain),
            ("ann@example-.com", E::Domain),
            ("ann@exa_mple.com", E::Domain),
            ("ann@exa mple.com", E::Domain),
            ("ann@exämple-.com", E::Domain),
            ("ann@xn--a.com", E::Domain),
            ("ann@ex\u{1}ample.com", E::Domain),
            ("ann@localhost", E::DomainSingleLabel),
            ("ann@example.c", E::TopLevel),
            ("ann@example.co1", E::TopLevel),
            ("ann@example.c0m", E::TopLevel),
            ("ann@192.168.0.1", E::TopLevel),
            ("ann@[192.168.0.1]", E::Domain),
        ] {
            assert_eq!(identity_of(address), Err(fault), "{address}");
        }
    }

    #[test]
    fn labels_and_local_parts_have_the_limits_of_their_rfcs() {
        let label = "d".repeat(63);
        assert!(identity_of(&format!("a@{label}.com")).is_ok());
        assert_eq!(identity_of(&format!("a@{label}d.com")), Err(E::Domain));
        let local = "l".repeat(64);
        assert!(identity_of(&format!("{local}@example.com")).is_ok());
        assert_eq!(identity_of(&format!("{local}l@example.com")), Err(E::LocalTooLong));
    }

    #[test]
    fn the_limit_of_100_characters_counts_what_is_sent() {
        let domain = format!("{}.example.com", "d".repeat(39));
        let local = "l".repeat(MAX_EMAIL_CHARS - domain.len() - 1);
        assert!(identity_of(&format!(" {local}@{domain} ")).is_ok());
        assert_eq!(identity_of(&format!("{local}@d{domain}")), Err(E::TooLong { chars: 101 }));
        // 56 characters as written; its domain grows by the ASCII form.
        let wide = format!("{}@{}.com", "l".repeat(40), "ü".repeat(11));
        let sent = identity_of(&wide).unwrap();
        assert!(sent.len() > wide.chars().count());
    }
}
