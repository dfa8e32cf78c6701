use std::sync::Arc;

use http::HeaderMap;
use jiff::civil::Date;
use segue_model::Micros;

use crate::{RateLimit, RevisionState, revision};

/// What a successful call returned, and what Klaviyo said around it.
#[derive(Debug, Clone)]
pub struct Reply<T> {
    pub value: T,
    pub meta: ReplyMeta,
}

impl<T> Reply<T> {
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Reply<U> {
        Reply { value: f(self.value), meta: self.meta }
    }
}

/// Response headers that matter to support and to operation. All are absent from answers that did
/// not come from Klaviyo itself.
#[derive(Debug, Clone)]
pub struct ReplyMeta {
    /// `X-Klaviyo-Req-Id`: what Klaviyo's support asks for.
    pub request_id: Option<String>,
    /// `X-Klaviyo-Api-Revision`: the revision that answered.
    pub served_revision: Option<String>,
    /// The revision that was asked for.
    pub sent_revision: Arc<str>,
    /// `X-Klaviyo-Api-Retirement-Date`: when the revision that was sent stops working, `YYYY-MM-DD`.
    pub retirement_date: Option<String>,
    /// `Cid`: the account that answered, the same id as [`Account::id`](crate::Account::id).
    pub account_id: Option<String>,
    /// What is left of a limit of the endpoint, after this call.
    pub rate_limit: Option<RateLimit>,
}

impl ReplyMeta {
    pub(crate) fn new(headers: &HeaderMap, sent_revision: &Arc<str>) -> Self {
        let text =
            |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            request_id: text("x-klaviyo-req-id"),
            served_revision: text("x-klaviyo-api-revision"),
            sent_revision: Arc::clone(sent_revision),
            retirement_date: text("x-klaviyo-api-retirement-date"),
            account_id: text("cid"),
            rate_limit: RateLimit::read(headers),
        }
    }

    /// Another revision answered than was asked for. A retired revision "silently falls forward"
    /// (developers.klaviyo.com, API versioning and deprecation policy), and answers may then change.
    pub fn fell_back(&self) -> bool {
        self.served_revision.as_deref().is_some_and(|served| served != &*self.sent_revision)
    }

    /// Where the revision that was asked for stands at `now`. `None` if the answer does not say what was served.
    pub fn revision_state(&self, now: Micros) -> Option<RevisionState> {
        let (sent, served) = self.revisions()?;
        let retires = self.retirement_date.as_deref().and_then(revision::date);
        revision::state(sent, served, retires, now)
    }

    /// When the revision stops working: the beginning of a day in UTC. `None` if the answer does not say, and for
    /// one that is retired already, since the date is that of the revision which answered in its place.
    pub fn retires(&self) -> Option<Micros> {
        if self.revisions().is_some_and(|(sent, served)| served > sent) {
            return None;
        }
        revision::begin(revision::date(self.retirement_date.as_deref()?)?)
    }

    fn revisions(&self) -> Option<(Date, Date)> {
        let served = self.served_revision.as_deref()?;
        Some((revision::date(&self.sent_revision)?, revision::date(served)?))
    }
}
