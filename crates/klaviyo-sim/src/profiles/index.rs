use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::Number;

/// Finds profiles by one identifier. Half of the hash is kept beside each profile: growing does not
/// have to read the identifiers again, and a lookup reads one only when it is most likely right.
#[derive(Debug, Default)]
pub(crate) struct Index {
    table: HashTable<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u32,
    number: Number,
}

impl Entry {
    /// Spreads the tag over the word: the table takes its bits from both ends.
    fn hash(self) -> u64 {
        spread(self.tag)
    }
}

fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn tag(text: &str) -> u32 {
    (xxh3_64(text.as_bytes()) >> 32) as u32
}

impl Index {
    /// The profile that `is` says has this identifier.
    pub(crate) fn find(&self, text: &str, is: impl Fn(Number) -> bool) -> Option<Number> {
        let tag = tag(text);
        let found = self.table.find(spread(tag), |entry| entry.tag == tag && is(entry.number));
        found.map(|entry| entry.number)
    }

    /// The identifier must not be in the index yet.
    pub(crate) fn insert(&mut self, text: &str, number: Number) {
        let entry = Entry { tag: tag(text), number };
        self.table.insert_unique(entry.hash(), entry, |entry| entry.hash());
    }

    pub(crate) fn remove(&mut self, text: &str, number: Number) {
        if let Ok(entry) = self.table.find_entry(spread(tag(text)), |entry| entry.number == number)
        {
            entry.remove();
        }
    }
}
