use std::time::{Duration, Instant};

/// Milliseconds since the Unix epoch, by the simulator's clock.
pub(crate) type Millis = u64;

/// The wall clock at the start, and from there a clock that never jumps: windows of the rate
/// limits and the order of jobs survive a correction of the system's time.
#[derive(Debug)]
pub(crate) struct Clock {
    start_ms: Millis,
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let start_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
        Self { start_ms, started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Millis {
        self.start_ms.saturating_add(millis(self.started.elapsed()))
    }
}

pub(crate) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// As Klaviyo writes times: RFC 3339 in UTC, `+00:00`.
pub(crate) fn rfc3339(at: Millis) -> String {
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    let at = at.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()
}

/// The inverse of [`rfc3339`], for any offset.
pub(crate) fn parse_time(text: &str) -> Option<Millis> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::{parse_time, rfc3339};

    #[test]
    fn times_read_back_as_they_were_written() {
        let at = 1_790_000_000_123;
        assert_eq!(rfc3339(at), "2026-09-21T14:13:20.123+00:00");
        assert_eq!(parse_time(&rfc3339(at)), Some(at));
        assert_eq!(parse_time("2026-09-21T16:13:20.123+02:00"), Some(at));
    }
}
