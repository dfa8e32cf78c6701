//! Lanes, and the requests that hold their places.

use segue_model::{BatchNo, ClaimId, Endpoint, Held, Lane, Limits, Micros, PermitId, RunId};

use crate::{
    StoreError, Tx,
    sql::{Row, args, text},
};

/// Locks the lane until the transaction ends, and reads it.
pub async fn lock(tx: &mut Tx, account_id: &str, endpoint: Endpoint) -> Result<Lane, StoreError> {
    const SQL: &str = "INSERT INTO lanes (account_id, endpoint, burst, throttled, closed_us, \
         grow_us, failed) VALUES ($1, $2, $3, 0, 0, 0, 0) \
         ON CONFLICT (account_id, endpoint) DO UPDATE SET burst = lanes.burst \
         RETURNING burst, throttled, closed_us, grow_us, failed";
    let limits = endpoint.limits();
    let args = args![account_id, endpoint.name(), limits.burst];
    let Some(mut row) = tx.row(SQL, args).await? else {
        return Err(StoreError::inconsistent("a lane that cannot be read back"));
    };
    Ok(Lane {
        limits,
        burst: row.small()?.clamp(1, limits.burst),
        throttled: row.small()?,
        closed_until: row.time()?,
        grow_at: row.time()?,
        failed: row.small()?,
    })
}

pub async fn save(
    tx: &mut Tx,
    account_id: &str,
    endpoint: Endpoint,
    lane: &Lane,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE lanes SET burst = $3, throttled = $4, closed_us = $5, grow_us = $6, \
         failed = $7 \
         WHERE account_id = $1 AND endpoint = $2";
    let args = args![
        account_id,
        endpoint.name(),
        lane.burst,
        lane.throttled,
        lane.closed_until,
        lane.grow_at,
        lane.failed,
    ];
    tx.execute(SQL, args).await?;
    Ok(())
}

/// The places of a lane that are held, as far as they matter to [`Lane::grant`]: those of the last minute
/// only if the minute is full, else those of the last second. A request that was never made holds none.
pub async fn places(
    tx: &mut Tx,
    account_id: &str,
    endpoint: Endpoint,
) -> Result<Vec<Held>, StoreError> {
    let now = tx.now();
    let (minute, second) = (now - Limits::STEADY_WINDOW, now - Limits::BURST_WINDOW);
    let args = args![account_id, endpoint.name(), minute, second, endpoint.limits().steady];
    let rows = tx.rows(PLACES, args).await?;
    rows.into_iter().map(|mut row| Ok(Held { answered: row.opt_time()? })).collect()
}

/// Each part looks into the index; an OR would go through all that was ever sent.
pub(crate) const PLACES: &str = "SELECT answered_us FROM sends \
         WHERE account_id = $1 AND endpoint = $2 AND answered_us IS NULL \
     UNION ALL SELECT answered_us FROM sends \
         WHERE account_id = $1 AND endpoint = $2 AND outcome <> 'not_sent' \
         AND answered_us > CASE WHEN $5 > \
             (SELECT count(*) FROM sends \
              WHERE account_id = $1 AND endpoint = $2 AND answered_us IS NULL) \
             + (SELECT count(*) FROM sends WHERE account_id = $1 AND endpoint = $2 \
                AND answered_us > $3 AND outcome <> 'not_sent') \
             THEN $4 ELSE $3 END";

/// A request that may be made.
#[derive(Debug, Clone)]
pub struct Send {
    pub permit: PermitId,
    pub account_id: String,
    pub endpoint: Endpoint,
    pub run: Option<RunId>,
    pub batch: Option<BatchNo>,
    pub claim: Option<ClaimId>,
    pub granted: Micros,
}

pub async fn grant(tx: &mut Tx, send: &Send) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO sends (permit_id, account_id, endpoint, run_id, batch_no, \
         claim_id, granted_us) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let args = args![
        text(send.permit),
        send.account_id.as_str(),
        send.endpoint.name(),
        send.run.map(|run| run.to_string()),
        send.batch.map(|no| no.0),
        send.claim.map(|claim| claim.to_string()),
        send.granted,
    ];
    tx.execute(SQL, args).await?;
    Ok(())
}

/// The request behind a permit, answered or not. `None`: nobody was allowed it.
pub async fn get(tx: &mut Tx, permit: PermitId) -> Result<Option<Send>, StoreError> {
    const SQL: &str = "SELECT account_id, endpoint, run_id, batch_no, claim_id, granted_us \
         FROM sends WHERE permit_id = $1";
    let decode = |mut row: Row| {
        Ok(Send {
            permit,
            account_id: row.string()?,
            endpoint: row.parsed()?,
            run: row.opt_parsed()?,
            batch: row.opt_int()?.and_then(|no| u32::try_from(no).ok()).map(BatchNo),
            claim: row.opt_parsed()?,
            granted: row.time()?,
        })
    };
    tx.row(SQL, args![text(permit)]).await?.map(decode).transpose()
}

