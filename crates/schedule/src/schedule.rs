use std::{fmt, iter};

use segue_model::Micros;
use serde::{Deserialize, Serialize};

use crate::{Recurrence, Zone, form::Form};

/// When something happens again and again. The crate's documentation says what daylight saving does
/// to it.
///
/// `Display` is for people: "daily at 03:00 and 15:00, Europe/Berlin". The JSON form is for the
/// store and for files, and what is read from it is valid:
///
/// ```json
/// {"daily": {"at": ["03:00", "15:00"]}, "time_zone": "Europe/Berlin"}
/// {"weekly": {"on": ["monday", "friday"], "at": ["06:30"]}, "time_zone": "America/New_York"}
/// {"cron": "0 6 * * MON-FRI", "time_zone": "UTC"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Schedule {
    pub recurrence: Recurrence,
    pub zone: Zone,
}

/// What a schedule asks for now: one run, however many times have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The latest occurrence.
    pub at: Micros,
    /// How many occurrences passed before it, at most [`Due::MOST_SKIPPED`].
    pub skipped: u64,
}

impl Due {
    /// Where counting stops, so that years of every minute cost no more than a week of it.
    pub const MOST_SKIPPED: u64 = 10_000;
}

impl Schedule {
    /// The first occurrence strictly after `after`. `None`: there is none within the years -9999 to
    /// 9999 (1 to 5000 for cron), or `after` is not within them.
    pub fn next_after(&self, after: Micros) -> Option<Micros> {
        self.upcoming(after).next()
    }

    /// The occurrences strictly after `after`, each later than the one before. Practically endless.
    pub fn upcoming(&self, after: Micros) -> impl Iterator<Item = Micros> {
        let local = self.zone.local(after).into_iter();
        let instants = local
            .flat_map(|local| self.recurrence.after(local))
            .map_while(|at| self.zone.first_at(at));
        // Times that a gap skips end at one instant; those that come again were at an earlier one.
        let mut last = after;
        instants.filter(move |at| {
            let is_later = *at > last;
            last = last.max(*at);
            is_later
        })
    }

    /// What is due at `now` if everything up to `since` is dealt with: the latest occurrence after
    /// `since` that is not after `now`. `None`: there is none, or one of the two is not within the
    /// years -9999 to 9999. The work is bounded, however long ago `since` is.
    pub fn due(&self, since: Micros, now: Micros) -> Option<Due> {
        self.next_after(since).filter(|first| *first <= now)?;
        let at = self.latest(now)?;
        let most = usize::try_from(Due::MOST_SKIPPED).unwrap_or(usize::MAX);
        let skipped = self.upcoming(since).take_while(|it| *it < at).take(most).count();
        Some(Due { at, skipped: skipped as u64 })
    }

    /// The latest occurrence that is not after `now`.
    fn latest(&self, now: Micros) -> Option<Micros> {
        let shown = self.recurrence.at_or_before(self.zone.local(now)?)?;
        // While an hour is repeated, the clock has already shown times later than it shows now.
        iter::once(shown)
            .chain(self.recurrence.after(shown))
            .map_while(|at| self.zone.first_at(at))
            .take_while(|at| *at <= now)
            .last()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.recurrence, self.zone)
    }
}

#[cfg(test)]
mod tests;
