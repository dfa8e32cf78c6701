//! What the tests of both formats share.

use std::io;

/// A stream that hands out at most `step` bytes at a time, and is interrupted now and then.
pub(crate) struct Trickle<'a> {
    bytes: &'a [u8],
    step: usize,
    reads: usize,
}

impl<'a> Trickle<'a> {
    pub(crate) fn new(bytes: &'a [u8], step: usize) -> Self {
        Self { bytes, step, reads: 0 }
    }
}

impl io::Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        if self.reads.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = self.step.min(buf.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(count);
        buf[..count].copy_from_slice(now);
        self.bytes = later;
        Ok(count)
    }
}
