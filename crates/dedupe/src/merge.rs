use std::io;

use crate::table::Entry;

/// Several ascending streams as one. No entry is in two of them.
pub(crate) struct Merge<I> {
    /// The next entry of each stream, and the rest of it.
    streams: Vec<(Entry, I)>,
}

impl<I: Iterator<Item = io::Result<Entry>>> Merge<I> {
    pub(crate) fn new(streams: impl IntoIterator<Item = I>) -> io::Result<Self> {
        let mut heads = Vec::new();
        for mut stream in streams {
            if let Some(head) = stream.next() {
                heads.push((head?, stream));
            }
        }
        Ok(Self { streams: heads })
    }
}

impl<I: Iterator<Item = io::Result<Entry>>> Iterator for Merge<I> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        // There are eight at most: looking at each is as fast as a heap.
        let smallest = (0..self.streams.len()).min_by_key(|&at| self.streams[at].0.fingerprint)?;
        let (head, stream) = &mut self.streams[smallest];
        let entry = *head;
        match stream.next() {
            Some(Ok(next)) => *head = next,
            Some(Err(err)) => return Some(Err(err)),
            None => drop(self.streams.swap_remove(smallest)),
        }
        Some(Ok(entry))
    }
}
