//! What Klaviyo answers: what it says of the thing that was asked for, or an error that decides what is done.

use std::{error::Error, time::Duration};

use segue_klaviyo::{CallError, Identifiers, Page, testing::Heard};
use serde_json::Value;
use url::Url;

/// A line of status and `Retry-After`, then the body. Without such a line all is the body of a 200.
pub fn answers(data: &[u8]) {
    let heard = heard(data);
    let success = (200..300).contains(&heard.status);
    let base = Url::parse("https://klaviyo.example.com/").unwrap();
    import(&heard, success);
    if let Ok(job) = checked(heard.import_job(), success) {
        is_said(&heard, "/data/id", job.id.as_str());
    }
    if let Ok(list) = checked(heard.list(), success) {
        is_said(&heard, "/data/id", list.id.as_str());
    }
    if let Ok(accounts) = checked(heard.accounts(), success) {
        for (nth, account) in accounts.iter().enumerate() {
            is_said(&heard, &format!("/data/{nth}/id"), &account.id);
        }
    }
    pages(&heard, success, &base);
}

fn heard(data: &[u8]) -> Heard<'_> {
    let whole = Heard { status: 200, retry_after: None, body: data };
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return whole };
    let (line, body) = (&data[..end], &data[end + 1..]);
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let status = words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
    match status {
        Some(status @ 100..=999) => Heard { status, retry_after: words.next(), body },
        _ => whole,
    }
}

/// The id is the one that stands there. What is in members that nobody reads may be no JSON.
fn is_said(heard: &Heard<'_>, pointer: &str, id: &str) {
    if let Ok(answer) = serde_json::from_slice::<Value>(heard.body) {
        assert_eq!(answer.pointer(pointer), Some(&Value::from(id)));
    }
}

/// A batch that was taken, in whatever words, is never taken for one that was not.
fn import(heard: &Heard<'_>, success: bool) {
    match checked(heard.import(), success) {
        Ok(job) => is_said(heard, "/data/id", job.id.as_str()),
        Err(err) if success => assert!(matches!(err, CallError::Ambiguous(_)), "{err:?}"),
        Err(CallError::Refused(refusal)) => {
            let rows = refusal.refused_rows();
            let named: usize = rows.rows.values().map(Vec::len).sum();
            let all = named + rows.profiles.len() + rows.list.len() + rows.other.len();
            assert_eq!(all, refusal.errors.len(), "each error is in one place");
            for (row, errors) in rows.rows {
                let pointer = format!("/data/attributes/profiles/data/{row}");
                for error in errors {
                    let found = error.pointer.as_deref().unwrap_or_default();
                    // An index may be written with zeros before it.
                    let same = found.split('/').nth(5).and_then(|index| index.parse().ok());
                    assert_eq!(same, Some(row), "{found} is not {pointer}");
                }
            }
        }
        Err(_) => {}
    }
}

fn pages(heard: &Heard<'_>, success: bool, base: &Url) {
    stays(checked(heard.import_jobs(base), success), base);
    stays(checked(heard.flows(base), success), base);
    stays(checked(heard.profiles(base), success), base);
    if let Some(page) = stays(checked(heard.import_errors(base), success), base) {
        for error in page.items {
            let Identifiers { email, phone_number, external_id, id } = error.identifiers;
            let given = [email, phone_number, external_id, id];
            assert!(given.into_iter().flatten().all(|it| !it.expose().is_empty()));
        }
    }
}

/// The next page is where the key may go.
fn stays<T>(page: Result<Page<T>, CallError>, base: &Url) -> Option<Page<T>> {
    let page = page.ok()?;
    if let Some(next) = &page.next {
        let link = serde_json::to_value(next).unwrap();
        let link = Url::parse(link.as_str().unwrap()).unwrap();
        assert_eq!((link.origin(), link.username()), (base.origin(), ""));
    }
    Some(page)
}

/// Only a success is one, no wait is absurd, and no error repeats what was answered.
fn checked<T>(answer: Result<T, CallError>, success: bool) -> Result<T, CallError> {
    match &answer {
        Ok(_) => assert!(success, "a failure is taken for a success"),
        Err(err) => {
            if let CallError::Throttled { retry_after: Some(wait) }
            | CallError::Unavailable { retry_after: Some(wait), .. } = err
            {
                assert!((Duration::from_secs(1)..=Duration::from_hours(1)).contains(wait));
            }
            let mut cause: Option<&dyn Error> = Some(err);
            while let Some(err) = cause {
                let words = err.to_string();
                assert!(!words.is_empty() && words.len() < 300 && !words.contains('@'), "{words}");
                cause = err.source();
            }
        }
    }
    answer
}
