use std::io::{self, BufReader, Read, Seek, Write};

use crate::{
    error::DedupeError,
    fingerprint::{Fingerprint, scale},
    scratch::ScratchFile,
    table::{ENTRY_BYTES, Entry},
};

/// Slots read at once in a lookup. At three quarters full an entry stands a handful of slots after its
/// home; 24 slots away is a matter of e⁻¹³.
const PROBE_SLOTS: usize = 24;
/// Bytes of the buffer of one file that is written or read from end to end.
pub(crate) const STREAM_BUFFER: usize = 16 << 10;

/// A table in a file, laid out like the one in memory: sorted, each entry at or a little after its home.
pub(crate) struct Frozen {
    file: ScratchFile,
    homes: u64,
    /// Slots in the file, at least `homes`.
    slots: u64,
    len: u64,
}

impl Frozen {
    /// Writes `len` entries, which must come in ascending order.
    pub(crate) fn write(
        file: ScratchFile,
        len: u64,
        entries: impl Iterator<Item = io::Result<Entry>>,
    ) -> Result<Self, DedupeError> {
        let homes = (len + len.div_ceil(3)).max(1);
        let slots =
            write_slots(&file.file, homes, entries).map_err(DedupeError::at(file.path()))?;
        Ok(Self { file, homes, slots, len })
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.slots * ENTRY_BYTES as u64
    }

    /// The payload that came with this fingerprint first, if it is here.
    pub(crate) fn find(&self, fingerprint: Fingerprint) -> Result<Option<u64>, DedupeError> {
        self.search(fingerprint).map_err(DedupeError::at(self.file.path()))
    }

    fn search(&self, fingerprint: Fingerprint) -> io::Result<Option<u64>> {
        let mut buffer = [0; PROBE_SLOTS * ENTRY_BYTES];
        let mut at = scale(fingerprint.high(), self.homes);
        while at < self.slots {
            let count = (self.slots - at).min(PROBE_SLOTS as u64);
            let bytes = &mut buffer[..usize::try_from(count).unwrap_or(PROBE_SLOTS) * ENTRY_BYTES];
            self.file.read_exact_at(bytes, at * ENTRY_BYTES as u64)?;
            for slot in bytes.as_chunks().0 {
                match decode(slot) {
                    Some(entry) if entry.fingerprint < fingerprint => {}
                    Some(entry) if entry.fingerprint == fingerprint => {
                        return Ok(Some(entry.payload));
                    }
                    _ => return Ok(None),
                }
            }
            at += count;
        }
        Ok(None)
    }

    /// All entries in ascending order.
    pub(crate) fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<Entry>>> {
        let mut file = &self.file.file;
        file.rewind()?;
        let mut reader = BufReader::with_capacity(STREAM_BUFFER, file);
        let mut left = self.slots;
        Ok(std::iter::from_fn(move || {
            while left > 0 {
                left -= 1;
                let mut slot = [0; ENTRY_BYTES];
                match reader.read_exact(&mut slot) {
                    Ok(()) => {}
                    Err(err) => return Some(Err(err)),
                }
                if let Some(entry) = decode(&slot) {
                    return Some(Ok(entry));
                }
            }
            None
        }))
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.file.path()
    }
}

/// Returns the number of slots written.
fn write_slots(
    file: impl Write,
    homes: u64,
    entries: impl Iterator<Item = io::Result<Entry>>,
) -> io::Result<u64> {
    let mut out = Slots { file, buffer: Vec::with_capacity(STREAM_BUFFER), written: 0 };
    for entry in entries {
        let entry = entry?;
        out.skip_to(scale(entry.fingerprint.high(), homes))?;
        out.push(encode(entry))?;
    }
    out.skip_to(homes)?;
    out.file.write_all(&out.buffer)?;
    Ok(out.written)
}

/// Slots on their way to a file. A writer for any bytes would look at its state for each slot; this one is
/// a copy of 24 bytes, a million times for each file.
struct Slots<W> {
    file: W,
    buffer: Vec<u8>,
    /// Those in the buffer included.
    written: u64,
}

impl<W: Write> Slots<W> {
    fn push(&mut self, slot: [u8; ENTRY_BYTES]) -> io::Result<()> {
        self.buffer.extend_from_slice(&slot);
        self.written += 1;
        if self.buffer.len() + ENTRY_BYTES > STREAM_BUFFER {
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Leaves slots empty up to `slot`, if that is not behind us.
    fn skip_to(&mut self, slot: u64) -> io::Result<()> {
        while self.written < slot {
            self.push([0; ENTRY_BYTES])?;
        }
        Ok(())
    }
}

fn encode(entry: Entry) -> [u8; ENTRY_BYTES] {
    let mut slot = [0; ENTRY_BYTES];
    slot[..16].copy_from_slice(&entry.fingerprint.0.to_le_bytes());
    slot[16..].copy_from_slice(&entry.payload.to_le_bytes());
    slot
}

/// `None` for an empty slot.
fn decode(slot: &[u8; ENTRY_BYTES]) -> Option<Entry> {
    let (fingerprint, payload) = slot.split_first_chunk::<16>()?;
    let fingerprint = Fingerprint(u128::from_le_bytes(*fingerprint));
    let payload = u64::from_le_bytes(*payload.first_chunk()?);
    (fingerprint.0 != 0).then_some(Entry { fingerprint, payload })
}
