//! What an ended run left to be sent again.

use segue_model::{BatchNo, ConnectionId, ContentHash, ExportId, Micros, RunId};

use crate::{
    StoreError, Tx,
    sql::{Row, args, text},
};

/// A run as far as a retry of it is concerned.
#[derive(Debug, Clone)]
pub struct Ended {
    pub export: Option<ExportId>,
    pub connection: Option<ConnectionId>,
    pub account_id: String,
    pub list_id: String,
    pub plan: String,
    /// The whole segment was read.
    pub read_done: bool,
    /// `None`: it goes on.
    pub ended: Option<Micros>,
    /// As JSON.
    pub segments: Option<String>,
}

pub async fn ended(tx: &mut Tx, run: RunId) -> Result<Option<Ended>, StoreError> {
    const SQL: &str = "SELECT export_id, connection_id, account_id, list_id, plan, read_done, ended_us, \
         segments \
         FROM runs WHERE run_id = $1";
    let decode = |mut row: Row| {
        Ok(Ended {
            export: row.opt_parsed()?,
            connection: row.opt_parsed()?,
            account_id: row.string()?,
            list_id: row.string()?,
            plan: row.string()?,
            read_done: row.flag()?,
            ended: row.opt_time()?,
            segments: row.opt_string()?,
        })
    };
    tx.row(SQL, args![text(run)]).await?.map(decode).transpose()
}

/// A batch that Klaviyo never accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub batch: BatchNo,
    pub hash: ContentHash,
    pub profiles: u64,
    /// Bytes of its body.
    pub bytes: u64,
    /// Its body and its index are where a worker finds them.
    pub staged: bool,
}

/// Batches of an ended run that Klaviyo never accepted, in order.
pub async fn left(tx: &mut Tx, run: RunId) -> Result<Vec<Left>, StoreError> {
    const SQL: &str = "SELECT batch_no, hash, profiles, bytes, staged FROM batches \
         WHERE run_id = $1 AND state = 'given_up' AND klaviyo_job IS NULL AND profiles > 0 \
         ORDER BY batch_no";
    let decode = |mut row: Row| {
        Ok(Left {
            batch: BatchNo(row.small()?),
            hash: row.parsed()?,
            profiles: row.count()?,
            bytes: row.count()?,
            staged: row.flag()?,
        })
    };
    tx.rows(SQL, args![text(run)]).await?.into_iter().map(decode).collect()
}

/// The last retry of a run that goes on or has staged anything.
pub async fn retried_as(tx: &mut Tx, run: RunId) -> Result<Option<RunId>, StoreError> {
    const SQL: &str = "SELECT run_id FROM runs WHERE retry_of = $1 AND (ended_us IS NULL OR EXISTS \
         (SELECT 1 FROM batches WHERE batches.run_id = runs.run_id)) ORDER BY run_id DESC LIMIT 1";
    tx.row(SQL, args![text(run)]).await?.map(|mut row| row.parsed()).transpose()
}
