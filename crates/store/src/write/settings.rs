//! What holds for the whole system. The migrations make the rows.

use crate::{StoreError, Tx, sql::args};

/// The schedule that exports follow unless they say otherwise.
pub const SCHEDULE: &str = "schedule";
/// It holds nothing: whoever locks it is the only one to give a source a name.
pub const SOURCES: &str = "sources";

pub(crate) const GET: &str = "SELECT value FROM settings WHERE name = $1";

/// Locks a setting until the transaction ends, and reads it, as JSON. It is locked before any export: whoever
/// goes by it keeps it from changing.
pub async fn lock(tx: &mut Tx, name: &'static str) -> Result<String, StoreError> {
    const SQL: &str = "UPDATE settings SET value = value WHERE name = $1 RETURNING value";
    match tx.row(SQL, args![name]).await? {
        Some(mut row) => row.string(),
        None => Err(StoreError::inconsistent(format!("there is no setting {name}"))),
    }
}

pub async fn set(tx: &mut Tx, name: &'static str, value: &str) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE settings SET value = $2, changed_us = $3 WHERE name = $1";
    let now = tx.now();
    tx.execute(SQL, args![name, value, now]).await?;
    Ok(())
}
