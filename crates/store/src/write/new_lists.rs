//! Requests for new lists of Klaviyo's, which has no memory of requests itself.

use std::time::Duration;

use segue_model::{ConnectionId, Micros};

use crate::{
    StoreError, Tx,
    sql::{Row, args, text},
};

/// A list that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewList {
    pub request_id: String,
    pub connection: ConnectionId,
    pub name: String,
}

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody else is about it until the time that was asked for.
    Held {
        /// Klaviyo was asked before, and may have made the list.
        asked: bool,
    },
    /// Somebody is about it, until then at most.
    Busy { until: Micros },
    /// Klaviyo made it.
    Made { list_id: String },
    /// The request id was used for another list, which has this id, if it is known.
    Other { list_id: String },
}

/// Takes up a request, for so long at most: of two at once the second finds it busy.
pub async fn hold(tx: &mut Tx, new: &NewList, time: Duration) -> Result<Standing, StoreError> {
    const INSERT: &str = "INSERT INTO new_lists (request_id, connection_id, name, asked, held_us, \
         list_id, at_us) VALUES ($1, $2, $3, 0, $4, '', $5) ON CONFLICT (request_id) DO NOTHING";
    const LOCK: &str = "UPDATE new_lists SET asked = asked WHERE request_id = $1 \
         RETURNING connection_id, name, asked, held_us, list_id";
    const HOLD: &str = "UPDATE new_lists SET held_us = $2 WHERE request_id = $1";
    let now = tx.now();
    let until = now + time;
    let NewList { request_id, connection, name } = new;
    let args = args![request_id.as_str(), text(connection), name.as_str(), until, now];
    if tx.execute(INSERT, args).await? > 0 {
        return Ok(Standing::Held { asked: false });
    }
    let Some(mut row) = tx.row(LOCK, args![request_id.as_str()]).await? else {
        let what = format!("the request {request_id:?} for a list is there and is not");
        return Err(StoreError::inconsistent(what));
    };
    let same = is_same(&mut row, new)?;
    let (asked, held, list_id) = (row.flag()?, row.time()?, row.string()?);
    if !same {
        return Ok(Standing::Other { list_id });
    }
    if !list_id.is_empty() {
        return Ok(Standing::Made { list_id });
    }
    if held > now {
        return Ok(Standing::Busy { until: held });
    }
    tx.execute(HOLD, args![request_id.as_str(), until]).await?;
    Ok(Standing::Held { asked })
}

fn is_same(row: &mut Row, new: &NewList) -> Result<bool, StoreError> {
    let (connection, name): (ConnectionId, String) = (row.parsed()?, row.string()?);
    Ok(connection == new.connection && name == new.name)
}

/// Klaviyo is about to be asked: from now on it may have made the list.
pub async fn ask(tx: &mut Tx, request_id: &str) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE new_lists SET asked = 1 WHERE request_id = $1";
    tx.execute(SQL, args![request_id]).await?;
    Ok(())
}

/// Klaviyo made the list.
pub async fn made(tx: &mut Tx, request_id: &str, list_id: &str) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE new_lists SET list_id = $2, held_us = 0 WHERE request_id = $1";
    tx.execute(SQL, args![request_id, list_id]).await?;
    Ok(())
}

/// Klaviyo cannot have made the list, so the request may be forgotten.
pub async fn forget(tx: &mut Tx, request_id: &str) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM new_lists WHERE request_id = $1 AND list_id = ''";
    tx.execute(SQL, args![request_id]).await?;
    Ok(())
}

/// Nobody is about it any more; whether Klaviyo made the list is not known.
pub async fn release(tx: &mut Tx, request_id: &str) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE new_lists SET held_us = 0 WHERE request_id = $1";
    tx.execute(SQL, args![request_id]).await?;
    Ok(())
}
