//! One line of NDJSON, taken apart without copying.
//!
//! An own scanner and not a tree of values, because a number must stay as it is written (an order
//! number of 20 digits is not a float), and because a row is read once: its cells are spans of the line.

use std::ops::Range;

use memchr::{memchr, memchr2};
use serde_json::value::RawValue;

/// Objects inside objects, the row itself being the first.
const MAX_DEPTH: usize = 8;
/// Arrays and objects inside an array.
const MAX_ARRAY_DEPTH: usize = 64;
/// Of a name with those of the objects around it. A name is kept for every value below it, so without a limit
/// a line of megabytes would make terabytes of names.
const MAX_NAME_BYTES: usize = 1024;

/// A value that is not an object, as a span of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Range<usize>),
    /// Text without escapes, without its quotes.
    Text(Range<usize>),
    /// Text with escapes, with its quotes: itself a JSON document.
    Escaped(Range<usize>),
    Array(Range<usize>),
}

/// Why a line is not a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// What is wrong at which byte of the line.
    Json(&'static str, usize),
    /// A string holds `\u0000`.
    Nul(usize),
    /// What there is too much of.
    TooLarge(&'static str),
}

/// Calls `visit` with the name and the value of everything in the line that is not an object.
/// Members of an object inside the row are named `outer.inner`. A name may come twice. An error of `visit`
/// ends the scan.
pub(crate) fn scan(
    line: &str,
    visit: impl FnMut(&str, Value) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    let bytes = line.as_bytes();
    // Asked once for the line, without an early exit, because that is a loop the compiler vectorises.
    let has_controls = bytes.iter().fold(false, |any, byte| any | is_control(*byte));
    let mut scanner = Scanner { line, bytes, has_controls, at: 0, path: String::new(), visit };
    scanner.skip_space();
    match scanner.peek() {
        Some(b'{') => scanner.object(1)?,
        Some(b'[') => return Err(Invalid::Json("an array, not an object", 0)),
        _ => return Err(Invalid::Json("not a JSON object", 0)),
    }
    scanner.skip_space();
    match scanner.peek() {
        None => Ok(()),
        Some(_) => scanner.fail("something follows the object"),
    }
}

struct Scanner<'a, V> {
    line: &'a str,
    bytes: &'a [u8],
    /// Some byte of the line is a control character, which white space between tokens may be.
    has_controls: bool,
    at: usize,
    /// The names of the objects around the place, each followed by a dot.
    path: String,
    visit: V,
}

