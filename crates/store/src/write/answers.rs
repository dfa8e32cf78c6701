//! What Klaviyo said of keys and lists, remembered for a while.

use std::time::Duration;

use crate::{StoreError, Tx, sql::args};

/// The answer about `subject`, if it is younger than `max_age`.
pub async fn recall(
    tx: &mut Tx,
    subject: &str,
    max_age: Duration,
) -> Result<Option<String>, StoreError> {
    const SQL: &str = "SELECT answer FROM answers WHERE subject = $1 AND at_us > $2";
    let since = tx.now() - max_age;
    match tx.row(SQL, args![subject, since]).await? {
        Some(mut row) => row.string().map(Some),
        None => Ok(None),
    }
}

pub async fn remember(tx: &mut Tx, subject: &str, answer: &str) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO answers (subject, answer, at_us) VALUES ($1, $2, $3) \
         ON CONFLICT (subject) DO UPDATE SET answer = excluded.answer, at_us = excluded.at_us";
    let now = tx.now();
    tx.execute(SQL, args![subject, answer, now]).await?;
    Ok(())
}
