//! What a run refuses to send: pure arithmetic over what was read.

use crate::FailReason;

/// The largest share of rejected rows, in percent, unless an export says otherwise.
pub const DEFAULT_MAX_REJECTS: u32 = 20;
/// By how much more profiles there may be than in the last good run, in percent, unless an export says
/// otherwise.
pub const DEFAULT_MAX_GROWTH: u32 = 50;
/// By how much fewer, in percent.
pub const DEFAULT_MAX_SHRINKAGE: u32 = 50;

/// How to get past a guard, in the words of each failure.
const ONCE: &str = "if this is meant, start one run with --override-guards";

/// Whether a run that failed for this can be started once without the guard that stopped it.
pub fn can_be_overridden(reason: FailReason) -> bool {
    use FailReason::{GrewTooMuch, ShrankTooMuch, TooManyProfiles, TooManyRejects};
    matches!(reason, GrewTooMuch | ShrankTooMuch | TooManyProfiles | TooManyRejects)
}

/// What holds for a run. The default refuses a segment without rows and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guards {
    /// A segment without rows is no failure, and no shrinkage.
    pub allow_empty: bool,
    /// `None`: no limit.
    pub max_profiles: Option<u64>,
    /// Percent of the profiles of the last good run. `None`: not judged.
    pub max_growth: Option<u32>,
    /// Percent of the profiles of the last good run. `None`: not judged.
    pub max_shrinkage: Option<u32>,
    /// Percent of the rows. `None`: not judged.
    pub max_rejects: Option<u32>,
}

/// What was read of a segment, before anything of it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentRead {
    pub rows: u64,
    /// Rows that were rejected while reading. What Klaviyo rejects later is not known yet.
    pub rejected: u64,
    /// What would be sent: rows without rejects and duplicates.
    pub profiles: u64,
}

/// A guard that was passed: why the run fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tripped {
    pub reason: FailReason,
    /// Which guard, its limit, and what was found. Numbers only.
    pub detail: String,
}

impl Guards {
    /// Whether a run has to read everything before its first request, because only then it is known whether
    /// a guard is passed. An empty segment sends nothing anyway.
    pub fn hold(&self) -> bool {
        let Self { allow_empty: _, max_profiles, max_growth, max_shrinkage, max_rejects } = self;
        max_profiles.is_some()
            || max_growth.is_some()
            || max_shrinkage.is_some()
            || max_rejects.is_some()
    }

    /// The first guard that is passed. `last`: profiles of the last good run; `None`: there was none, so
    /// nothing has grown or shrunk.
    pub fn check(&self, read: &SegmentRead, last: Option<u64>) -> Result<(), Tripped> {
        if read.rows == 0 {
            return if self.allow_empty { Ok(()) } else { Err(Tripped::empty()) };
        }
        self.check_profiles(read.profiles)?;
        if let Some(most) = self.max_rejects.filter(|most| exceeds(read.rejected, *most, read.rows))
        {
            return Err(Tripped::rejects(read, most));
        }
        // What was nothing grows beyond all measure with the first profile.
        let Some(last) = last.filter(|last| *last > 0) else { return Ok(()) };
        let (more, fewer) =
            (read.profiles.saturating_sub(last), last.saturating_sub(read.profiles));
        let grown = self.max_growth.filter(|most| exceeds(more, *most, last));
        let shrunk = self.max_shrinkage.filter(|most| exceeds(fewer, *most, last));
        match (grown, shrunk) {
            (Some(most), _) => Err(Tripped::growth(read.profiles, last, most)),
            (None, Some(most)) => Err(Tripped::shrinkage(read.profiles, last, most)),
            (None, None) => Ok(()),
        }
    }

    /// Whether there are too many profiles, which may be known long before the end of the segment.
    pub fn check_profiles(&self, profiles: u64) -> Result<(), Tripped> {
        match self.max_profiles {
            Some(most) if profiles > most => Err(Tripped::profiles(most)),
            _ => Ok(()),
        }
    }
}

