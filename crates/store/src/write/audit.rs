//! What was done, by whom: rows that are only ever added, each of which vouches for the one before it.

use segue_model::Micros;

use crate::{
    StoreError, Tx,
    sql::{Row, args},
};

/// The setting that holds the last row's number and hash.
pub const HEAD: &str = "audit";

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without a gap.
    pub seq: u64,
    pub at: Micros,
    /// Who did it, the same for ever.
    pub subject: String,
    /// What people call them.
    pub name: String,
    /// A word, as `export.update`.
    pub action: String,
    /// The id of what it was done to.
    pub object: String,
    /// JSON, without secrets.
    pub detail: String,
    /// Of all this and of the hash before it.
    pub hash: String,
}

macro_rules! audit_columns {
    () => {
        "seq, at_us, subject, name, action, object, detail, hash"
    };
}
pub(crate) use audit_columns;

pub async fn append(tx: &mut Tx, entry: &Entry) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO audit (seq, at_us, subject, name, action, object, detail, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let Entry { seq, at, subject, name, action, object, detail, hash } = entry;
    let args = args![
        *seq,
        *at,
        subject.as_str(),
        name.as_str(),
        action.as_str(),
        object.as_str(),
        detail.as_str(),
        hash.as_str(),
    ];
    tx.execute(SQL, args).await?;
    Ok(())
}

pub(crate) fn decode(mut row: Row) -> Result<Entry, StoreError> {
    Ok(Entry {
        seq: row.count()?,
        at: row.time()?,
        subject: row.string()?,
        name: row.string()?,
        action: row.string()?,
        object: row.string()?,
        detail: row.string()?,
        hash: row.string()?,
    })
}
