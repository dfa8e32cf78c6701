use crate::fingerprint::{Fingerprint, scale};

/// Bytes of one entry, in memory and on disk.
pub(crate) const ENTRY_BYTES: usize = 24;
/// Slots after the last home slot, for entries that were pushed to the right: nothing wraps around.
/// At three quarters full and with millions of slots no group of neighbours comes near this length, so
/// it is reached only by fingerprints that were made to collide; the table is then full early.
const MAX_GROUP: usize = 512;

/// A fingerprint and the hash of the payload that came with it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) payload: u64,
}

/// High half, low half, payload. A plain array, because a vector of zeroed arrays costs nothing until a
/// page of it is touched.
type Slot = [u64; 3];
const EMPTY: Slot = [0; 3];

/// Entries in ascending order of their fingerprint, each at or a little after its home slot.
///
/// The zero fingerprint marks an empty slot and cannot be kept here.
pub(crate) struct Table {
    slots: Vec<Slot>,
    /// Home slots. The memory holds [`MAX_GROUP`] more.
    homes: usize,
    /// Entries it takes: three quarters of the home slots, beyond which groups grow long.
    room: usize,
    len: usize,
}

/// What an insertion found.
pub(crate) enum Inserted {
    New,
    /// It was there, with this payload.
    Present(u64),
    /// It is not there, and there is no room for it.
    Full,
}

impl Table {
    /// A table of at most `bytes`; the memory is taken with the first entry.
    pub(crate) fn with_bytes(bytes: usize) -> Self {
        let homes = (bytes / ENTRY_BYTES).saturating_sub(MAX_GROUP);
        Self { slots: Vec::new(), homes, room: homes / 4 * 3, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn memory(&self) -> usize {
        self.slots.capacity() * ENTRY_BYTES
    }

    /// Forgets all entries and keeps the memory: to zero it costs less than to take it anew.
    pub(crate) fn clear(&mut self) {
        self.slots.fill(EMPTY);
        self.len = 0;
    }

    pub(crate) fn insert(&mut self, entry: Entry) -> Inserted {
        if self.slots.is_empty() {
            self.slots = vec![EMPTY; self.homes + MAX_GROUP];
        }
        let (high, low) = (entry.fingerprint.high(), entry.fingerprint.low());
        let home = self.home(high);
        let group = &mut self.slots[home..home + MAX_GROUP];
        for at in 0..group.len() {
            let [slot_high, slot_low, payload] = group[at];
            if (slot_high, slot_low) < (high, low) && (slot_high, slot_low) != (0, 0) {
                continue;
            }
            if (slot_high, slot_low) == (high, low) {
                return Inserted::Present(payload);
            }
            if self.len >= self.room || !place(&mut group[at..], [high, low, entry.payload]) {
                return Inserted::Full;
            }
            self.len += 1;
            return Inserted::New;
        }
        Inserted::Full
    }

    /// Something of what [`insert`](Self::insert) looks at first, to have it in the cache by then: where the
    /// entry belongs, and a cache line further, since most stand a little behind their home.
    pub(crate) fn touch(&self, fingerprint: Fingerprint) -> u64 {
        const LINE_SLOTS: usize = 64_usize.div_ceil(ENTRY_BYTES);
        if self.slots.is_empty() {
            return 0;
        }
        let home = self.home(fingerprint.high());
        self.slots[home][0] ^ self.slots[home + LINE_SLOTS][0]
    }

    #[expect(clippy::expect_used, reason = "arithmetic, whatever is asked for")]
    fn home(&self, high: u64) -> usize {
        let home = scale(high, self.homes as u64);
        usize::try_from(home).expect("a home slot is below `homes`, a usize")
    }

    /// All entries in ascending order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.slots.iter().filter(|slot| slot[..2] != [0, 0]).map(|&[high, low, payload]| Entry {
            fingerprint: Fingerprint::from_halves(high, low),
            payload,
        })
    }
}

/// Puts `slot` first and moves the group that stands there by one. `false`, and nothing moved, if no slot
/// is empty.
fn place(group: &mut [Slot], slot: Slot) -> bool {
    let Some(end) = group.iter().position(|&[high, low, _]| high == 0 && low == 0) else {
        return false;
    };
    group.copy_within(..end, 1);
    group[0] = slot;
    true
}

#[cfg(test)]
mod tests {
    use super::{ENTRY_BYTES, Entry, Inserted, MAX_GROUP, Table};
    use crate::fingerprint::{Fingerprint, fingerprint};

    fn entry(fingerprint: Fingerprint) -> Entry {
        Entry { fingerprint, payload: fingerprint.low() }
    }

    #[test]
    fn entries_come_back_in_order_and_all_of_them() {
        let mut table = Table::with_bytes(1 << 20);
        let mut all: Vec<_> = (0..20_000_u32).map(|n| fingerprint(7, &n.to_le_bytes())).collect();
        for &one in &all {
            assert!(matches!(table.insert(entry(one)), Inserted::New));
        }
        all.sort_unstable();
        assert!(table.entries().map(|entry| entry.fingerprint).eq(all));
    }

    #[test]
    fn table_takes_three_quarters_of_its_slots_before_it_is_full() {
        let mut table = Table::with_bytes(1 << 20);
        let homes = (1 << 20) / ENTRY_BYTES - MAX_GROUP;
        let is_taken = |n: &u32| {
            matches!(table.insert(entry(fingerprint(7, &n.to_le_bytes()))), Inserted::New)
        };
        let taken = (0..100_000).take_while(is_taken).count();
        assert_eq!(taken, homes / 4 * 3);
        assert!(table.memory() <= 1 << 20);
    }

    #[test]
    fn group_at_the_very_end_stops_before_the_end_of_memory() {
        let mut table = Table::with_bytes(1 << 20);
        for low in 0..10_000 {
            let fingerprint = Fingerprint::from_halves(u64::MAX, u64::MAX - low);
            if matches!(table.insert(entry(fingerprint)), Inserted::Full) {
                assert_eq!(table.len() as u64, low);
                assert!(low >= 500, "a group of {low} is too short");
                return;
            }
        }
        panic!("the table took more alike fingerprints than it has room for");
    }
}