impl<V: FnMut(&str, Value) -> Result<(), Invalid>> Scanner<'_, V> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, Invalid> {
        Err(Invalid::Json(what, self.at))
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Invalid> {
        if self.peek() != Some(byte) {
            return self.fail(what);
        }
        self.at += 1;
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), Invalid> {
        if depth > MAX_DEPTH {
            return self.fail("objects are nested deeper than 8 levels");
        }
        self.at += 1; // the brace
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_space();
            self.member(depth)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.fail("a comma or a brace is missing"),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn member(&mut self, depth: usize) -> Result<(), Invalid> {
        let key = self.string("a name in quotes is missing")?;
        self.skip_space();
        self.expect(b':', "a colon is missing")?;
        self.skip_space();

        if self.peek() == Some(b'{') {
            let outer = self.path.len();
            self.push_name(&key)?;
            self.path.push('.');
            self.object(depth + 1)?;
            self.path.truncate(outer);
            return Ok(());
        }
        let value = self.value()?;
        match key {
            Value::Text(name) if depth == 1 => {
                check_name(name.len())?;
                (self.visit)(&self.line[name], value)
            }
            key => {
                let outer = self.path.len();
                self.push_name(&key)?;
                (self.visit)(&self.path, value)?;
                self.path.truncate(outer);
                Ok(())
            }
        }
    }

    fn push_name(&mut self, key: &Value) -> Result<(), Invalid> {
        match key {
            Value::Text(name) => self.path.push_str(&self.line[name.clone()]),
            Value::Escaped(name) => unescape(self.line, name, &mut self.path)?,
            _ => {} // `string` returns nothing else
        }
        check_name(self.path.len())
    }

    fn value(&mut self) -> Result<Value, Invalid> {
        match self.peek() {
            Some(b'"') => self.string(""),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'[') => self.array(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.fail("a value is missing"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Invalid> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.fail("a value is missing");
        }
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self, missing: &'static str) -> Result<Value, Invalid> {
        let quote = self.at;
        self.expect(b'"', missing)?;
        let mut escaped = false;
        loop {
            let Some(offset) = memchr2(b'"', b'\\', &self.bytes[self.at..]) else {
                self.at = quote;
                return self.fail("a string is not closed");
            };
            self.at += offset + 1;
            if self.bytes[self.at - 1] == b'"' {
                break;
            }
            escaped = true;
            self.at += 1; // whatever is escaped, it does not end the string
            if self.at > self.bytes.len() {
                self.at = quote;
                return self.fail("a string is not closed");
            }
        }
        let content = quote + 1..self.at - 1;
        if self.has_controls && self.bytes[content.clone()].iter().any(|byte| is_control(*byte)) {
            self.at = quote;
            return self.fail("a control character stands in a string");
        }
        if escaped {
            check_escapes(self.line, &(quote..self.at))?;
            return Ok(Value::Escaped(quote..self.at));
        }
        Ok(Value::Text(content))
    }

    fn number(&mut self) -> Result<Value, Invalid> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(start..self.at))
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { self.fail("a digit is missing") } else { Ok(()) }
    }

    /// Arrays are rare: they are left to `serde_json`, which steps over them without recursion.
    fn array(&mut self) -> Result<Value, Invalid> {
        let start = self.at;
        let mut values =
            serde_json::Deserializer::from_str(&self.line[start..]).into_iter::<&RawValue>();
        let Some(Ok(raw)) = values.next() else {
            return self.fail("an array is not valid JSON");
        };
        let raw = raw.get();
        if depth(raw) > MAX_ARRAY_DEPTH {
            return self.fail("an array is nested deeper than 64 levels");
        }
        // Surrogates without their other half pass a scan, and would fail in Klaviyo.
        if memchr(b'\\', raw.as_bytes()).is_some() {
            let value: serde_json::Value = serde_json::from_str(raw)
                .map_err(|_| Invalid::Json("an array is not valid JSON", start))?;
            if holds_nul(&value) {
                return Err(Invalid::Nul(start));
            }
        }
        self.at += raw.len();
        Ok(Value::Array(start..self.at))
    }
}

/// Appends the text of a string with escapes; `span` includes its quotes.
pub(crate) fn unescape(line: &str, span: &Range<usize>, out: &mut String) -> Result<(), Invalid> {
    let text: String = serde_json::from_str(&line[span.clone()])
        .map_err(|_| Invalid::Json("an escape in a string is not valid", span.start))?;
    out.push_str(&text);
    Ok(())
}

fn check_escapes(line: &str, span: &Range<usize>) -> Result<(), Invalid> {
    let mut text = String::new();
    unescape(line, span, &mut text)?;
    if text.contains('\0') { Err(Invalid::Nul(span.start)) } else { Ok(()) }
}

fn check_name(bytes: usize) -> Result<(), Invalid> {
    if bytes > MAX_NAME_BYTES {
        return Err(Invalid::TooLarge("a name has more than 1024 bytes"));
    }
    Ok(())
}

/// A character that a string may hold only as an escape (RFC 8259, section 7).
fn is_control(byte: u8) -> bool {
    byte < 0x20
}

/// How deep the brackets and braces of a valid JSON text go.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn holds_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(values) => values.iter().any(holds_nul),
        serde_json::Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value))
        }
        _ => false,
    }
}
