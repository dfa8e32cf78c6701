use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
};

use segue_model::Micros;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::error::Difference;

/// By what an object is known again: after a restart, and while it is being read.
///
/// A write that leaves the size as it is, in the same tick of the file system's clock (a few
/// milliseconds) as the write before it, is not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    #[serde(flatten)]
    stamp: Stamp,
    /// XXH3-128 of the first and the last 64 KiB, in hexadecimal.
    ends_hash: String,
}

/// What `fstat` tells; cheap enough to compare while reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    size_bytes: u64,
    modified_s: i64,
    modified_ns: i64,
    inode: u64,
    device: u64,
}

const END_BYTES: u64 = 64 << 10;

impl Version {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let stamp = Stamp::of(file)?;
        let size = stamp.size_bytes;
        let mut hash = Xxh3::new();
        let tail = size.saturating_sub(END_BYTES).max(END_BYTES.min(size));
        for (from, to) in [(0, END_BYTES.min(size)), (tail, size)] {
            let length = usize::try_from(to - from).map_err(io::Error::other)?;
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, from)?;
            hash.update(&bytes);
        }
        Ok(Self { stamp, ends_hash: format!("{:032x}", hash.digest128()) })
    }

    /// Bytes on disk.
    pub fn size_bytes(&self) -> u64 {
        self.stamp.size_bytes
    }

    /// When the file was last written to, by the clock of its file system; what no clock of ours can show, as
    /// near as it can.
    pub fn modified(&self) -> Micros {
        /// The last second of the year 9999.
        const LAST: i64 = 253_402_300_799;
        let Stamp { modified_s, modified_ns, .. } = self.stamp;
        Micros(modified_s.clamp(0, LAST) * 1_000_000 + modified_ns.clamp(0, 999_999_999) / 1000)
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// How `self` differs from an earlier version; the most telling difference first.
    pub fn difference(&self, earlier: &Self) -> Option<Difference> {
        let (now, then) = (self.stamp, earlier.stamp);
        if now.size_bytes != then.size_bytes {
            Some(Difference::Size)
        } else if self.ends_hash != earlier.ends_hash {
            Some(Difference::Content)
        } else if now.inode != then.inode {
            // Not the device: two machines that share a folder number it differently.
            Some(Difference::File)
        } else if (now.modified_s, now.modified_ns) != (then.modified_s, then.modified_ns) {
            Some(Difference::ModifiedAt)
        } else {
            None
        }
    }
}

impl Stamp {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::from(&metadata))
    }

    /// The file itself, under whatever name.
    pub(crate) fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

// Not the change time (ctime): a rename over the open file alters it, and that must not stop the read.
impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            size_bytes: metadata.size(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }
}

/// The objects of a segment in their order, each with its version: part of what a run freezes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub objects: Vec<ManifestObject>,
}

/// One object of a [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestObject {
    /// The path as it was given or as the pattern found it.
    pub name: String,
    pub version: Version,
}
