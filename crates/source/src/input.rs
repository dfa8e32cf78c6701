use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    sync::Arc,
};

use flate2::bufread::MultiGzDecoder;

use crate::{Compression, Expansion};

const COMPRESSED_BUFFER: usize = 64 << 10;

/// Reads an open file at its own offset, so that two passes over one handle do not disturb each other.
pub(crate) struct Pread {
    file: Arc<File>,
    offset: u64,
}

impl Read for Pread {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buf, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// The bytes of an object, decompressed, with a guard against archives that never end.
pub(crate) struct Input {
    decoder: Decoder,
    guard: Expansion,
    bytes_out: u64,
}

enum Decoder {
    Plain(Pread),
    Gzip(Box<MultiGzDecoder<BufReader<Pread>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Pread>>>),
}

/// Travels inside an [`io::Error`] from [`Input`] to the place that knows the object's name.
#[derive(Debug)]
pub(crate) struct UnfoldsTooFar {
    pub(crate) limit_bytes: u64,
    pub(crate) read_bytes: u64,
}

impl fmt::Display for UnfoldsTooFar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} bytes", self.limit_bytes)
    }
}
impl std::error::Error for UnfoldsTooFar {}

impl Input {
    pub(crate) fn new(
        file: Arc<File>,
        compression: Compression,
        guard: Expansion,
    ) -> io::Result<Self> {
        let raw = Pread { file, offset: 0 };
        let decoder = match compression {
            Compression::None => Decoder::Plain(raw),
            Compression::Gzip => {
                let buffered = BufReader::with_capacity(COMPRESSED_BUFFER, raw);
                Decoder::Gzip(Box::new(MultiGzDecoder::new(buffered)))
            }
            Compression::Zstd => {
                let buffered = BufReader::with_capacity(COMPRESSED_BUFFER, raw);
                Decoder::Zstd(Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?))
            }
        };
        Ok(Self { decoder, guard, bytes_out: 0 })
    }

    /// Bytes of the file that were read, as they lie on disk.
    pub(crate) fn bytes_read(&self) -> u64 {
        match &self.decoder {
            Decoder::Plain(raw) => raw.offset,
            Decoder::Gzip(decoder) => decoder.get_ref().get_ref().offset,
            Decoder::Zstd(decoder) => decoder.get_ref().get_ref().offset,
        }
    }

    fn guard(&self) -> io::Result<()> {
        let read_bytes = self.bytes_read();
        let by_ratio = self.guard.free_bytes.max(read_bytes.saturating_mul(self.guard.max_ratio));
        let limit_bytes = by_ratio.min(self.guard.max_bytes);
        if self.bytes_out > limit_bytes {
            return Err(io::Error::other(UnfoldsTooFar { limit_bytes, read_bytes }));
        }
        Ok(())
    }
}

impl Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.decoder {
            Decoder::Plain(raw) => return raw.read(buf), // on disk already: no bomb
            Decoder::Gzip(decoder) => decoder.read(buf)?,
            Decoder::Zstd(decoder) => decoder.read(buf)?,
        };
        self.bytes_out += count as u64;
        self.guard()?;
        Ok(count)
    }
}
