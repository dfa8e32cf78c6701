//! How long a call may take: `grpc-timeout`, and the limit of the server.

use std::time::Duration;

use http::HeaderMap;

/// The server's answer to a missed deadline has to be ready before the client's own clock cuts the call.
const HEAD_START: Duration = Duration::from_millis(5);

/// What the caller allows, if it says.
pub(crate) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // The format allows eight digits.
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// How long the call may take.
pub(crate) fn limit(headers: &HeaderMap, most: Duration) -> Duration {
    let asked = asked(headers).map(|asked| asked.saturating_sub(HEAD_START.min(asked / 10)));
    asked.map_or(most, |asked| asked.min(most))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};

    use super::{asked, limit};

    fn headers(timeout: &str) -> HeaderMap {
        let value = HeaderValue::from_str(timeout).unwrap();
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value)])
    }

    #[test]
    fn all_units_are_read_and_nonsense_is_no_deadline() {
        for (text, expected) in [
            ("2H", Some(Duration::from_hours(2))),
            ("3M", Some(Duration::from_mins(3))),
            ("4S", Some(Duration::from_secs(4))),
            ("5m", Some(Duration::from_millis(5))),
            ("6u", Some(Duration::from_micros(6))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("999999999S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1x", None),
        ] {
            assert_eq!(asked(&headers(text)), expected, "{text}");
        }
    }

    #[test]
    fn the_shorter_of_both_limits_counts() {
        let most = Duration::from_secs(30);
        assert_eq!(limit(&HeaderMap::new(), most), most);
        assert_eq!(limit(&headers("60S"), most), most);
        assert_eq!(limit(&headers("1S"), most), Duration::from_millis(995));
        assert_eq!(limit(&headers("10m"), most), Duration::from_millis(9));
    }
}
