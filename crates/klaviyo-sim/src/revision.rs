//! The `revision` header: every date is served as the newest revision that is not younger.

use crate::{
    error::{ApiError, Refusal},
    unknowns::{BadRevision, RetiredRevision, Unknowns},
};

/// Revisions and the day they are retired: two years after they came out. The first that is not
/// retired as of October 2026 is 2025-01-15.
const REVISIONS: &[(&str, &str)] = &[
    ("2023-07-15", "2025-07-15"),
    ("2023-10-15", "2025-10-15"),
    ("2023-12-15", "2025-12-15"),
    ("2024-02-15", "2026-02-15"),
    ("2024-05-15", "2026-05-15"),
    ("2024-07-15", "2026-07-15"),
    ("2024-10-15", "2026-10-15"),
    ("2025-01-15", "2027-01-15"),
    ("2025-04-15", "2027-04-15"),
    ("2025-07-15", "2027-07-15"),
    ("2025-10-15", "2027-10-15"),
    ("2026-01-15", "2028-01-15"),
    ("2026-04-15", "2028-04-15"),
    ("2026-07-15", "2028-07-15"),
    NEWEST,
];
const NEWEST: (&str, &str) = ("2026-10-15", "2028-10-15");
const OLDEST_ALIVE: (&str, &str) = ("2025-01-15", "2027-01-15");

/// What `X-Klaviyo-Api-Revision` and `X-Klaviyo-Api-Retirement-Date` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) revision: &'static str,
    pub(crate) retires: &'static str,
}

impl From<(&'static str, &'static str)> for Served {
    fn from((revision, retires): (&'static str, &'static str)) -> Self {
        Self { revision, retires }
    }
}

pub(crate) fn serve(asked: Option<&str>, unknowns: &Unknowns) -> Result<Served, Refusal> {
    // `2026-07-15.pre` is the beta of that day.
    let date = asked.map(|asked| asked.split('.').next().unwrap_or(asked).trim());
    let Some(date) = date.filter(|date| date.parse::<jiff::civil::Date>().is_ok()) else {
        return match unknowns.bad_revision {
            BadRevision::Refused => Err(bad_revision(asked)),
            BadRevision::ServedAsNewest => Ok(NEWEST.into()),
        };
    };
    let served = REVISIONS.iter().rev().find(|(revision, _)| *revision <= date);
    match served.filter(|served| served.0 >= OLDEST_ALIVE.0) {
        Some(served) => Ok(Served::from(*served)),
        None => match unknowns.retired_revision {
            RetiredRevision::Gone => Err(Refusal::retired_revision()),
            RetiredRevision::FallsForward => Ok(OLDEST_ALIVE.into()),
        },
    }
}

fn bad_revision(asked: Option<&str>) -> Refusal {
    let detail = match asked {
        None => "The revision header is required.",
        Some(_) => "The revision header must be a date in the format YYYY-MM-DD.",
    };
    ApiError::invalid("/data/", detail).into()
}

#[cfg(test)]
mod tests {
    use super::serve;
    use crate::{BadRevision, RetiredRevision, Unknowns};

    fn served(asked: Option<&str>, unknowns: &Unknowns) -> Result<&'static str, u16> {
        serve(asked, unknowns)
            .map(|served| served.revision)
            .map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn date_between_revisions_is_silently_served_as_the_older_one() {
        let unknowns = Unknowns::default();
        assert_eq!(served(Some("2025-06-01"), &unknowns), Ok("2025-04-15"));
        assert_eq!(served(Some("2026-07-15"), &unknowns), Ok("2026-07-15"));
        assert_eq!(served(Some("2099-01-01"), &unknowns), Ok("2026-10-15"));
        assert_eq!(served(Some("2026-07-15.pre"), &unknowns), Ok("2026-07-15"));
    }

    #[test]
    fn revision_lives_two_years() {
        let served = serve(Some("2025-04-15"), &Unknowns::default()).unwrap();
        assert_eq!(served.retires, "2027-04-15"); // as recorded live
    }

    #[test]
    fn retired_revision_is_gone_or_falls_forward() {
        let mut unknowns = Unknowns::default();
        assert_eq!(served(Some("2024-10-15"), &unknowns), Err(410));
        assert_eq!(served(Some("2010-01-01"), &unknowns), Err(410));
        unknowns.retired_revision = RetiredRevision::FallsForward;
        assert_eq!(served(Some("2024-10-15"), &unknowns), Ok("2025-01-15"));
    }

    #[test]
    fn missing_or_malformed_revision_is_refused_or_served_as_the_newest() {
        let mut unknowns = Unknowns::default();
        for bad in [None, Some(""), Some("latest"), Some("2026-13-01")] {
            unknowns.bad_revision = BadRevision::Refused;
            assert_eq!(served(bad, &unknowns), Err(400), "{bad:?}");
            unknowns.bad_revision = BadRevision::ServedAsNewest;
            assert_eq!(served(bad, &unknowns), Ok("2026-10-15"), "{bad:?}");
        }
    }
}
