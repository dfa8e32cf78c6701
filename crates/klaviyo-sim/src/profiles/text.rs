/// E-mail addresses one behind the other: no allocation, no padding for each of millions.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    chunks: Vec<String>,
}

/// Where an address is: chunk, start and length in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(u64);

impl Address {
    pub(crate) const NONE: Self = Self(0);
}

const CHUNK: usize = 1 << 20;

impl Addresses {
    /// An address is at most 100 bytes, which the caller has checked.
    pub(crate) fn push(&mut self, text: &str) -> Address {
        let room = self.chunks.last().map_or(0, |chunk| CHUNK - chunk.len());
        if room < text.len() {
            self.chunks.push(String::with_capacity(CHUNK));
        }
        let at = self.chunks.len() - 1;
        let chunk = &mut self.chunks[at];
        let start = chunk.len();
        chunk.push_str(text);
        Address((at as u64) << 32 | (start as u64) << 8 | text.len() as u64)
    }

    pub(crate) fn get(&self, Address(word): Address) -> Option<&str> {
        let length = (word & 0xff) as usize;
        let start = (word >> 8 & 0xff_ffff) as usize;
        let chunk = self.chunks.get(usize::try_from(word >> 32).ok()?)?;
        (length > 0).then(|| &chunk[start..start + length])
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Addresses};

    #[test]
    fn addresses_read_back_across_chunks() {
        let mut addresses = Addresses::default();
        let text = |n: usize| format!("{n:0>90}@example.com");
        let kept: Vec<_> = (0..30_000).map(|n| addresses.push(&text(n))).collect();
        assert!(addresses.chunks.len() > 2);
        for (n, address) in kept.into_iter().enumerate() {
            assert_eq!(addresses.get(address), Some(text(n).as_str()));
        }
        assert_eq!(addresses.get(Address::NONE), None);
    }
}
