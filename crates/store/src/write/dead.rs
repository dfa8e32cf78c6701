//! Jobs whose messages died, until a worker has them.

use segue_model::{BatchNo, DeadJobId, DeathCause, InvalidId, JobId, Micros, RunId, work::JobKind};

use super::jobs::{self, Held};
use crate::{
    Reader, StoreError, Tx,
    sql::{Row, args, text},
};

/// How a message died. Nothing of what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    pub cause: DeathCause,
    pub detail: String,
    /// Length of the message.
    pub bytes: u64,
    /// Of its bytes, in hexadecimal.
    pub sha256: String,
}

/// The job that a dead message belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadSubject {
    pub job: JobId,
    pub kind: JobKind,
    pub account_id: String,
    /// `None` for confirm.
    pub run: Option<RunId>,
    /// `None` but for upload.
    pub batch: Option<BatchNo>,
    /// That died last.
    pub attempt: u32,
    /// When it is announced again. `None`: never, because there is nothing left to do.
    pub next: Option<Micros>,
}

/// A dead job as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadJob {
    pub id: DeadJobId,
    /// `None`: nobody knows which job it was.
    pub subject: Option<DeadSubject>,
    pub death: Death,
    pub first: Micros,
    pub last: Micros,
    pub deaths: u64,
}

/// Writes down that the message of a job died; its row has to be locked. One job has one entry.
pub async fn note(
    tx: &mut Tx,
    id: DeadJobId,
    held: &Held,
    attempt: u32,
    death: &Death,
) -> Result<(), StoreError> {
    let job = held.job.to_string();
    let of = Of {
        job: &job,
        kind: held.kind.name(),
        account_id: &held.account_id,
        run: held.run.map(|run| run.to_string()).unwrap_or_default(),
        batch: held.batch.map_or(-1, |no| i64::from(no.0)),
        attempt,
    };
    write(tx, id, &job, of, death).await
}

/// Writes down a message that belongs to no job. The same bytes again have the same entry.
pub async fn note_message(tx: &mut Tx, id: DeadJobId, death: &Death) -> Result<(), StoreError> {
    let nobody =
        Of { job: "", kind: "", account_id: "", run: String::new(), batch: -1, attempt: 0 };
    write(tx, id, &format!("message {}", death.sha256), nobody, death).await
}

/// What an entry is of, as its row has it.
struct Of<'a> {
    job: &'a str,
    kind: &'a str,
    account_id: &'a str,
    run: String,
    batch: i64,
    attempt: u32,
}

async fn write(
    tx: &mut Tx,
    id: DeadJobId,
    subject: &str,
    of: Of<'_>,
    death: &Death,
) -> Result<(), StoreError> {
    let now = tx.now();
    let Of { job, kind, account_id, run, batch, attempt } = of;
    let args = args![
        text(id),
        subject,
        job,
        kind,
        account_id,
        run,
        batch,
        attempt,
        death.cause.name(),
        death.detail.as_str(),
        death.bytes,
        death.sha256.as_str(),
        now,
    ];
    tx.execute(NOTE, args).await?;
    Ok(())
}

const NOTE: &str = "INSERT INTO dead_jobs (dead_id, subject, job_id, kind, account_id, run_id, \
     batch_no, attempt, cause, detail, bytes, sha256, first_us, last_us, deaths) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, 1) \
     ON CONFLICT (subject) DO UPDATE SET attempt = excluded.attempt, cause = excluded.cause, \
     detail = excluded.detail, bytes = excluded.bytes, sha256 = excluded.sha256, \
     last_us = excluded.last_us, deaths = dead_jobs.deaths + 1";

/// A worker has the job: it is not dead any more.
pub async fn revive(tx: &mut Tx, job: JobId) -> Result<(), StoreError> {
    tx.execute(REVIVE, args![text(job)]).await?;
    Ok(())
}

pub(crate) const REVIVE: &str = "DELETE FROM dead_jobs WHERE subject = $1";

/// Forgets an entry. `false`: there is none.
pub async fn forget(tx: &mut Tx, id: DeadJobId) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM dead_jobs WHERE dead_id = $1";
    Ok(tx.execute(SQL, args![text(id)]).await? > 0)
}

macro_rules! dead_jobs {
    ($which:literal) => {
        concat!(
            "SELECT d.dead_id, d.cause, d.detail, d.bytes, d.sha256, d.first_us, d.last_us, d.deaths, \
             d.job_id, d.kind, d.account_id, d.run_id, d.batch_no, d.attempt, \
             CASE WHEN j.state = 'ready' THEN j.announce_us END \
             FROM dead_jobs d LEFT JOIN jobs j ON j.job_id = d.job_id WHERE ",
            $which
        )
    };
}

/// `None`: there is no such entry.
pub async fn get(tx: &mut Tx, id: DeadJobId) -> Result<Option<DeadJob>, StoreError> {
    const SQL: &str = dead_jobs!("d.dead_id = $1");
    tx.row(SQL, args![text(id)]).await?.map(decode).transpose()
}

/// At most `most` entries behind `after`, oldest first; `run`: only those of this run.
pub async fn list(
    store: &Reader,
    run: Option<RunId>,
    after: Option<DeadJobId>,
    most: u32,
) -> Result<Vec<DeadJob>, StoreError> {
    const ALL: &str = dead_jobs!("d.dead_id > $1 ORDER BY d.dead_id LIMIT $2");
    const OF_RUN: &str = dead_jobs!("d.dead_id > $1 AND d.run_id = $3 ORDER BY d.dead_id LIMIT $2");
    let after = after.map_or_else(String::new, |id| id.to_string());
    let rows = match run {
        None => store.read(ALL, args![after, most]).await?,
        Some(run) => store.read(OF_RUN, args![after, most, text(run)]).await?,
    };
    rows.into_iter().map(decode).collect()
}

fn decode(mut row: Row) -> Result<DeadJob, StoreError> {
    let id = row.parsed()?;
    let death = Death {
        cause: row.parsed()?,
        detail: row.string()?,
        bytes: row.count()?,
        sha256: row.string()?,
    };
    let (first, last, deaths) = (row.time()?, row.time()?, row.count()?);
    Ok(DeadJob { id, subject: subject(&mut row)?, death, first, last, deaths })
}

fn subject(row: &mut Row) -> Result<Option<DeadSubject>, StoreError> {
    let job = row.string()?;
    if job.is_empty() {
        return Ok(None);
    }
    let broken = |err: InvalidId| StoreError::inconsistent(format!("dead job {job:?}: {err}"));
    Ok(Some(DeadSubject {
        job: job.parse().map_err(broken)?,
        kind: jobs::kind(row)?,
        account_id: row.string()?,
        run: jobs::run(row)?,
        batch: u32::try_from(row.int()?).ok().map(BatchNo),
        attempt: row.small()?,
        next: row.opt_time()?,
    }))
}
