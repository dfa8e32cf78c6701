//! JSON text, appended to bytes. What the strings need and no more.

/// Appends a JSON string, quotes included (RFC 8259, section 7).
pub(crate) fn append_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    append_escaped(text, out);
    out.push(b'"');
}

/// Appends what stands between the quotes. Runs that need no escape are copied whole.
fn append_escaped(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    if is_clean(rest) {
        out.extend_from_slice(rest);
        return;
    }
    while let Some(at) = rest.iter().position(|byte| SPECIAL[usize::from(*byte)]) {
        let (run, tail) = rest.split_at(at);
        out.extend_from_slice(run);
        append_escape(tail[0], out);
        rest = &tail[1..];
    }
    out.extend_from_slice(rest);
}

/// Whether no byte needs an escape. Without early exit: nearly all texts are clean and short. The last word
/// overlaps the one before, so that no bytes are left over.
#[inline]
fn is_clean(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk() {
        let special = |word: &[u8; 8]| has_special(u64::from_ne_bytes(*word));
        let words = bytes.as_chunks().0;
        return !words.iter().fold(special(last), |any, word| any | special(word));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_ne_bytes(*first), u32::from_ne_bytes(*last));
        return !has_special(u64::from(first) << 32 | u64::from(last));
    }
    !bytes.iter().any(|byte| SPECIAL[usize::from(*byte)])
}

/// Whether one of eight bytes is special. A byte above 0x7f is never taken for one.
fn has_special(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    // Sets the high bit of a zero byte; exact as far as "is there one", which is all we ask.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    (control | quote | backslash) != 0
}

const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

#[cold]
fn append_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SPECIAL, append_string, has_special, is_clean};

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        append_string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_ascii_character_reads_back_at_every_offset_of_a_word() {
        for byte in 0..0x80_u8 {
            for before in 0..9 {
                let text = format!("{}{}é", "x".repeat(before), char::from(byte));
                assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
            }
        }
    }

    #[test]
    fn the_usual_escapes_are_short() {
        assert_eq!(written("a\"b\\c\nd\re\tf\0"), r#""a\"b\\c\nd\re\tf\u0000""#);
    }

    fn any_special(bytes: &[u8]) -> bool {
        bytes.iter().any(|byte| SPECIAL[usize::from(*byte)])
    }

    /// Words are looked at with carries from byte to byte, so neighbours could hide or feign one another.
    #[test]
    fn a_word_is_special_if_one_of_its_bytes_is_whatever_stands_beside_it() {
        for [one, two] in (0..=u16::MAX).map(u16::to_le_bytes) {
            for filler in [b'a', b'x', b' ', 0xff] {
                for at in 0..7 {
                    let mut word = [filler; 8];
                    [word[at], word[at + 1]] = [one, two];
                    let special = has_special(u64::from_le_bytes(word));
                    assert_eq!(special, any_special(&word), "{word:x?}");
                }
            }
        }
    }

    #[test]
    fn a_text_is_clean_if_no_byte_of_it_needs_an_escape() {
        for length in 0..=25 {
            let clean = vec![b'a'; length];
            assert!(is_clean(&clean), "{length} bytes");
            for at in 0..length {
                for special in [b'"', b'\\', b'\n', 0, 0x1f] {
                    let mut text = clean.clone();
                    text[at] = special;
                    assert!(!is_clean(&text), "{special:#x} at {at} of {length} bytes");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back_as_itself(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
        }
    }
}
