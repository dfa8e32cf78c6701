//! What has happened and is still to be published.

use segue_model::{BatchNo, Micros, RunId, RunState};

use super::batches::BatchState;
use crate::{
    Reader, StoreError, Tx,
    sql::{Arg, Row, args, text},
};

/// Notes that a run has come into a state. Its row has to be locked.
pub async fn run(tx: &mut Tx, run: RunId, state: RunState) -> Result<(), StoreError> {
    let seq = next(tx, run, 1).await?;
    insert(tx, run, seq, &format!("run.{state}"), None).await
}

/// Notes that batches of a run have come into a state. The row of the run has to be locked.
pub async fn batches(
    tx: &mut Tx,
    run: RunId,
    state: BatchState,
    numbers: &[BatchNo],
) -> Result<(), StoreError> {
    let count = numbers.len().try_into().unwrap_or(u32::MAX);
    if count == 0 {
        return Ok(());
    }
    let last = next(tx, run, count).await?;
    let topic = format!("batch.{}", state.name());
    for (seq, number) in (last - u64::from(count) + 1..).zip(numbers) {
        insert(tx, run, seq, &topic, Some(*number)).await?;
    }
    Ok(())
}

/// Counts the changes of a run on by `by`; returns the number of the last.
async fn next(tx: &mut Tx, run: RunId, by: u32) -> Result<u64, StoreError> {
    const SQL: &str = "UPDATE runs SET seq = seq + $2 WHERE run_id = $1 RETURNING seq";
    match tx.row(SQL, args![text(run), by]).await? {
        Some(mut row) => row.count(),
        None => Err(StoreError::inconsistent(format!("an event of {run}, which is not there"))),
    }
}

async fn insert(
    tx: &mut Tx,
    run: RunId,
    seq: u64,
    topic: &str,
    batch: Option<BatchNo>,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO events (event_id, at_us, topic, run_id, seq, batch_no, profiles) \
         VALUES ($1, $2, $3, $4, $5, $6, \
         (SELECT profiles FROM batches WHERE run_id = $4 AND batch_no = $6))";
    let now = tx.now();
    let id = format!("{run}/{seq}");
    tx.execute(SQL, args![id, now, topic, text(run), seq, batch.map(|no| no.0)]).await?;
    Ok(())
}

/// Notes that a command was not obeyed. `id` names the event: the same one again is the same event.
pub async fn rejected(tx: &mut Tx, id: &str, rejected: &Rejected<'_>) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO events (event_id, at_us, topic, run_id, seq, request_id, reason, \
         detail) VALUES ($1, $2, 'command.rejected', $3, 0, $4, $5, $6) \
         ON CONFLICT (event_id) DO NOTHING";
    let Rejected { run, request_id, reason, detail } = *rejected;
    let now = tx.now();
    let run = run.map(|run| run.to_string()).unwrap_or_default();
    let request_id = request_id.map(str::to_owned);
    tx.execute(SQL, args![id, now, run, request_id, reason, detail]).await?;
    Ok(())
}

/// A command that was not obeyed.
#[derive(Debug, Clone, Copy)]
pub struct Rejected<'a> {
    /// The run that it named.
    pub run: Option<RunId>,
    /// As the sender gave it.
    pub request_id: Option<&'a str>,
    /// A documented code.
    pub reason: &'a str,
    /// Words without personal data.
    pub detail: &'a str,
}

/// An event that was not published yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub id: String,
    pub at: Micros,
    pub topic: String,
    /// `None` for a command that names none.
    pub run: Option<RunId>,
    pub seq: u64,
    pub batch: Option<BatchNo>,
    /// Of the batch.
    pub profiles: u64,
    pub request_id: Option<String>,
    pub reason: Option<String>,
    pub detail: Option<String>,
}

/// Events that were not published yet, oldest first, those of a run in their order; at most `most`.
pub async fn pending(store: &Reader, most: u32) -> Result<Vec<Pending>, StoreError> {
    const SQL: &str = "SELECT event_id, at_us, topic, run_id, seq, batch_no, profiles, request_id, \
         reason, detail FROM events ORDER BY at_us, run_id, seq LIMIT $1";
    let decode = |mut row: Row| {
        Ok(Pending {
            id: row.string()?,
            at: row.time()?,
            topic: row.string()?,
            run: named(&row.string()?)?,
            seq: row.count()?,
            batch: row.opt_int()?.and_then(|no| u32::try_from(no).ok()).map(BatchNo),
            profiles: row.opt_int()?.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
            request_id: row.opt_string()?,
            reason: row.opt_string()?,
            detail: row.opt_string()?,
        })
    };
    store.read(SQL, args![most]).await?.into_iter().map(decode).collect()
}

fn named(run: &str) -> Result<Option<RunId>, StoreError> {
    if run.is_empty() {
        return Ok(None);
    }
    run.parse().map(Some).map_err(|err| StoreError::inconsistent(format!("{run:?}: {err}")))
}

/// These were published.
pub async fn published(tx: &mut Tx, events: &[Pending]) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM events \
         WHERE event_id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    for some in events.chunks(16) {
        // The last one again where there are fewer.
        let ids = (0..16).filter_map(|nth| some.get(nth).or(some.last()));
        let ids: Vec<Arg> = ids.map(|event| event.id.as_str().into()).collect();
        tx.execute(SQL, &ids).await?;
    }
    Ok(())
}
