use segue_model::{BatchNo, RunId};

use crate::{
    Reader, StoreError,
    sql::{Row, args, text},
};

/// One batch, for people who want to know where a run hangs.
#[derive(Debug, Clone)]
pub struct BatchView {
    pub batch: BatchNo,
    pub state: String,
    pub profiles: u64,
    pub klaviyo_job: Option<String>,
}

pub async fn batches(store: &Reader, run: RunId) -> Result<Vec<BatchView>, StoreError> {
    const SQL: &str = "SELECT batch_no, state, profiles, klaviyo_job FROM batches \
         WHERE run_id = $1 ORDER BY batch_no";
    let decode = |mut row: Row| {
        Ok(BatchView {
            batch: BatchNo(row.small()?),
            state: row.string()?,
            profiles: row.count()?,
            klaviyo_job: row.opt_string()?,
        })
    };
    store.read(SQL, args![text(run)]).await?.into_iter().map(decode).collect()
}
