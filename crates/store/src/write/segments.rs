//! How the rows of batches are spread over the segments of their run.

use segue_model::{BatchNo, RowCounts, RunId};

use super::batches::Phase;
use crate::{
    StoreError, Tx,
    sql::{args, text},
};

/// Notes the numbers of a part of a batch's life, by segment. To be called where that part is noted, and once: in
/// the transaction and only if it was not noted before.
pub async fn note(
    tx: &mut Tx,
    run: RunId,
    no: BatchNo,
    phase: Phase,
    counts: &[(u32, RowCounts)],
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO segment_counts (run_id, batch_no, phase, segment, rows_read, \
         duplicates, rejected) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    for (segment, RowCounts { rows, duplicates, rejected }) in counts {
        let (run, phase) = (text(run), phase.name());
        let args = args![run, no.0, phase, *segment, *rows, *duplicates, *rejected];
        tx.execute(SQL, args).await?;
    }
    Ok(())
}
