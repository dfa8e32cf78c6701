//! The account of every row of a run, and how far and how fast it is.

use askama::Template;
use jiff::{SignedDuration, Timestamp};
use segue_model::{FailReason, RejectReason};
use segue_proto::v1;

use crate::shown::{self, Markup, grouped, has_ended, timestamp};

/// One kind of row in the account.
pub(crate) struct Entry {
    /// The class of its colour.
    pub(crate) kind: &'static str,
    pub(crate) words: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) rows: u64,
    pub(crate) shown: String,
    /// Of all rows, such as `12.5 %`.
    pub(crate) share: String,
    /// Where its bar begins and how long it is, of 1000.
    pub(crate) begins: String,
    pub(crate) length: String,
}

/// rows read = delivered + rejected + duplicates + unchanged + suppressed + undelivered, at all times.
pub(crate) struct Account {
    pub(crate) entries: Vec<Entry>,
    pub(crate) read: String,
    /// The sum of the entries is the number of rows read, as the contract promises.
    pub(crate) adds_up: bool,
    /// Nothing was read.
    pub(crate) is_empty: bool,
}

impl Account {
    pub(crate) fn of(counts: &v1::Counts, ended: bool) -> Self {
        let undelivered = if ended {
            ("undelivered", "Undelivered", "Read, and neither delivered nor rejected.")
        } else {
            ("pending", "Not yet delivered", "Read, and not yet confirmed by Klaviyo.")
        };
        let kinds = [
            (("delivered", "Delivered", "Klaviyo has confirmed them."), counts.delivered),
            (("rejected", "Rejected", "Listed with the reason for each."), counts.rejected),
            (
                ("duplicates", "Duplicates", "The first row with the same address was taken."),
                counts.duplicates,
            ),
            (("unchanged", "Unchanged", "As they were sent before."), counts.unchanged),
            (("suppressed", "Suppressed", "Not to be sent."), counts.suppressed),
            (undelivered, counts.undelivered),
        ];
        let sum = kinds.iter().fold(0_u64, |sum, (_, rows)| sum.saturating_add(*rows));
        let all = sum.max(1);
        let mut before = 0;
        let entries = kinds.into_iter().map(|((kind, words, meaning), rows)| {
            let begins = thousandths(before, all);
            before += rows;
            Entry {
                kind,
                words,
                meaning,
                rows,
                shown: grouped(rows),
                share: share(rows, sum),
                begins,
                length: thousandths(rows, all),
            }
        });
        Self {
            entries: entries.collect(),
            read: grouped(counts.rows_read),
            adds_up: sum == counts.rows_read,
            is_empty: sum == 0,
        }
    }
}

/// `part` of `all` in thousandths with one decimal, as the geometry of a bar.
fn thousandths(part: u64, all: u64) -> String {
    let tenths = u128::from(part) * 10_000 / u128::from(all);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// `12.5 %`; what is there is never shown as 0.0 %, and what is missing is never hidden by 100.0 %.
fn share(part: u64, all: u64) -> String {
    if part == 0 || all == 0 {
        return "0 %".to_owned();
    }
    if part == all {
        return "100 %".to_owned();
    }
    match u128::from(part) * 1000 / u128::from(all) {
        0 => "< 0.1 %".to_owned(),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// How far a run is: a part of its page that is replaced while it goes on.
#[derive(Template)]
#[template(path = "progress.html")]
pub(crate) struct Progress {
    pub(crate) state: Markup,
    pub(crate) ended: bool,
    /// Of 1000, how much of what was read is accounted for. `None`: nothing is known yet.
    pub(crate) done: Option<u64>,
    pub(crate) percent: String,
    pub(crate) delivered: String,
    pub(crate) rate: Option<String>,
    pub(crate) left: Option<String>,
    pub(crate) took: Option<String>,
    pub(crate) account: Account,
}

impl Progress {
    pub(crate) fn of(run: &v1::Run, now: Timestamp) -> Self {
        let counts = run.counts.clone().unwrap_or_default();
        let ended = has_ended(run.state());
        let settled = counts.rows_read.saturating_sub(counts.undelivered);
        let done = (counts.rows_read > 0).then(|| settled.saturating_mul(1000) / counts.rows_read);
        let pace = Pace::of(run, &counts, now);
        let rate = pace.as_ref().map(|pace| format!("{} profiles/s", grouped(pace.rate)));
        let left = pace.and_then(|pace| pace.left(&counts)).filter(|_| !ended);
        let begun = timestamp(run.started_at.or(run.created_at));
        let until = timestamp(run.ended_at).unwrap_or(now);
        Self {
            state: shown::state(run.state()),
            ended,
            done,
            percent: share(settled, counts.rows_read),
            delivered: grouped(counts.delivered),
            rate,
            left: left.map(about),
            took: begun.map(|begun| shown::lasted(until.duration_since(begun))),
            account: Account::of(&counts, ended),
        }
    }

    /// What is said aloud when it changes, so rarely that one can listen to it.
    pub(crate) fn said(&self, run: &v1::Run) -> String {
        let state = shown::state_words(run.state());
        if self.ended {
            return format!("{state}: {} of {} rows delivered.", self.delivered, self.account.read);
        }
        match self.done {
            Some(done) => {
                format!("{state}: {} % of the rows read so far are done.", done / 100 * 10)
            }
            None => format!("{state}."),
        }
    }
}

struct Pace {
    /// Delivered profiles per second, since the first request.
    rate: u64,
}

impl Pace {
    /// `None`: there is nothing to measure yet.
    fn of(run: &v1::Run, counts: &v1::Counts, now: Timestamp) -> Option<Self> {
        let begun = timestamp(run.first_request_at)?;
        let until = timestamp(run.ended_at).unwrap_or(now);
        let millis = u64::try_from(until.duration_since(begun).as_millis()).ok()?;
        // Klaviyo confirms in batches: a moment after the first one a rate would be anything.
        if counts.delivered == 0 || millis == 0 || (run.ended_at.is_none() && millis < 1000) {
            return None;
        }
        Some(Self { rate: counts.delivered.saturating_mul(1000) / millis })
    }

    /// For what was read so far.
    fn left(&self, counts: &v1::Counts) -> Option<SignedDuration> {
        let seconds = counts.undelivered.checked_div(self.rate)?;
        let seconds = i64::try_from(seconds).ok()?;
        (counts.undelivered > 0).then(|| SignedDuration::from_secs(seconds + 1))
    }
}

/// Nobody can tell the last seconds exactly.
fn about(time: SignedDuration) -> String {
    if time.as_secs() < 10 { "a few seconds".to_owned() } else { shown::lasted(time) }
}

/// A reason with its words, and how many rows have it.
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) meaning: String,
    pub(crate) fix: String,
    pub(crate) rows: String,
}

/// Why rows were rejected, the commonest first.
pub(crate) fn reasons(counts: &v1::Counts) -> Vec<Reason> {
    let mut found: Vec<(&String, u64)> =
        counts.rejects_by_reason.iter().map(|(code, rows)| (code, *rows)).collect();
    found.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(other.0)));
    let explained = found.into_iter().map(|(code, rows)| {
        let known = code.parse::<RejectReason>().ok();
        Reason {
            code: code.clone(),
            meaning: known.map(RejectReason::meaning).unwrap_or_default().to_owned(),
            fix: known.map(RejectReason::fix).unwrap_or_default().to_owned(),
            rows: grouped(rows),
        }
    });
    explained.collect()
}

