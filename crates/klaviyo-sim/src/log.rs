//! What was asked and how it was answered: without bodies, queries and keys.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::{Endpoint, clock::Millis};

/// One request that was answered, or cut off by a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// Milliseconds since the Unix epoch when the head of the request had arrived.
    pub at_ms: Millis,
    /// `GET`, `POST` …
    pub method: String,
    /// Without the query, which may hold e-mail addresses.
    pub path: String,
    /// `None` for a path that Klaviyo does not have.
    pub endpoint: Option<Endpoint>,
    /// The account of the key; `None` when the key was not accepted.
    pub account: Option<String>,
    /// The status that was sent, or would have been but for `cut`.
    pub status: u16,
    /// The connection was reset instead of the answer, or in the middle of it.
    pub cut: bool,
}

#[derive(Debug)]
pub(crate) struct RequestLog {
    recent: VecDeque<LoggedRequest>,
    capacity: usize,
    counts: BTreeMap<Endpoint, BTreeMap<u16, u64>>,
    consent: Vec<LoggedRequest>,
}

impl RequestLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { recent: VecDeque::new(), capacity, counts: BTreeMap::new(), consent: Vec::new() }
    }

    pub(crate) fn push(&mut self, request: LoggedRequest) {
        if let Some(endpoint) = request.endpoint {
            *self.counts.entry(endpoint).or_default().entry(request.status).or_default() += 1;
            if endpoint.changes_consent() {
                self.consent.push(request.clone());
            }
        }
        if self.recent.len() >= self.capacity {
            self.recent.pop_front();
        }
        if self.capacity > 0 {
            self.recent.push_back(request);
        }
    }

    pub(crate) fn recent(&self) -> Vec<LoggedRequest> {
        self.recent.iter().cloned().collect()
    }

    /// How often each endpoint answered with each status.
    pub(crate) fn counts(&self) -> BTreeMap<Endpoint, BTreeMap<u16, u64>> {
        self.counts.clone()
    }

    /// Every call that would have changed somebody's consent or existence.
    pub(crate) fn consent(&self) -> &[LoggedRequest] {
        &self.consent
    }
}

#[cfg(test)]
mod tests {
    use super::{LoggedRequest, RequestLog};
    use crate::Endpoint;

    #[test]
    fn log_forgets_the_oldest_but_counts_them_all() {
        let mut log = RequestLog::new(2);
        for at_ms in 0..5 {
            log.push(LoggedRequest {
                at_ms,
                method: "POST".to_owned(),
                path: Endpoint::Subscribe.path().to_owned(),
                endpoint: Some(Endpoint::Subscribe),
                account: None,
                status: 202,
                cut: false,
            });
        }
        assert_eq!(log.recent().iter().map(|request| request.at_ms).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(log.counts()[&Endpoint::Subscribe][&202], 5);
        assert_eq!(log.consent().len(), 5);
    }
}
