use crate::json;

/// Most keys are shorter, with what stands around them.
const SHORT: usize = 32;

/// The key of a member of an object, as it is written: `,"first_name":`.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    /// A copy of as many bytes as are known when this is compiled takes a few instructions and no call.
    Short {
        /// Zeros behind the key.
        bytes: [u8; SHORT],
        len: usize,
    },
    Long(Box<[u8]>),
}

impl Key {
    pub(crate) fn new(name: &str) -> Self {
        let mut literal = vec![b','];
        json::append_string(name, &mut literal);
        literal.push(b':');
        let (mut bytes, len) = ([0; SHORT], literal.len());
        match bytes.get_mut(..len) {
            Some(key) => {
                key.copy_from_slice(&literal);
                Self::Short { bytes, len }
            }
            None => Self::Long(literal.into()),
        }
    }

    /// Appends it, without the comma if the member is the `first` of its object.
    #[inline]
    pub(crate) fn append(&self, first: bool, out: &mut Vec<u8>) {
        match self {
            Self::Short { bytes, len } => {
                let end = out.len() + len;
                if first {
                    out.extend_from_slice(&bytes[1..]);
                    out.truncate(end - 1);
                } else {
                    out.extend_from_slice(bytes);
                    out.truncate(end);
                }
            }
            Self::Long(literal) => out.extend_from_slice(&literal[usize::from(first)..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn key_of_any_length_is_written_whole_and_with_a_comma_unless_it_is_the_first() {
        for length in 0..70 {
            let name = "k".repeat(length);
            for (first, comma) in [(true, ""), (false, ",")] {
                let mut out = b"{".to_vec();
                Key::new(&name).append(first, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), format!("{{{comma}\"{name}\":"));
            }
        }
    }
}