/// Records the answer, once. From now on the place is held for the length of its window.
pub async fn answer(tx: &mut Tx, permit: PermitId, outcome: &str) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE sends SET answered_us = $2, outcome = $3 \
         WHERE permit_id = $1 AND answered_us IS NULL";
    let now = tx.now();
    Ok(tx.execute(SQL, args![text(permit), now, outcome]).await? > 0)
}

/// The truth about a request whose answer was given up for lost, when it comes after all. Its place is held
/// from when it was given up.
pub async fn amend(tx: &mut Tx, permit: PermitId, outcome: &str) -> Result<(), StoreError> {
    const SQL: &str =
        "UPDATE sends SET outcome = $2 WHERE permit_id = $1 AND outcome = 'ambiguous'";
    tx.execute(SQL, args![text(permit), outcome]).await?;
    Ok(())
}

/// Whoever held the claim can send no more: what it had under way may or may not have arrived.
pub async fn abandon(tx: &mut Tx, claim: ClaimId) -> Result<(), StoreError> {
    let now = tx.now();
    tx.execute(ABANDON, args![text(claim), now]).await?;
    Ok(())
}

pub(crate) const ABANDON: &str = "UPDATE sends SET answered_us = $2, outcome = 'ambiguous' \
     WHERE claim_id = $1 AND answered_us IS NULL";

/// As [`abandon`], of everything: the process that had it under way is known to be dead.
pub async fn abandon_all(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE sends SET answered_us = $1, outcome = 'ambiguous' \
         WHERE answered_us IS NULL";
    let now = tx.now();
    tx.execute(SQL, args![now]).await?;
    Ok(())
}

/// As [`abandon`], of what was granted before `before`: by then it has arrived or never will.
pub async fn abandon_stale(tx: &mut Tx, before: Micros) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE sends SET answered_us = $1, outcome = 'ambiguous' \
         WHERE answered_us IS NULL AND granted_us < $2";
    let now = tx.now();
    tx.execute(SQL, args![now, before]).await?;
    Ok(())
}

/// Takes back times that have not come yet: they were written before the system's clock was put back, and
/// would hold places, or keep lanes closed, for as long as it was wrong.
pub async fn forget_future(tx: &mut Tx) -> Result<(), StoreError> {
    const SENDS: &str = "UPDATE sends SET answered_us = $1 WHERE answered_us > $1";
    const LANES: &str = "UPDATE lanes SET closed_us = $1 WHERE closed_us > $1";
    let now = tx.now();
    tx.execute(SENDS, args![now]).await?;
    tx.execute(LANES, args![now + Lane::LONGEST_RETRY_AFTER]).await?;
    Ok(())
}

/// Forgets requests that hold no place and belong to no run.
pub async fn forget(tx: &mut Tx, before: Micros) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM sends WHERE run_id IS NULL AND answered_us < $1";
    tx.execute(SQL, args![before]).await?;
    Ok(())
}

/// What is left of the minute of one lane, and how long Klaviyo asked to wait; locks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub endpoint: Endpoint,
    /// Requests in a minute.
    pub limit: u32,
    /// Places that are free.
    pub remaining: u32,
    /// Nothing is granted before; in the past unless Klaviyo asked to slow down.
    pub closed_until: Micros,
}

pub async fn left(tx: &mut Tx, account_id: &str, endpoint: Endpoint) -> Result<Left, StoreError> {
    const HELD: &str = "SELECT \
         (SELECT count(*) FROM sends \
          WHERE account_id = $1 AND endpoint = $2 AND answered_us IS NULL) \
         + (SELECT count(*) FROM sends WHERE account_id = $1 AND endpoint = $2 \
            AND answered_us > $3 AND outcome <> 'not_sent')";
    const CLOSED: &str = "SELECT closed_us FROM lanes WHERE account_id = $1 AND endpoint = $2";
    let minute = tx.now() - Limits::STEADY_WINDOW;
    let held = match tx.row(HELD, args![account_id, endpoint.name(), minute]).await? {
        Some(mut row) => row.count()?,
        None => 0,
    };
    let closed_until = match tx.row(CLOSED, args![account_id, endpoint.name()]).await? {
        Some(mut row) => row.time()?,
        None => Micros(0),
    };
    let limit = endpoint.limits().steady;
    let remaining = limit.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
    Ok(Left { endpoint, limit, remaining, closed_until })
}
