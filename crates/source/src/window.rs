use std::{io, ops::Range};

/// A sliding view of a stream: what was read and not yet consumed, in one piece.
pub(crate) struct Window<R> {
    source: R,
    buf: Vec<u8>,
    /// The unread part of `buf`.
    unread: Range<usize>,
    at_end: bool,
}

/// What [`Window::fill`] did.
pub(crate) struct Filled {
    /// By how much everything that was unread moved to the front.
    pub(crate) shift: usize,
    /// Where the new bytes stand. Empty: the stream has ended.
    pub(crate) fresh: Range<usize>,
}

impl<R: io::Read> Window<R> {
    pub(crate) fn new(source: R, capacity: usize) -> Self {
        Self { source, buf: vec![0; capacity.max(16)], unread: 0..0, at_end: false }
    }

    pub(crate) fn source(&self) -> &R {
        &self.source
    }

    /// Everything in memory; positions in it stay valid until the next `fill`.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buf[..self.unread.end]
    }

    /// Where the unread part begins in [`Self::bytes`].
    pub(crate) fn start(&self) -> usize {
        self.unread.start
    }

    pub(crate) fn end(&self) -> usize {
        self.unread.end
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.buf[self.unread.clone()]
    }

    /// The stream has no more bytes than those in memory.
    pub(crate) fn at_end(&self) -> bool {
        self.at_end
    }

    pub(crate) fn consume_to(&mut self, position: usize) {
        debug_assert!(self.unread.start <= position && position <= self.unread.end);
        self.unread.start = position;
    }

    /// Reads until memory is full or the stream ends. Memory doubles while more than half of it is
    /// unread, so that a long row costs a constant number of copies for each byte.
    pub(crate) fn fill(&mut self) -> io::Result<Filled> {
        let shift = self.make_room();
        let before = self.unread.end;
        while self.unread.end < self.buf.len() && !self.at_end {
            match self.source.read(&mut self.buf[self.unread.end..]) {
                Ok(0) => self.at_end = true,
                Ok(count) => self.unread.end += count,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(Filled { shift, fresh: before..self.unread.end })
    }

    fn make_room(&mut self) -> usize {
        let shift = self.unread.start;
        if self.unread.len() <= self.buf.len() / 2 {
            self.buf.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            shift
        } else {
            if self.unread.end == self.buf.len() {
                self.buf.resize(self.buf.len() * 2, 0);
            }
            0
        }
    }

    /// Fills once and steps over a byte order mark, which is not part of the first cell.
    pub(crate) fn begin(&mut self) -> io::Result<Filled> {
        let filled = self.fill()?;
        if self.unread().starts_with(b"\xEF\xBB\xBF") {
            self.unread.start += 3;
        }
        Ok(filled)
    }
}
