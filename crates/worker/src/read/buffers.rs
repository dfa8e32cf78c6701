use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use segue_model::{MAX_BATCH_BYTES, MAX_PROFILE_BYTES};

/// The largest batch, and behind it the profile that turns out to be one too many: any buffer will do for
/// any batch.
const CAPACITY: usize = MAX_BATCH_BYTES + MAX_PROFILE_BYTES;
/// Spare buffers that are kept. Up to ten come back together, when Klaviyo takes batches in a burst, but
/// the reader has use for the first of them before the last is there.
const SPARE: usize = 4;

/// Buffers for bodies. They come back when the last reader of a body is done with it, and are used again:
/// fresh ones are zeroed by the kernel, megabytes at a time, only to be written over.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A body, and where its buffer goes afterwards.
struct Lent {
    body: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// An empty buffer with room for any batch.
    pub(super) fn take(&self) -> Vec<u8> {
        let spare = self.spare().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(CAPACITY))
    }

    /// What was written, not to be changed any more.
    pub(super) fn freeze(&self, body: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { body, home: self.clone() })
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.body);
        buffer.clear();
        let mut spare = self.home.spare();
        // A row that is far too large for a profile has made its buffer grow for good.
        if spare.len() < SPARE && buffer.capacity() <= CAPACITY {
            spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Buffers, CAPACITY, SPARE};

    #[test]
    fn buffer_comes_back_empty_when_the_last_reader_is_done() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"a body");
        let at = buffer.as_ptr();
        let body = buffers.freeze(buffer);
        let piece = body.slice(2..);
        drop(body);
        let other = buffers.take();
        assert_ne!(other.as_ptr(), at, "somebody still reads it");
        assert_eq!(&piece[..], b"body");
        drop(piece);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), again.len()), (at, 0));
    }

    #[test]
    fn buffer_that_had_to_grow_is_given_up() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.resize(CAPACITY + 1, b' ');
        drop(buffers.freeze(buffer));
        assert!(buffers.spare().is_empty());
    }

    #[test]
    fn no_more_buffers_are_kept_than_come_back_at_once() {
        let buffers = Buffers::default();
        let bodies: Vec<_> = (0..2 * SPARE).map(|_| buffers.freeze(buffers.take())).collect();
        drop(bodies);
        assert_eq!(buffers.spare().len(), SPARE);
    }
}
