use segue_model::{Counts, RunId, RunState};

use super::numbers::counts;
use crate::{
    Reader, StoreError,
    sql::{args, text},
};

/// How a run stands, for people who watch it.
#[derive(Debug, Clone)]
pub struct Progress {
    pub state: RunState,
    pub counts: Counts,
    pub read_done: bool,
    /// Profiles that were staged.
    pub staged: u64,
    /// Profiles that Klaviyo has accepted, confirmed or not.
    pub accepted: u64,
    /// Profiles whose import Klaviyo has confirmed, or refused by name.
    pub confirmed: u64,
}

pub async fn progress(store: &Reader, run: RunId) -> Result<Option<Progress>, StoreError> {
    const RUN: &str = "SELECT state, read_done FROM runs WHERE run_id = $1";
    const SENT: &str = "SELECT \
         CAST(COALESCE(sum(CASE WHEN parent IS NULL THEN profiles ELSE 0 END), 0) AS BIGINT), \
         CAST(COALESCE(sum(CASE WHEN state IN ('accepted', 'confirmed') THEN sent ELSE 0 END), 0) \
             AS BIGINT), \
         CAST(COALESCE(sum(CASE WHEN state = 'confirmed' THEN sent ELSE 0 END), 0) AS BIGINT) \
         FROM batches WHERE run_id = $1";
    let mut view = store.view().await?;
    let Some(mut row) = view.row(RUN, args![text(run)]).await? else {
        view.end().await?;
        return Ok(None);
    };
    let counts = counts(&mut view, run).await?;
    let mut sent = view.sums(SENT, args![text(run)]).await?;
    view.end().await?;
    Ok(Some(Progress {
        state: row.parsed()?,
        counts,
        read_done: row.flag()?,
        staged: sent.count()?,
        accepted: sent.count()?,
        confirmed: sent.count()?,
    }))
}
