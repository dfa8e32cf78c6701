//! How long a revision of the API lives.

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use segue_model::Micros;

/// Where a revision stands: a year stable, a year deprecated, then retired (developers.klaviyo.com, API
/// versioning and deprecation policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionState {
    Stable,
    /// It works, and will not for long.
    Deprecated,
    /// Klaviyo answers 410, or with another revision without saying so.
    Retired,
}

/// `YYYY-MM-DD`, and what may come behind it, as in `2026-07-15.pre`.
pub(crate) fn date(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

/// The beginning of a day in UTC.
pub(crate) fn begin(day: Date) -> Option<Micros> {
    let at = day.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Micros(at.as_microsecond()))
}

/// `served`: what answered, `retires`: when that ends, if the answer told.
pub(crate) fn state(
    sent: Date,
    served: Date,
    retires: Option<Date>,
    now: Micros,
) -> Option<RevisionState> {
    // A date between two revisions is served as the older one. Only a retired one is served as a newer one.
    if served > sent {
        return Some(RevisionState::Retired);
    }
    let today = Timestamp::from_microsecond(now.0).ok()?.to_zoned(TimeZone::UTC).date();
    let retires = retires.or_else(|| served.checked_add(2.years()).ok())?;
    let deprecated = served.checked_add(1.year()).ok()?;
    Some(if today >= retires {
        RevisionState::Retired
    } else if today >= deprecated {
        RevisionState::Deprecated
    } else {
        RevisionState::Stable
    })
}

#[cfg(test)]
mod tests {
    use segue_model::Micros;

    use super::{RevisionState, begin, date, state};

    fn at(day: &str) -> Micros {
        begin(date(day).unwrap()).unwrap()
    }

    fn stands(sent: &str, served: &str, retires: Option<&str>, today: &str) -> RevisionState {
        let day = |text| date(text).unwrap();
        state(day(sent), day(served), retires.map(day), at(today)).unwrap()
    }

    #[test]
    fn revision_is_stable_for_a_year_and_deprecated_for_another() {
        let today = |today| stands("2026-07-15", "2026-07-15", None, today);
        assert_eq!(today("2026-07-15"), RevisionState::Stable);
        assert_eq!(today("2027-07-14"), RevisionState::Stable);
        assert_eq!(today("2027-07-15"), RevisionState::Deprecated);
        assert_eq!(today("2028-07-14"), RevisionState::Deprecated);
        assert_eq!(today("2028-07-15"), RevisionState::Retired);
    }

    #[test]
    fn date_that_klaviyo_names_for_the_end_counts_more_than_the_policy() {
        let today = |today| stands("2026-07-15", "2026-07-15", Some("2028-10-01"), today);
        assert_eq!(today("2028-09-30"), RevisionState::Deprecated);
        assert_eq!(today("2028-10-01"), RevisionState::Retired);
    }

    #[test]
    fn only_a_newer_answer_means_that_what_was_asked_for_is_gone() {
        let stands = |served| stands("2026-08-01", served, None, "2026-11-27");
        assert_eq!(stands("2026-07-15"), RevisionState::Stable);
        assert_eq!(stands("2026-10-15"), RevisionState::Retired);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "latest", "2026-13-01", "2026-7-15", "ä026-07-15"] {
            assert_eq!(date(text), None, "{text}");
        }
        assert_eq!(date("2026-07-15.pre"), date("2026-07-15"));
        assert_eq!(at("1970-01-02"), Micros(86_400_000_000));
    }
}
