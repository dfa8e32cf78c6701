//! Where any of three bytes stands.
//!
//! A row of CSV has a mark every ten bytes or so, which is too dense for `memchr`: it starts anew behind
//! every find. Here 64 bytes are compared at once (plain loops, which the compiler vectorises), and the
//! finds are read off a word of 64 bits.

/// Appends the positions, counted from `base`, of all bytes of `haystack` that are one of `needles`.
pub(crate) fn find(haystack: &[u8], base: usize, needles: [u8; 3], out: &mut Vec<u32>) {
    let (blocks, rest) = haystack.as_chunks::<64>();
    let mut at = position(base);
    for block in blocks {
        push(mask(block, needles), at, out);
        at += 64;
    }
    for byte in rest {
        if needles.contains(byte) {
            out.push(at);
        }
        at += 1;
    }
}

/// A position in a window: rows are at most 1 GiB long, and a window is at most twice as long.
#[expect(clippy::cast_possible_truncation, reason = "see above")]
pub(crate) fn position(at: usize) -> u32 {
    debug_assert!(u32::try_from(at).is_ok());
    at as u32
}

fn push(mut mask: u64, at: u32, out: &mut Vec<u32>) {
    while mask != 0 {
        out.push(at + mask.trailing_zeros());
        mask &= mask - 1;
    }
}

/// Bit `i` tells whether byte `i` is one of `needles`.
fn mask(block: &[u8; 64], [a, b, c]: [u8; 3]) -> u64 {
    let mut hits = [0_u8; 64];
    for (hit, &byte) in hits.iter_mut().zip(block) {
        *hit = u8::from(byte == a) | u8::from(byte == b) | u8::from(byte == c);
    }
    // Eight bytes of 0 or 1 become eight bits: the multiplication moves byte `i` to bit `56 + i`.
    let (words, _) = hits.as_chunks::<8>();
    words.iter().rev().fold(0, |mask, word| {
        let bits = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask << 8 | bits
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn every_mark_is_found_wherever_it_stands() {
        let haystack: Vec<u8> = (0..1000_u32).map(|i| (i * i % 251) as u8).collect();
        for length in [0, 1, 63, 64, 65, 127, 128, 1000] {
            let haystack = &haystack[..length];
            let mut found = Vec::new();
            find(haystack, 7, [b'\n', b',', b'"'], &mut found);
            let expected = (7_u32..)
                .zip(haystack)
                .filter(|(_, byte)| b"\n,\"".contains(byte))
                .map(|(at, _)| at);
            assert_eq!(found, expected.collect::<Vec<_>>(), "of {length} bytes");
        }
    }
}
