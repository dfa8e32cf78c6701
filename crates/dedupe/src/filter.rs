use crate::{
    fingerprint::{Fingerprint, scale},
    table::Entry,
};

const WORDS: usize = 8;

/// One cache line: a key sets one bit in each of its eight words.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Block([u64; WORDS]);

/// A blocked Bloom filter over everything that was written out.
///
/// The block follows from the high half of the fingerprint, so that filling it from an ordered table walks
/// through memory; the bits follow from the low half.
pub(crate) struct Filter {
    blocks: Vec<Block>,
    size: usize,
}

impl Filter {
    /// A filter of at most `bytes`; the memory is taken when something is added.
    pub(crate) fn with_bytes(bytes: usize) -> Self {
        Self { blocks: Vec::new(), size: (bytes / size_of::<Block>()).max(1) }
    }

    pub(crate) fn memory(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
    }

    pub(crate) fn add(&mut self, entries: impl Iterator<Item = Entry>) {
        if self.blocks.is_empty() {
            self.blocks = vec![Block([0; WORDS]); self.size];
        }
        for Entry { fingerprint, .. } in entries {
            let at = self.block(fingerprint);
            for (word, bit) in self.blocks[at].0.iter_mut().zip(bits(fingerprint)) {
                *word |= bit;
            }
        }
    }

    /// Never `false` for what was added.
    pub(crate) fn may_contain(&self, fingerprint: Fingerprint) -> bool {
        !self.blocks.is_empty()
            && self.blocks[self.block(fingerprint)]
                .0
                .iter()
                .zip(bits(fingerprint))
                .all(|(word, bit)| word & bit != 0)
    }

    /// Something of what [`may_contain`](Self::may_contain) looks at, to have it in the cache by then.
    pub(crate) fn touch(&self, fingerprint: Fingerprint) -> u64 {
        if self.blocks.is_empty() { 0 } else { self.blocks[self.block(fingerprint)].0[0] }
    }

    #[expect(clippy::expect_used, reason = "arithmetic, whatever is asked for")]
    fn block(&self, fingerprint: Fingerprint) -> usize {
        let block = scale(fingerprint.high(), self.size as u64);
        usize::try_from(block).expect("a block is below `size`, a usize")
    }
}

/// Six bits of the low half choose the bit of each word.
fn bits(fingerprint: Fingerprint) -> [u64; WORDS] {
    let low = fingerprint.low();
    std::array::from_fn(|word| 1 << ((low >> (6 * word)) & 63))
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use crate::{fingerprint::fingerprint, table::Entry};

    fn entries(range: std::ops::Range<u32>) -> impl Iterator<Item = Entry> {
        range.map(|n| Entry { fingerprint: fingerprint(3, &n.to_le_bytes()), payload: 0 })
    }

    #[test]
    fn what_was_added_is_found_and_little_else() {
        let mut filter = Filter::with_bytes(1 << 17); // 1 Mi bits: 12 for each key
        assert!(entries(0..10).all(|entry| !filter.may_contain(entry.fingerprint)));
        filter.add(entries(0..87_381));
        assert!(entries(0..87_381).all(|entry| filter.may_contain(entry.fingerprint)));
        let wrong = entries(1_000_000..1_100_000)
            .filter(|entry| filter.may_contain(entry.fingerprint))
            .count();
        assert!(wrong < 1_000, "{wrong} of 100,000 were found although never added");
    }
}
