//! Workers and what they can do.

use std::time::Duration;

use segue_model::{Micros, work::Slots};

use crate::{StoreError, Tx, sql::args};

/// A worker says each second that it is there; one that has said nothing for so long is not counted on.
pub const GONE_AFTER: Duration = Duration::from_secs(5);

/// A worker says that it is there. `true`: nobody counted on it before, or not on so many slots.
pub async fn seen(tx: &mut Tx, worker: &str, slots: Slots) -> Result<bool, StoreError> {
    const AGAIN: &str = "UPDATE workers SET seen_us = $2 WHERE worker_id = $1 AND seen_us > $3 \
         AND read = $4 AND upload = $5 AND confirm = $6 AND look = $7";
    const NEW: &str = "INSERT INTO workers (worker_id, seen_us, read, upload, confirm, look) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (worker_id) DO UPDATE SET \
         seen_us = excluded.seen_us, read = excluded.read, upload = excluded.upload, \
         confirm = excluded.confirm, look = excluded.look";
    let now = tx.now();
    let Slots { read, upload, confirm, look } = slots;
    let again = args![worker, now, now - GONE_AFTER, read, upload, confirm, look];
    if tx.execute(AGAIN, again).await? > 0 {
        return Ok(false);
    }
    tx.execute(NEW, args![worker, now, read, upload, confirm, look]).await?;
    Ok(true)
}

/// The slots of all workers that are there.
pub async fn slots(tx: &mut Tx) -> Result<Slots, StoreError> {
    const SQL: &str = "SELECT CAST(COALESCE(sum(read), 0) AS BIGINT), \
         CAST(COALESCE(sum(upload), 0) AS BIGINT), CAST(COALESCE(sum(confirm), 0) AS BIGINT), \
         CAST(COALESCE(sum(look), 0) AS BIGINT) FROM workers WHERE seen_us > $1";
    let since = tx.now() - GONE_AFTER;
    let Some(mut row) = tx.row(SQL, args![since]).await? else { return Ok(Slots::default()) };
    Ok(Slots {
        read: row.small()?,
        upload: row.small()?,
        confirm: row.small()?,
        look: row.small()?,
    })
}

/// Forgets workers that said nothing since `before`.
pub async fn forget(tx: &mut Tx, before: Micros) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM workers WHERE seen_us < $1";
    tx.execute(SQL, args![before]).await?;
    Ok(())
}

/// All workers are known to be dead.
pub async fn forget_all(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM workers";
    tx.execute(SQL, &[]).await?;
    Ok(())
}