/// Whether `part` is more than `percent` of `whole`, exactly.
fn exceeds(part: u64, percent: u32, whole: u64) -> bool {
    u128::from(part) * 100 > u128::from(percent) * u128::from(whole)
}

/// In percent with one digit, rounded down.
fn share(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

impl Tripped {
    fn empty() -> Self {
        let detail =
            "no rows at all; if a segment may be empty, allow it for the export".to_owned();
        Self { reason: FailReason::SegmentEmpty, detail }
    }

    fn profiles(most: u64) -> Self {
        let detail = format!("max_profiles: more than {most} profiles; nothing was sent; {ONCE}");
        Self { reason: FailReason::TooManyProfiles, detail }
    }

    fn rejects(read: &SegmentRead, most: u32) -> Self {
        let SegmentRead { rows, rejected, .. } = read;
        let share = share(*rejected, *rows);
        let detail = format!(
            "max_rejects: {rejected} of {rows} rows are rejected ({share}), at most {most} % may be; \
             nothing was sent; {ONCE}"
        );
        Self { reason: FailReason::TooManyRejects, detail }
    }

    fn growth(now: u64, last: u64, most: u32) -> Self {
        let share = share(now - last, last);
        let detail = format!(
            "max_growth: {now} profiles after {last} in the last good run ({share} more), at most {most} % \
             more may be; nothing was sent; {ONCE}"
        );
        Self { reason: FailReason::GrewTooMuch, detail }
    }

    fn shrinkage(now: u64, last: u64, most: u32) -> Self {
        let share = share(last - now, last);
        let detail = format!(
            "max_shrinkage: {now} profiles after {last} in the last good run ({share} fewer), at most \
             {most} % fewer may be; nothing was sent; {ONCE}"
        );
        Self { reason: FailReason::ShrankTooMuch, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::{Guards, SegmentRead, can_be_overridden};
    use crate::FailReason::{
        self, GrewTooMuch, SegmentEmpty, ShrankTooMuch, TooManyProfiles, TooManyRejects,
    };

    const ALL: Guards = Guards {
        allow_empty: false,
        max_profiles: Some(1000),
        max_growth: Some(50),
        max_shrinkage: Some(50),
        max_rejects: Some(20),
    };
    const OFF: Guards = Guards {
        allow_empty: false,
        max_profiles: None,
        max_growth: None,
        max_shrinkage: None,
        max_rejects: None,
    };

    fn verdict(
        guards: Guards,
        (rows, rejected, profiles): (u64, u64, u64),
        last: Option<u64>,
    ) -> Option<FailReason> {
        let read = SegmentRead { rows, rejected, profiles };
        guards.check(&read, last).err().map(|tripped| tripped.reason)
    }

    #[test]
    fn each_guard_lets_its_limit_through_and_nothing_beyond() {
        let empty = Guards { allow_empty: true, ..ALL };
        let cases = [
            (ALL, (0, 0, 0), None, Some(SegmentEmpty)),
            (OFF, (0, 0, 0), None, Some(SegmentEmpty)),
            // Allowed, it is no shrinkage to nothing either.
            (empty, (0, 0, 0), Some(1000), None),
            // But rows of which nobody is left are.
            (Guards { max_rejects: None, ..empty }, (9, 9, 0), Some(10), Some(ShrankTooMuch)),
            (ALL, (1000, 0, 1000), None, None),
            (ALL, (1001, 0, 1001), None, Some(TooManyProfiles)),
            (ALL, (100, 20, 80), None, None),
            (ALL, (100, 21, 79), None, Some(TooManyRejects)),
            (ALL, (1, 1, 0), None, Some(TooManyRejects)),
            (ALL, (150, 0, 150), Some(100), None),
            (ALL, (151, 0, 151), Some(100), Some(GrewTooMuch)),
            (ALL, (50, 0, 50), Some(100), None),
            (ALL, (49, 0, 49), Some(100), Some(ShrankTooMuch)),
            // Odd numbers are not rounded in anybody's favour.
            (ALL, (4, 0, 4), Some(3), None),
            (ALL, (5, 0, 5), Some(3), Some(GrewTooMuch)),
            (ALL, (2, 0, 2), Some(3), None),
            (ALL, (1, 0, 1), Some(3), Some(ShrankTooMuch)),
            // There was nothing to grow from.
            (ALL, (900, 0, 900), Some(0), None),
            (OFF, (u64::MAX, u64::MAX, u64::MAX), Some(1), None),
        ];
        for (guards, read, last, expected) in cases {
            assert_eq!(verdict(guards, read, last), expected, "{read:?} after {last:?}");
        }
    }

    #[test]
    fn percentages_of_huge_numbers_do_not_overflow() {
        let max = u64::MAX;
        let guards = Guards { max_profiles: None, ..ALL };
        assert_eq!(verdict(guards, (max, 0, max), Some(max)), None);
        assert_eq!(verdict(guards, (max, 0, max), Some(1)), Some(GrewTooMuch));
        assert_eq!(verdict(guards, (max, 0, 1), Some(max)), Some(ShrankTooMuch));
        assert_eq!(verdict(guards, (max, max, 0), None), Some(TooManyRejects));
    }

    #[test]
    fn words_name_guard_limit_value_and_how_to_get_past_it_once() {
        let words = |guards: Guards, (rows, rejected, profiles), last| {
            let read = SegmentRead { rows, rejected, profiles };
            guards.check(&read, last).unwrap_err().detail
        };
        for (words, expected) in [
            (words(ALL, (2000, 0, 1001), None), ["max_profiles", "1000", "--override-guards"]),
            (
                words(ALL, (300, 100, 200), None),
                [
                    "max_rejects",
                    "100 of 300 rows are rejected (33.3 %), at most 20 %",
                    "--override-guards",
                ],
            ),
            (
                words(ALL, (161, 0, 161), Some(100)),
                [
                    "max_growth",
                    "161 profiles after 100 in the last good run (61.0 % more), at most 50 %",
                    "--override-guards",
                ],
            ),
            (
                words(ALL, (33, 0, 33), Some(100)),
                [
                    "max_shrinkage",
                    "33 profiles after 100 in the last good run (67.0 % fewer), at most 50 %",
                    "--override-guards",
                ],
            ),
        ] {
            for expected in expected {
                assert!(words.contains(expected), "{words}");
            }
        }
    }

    #[test]
    fn what_says_how_to_override_it_can_be_overridden_and_nothing_else() {
        for (read, last) in [
            ((0, 0, 0), None),
            ((2000, 0, 1001), None),
            ((300, 100, 200), None),
            ((161, 0, 161), Some(100)),
            ((33, 0, 33), Some(100)),
        ] {
            let (rows, rejected, profiles) = read;
            let read = SegmentRead { rows, rejected, profiles };
            let tripped = ALL.check(&read, last).unwrap_err();
            let says_how = tripped.detail.contains("--override-guards");
            assert_eq!(can_be_overridden(tripped.reason), says_how, "{tripped:?}");
        }
        assert!(!can_be_overridden(FailReason::SourceStale));
    }

    #[test]
    fn only_a_guard_that_can_fail_a_run_with_rows_holds_it() {
        assert!(!OFF.hold() && !Guards { allow_empty: true, ..OFF }.hold() && ALL.hold());
        assert!(Guards { max_profiles: Some(1), ..OFF }.hold());
        assert!(Guards { max_growth: Some(1), ..OFF }.hold());
        assert!(Guards { max_shrinkage: Some(1), ..OFF }.hold());
        assert!(Guards { max_rejects: Some(1), ..OFF }.hold());
    }
}
