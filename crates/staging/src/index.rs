use bytes::{Buf, BufMut, Bytes, BytesMut};
use segue_model::Position;

/// Magic and version, then the number of entries; all numbers are little-endian.
const MAGIC: [u8; 4] = *b"SGIX";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 12;
/// Position (4 + 8), offset, length (4 + 4), fingerprint (16).
const ENTRY_BYTES: usize = 36;

/// Where one profile of a body comes from, and where in the body it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    pub position: Position,
    /// First byte of the profile's JSON in the body.
    pub offset: u32,
    /// Bytes of the profile's JSON.
    pub len: u32,
    /// The 128-bit fingerprint of the identity, under the seed of the run.
    pub fingerprint: u128,
}

impl IndexEntry {
    /// The profile's JSON; `None` if this body is too short to be the one that was indexed.
    pub fn profile<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.offset).ok()?;
        body.get(start..)?.get(..usize::try_from(self.len).ok()?)
    }
}

/// Writes the index of a body, one entry a profile, in the order of the body.
#[derive(Debug)]
pub struct IndexBuilder {
    bytes: BytesMut,
    count: u32,
}

/// The index of a body. Entry *i* is the profile that Klaviyo's pointers call `…/profiles/data/i`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Whole entries, without the header.
    entries: Bytes,
}

/// Bytes that are not an index that this version reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIndex {
    #[error("not the index of a batch")]
    NotAnIndex,
    #[error("index of version {0}, which this version does not know")]
    UnknownVersion(u16),
    /// Profiles overlap, or are not in the order of the body.
    #[error("entry {0} of the index is out of order")]
    OutOfOrder(usize),
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl IndexBuilder {
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// With room for so many entries.
    pub fn with_capacity(entries: usize) -> Self {
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + entries * ENTRY_BYTES);
        bytes.put_slice(&MAGIC);
        bytes.put_u16_le(VERSION);
        bytes.put_u16_le(0);
        bytes.put_u32_le(0); // the count, when it is known
        Self { bytes, count: 0 }
    }

    /// Entries come in the order of the body, each after the end of the one before.
    pub fn push(&mut self, entry: IndexEntry) {
        // Destructured, so that no field is forgotten here.
        let IndexEntry { position: Position { object, row }, offset, len, fingerprint } = entry;
        self.bytes.put_u32_le(object);
        self.bytes.put_u64_le(row);
        self.bytes.put_u32_le(offset);
        self.bytes.put_u32_le(len);
        self.bytes.put_u128_le(fingerprint);
        self.count += 1;
    }

    pub fn finish(mut self) -> Bytes {
        self.bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&self.count.to_le_bytes());
        self.bytes.freeze()
    }
}

impl Index {
    /// Takes the bytes without a copy. Whatever they are, this and all methods return.
    pub fn parse(mut bytes: Bytes) -> Result<Self, InvalidIndex> {
        let count = read_header(&bytes)?;
        bytes.advance(HEADER_BYTES);
        let index = Self { entries: bytes };
        let (whole, rest) = index.entries.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() || u32::try_from(whole.len()) != Ok(count) {
            return Err(InvalidIndex::NotAnIndex);
        }
        let mut end = 0;
        for (at, entry) in index.iter().enumerate() {
            if u64::from(entry.offset) < end {
                return Err(InvalidIndex::OutOfOrder(at));
            }
            end = u64::from(entry.offset) + u64::from(entry.len);
        }
        Ok(index)
    }

    pub fn len(&self) -> usize {
        self.entries.len() / ENTRY_BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn entry(&self, at: usize) -> Option<IndexEntry> {
        self.entries.as_chunks().0.get(at).map(decode)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = IndexEntry> + '_ {
        self.entries.as_chunks().0.iter().map(decode)
    }

    /// The first profile of this identity. It looks at every entry: some 10 µs for a full batch. For many
    /// identities build a map from [`iter`](Self::iter).
    pub fn find(&self, fingerprint: u128) -> Option<usize> {
        self.iter().position(|entry| entry.fingerprint == fingerprint)
    }
}

/// The number of entries that there should be.
fn read_header(bytes: &[u8]) -> Result<u32, InvalidIndex> {
    let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(InvalidIndex::NotAnIndex)?;
    let [m0, m1, m2, m3, v0, v1, _, _, count @ ..] = *header;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(InvalidIndex::NotAnIndex);
    }
    match u16::from_le_bytes([v0, v1]) {
        VERSION => Ok(u32::from_le_bytes(count)),
        other => Err(InvalidIndex::UnknownVersion(other)),
    }
}

fn decode(bytes: &[u8; ENTRY_BYTES]) -> IndexEntry {
    let mut rest = &bytes[..];
    // Fields are evaluated in the order in which they stand here.
    IndexEntry {
        position: Position { object: rest.get_u32_le(), row: rest.get_u64_le() },
        offset: rest.get_u32_le(),
        len: rest.get_u32_le(),
        fingerprint: rest.get_u128_le(),
    }
}
