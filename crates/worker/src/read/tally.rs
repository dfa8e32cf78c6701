//! What a reading would send, counted, with some of it to look at.

use std::time::Instant;

use segue_model::{RejectReason, look::Sums};
use segue_staging::RejectRecord;

use super::{Cut, ReadError, Sink};

/// How much of a segment is kept to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// The first profiles.
    pub profiles: usize,
    /// The first rejects.
    pub rejects: usize,
    /// Identities of a uniform sample.
    pub drawn: usize,
    /// Reading ends then; what was cut until then counts.
    pub until: Option<Instant>,
}

/// Counts what is cut and throws it away.
#[derive(Debug, Default)]
pub struct Tally {
    pub sums: Sums,
    /// JSON, as it would be sent.
    pub first: Vec<String>,
    pub first_rejects: Vec<RejectRecord>,
    /// Identities.
    pub drawn: Vec<String>,
    /// Bytes on disk that what was counted takes, about.
    pub bytes_read: u64,
    kept: Kept,
    read: u64,
    looked_at: u64,
    random: SplitMix,
}

impl Tally {
    /// `seed`: of the sample. Which people it holds need not be secret.
    pub fn new(kept: Kept, seed: u64) -> Self {
        Self { kept, random: SplitMix(seed), ..Self::default() }
    }

    fn keep_rejects(&mut self, records: &[u8]) {
        let more = self.kept.rejects.saturating_sub(self.first_rejects.len());
        let records = segue_staging::read::<RejectReason>(records).take(more);
        self.first_rejects.extend(records.flatten());
    }
}

impl Sink for Tally {
    fn take(&mut self, cut: Cut) -> Result<(), ReadError> {
        let sums = &mut self.sums;
        sums.rows += cut.rows;
        sums.profiles += cut.profiles;
        sums.batches += u64::from(cut.profiles > 0);
        sums.bytes += cut.body.len() as u64;
        sums.duplicates += cut.duplicates;
        sums.warnings += cut.warnings;
        self.keep_rejects(&cut.reject_records);
        for (reason, n) in cut.rejects {
            *self.sums.rejects.entry(reason).or_default() += n;
        }
        self.bytes_read = self.read;
        Ok(())
    }

    /// Keeps the first profiles, and a uniform sample of identities (reservoir sampling).
    fn look(&mut self, profile: &[u8], identity: &[u8]) {
        if self.first.len() < self.kept.profiles {
            self.first.push(String::from_utf8_lossy(profile).into_owned());
        }
        self.looked_at += 1;
        let place = if self.drawn.len() < self.kept.drawn {
            self.drawn.push(String::new());
            self.drawn.len() - 1
        } else {
            usize::try_from(self.random.below(self.looked_at)).unwrap_or(usize::MAX)
        };
        if let Some(drawn) = self.drawn.get_mut(place) {
            *drawn = String::from_utf8_lossy(identity).into_owned();
        }
    }

    fn progress(&mut self, bytes_read: u64, _rows_read: u64) -> Result<(), ReadError> {
        self.read = bytes_read;
        match self.kept.until {
            Some(until) if Instant::now() >= until => Err(ReadError::Stopped),
            _ => Ok(()),
        }
    }
}

/// A small generator for the sample.
#[derive(Debug, Default)]
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Kept, Tally};
    use crate::read::{ReadError, Sink as _};

    #[test]
    fn sample_has_its_size_and_takes_from_the_end_as_well_as_from_the_beginning() {
        let mut tally = Tally::new(Kept { profiles: 2, drawn: 100, ..Kept::default() }, 7);
        for nth in 0..10_000 {
            tally.look(format!("{{{nth}}}").as_bytes(), nth.to_string().as_bytes());
        }
        assert_eq!(tally.first, ["{0}", "{1}"]);
        assert_eq!(tally.drawn.len(), 100);
        let late = tally.drawn.iter().filter(|it| it.parse::<u32>().unwrap() >= 5000).count();
        assert!((25..75).contains(&late), "{late} of 100 are of the second half");
    }

    #[test]
    fn reading_ends_when_its_time_is_over() {
        let now = Instant::now();
        let until = |until| Tally::new(Kept { until: Some(until), ..Kept::default() }, 7);
        assert!(matches!(until(now).progress(1, 1), Err(ReadError::Stopped)));
        until(now + Duration::from_hours(1)).progress(1, 1).unwrap();
        Tally::new(Kept::default(), 7).progress(1, 1).unwrap();
    }
}
