//! A JSON scanner that checks the grammar and hands out positions, without building values.
//!
//! Bodies of imports are megabytes of short strings; a tree of them would cost more than
//! everything else the simulator does with them.

/// As deep as `serde_json` goes by default.
const MAX_DEPTH: u32 = 128;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A piece of the scanned text: byte positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }
}

/// A string: what stands between its quotes, and whether escapes are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoted {
    pub(crate) inner: Span,
    pub(crate) escaped: bool,
}

/// The text is not JSON, or not of the expected shape at this place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// `text` has to be UTF-8, which is the caller's to check, and shorter than 4 GiB.
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The first byte of the next value, or 0 at the end.
    #[inline]
    pub(crate) fn peek(&mut self) -> u8 {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return *byte;
            }
            self.at += 1;
        }
        0
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        self.peek();
        if self.at == self.text.len() { Ok(()) } else { Err(Malformed) }
    }

    /// Skips one value of any kind.
    pub(crate) fn value(&mut self) -> Result<Span, Malformed> {
        self.spanned(|scanner| match scanner.peek() {
            b'"' => scanner.string().map(drop),
            b'{' => scanner.object(|scanner, _| scanner.value().map(drop)),
            b'[' => scanner.array(|scanner, _| scanner.value().map(drop)),
            b't' => scanner.literal(b"true"),
            b'f' => scanner.literal(b"false"),
            b'n' => scanner.literal(b"null"),
            _ => scanner.number(),
        })
    }

    /// Where the value is that `read` consumes.
    #[inline]
    pub(crate) fn spanned(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<Span, Malformed> {
        self.peek();
        let start = position(self.at)?;
        read(self)?;
        Ok(Span { start, end: position(self.at)? })
    }

    /// Calls `member` at the value of each member; it has to consume that value.
    #[inline]
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a [u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.open(b'{')?;
        if self.peek() == b'}' {
            self.close();
            return Ok(());
        }
        loop {
            self.peek();
            let key = self.string()?.inner.of(self.text);
            self.expect(b':')?;
            member(self, key)?;
            match self.peek() {
                b',' => self.at += 1,
                b'}' => {
                    self.close();
                    return Ok(());
                }
                _ => return Err(Malformed),
            }
        }
    }

    /// Calls `item` at each item with its index; it has to consume the item.
    #[inline]
    pub(crate) fn array(
        &mut self,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.open(b'[')?;
        if self.peek() == b']' {
            self.close();
            return Ok(());
        }
        for index in 0.. {
            item(self, index)?;
            match self.peek() {
                b',' => self.at += 1,
                b']' => {
                    self.close();
                    return Ok(());
                }
                _ => return Err(Malformed),
            }
        }
        Err(Malformed)
    }

    /// The string that starts here.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Quoted, Malformed> {
        if self.text.get(self.at) != Some(&b'"') {
            return Err(Malformed);
        }
        self.at += 1;
        let start = position(self.at)?;
        let mut escaped = false;
        loop {
            self.skip_plain();
            match self.text.get(self.at) {
                Some(b'"') => {
                    let inner = Span { start, end: position(self.at)? };
                    self.at += 1;
                    return Ok(Quoted { inner, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(Malformed), // the end, or a control character
            }
        }
    }

    /// Up to the next quote, backslash or control character, eight bytes at a time. A byte below
    /// the first hit never sets its high bit, so the lowest set bit is that of the first hit.
    #[inline]
    fn skip_plain(&mut self) {
        while let Some(word) = self.text.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*word);
            let quote = word ^ (ONES * u64::from(b'"'));
            let slash = word ^ (ONES * u64::from(b'\\'));
            let hits = (quote.wrapping_sub(ONES) & !quote)
                | (slash.wrapping_sub(ONES) & !slash)
                | (word.wrapping_sub(ONES * 0x20) & !word);
            let hits = hits & HIGHS;
            if hits != 0 {
                self.at += (hits.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
        while let Some(byte) = self.text.get(self.at) {
            if matches!(byte, b'"' | b'\\' | 0..0x20) {
                return;
            }
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6).ok_or(Malformed)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Malformed);
                }
                self.at += 6;
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<(), Malformed> {
        self.expect(bracket)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Malformed) } else { Ok(()) }
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != byte {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if !self.text[self.at..].starts_with(word) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.take(b"-");
        if !self.take(b"0") {
            self.digits()?;
        }
        if self.take(b".") {
            self.digits()?;
        }
        if self.take(b"eE") {
            self.take(b"+-");
            self.digits()?;
        }
        Ok(())
    }

    fn take(&mut self, any_of: &[u8]) -> bool {
        let found = self.text.get(self.at).is_some_and(|byte| any_of.contains(byte));
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }
}

#[inline]
fn position(at: usize) -> Result<u32, Malformed> {
    u32::try_from(at).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{Malformed, Scanner};

    fn accepts(text: &str) -> bool {
        let mut scanner = Scanner::new(text.as_bytes());
        scanner.value().and_then(|_| scanner.end()).is_ok()
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_json_text_is_accepted(value in any_json(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            prop_assert!(accepts(&text), "{text}");
        }

        #[test]
        fn damaged_json_is_accepted_exactly_when_serde_json_accepts_it(
            value in any_json(), at: prop::sample::Index, with in "[\\[\\]{}\",:0-9eE+.\\\\\\-nu\u{1} a]{0,2}",
        ) {
            let mut letters: Vec<char> = value.to_string().chars().collect();
            let at = at.index(letters.len());
            letters.splice(at..=at, with.chars());
            let text: String = letters.into_iter().collect();
            // `RawValue` checks the grammar and, like the scanner, neither ranges nor surrogates.
            let expected = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
            prop_assert_eq!(accepts(&text), expected, "{}", text);
        }
    }

    #[test]
    fn string_ends_at_its_quote_wherever_it_lies_in_a_word() {
        for length in 0..40 {
            let text = format!("\"{}\"", "é".repeat(length));
            let quoted = Scanner::new(text.as_bytes()).string().unwrap();
            assert_eq!((quoted.inner.len(), quoted.escaped), (2 * length, false));
            let cut = &text.as_bytes()[..text.len() - 1];
            assert_eq!(Scanner::new(cut).string(), Err(Malformed));
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(accepts(&nested(128)));
        assert!(!accepts(&nested(129)));
    }
}
