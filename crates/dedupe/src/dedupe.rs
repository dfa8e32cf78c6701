use std::path::PathBuf;

use crate::{
    error::DedupeError,
    filter::Filter,
    fingerprint::Fingerprint,
    frozen::{Frozen, STREAM_BUFFER},
    merge::Merge,
    scratch::Scratch,
    table::{Entry, Inserted, Table},
};

/// The least memory that is used, in bytes, whatever is asked for.
pub const MIN_MEMORY: usize = 1 << 20;
/// So many files of one level become one file of the next.
const FAN_IN: usize = 8;

/// Kept free for reading the files of a merge and writing the one that they become.
const MERGE_BUFFERS: usize = (FAN_IN + 1) * STREAM_BUFFER;

/// Which identities were seen, and with what payload first.
pub struct Dedupe {
    table: Table,
    filter: Filter,
    /// Files by level, in each level oldest first. A file of level n holds about 8ⁿ full tables.
    levels: Vec<Vec<Frozen>>,
    /// The payload of the one fingerprint that a table cannot hold.
    zero: Option<u64>,
    disk_lookups: u64,
    // Last, so that the files are gone when the folder is removed.
    scratch: Scratch,
}

/// How an identity relates to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Never seen; it is now.
    New,
    /// Seen, and the first time with the same payload.
    Same,
    /// Seen, but the first time with another payload. The first one stays the one to compare with.
    Differs,
}

/// What a [`Dedupe`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Different identities seen.
    pub identities: u64,
    /// Bytes of memory in use between calls, without the few KiB of bookkeeping. During a call 144 KiB
    /// of buffers may come on top; they are part of what was given.
    pub memory_bytes: usize,
    /// Files, and their bytes.
    pub files: usize,
    pub disk_bytes: u64,
    /// Lookups that had to read a file.
    pub disk_lookups: u64,
}

impl Dedupe {
    /// Uses at most `memory` bytes (at least [`MIN_MEMORY`]) plus a few KiB, taken as they are needed.
    ///
    /// What does not fit goes to files in `scratch`, a folder that nobody else uses: it is made with the
    /// first file, for this user only, and removed on drop.
    pub fn new(memory: usize, scratch: PathBuf) -> Self {
        let memory = memory.max(MIN_MEMORY);
        let filter = memory / 4;
        Self {
            table: Table::with_bytes(memory - filter - MERGE_BUFFERS),
            filter: Filter::with_bytes(filter),
            levels: Vec::new(),
            zero: None,
            disk_lookups: 0,
            scratch: Scratch::new(scratch),
        }
    }

    /// Tells whether this identity was seen before, and remembers it with this hash of its payload if not.
    ///
    /// Blocks on the disk now and then: when the memory is full, and for identities that were written out.
    pub fn see(&mut self, fingerprint: Fingerprint, payload: u64) -> Result<Seen, DedupeError> {
        if fingerprint.0 == 0 {
            return Ok(compare(self.zero.replace(self.zero.unwrap_or(payload)), payload));
        }
        if self.filter.may_contain(fingerprint)
            && let Some(first) = self.find_frozen(fingerprint)?
        {
            return Ok(compare(Some(first), payload));
        }
        let entry = Entry { fingerprint, payload };
        loop {
            match self.table.insert(entry) {
                Inserted::New => return Ok(Seen::New),
                Inserted::Present(first) => return Ok(compare(Some(first), payload)),
                Inserted::Full => self.freeze()?,
            }
        }
    }

    /// Says which identities will be asked for soon, some dozens at a time. Changes no answer.
    ///
    /// Where one is looked for is as good as random, so each [`see`](Self::see) would wait for memory, one
    /// after the other. The reads here do not depend on each other, and the processor waits for all of them
    /// at once.
    pub fn warm(&self, fingerprints: impl IntoIterator<Item = Fingerprint>) {
        let touch = |one| self.table.touch(one) ^ self.filter.touch(one);
        let read = fingerprints.into_iter().fold(0, |read, one| read ^ touch(one));
        // Otherwise nobody would want what was read, and it would not be.
        std::hint::black_box(read);
    }

    pub fn stats(&self) -> Stats {
        let files = || self.levels.iter().flatten();
        Stats {
            identities: self.table.len() as u64
                + files().map(Frozen::len).sum::<u64>()
                + u64::from(self.zero.is_some()),
            memory_bytes: self.table.memory() + self.filter.memory(),
            files: files().count(),
            disk_bytes: files().map(Frozen::bytes).sum(),
            disk_lookups: self.disk_lookups,
        }
    }

    fn find_frozen(&mut self, fingerprint: Fingerprint) -> Result<Option<u64>, DedupeError> {
        self.disk_lookups += 1;
        for file in self.levels.iter().flat_map(|level| level.iter().rev()) {
            if let Some(payload) = file.find(fingerprint)? {
                return Ok(Some(payload));
            }
        }
        Ok(None)
    }

    /// Writes the table out and empties it. If that fails it is as it was; if only a merge fails, the files
    /// that were to be merged are as they were.
    fn freeze(&mut self) -> Result<(), DedupeError> {
        let file = self.scratch.create()?;
        let frozen = Frozen::write(file, self.table.len() as u64, self.table.entries().map(Ok))?;
        self.filter.add(self.table.entries());
        self.table.clear();
        self.push(0, frozen);
        let mut level = 0;
        while self.levels.get(level).is_some_and(|files| files.len() >= FAN_IN) {
            let merged = self.merge(level)?;
            self.levels[level].clear();
            self.push(level + 1, merged);
            level += 1;
        }
        Ok(())
    }

    fn push(&mut self, level: usize, frozen: Frozen) {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        self.levels[level].push(frozen);
    }

    fn merge(&mut self, level: usize) -> Result<Frozen, DedupeError> {
        let file = self.scratch.create()?;
        let sources = &self.levels[level];
        let len = sources.iter().map(Frozen::len).sum();
        let mut streams = Vec::with_capacity(sources.len());
        for source in sources {
            streams.push(source.entries().map_err(DedupeError::at(source.path()))?);
        }
        let merged = Merge::new(streams).map_err(DedupeError::at(file.path()))?;
        Frozen::write(file, len, merged)
    }
}

fn compare(first: Option<u64>, payload: u64) -> Seen {
    match first {
        None => Seen::New,
        Some(first) if first == payload => Seen::Same,
        Some(_) => Seen::Differs,
    }
}
