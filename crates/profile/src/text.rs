//! White space around a text.

/// As [`str::trim`]. Nearly all cells begin and end in ASCII that is no white space, which two bytes tell;
/// `trim` decodes characters.
#[inline]
pub(crate) fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::trim;

    proptest! {
        #[test]
        fn it_trims_what_the_standard_library_trims(text in "[ \t\u{a0}\u{85}xé\u{7f}\n]{0,6}") {
            prop_assert_eq!(trim(&text), text.trim());
        }
    }
}
