//! What an answer says of the limits of its endpoint.

use http::HeaderMap;

/// A fixed window in which Klaviyo counts requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateWindow {
    /// One second.
    Burst,
    /// One minute.
    Steady,
}

/// What is left of one limit, as the `RateLimit-*` headers of an answer have it.
///
/// For people. Nothing is paced by it: Klaviyo's guide says that it is about the minute, recordings of its
/// answers mostly show the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub window: RateWindow,
    /// Requests in a window.
    pub limit: u32,
    /// Requests that the current window still takes.
    pub remaining: u32,
}

impl RateLimit {
    /// `None` if the headers are absent, cannot be read, or do not say which window they mean.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name)?.to_str().ok();
        let remaining = text("ratelimit-remaining")?.trim().parse().ok()?;
        let (limit, window) = limit(text("ratelimit-limit")?)?;
        Some(Self { window, limit, remaining })
    }
}

/// `75, 75;w=1, 750;w=60`: the limit that the answer is about, then each with the seconds of its window.
fn limit(text: &str) -> Option<(u32, RateWindow)> {
    let mut parts = text.split(',').map(str::trim);
    let limit = parts.next()?.parse().ok()?;
    let mut windows = parts.filter_map(|part| {
        let (number, seconds) = part.split_once(";w=")?;
        let window = match seconds.trim() {
            "1" => RateWindow::Burst,
            "60" => RateWindow::Steady,
            _ => return None,
        };
        (number.trim().parse() == Ok(limit)).then_some(window)
    });
    match (windows.next(), windows.next()) {
        (Some(window), None) => Some((limit, window)),
        // Of two windows of one size nobody can tell which is meant.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{RateLimit, RateWindow};

    fn read(limit: &str, remaining: &str) -> Option<RateLimit> {
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-limit", limit.parse().unwrap());
        headers.insert("ratelimit-remaining", remaining.parse().unwrap());
        RateLimit::read(&headers)
    }

    #[test]
    fn headers_name_the_window_by_its_size() {
        let (limit, remaining) = (75, 74);
        let burst = RateLimit { window: RateWindow::Burst, limit, remaining };
        assert_eq!(read("75, 75;w=1, 750;w=60", "74"), Some(burst));
        let steady = RateLimit { window: RateWindow::Steady, limit: 700, remaining: 699 };
        assert_eq!(read("700, 75;w=1, 700;w=60", " 699 "), Some(steady));
        let of_new_lists = RateLimit { window: RateWindow::Steady, limit: 150, remaining: 9 };
        assert_eq!(read("150, 10;w=1, 150;w=60, 150;w=86400", "9"), Some(of_new_lists));
    }

    #[test]
    fn what_names_no_window_says_nothing() {
        for limit in ["", "75", "x", "75, 700;w=60", "75, 75;w=1, 75;w=60", "75, 75;w=3600", "-1"] {
            assert_eq!(read(limit, "1"), None, "{limit}");
        }
        assert_eq!(read("75, 75;w=1", "many"), None);
        assert_eq!(RateLimit::read(&HeaderMap::new()), None);
    }
}
