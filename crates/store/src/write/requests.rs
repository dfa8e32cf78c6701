//! Requests that made something, so that the same request makes nothing more.

use crate::{StoreError, Tx, sql::args};

/// What a request may have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    Connection,
    Export,
    Run,
    Source,
}

impl RequestKind {
    fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Export => "export",
            Self::Run => "run",
            Self::Source => "source",
        }
    }
}

/// What was made for an earlier request of the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The id of what was made.
    pub made: String,
    /// What the earlier request asked for, in a form that can be compared.
    pub content: String,
}

/// What was made for a request. `None`: it is new.
pub async fn find(
    tx: &mut Tx,
    kind: RequestKind,
    request_id: &str,
) -> Result<Option<Made>, StoreError> {
    const SQL: &str = "SELECT made, content FROM requests WHERE kind = $1 AND request_id = $2";
    match tx.row(SQL, args![kind.name(), request_id]).await? {
        Some(mut row) => Ok(Some(Made { made: row.string()?, content: row.string()? })),
        None => Ok(None),
    }
}

/// Writes down that `made` is made for a request; of two transactions at once the second waits for the
/// first. `Some`: somebody was faster.
pub async fn note(
    tx: &mut Tx,
    kind: RequestKind,
    request_id: &str,
    new: &Made,
) -> Result<Option<Made>, StoreError> {
    const SQL: &str = "INSERT INTO requests (kind, request_id, made, content, at_us) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, request_id) DO NOTHING";
    let now = tx.now();
    let args = args![kind.name(), request_id, new.made.as_str(), new.content.as_str(), now];
    if tx.execute(SQL, args).await? > 0 {
        return Ok(None);
    }
    match find(tx, kind, request_id).await? {
        Some(made) => Ok(Some(made)),
        None => {
            Err(StoreError::inconsistent(format!("request {request_id:?} is there and is not")))
        }
    }
}
