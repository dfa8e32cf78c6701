//! What calls make of any answer, for tests that need no server to hear one.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use url::Url;

use crate::{
    Account, CallError, Flow, ImportError, ImportJob, List, Page, ProfileRef, answer::Answer,
    client::page, resource::Document,
};

/// An answer as it came from the network.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// From 100 to 999; any other counts as 200.
    pub status: u16,
    /// The header `Retry-After`, unless it cannot be one.
    pub retry_after: Option<&'a [u8]>,
    pub body: &'a [u8],
}

impl Heard<'_> {
    fn value<D: DeserializeOwned>(&self, write: bool) -> Result<D, CallError> {
        let mut headers = HeaderMap::new();
        if let Some(Ok(after)) = self.retry_after.map(HeaderValue::from_bytes) {
            headers.insert(header::RETRY_AFTER, after);
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        Answer { status, headers, body: Ok(self.body.to_vec()) }.into_value(write)
    }

    fn one<T: DeserializeOwned>(&self, write: bool) -> Result<T, CallError> {
        self.value(write).map(|document: Document<T>| document.data)
    }

    /// `base` is where the client was told that Klaviyo is.
    fn page<T: DeserializeOwned>(&self, base: &Url) -> Result<Page<T>, CallError> {
        page(self.value(false)?, base)
    }

    pub fn accounts(&self) -> Result<Vec<Account>, CallError> {
        self.one(false)
    }

    pub fn list(&self) -> Result<List, CallError> {
        self.one(false)
    }

    /// The answer to a batch.
    pub fn import(&self) -> Result<ImportJob, CallError> {
        self.one(true)
    }

    pub fn import_job(&self) -> Result<ImportJob, CallError> {
        self.one(false)
    }

    pub fn import_jobs(&self, base: &Url) -> Result<Page<ImportJob>, CallError> {
        self.page(base)
    }

    pub fn import_errors(&self, base: &Url) -> Result<Page<ImportError>, CallError> {
        self.page(base)
    }

    pub fn flows(&self, base: &Url) -> Result<Page<Flow>, CallError> {
        self.page(base)
    }

    pub fn profiles(&self, base: &Url) -> Result<Page<ProfileRef>, CallError> {
        self.page(base)
    }
}

#[cfg(test)]
mod tests {
    use super::Heard;

    #[test]
    fn answer_is_made_of_what_was_heard() {
        let heard = |body| Heard { status: 200, retry_after: None, body };
        let accounts = heard(br#"{"data":[{"id":"A1"},{"id":"B2"}]}"#).accounts().unwrap();
        assert_eq!(accounts.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["A1", "B2"]);
        assert_eq!(heard(b"{").accounts().unwrap_err().code(), "protocol");
        let throttled = Heard { status: 429, retry_after: Some(b"7"), body: b"" };
        assert_eq!(throttled.accounts().unwrap_err().code(), "throttled");
    }
}
