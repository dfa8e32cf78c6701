//! Which of the profiles that were just mapped are duplicates, and which batch the others go into.

use std::ops::Range;

use segue_dedupe::{Fingerprint, Seen};
use segue_klaviyo::import;
use segue_model::{Pii, Position, WarningReason};
use segue_staging::IndexEntry;

use super::{Cutter, ReadError, Sink};

/// A profile in the open body of which nobody has asked yet whether it is a duplicate. A separator stands
/// before it, unless it is the first in the body.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) position: Position,
    /// Where its JSON stands in the open body.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where in the open body its identity stands.
    pub(super) identity: Range<usize>,
    pub(super) fingerprint: Fingerprint,
    /// The hash of its payload.
    pub(super) payload: u64,
}

impl Cutter<'_> {
    /// Decides all that is pending, in the order of the rows: a duplicate is cut out of the body, and a
    /// profile that is one too many begins the next batch. What comes of it, and in which order, is the same
    /// as if each had been decided when its row was read.
    ///
    /// Returns where the last profile stands now; `None` if it was a duplicate.
    pub(super) fn settle(&mut self, sink: &mut impl Sink) -> Result<Option<usize>, ReadError> {
        let Some(first) = self.pending.first() else { return Ok(None) };
        // Of the profiles that are decided.
        let mut end = first.start - usize::from(self.open.profiles > 0);
        let mut pending = std::mem::take(&mut self.pending);
        self.dedupe.warm(pending.iter().map(|one| one.fingerprint));
        let mut last = None;
        for nth in 0..pending.len() {
            let seen = self.dedupe.see(pending[nth].fingerprint, pending[nth].payload)?;
            if seen != Seen::New {
                self.duplicate(&pending[nth], seen, sink)?;
                last = None;
                continue;
            }
            let Pending { start, end: behind, identity, .. } = &pending[nth];
            sink.look(&self.open.body[*start..*behind], &self.open.body[identity.clone()]);
            if self.is_one_too_many(end, behind - start) {
                end = self.cut_before(&mut pending[nth..], end, sink)?;
            }
            let start = self.keep(&pending[nth], end);
            end = start + (pending[nth].end - pending[nth].start);
            last = Some(start);
        }
        self.open.body.truncate(end);
        pending.clear();
        self.pending = pending; // its memory is used again
        Ok(last)
    }

    fn duplicate(
        &mut self,
        one: &Pending,
        seen: Seen,
        sink: &mut impl Sink,
    ) -> Result<(), ReadError> {
        if seen == Seen::Differs {
            let identity = String::from_utf8_lossy(&self.open.body[one.identity.clone()]);
            let identifier = Pii::new(identity.into_owned());
            let detail = "an earlier row has the same address and other values; that one is sent";
            let reason = WarningReason::DuplicateDiffers;
            self.open.warn(one.position, &identifier, "email", reason, detail);
        }
        self.open.duplicates += 1;
        self.open.count(one.position.object).duplicates += 1;
        self.bound_reports(sink)
    }

    /// Whether the open batch, whose last profile ends at `end`, has no room for another of so many bytes.
    fn is_one_too_many(&self, end: usize, bytes: usize) -> bool {
        let profiles = self.open.profiles;
        profiles > 0 && (profiles >= self.bounds.profiles || !self.fits(end + 1 + bytes))
    }

    /// Cuts the batch at `end` and takes what is pending along into the next. Returns where the profiles of
    /// that one end: there are none yet.
    fn cut_before(
        &mut self,
        pending: &mut [Pending],
        end: usize,
        sink: &mut impl Sink,
    ) -> Result<usize, ReadError> {
        let (Some(first), Some(last)) = (pending.first(), pending.last()) else { return Ok(end) };
        let (from, bytes) = (first.start, last.end - first.start);
        self.cut(sink, end, from)?;
        let to = self.open.body.len() - bytes;
        for one in pending {
            let moved = |at: usize| at - from + to;
            one.start = moved(one.start);
            one.end = moved(one.end);
            one.identity = moved(one.identity.start)..moved(one.identity.end);
        }
        Ok(to)
    }

    /// Makes a profile the next one of the open batch, whose last profile ends at `end`. Returns where it
    /// stands then: further to the left if duplicates stood before it.
    fn keep(&mut self, one: &Pending, end: usize) -> usize {
        let open = &mut self.open;
        let mut start = end;
        if open.profiles > 0 {
            open.body[start] = import::SEPARATOR;
            start += 1;
        }
        if start != one.start {
            open.body.copy_within(one.start..one.end, start);
        }
        let (offset, len) = (within_4_gib(start), within_4_gib(one.end - one.start));
        let fingerprint = one.fingerprint.0;
        open.index.push(IndexEntry { position: one.position, offset, len, fingerprint });
        open.profiles += 1;
        open.count(one.position.object);
        start
    }
}

/// A body ends at 4.5 MB.
fn within_4_gib(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
