use std::sync::Arc;

use http::HeaderMap;

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
        }
    }

    /// Another revision answered than was asked for. A retired revision "silently falls forward"
    /// (developers.klaviyo.com, API versioning and deprecation policy), and answers may then change.
    pub fn fell_back(&self) -> bool {
        self.served_revision.as_deref().is_some_and(|served| served != &*self.sent_revision)
    }
}
