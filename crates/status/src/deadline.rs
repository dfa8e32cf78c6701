//! Deadlines of answers that are streams. The server's own layer sees to the others, and to streams only
//! until they begin.

use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};
use tonic::{Status, metadata::MetadataMap};

/// When the caller stops waiting; `None`: it never does.
pub(crate) fn deadline(metadata: &MetadataMap) -> Option<Instant> {
    let timeout = timeout(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    Instant::now().checked_add(timeout)
}

/// At most eight digits and a unit. What is neither was refused or overlooked before it came here.
fn timeout(header: &str) -> Option<Duration> {
    let (digits, unit) = header.split_at_checked(header.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(number),
        "M" => Duration::from_mins(number),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The stream, ended with an error when the time is up.
pub(crate) fn until<T: Send + 'static>(
    deadline: Option<Instant>,
    answers: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> stream::BoxStream<'static, Result<T, Status>> {
    let Some(deadline) = deadline else { return answers.boxed() };
    stream::unfold(Some(answers.boxed()), move |answers| async move {
        let mut answers = answers?;
        if let Ok(answer) = timeout_at(deadline, answers.next()).await {
            return Some((answer?, Some(answers)));
        }
        let words = "the deadline has passed before the stream ended";
        Some((Err(Status::deadline_exceeded(words)), None))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::timeout;

    #[test]
    fn timeouts_are_read_in_every_unit() {
        for (header, expected) in [
            ("2H", Duration::from_hours(2)),
            ("3M", Duration::from_mins(3)),
            ("4S", Duration::from_secs(4)),
            ("5m", Duration::from_millis(5)),
            ("6u", Duration::from_micros(6)),
            ("99999999n", Duration::from_nanos(99_999_999)),
        ] {
            assert_eq!(timeout(header), Some(expected), "{header}");
        }
    }

    #[test]
    fn what_is_no_timeout_sets_no_deadline() {
        for header in ["", "S", "5", "5s", "-5S", "+5S", "123456789S", "5ß", "é"] {
            assert_eq!(timeout(header), None, "{header}");
        }
    }
}
