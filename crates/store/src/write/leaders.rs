//! Who does what only one needs to do.

use std::time::Duration;

use crate::{StoreError, Tx, sql::args};

/// Somebody leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// As before.
    Kept,
    /// From now on: nobody did, or whoever did has been silent for too long.
    Taken,
}

/// Makes `holder` the leader of a duty for `lease`, or lets it lead on. `None`: somebody else leads.
pub async fn lead(
    tx: &mut Tx,
    duty: &str,
    holder: &str,
    lease: Duration,
) -> Result<Option<Lead>, StoreError> {
    const KEEP: &str = "UPDATE leaders SET until_us = $3 \
         WHERE duty = $1 AND holder = $2 AND until_us > $4";
    const TAKE: &str = "INSERT INTO leaders (duty, holder, until_us) VALUES ($1, $2, $3) \
         ON CONFLICT (duty) DO UPDATE SET holder = excluded.holder, until_us = excluded.until_us \
         WHERE leaders.until_us <= $4";
    let now = tx.now();
    let args = args![duty, holder, now + lease, now];
    if tx.execute(KEEP, args).await? > 0 {
        return Ok(Some(Lead::Kept));
    }
    Ok((tx.execute(TAKE, args).await? > 0).then_some(Lead::Taken))
}

/// `holder` leads no more. Another may at once.
pub async fn resign(tx: &mut Tx, duty: &str, holder: &str) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM leaders WHERE duty = $1 AND holder = $2";
    tx.execute(SQL, args![duty, holder]).await?;
    Ok(())
}

/// Whoever led is known to be dead.
pub async fn clear(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM leaders";
    tx.execute(SQL, &[]).await?;
    Ok(())
}
