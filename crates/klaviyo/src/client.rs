use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderValue;
use secrecy::SecretString;
use segue_model::Endpoint;
use serde::de::DeserializeOwned;
use tracing::{Instrument as _, Span};
use url::Url;

use crate::{
    Account, CallError, Config, ConfigError, Cursor, Flow, ImportBody, ImportError, ImportJob,
    InvalidRequest, KlaviyoJobId, List, ListId, ListsPage, Page, Position, ProfileRef,
    ProtocolError, Reply, ReplyMeta, SendGuard, Unguarded, exchange::Exchange, resource::Document,
};

/// A private API key, `pk_…`. Sent as a header that no debug output shows.
pub type ApiKey = SecretString;

/// Addresses in one look-up. Klaviyo publishes no limit for `any(…)`; 100 is a full page of answers
/// and a URL of some 6 KB.
pub const MAX_EMAILS: usize = 100;
/// Lists on one page.
pub const MAX_LISTS: usize = 10;

/// Makes calls to Klaviyo, for any account. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    deadline: Duration,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    base: Url,
    revision: Arc<str>,
    revision_header: HeaderValue,
}

impl Client {
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let http = config.http_client()?;
        let revision_header =
            HeaderValue::from_str(&config.revision).map_err(|_| ConfigError::Revision)?;
        let inner = Inner {
            http,
            base: config.base_url.clone(),
            revision: config.revision.as_str().into(),
            revision_header,
        };
        Ok(Self { inner: Arc::new(inner), deadline: config.deadline })
    }

    /// The same client with another deadline for each call, from its start to the end of the answer.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { inner: Arc::clone(&self.inner), deadline }
    }

    /// The account that the key belongs to: the cheapest check of a key.
    pub async fn account(&self, key: &ApiKey) -> Result<Reply<Account>, CallError> {
        // Only what is needed: the rest of this resource is the address and mail of a person.
        let fields = "contact_information.organization_name,timezone,test_account";
        let url = self.url(&["api", "accounts"], &[("fields[account]", fields)]);
        let reply: Reply<Document<Vec<Account>>> =
            self.call(key, Exchange::get(Endpoint::Accounts, url)).await?;
        let count = reply.value.data.len();
        let mut accounts = reply.value.data.into_iter();
        match (accounts.next(), count) {
            (Some(value), 1) => Ok(Reply { value, meta: reply.meta }),
            _ => Err(CallError::Protocol(ProtocolError::Accounts(count))),
        }
    }

    /// [`CallError::NotFound`] if the account has no such list.
    pub async fn list(&self, key: &ApiKey, id: &ListId) -> Result<Reply<List>, CallError> {
        let url = self.url(&["api", "lists", id.as_str()], &[]);
        self.one(key, Exchange::get(Endpoint::List, url)).await
    }

    /// Lists, 10 to a page; with `name`, only those of exactly this name. `name` counts on the first
    /// page only: the cursor remembers it.
    pub async fn lists_page(
        &self,
        key: &ApiKey,
        cursor: Option<&Cursor>,
        name: Option<&str>,
    ) -> Result<Reply<Page<List>>, CallError> {
        let filter = name.map(|name| format!("equals(name,{})", quoted(name)));
        let query: &[_] = match &filter {
            Some(filter) => &[("filter", filter.as_str())],
            None => &[],
        };
        self.page(key, Endpoint::Lists, cursor, self.url(&["api", "lists"], query)).await
    }

    /// At most so many lists, from 1 to [`MAX_LISTS`], in the order of their names, from a place on that an earlier
    /// page gave; with `name`, only those of exactly this name, on each page.
    pub async fn lists_from(
        &self,
        key: &ApiKey,
        name: Option<&str>,
        from: Option<&Position>,
        most: usize,
    ) -> Result<Reply<ListsPage>, CallError> {
        let size = most.clamp(1, MAX_LISTS).to_string();
        let filter = name.map(|name| format!("equals(name,{})", quoted(name)));
        let mut query = vec![("sort", "name"), ("page[size]", size.as_str())];
        query.extend(filter.as_deref().map(|filter| ("filter", filter)));
        query.extend(from.map(|position| ("page[cursor]", position.as_str())));
        let first = self.url(&["api", "lists"], &query);
        let Reply { value: page, meta } = self.page(key, Endpoint::Lists, None, first).await?;
        let next = page.next.map(|next| next.position().ok_or(ProtocolError::NoCursor));
        let next = next.transpose().map_err(CallError::Protocol)?;
        Ok(Reply { value: ListsPage { lists: page.items, next }, meta })
    }

    /// Makes a list, with the account's default opt-in. Klaviyo makes a second list of the same name
    /// without a word, so look for it first; 150 a day.
    pub async fn create_list(&self, key: &ApiKey, name: &str) -> Result<Reply<List>, CallError> {
        let body = serde_json::json!({"data": {"type": "list", "attributes": {"name": name}}});
        let url = self.url(&["api", "lists"], &[]);
        let bytes = Bytes::from(body.to_string());
        self.one(key, Exchange::post(Endpoint::CreateList, url, bytes, Unguarded)).await
    }

    /// The flows that joining this list starts. [`CallError::Forbidden`] for a key without the
    /// scope `flows:read`, which nothing else here needs.
    pub async fn flow_triggers_page(
        &self,
        key: &ApiKey,
        list: &ListId,
        cursor: Option<&Cursor>,
    ) -> Result<Reply<Page<Flow>>, CallError> {
        let url = self.url(&["api", "lists", list.as_str(), "flow-triggers"], &[]);
        self.page(key, Endpoint::FlowTriggers, cursor, url).await
    }

    /// The profiles that have one of these addresses, at most [`MAX_EMAILS`]. An address without a
    /// profile is simply absent.
    pub async fn profiles_by_email(
        &self,
        key: &ApiKey,
        emails: &[&str],
    ) -> Result<Reply<Page<ProfileRef>>, CallError> {
        if !(1..=MAX_EMAILS).contains(&emails.len()) {
            return Err(CallError::Invalid(InvalidRequest::Emails { got: emails.len() }));
        }
        let emails: Vec<_> = emails.iter().map(|email| quoted(email)).collect();
        let filter = format!("any(email,[{}])", emails.join(","));
        // Without the size a page is 20, and the 21st profile would look like a missing one.
        let query = [("filter", filter.as_str()), ("fields[profile]", "email"), PAGE_OF_100];
        self.page(key, Endpoint::Profiles, None, self.url(&["api", "profiles"], &query)).await
    }

    /// Hands over a batch. Success means that Klaviyo has a job, not that a profile arrived.
    ///
    /// The guard is asked before each piece of the body, see [`SendGuard`].
    pub async fn import(
        &self,
        key: &ApiKey,
        body: ImportBody,
        guard: impl SendGuard + 'static,
    ) -> Result<Reply<ImportJob>, CallError> {
        let url = self.url(&IMPORT_JOBS, &[]);
        self.one(key, Exchange::post(Endpoint::Import, url, body.bytes, guard)).await
    }

    /// Bulk import jobs of the account, newest first, 100 to a page.
    pub async fn import_jobs_page(
        &self,
        key: &ApiKey,
        cursor: Option<&Cursor>,
    ) -> Result<Reply<Page<ImportJob>>, CallError> {
        let url = self.url(&IMPORT_JOBS, &[("sort", "-created_at"), PAGE_OF_100]);
        self.page(key, Endpoint::ImportJobs, cursor, url).await
    }

    /// [`CallError::NotFound`] also for a job that has expired, some 7 days after it was made.
    pub async fn import_job(
        &self,
        key: &ApiKey,
        id: &KlaviyoJobId,
    ) -> Result<Reply<ImportJob>, CallError> {
        let [api, jobs] = IMPORT_JOBS;
        let url = self.url(&[api, jobs, id.as_str()], &[]);
        self.one(key, Exchange::get(Endpoint::ImportJob, url)).await
    }

    /// The profiles that a job could not import, 100 to a page.
    pub async fn import_errors_page(
        &self,
        key: &ApiKey,
        id: &KlaviyoJobId,
        cursor: Option<&Cursor>,
    ) -> Result<Reply<Page<ImportError>>, CallError> {
        let [api, jobs] = IMPORT_JOBS;
        let url = self.url(&[api, jobs, id.as_str(), "import-errors"], &[PAGE_OF_100]);
        self.page(key, Endpoint::ImportErrors, cursor, url).await
    }

    async fn one<T: DeserializeOwned>(
        &self,
        key: &ApiKey,
        exchange: Exchange,
    ) -> Result<Reply<T>, CallError> {
        let reply: Reply<Document<T>> = self.call(key, exchange).await?;
        Ok(reply.map(|document| document.data))
    }

    async fn page<T: DeserializeOwned>(
        &self,
        key: &ApiKey,
        endpoint: Endpoint,
        cursor: Option<&Cursor>,
        first: Url,
    ) -> Result<Reply<Page<T>>, CallError> {
        let url = match cursor {
            Some(cursor) => own_url(&self.inner.base, cursor.link())
                .ok_or(CallError::Invalid(InvalidRequest::ForeignCursor))?,
            None => first,
        };
        let reply: Reply<Document<Vec<T>>> = self.call(key, Exchange::get(endpoint, url)).await?;
        let Reply { value, meta } = reply;
        page(value, &self.inner.base).map(|value| Reply { value, meta })
    }

    /// One call, in its span. The outcome is recorded and not logged: who handles it logs it.
    async fn call<D: DeserializeOwned>(
        &self,
        key: &ApiKey,
        exchange: Exchange,
    ) -> Result<Reply<D>, CallError> {
        let span = exchange.span();
        let begun = Instant::now();
        let result = self.attempt(key, exchange, &span).instrument(span.clone()).await;
        span.record("klaviyo.outcome", result.as_ref().err().map_or("ok", CallError::code));
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        span.record("duration_ms", millis);
        result
    }

    async fn attempt<D: DeserializeOwned>(
        &self,
        key: &ApiKey,
        exchange: Exchange,
        span: &Span,
    ) -> Result<Reply<D>, CallError> {
        let write = exchange.is_write();
        let Inner { http, revision, revision_header, .. } = &*self.inner;
        let answer = exchange.perform(http, revision_header, key, self.deadline).await?;
        let meta = ReplyMeta::new(&answer.headers, revision);
        span.record("http.response.status_code", answer.status.as_u16());
        span.record("klaviyo.request_id", meta.request_id.as_deref());
        answer.into_value(write).map(|value| Reply { value, meta })
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.inner.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(query)
                .finish()
                // A plus is a space only to those who decode forms; %20 is one to everybody.
                .replace('+', "%20");
            url.set_query(Some(&query));
        }
        url
    }
}

/// The page, unless the next one is elsewhere.
pub(crate) fn page<T>(document: Document<Vec<T>>, base: &Url) -> Result<Page<T>, CallError> {
    let (items, next) = document.into_page();
    if next.as_deref().is_some_and(|link| own_url(base, link).is_none()) {
        return Err(CallError::Protocol(ProtocolError::ForeignLink));
    }
    Ok(Page { items, next: next.map(Cursor::new) })
}

/// The link, if it leads to where the key may go. No user in it: it would become a header.
fn own_url(base: &Url, link: &str) -> Option<Url> {
    let url = Url::parse(link).ok()?;
    let own =
        url.origin() == base.origin() && url.username().is_empty() && url.password().is_none();
    own.then_some(url)
}

const IMPORT_JOBS: [&str; 2] = ["api", "profile-bulk-import-jobs"];
const PAGE_OF_100: (&str, &str) = ("page[size]", "100");

/// A string of the filter language: in quotes, with `"` and `\` escaped by a backslash.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}
