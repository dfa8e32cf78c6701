use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    account::Account,
    answer::Answer,
    error::{ApiError, Refusal},
    query::Query,
    shared::Shared,
    unknowns::LastPage,
};

/// One request that was let through, and whom it is for.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) account: Arc<Account>,
    /// Scheme and host of the links in the answer.
    pub(crate) base: String,
    /// Path and query as sent.
    pub(crate) target: String,
    /// The id in the path, or nothing.
    pub(crate) id: String,
    pub(crate) query: Query,
    /// Decompressed.
    pub(crate) body: Bytes,
}

impl Context {
    pub(crate) fn self_link(&self) -> String {
        format!("{}{}", self.base, self.target)
    }

    /// One page, with absolute links to itself and to the next.
    pub(crate) fn collection(&self, data: &[Value], next: Option<String>) -> Answer {
        let mut links = json!({"self": self.self_link()});
        let path = self.target.split('?').next().unwrap_or_default();
        match next {
            Some(cursor) => {
                let query = self.query.with_cursor(&cursor);
                links["next"] = format!("{}{path}?{query}", self.base).into();
            }
            None if self.shared.config.unknowns.last_page == LastPage::Null => {
                links["next"] = Value::Null;
                links["prev"] = Value::Null;
            }
            None => {}
        }
        Answer::ok(&json!({"data": data, "links": links}))
    }

    /// The body as JSON, with `data.type` as it has to be.
    pub(crate) fn document(&self, kind: &str) -> Result<Value, Refusal> {
        let document = self.any_document()?;
        if document["data"]["type"] != kind {
            return Err(ApiError::invalid("/data/type", "Invalid type.").into());
        }
        Ok(document)
    }

    /// The body as JSON.
    pub(crate) fn any_document(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body).map_err(|_| {
            ApiError::invalid("/data/", "The payload provided in the request is invalid.").into()
        })
    }
}