/// Why a run failed, with what to do about it.
pub(crate) struct Failed {
    pub(crate) code: String,
    pub(crate) meaning: String,
    pub(crate) fix: String,
    pub(crate) detail: String,
}

impl Failed {
    pub(crate) fn of(failure: &v1::Failure) -> Self {
        let known = failure.reason.parse::<FailReason>().ok();
        Self {
            code: failure.reason.clone(),
            meaning: known.map(FailReason::meaning).unwrap_or_default().to_owned(),
            fix: known.map(FailReason::fix).unwrap_or_default().to_owned(),
            detail: failure.detail.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use segue_proto::v1;

    use super::{Account, Progress, reasons, share};

    fn counts() -> v1::Counts {
        v1::Counts {
            rows_read: 1000,
            delivered: 600,
            rejected: 1,
            duplicates: 99,
            undelivered: 300,
            ..v1::Counts::default()
        }
    }

    fn at(second: i64) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds: second, nanos: 0 }
    }

    fn now(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn account_adds_up_and_says_so_when_it_does_not() {
        let account = Account::of(&counts(), true);
        assert!(account.adds_up && !account.is_empty);
        assert_eq!(account.entries.iter().map(|it| it.rows).sum::<u64>(), 1000);
        let last = account.entries.last().unwrap();
        assert_eq!((last.begins.as_str(), last.length.as_str()), ("700.0", "300.0"));
        let wrong = v1::Counts { rows_read: 1001, ..counts() };
        assert!(!Account::of(&wrong, true).adds_up);
        assert!(Account::of(&v1::Counts::default(), true).is_empty);
    }

    #[test]
    fn share_hides_neither_the_few_nor_the_missing() {
        assert_eq!(share(0, 10), "0 %");
        assert_eq!(share(1, 100_000), "< 0.1 %");
        assert_eq!(share(99_999, 100_000), "99.9 %");
        assert_eq!(share(5, 5), "100 %");
    }

    #[test]
    fn rate_and_time_left_are_told_while_there_is_something_to_measure() {
        let mut run =
            v1::Run { counts: Some(counts()), started_at: Some(at(100)), ..v1::Run::default() };
        run.set_state(v1::RunState::Running);
        assert_eq!(Progress::of(&run, now(110)).rate, None);
        run.first_request_at = Some(at(100));
        let progress = Progress::of(&run, now(110));
        assert_eq!(progress.rate.as_deref(), Some("60 profiles/s"));
        assert_eq!(progress.left.as_deref(), Some("a few seconds"));
        assert_eq!(progress.done, Some(700));
        assert_eq!(progress.said(&run), "Running: 70 % of the rows read so far are done.");
        run.set_state(v1::RunState::Failed);
        run.ended_at = Some(at(105));
        let progress = Progress::of(&run, now(1000));
        assert_eq!((progress.left, progress.took.as_deref()), (None, Some("5.0 s")));
    }

    #[test]
    fn reasons_stand_in_order_of_their_numbers_with_what_to_do() {
        let mut counts = counts();
        let by_reason = [("email_missing", 2), ("email_invalid", 7), ("of_another_version", 1)];
        counts.rejects_by_reason =
            by_reason.iter().map(|(code, rows)| ((*code).to_owned(), *rows)).collect();
        let reasons = reasons(&counts);
        let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
        assert_eq!(codes, ["email_invalid", "email_missing", "of_another_version"]);
        assert!(reasons[0].fix.contains('@') && reasons[2].meaning.is_empty());
    }
}
