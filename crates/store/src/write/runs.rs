//! Runs. Every transaction about a run locks its row first.

use std::time::Duration;

use segue_model::{
    Cause, ClaimId, ConnectionId, Counts, ExportId, FailReason, Freshness, Guards, JobId, Micros,
    RunFacts, RunId, RunState, Stop, Who,
};

use super::columns::RunColumns;
use crate::{
    StoreError, Tx,
    sql::{Row, args, text},
};

/// What is written down when a run is started.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub run: RunId,
    pub account_id: String,
    pub list_id: String,
    /// What the reader needs, as JSON.
    pub plan: String,
    /// Nothing is sent before the whole segment was read. It is so whenever a guard needs it.
    pub hold: bool,
    pub guards: Guards,
    /// Somebody wanted it to run whatever the guards of its export say.
    pub guards_overridden: bool,
    /// A trial: only so many rows are to be read, as its plan says too.
    pub trial_rows: Option<u64>,
    /// `None`: its source may be as old as it is.
    pub freshness: Option<Freshness>,
    /// The segments, as JSON, if they are known at the start.
    pub segments: Option<String>,
    pub columns: RunColumns,
    /// How long Klaviyo may take from accepting a batch to confirming it.
    pub confirm_timeout: Duration,
    /// How long the run may take.
    pub deadline: Duration,
    /// How many batches may be split in two.
    pub splits: u64,
    /// `false`: the plan says what is wanted, and the first reading freezes it.
    pub frozen: bool,
    pub origin: Origin,
}

/// Where a run comes from. The default is `segue export`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub cause: Cause,
    pub export: Option<ExportId>,
    pub connection: Option<ConnectionId>,
    /// As whoever started it gave it.
    pub request_id: Option<String>,
    /// The run of which it sends what was left undelivered.
    pub retry_of: Option<RunId>,
    /// The trace of what started it: a `traceparent` of W3C Trace Context.
    pub trace: Option<String>,
    pub started_by: Who,
    /// For which time of its schedule it was started.
    pub due: Option<Micros>,
    /// How many times of its schedule it makes up for, besides that one.
    pub missed: u64,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            cause: Cause::CommandLine,
            export: None,
            connection: None,
            request_id: None,
            retry_of: None,
            trace: None,
            started_by: Who::default(),
            due: None,
            missed: 0,
        }
    }
}

/// A run as it stands, its row locked.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "a row of the table, column by column")]
pub struct Run {
    pub run: RunId,
    pub state: RunState,
    pub account_id: String,
    /// `None` for `segue export`.
    pub connection: Option<ConnectionId>,
    pub list_id: String,
    pub plan: String,
    pub hold: bool,
    pub guards: Guards,
    pub freshness: Option<Freshness>,
    /// As JSON. `None`: nobody has said which there are.
    pub segments: Option<String>,
    pub columns: RunColumns,
    /// The plan says what is read, not what is wanted.
    pub frozen: bool,
    pub export: Option<ExportId>,
    pub created: Micros,
    pub trial_rows: Option<u64>,
    pub confirm_timeout: Duration,
    pub deadline: Duration,
    pub splits_left: u64,
    pub read_done: bool,
    pub stop: Option<Stop>,
    /// Nobody works on it: whoever did is dead.
    pub parked: bool,
    /// When somebody last began to work on it.
    pub resumed: Micros,
    /// When the first import was granted.
    pub first_request: Option<Micros>,
}

/// Writes a run down. `false`: another run of its export is under way.
pub async fn create(tx: &mut Tx, new: &NewRun) -> Result<bool, StoreError> {
    const SQL: &str = "INSERT INTO runs (run_id, state, account_id, list_id, plan, hold, \
         max_profiles, allow_empty, confirm_us, deadline_us, splits_left, read_done, parked, \
         profiles, throttled, created_us, resumed_us, frozen, cause, export_id, connection_id, \
         request_id, retry_of, trace, due_us, missed, started_by, started_by_name, max_growth, \
         max_shrinkage, max_rejects, guards_overridden, trial_rows, max_source_age_us, \
         source_wait_us, segments, columns, columns_for) \
         VALUES ($1, 'queued', $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, 0, $11, $11, $12, \
         $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, \
         $31, $32) \
         ON CONFLICT (export_id) WHERE ended_us IS NULL DO NOTHING";
    let now = tx.now();
    let Origin { cause, export, connection, request_id, retry_of, trace, started_by, due, missed } =
        &new.origin;
    let guards = &new.guards;
    let args = args![
        text(new.run),
        new.account_id.as_str(),
        new.list_id.as_str(),
        new.plan.as_str(),
        new.hold || guards.hold(),
        guards.max_profiles.unwrap_or(u64::MAX),
        guards.allow_empty,
        micros(new.confirm_timeout),
        micros(new.deadline),
        new.splits,
        now,
        new.frozen,
        cause.name(),
        export.map(|id| id.to_string()),
        connection.map(|id| id.to_string()),
        request_id.clone(),
        retry_of.map(|id| id.to_string()),
        trace.clone(),
        *due,
        *missed,
        started_by.subject.as_str(),
        started_by.name.as_str(),
        guards.max_growth,
        guards.max_shrinkage,
        guards.max_rejects,
        new.guards_overridden,
        new.trial_rows.unwrap_or(0),
        new.freshness.map(|it| as_time(it.max_source_age)),
        micros(new.freshness.map(|it| it.wait).unwrap_or_default()),
        new.segments.clone(),
        new.columns.mapping.as_deref().unwrap_or_default(),
        new.columns.settled_for.as_str(),
    ];
    Ok(tx.execute(SQL, args).await? > 0)
}

/// Locks the row of a run until the transaction ends, and reads it. `None`: there is no such run.
///
/// Rows are locked in one order by all, or two transactions would wait for each other: the run, the lane,
/// the requests, the job, and the job of the account last. Hence [`lock_of_claim`] and [`lock_of_job`].
pub async fn lock(tx: &mut Tx, run: RunId) -> Result<Option<Run>, StoreError> {
    tx.row(LOCK, args![text(run)]).await?.map(decode).transpose()
}

/// As [`lock`], of the run that a claim works for. `None`: the claim has ended, or works for an account.
pub async fn lock_of_claim(tx: &mut Tx, claim: ClaimId) -> Result<Option<Run>, StoreError> {
    tx.row(LOCK_OF_CLAIM, args![text(claim)]).await?.map(decode).transpose()
}

/// As [`lock`], of the run that a job is about. `None`: it is about an account, or there is no such job.
pub async fn lock_of_job(tx: &mut Tx, job: JobId) -> Result<Option<Run>, StoreError> {
    tx.row(LOCK_OF_JOB, args![text(job)]).await?.map(decode).transpose()
}

/// The row as it is when the lock is had.
macro_rules! lock {
    ($which:literal) => {
        concat!(
            "UPDATE runs SET state = state WHERE run_id = ",
            $which,
            " RETURNING run_id, state, account_id, connection_id, list_id, plan, hold, \
             max_profiles, allow_empty, confirm_us, deadline_us, splits_left, read_done, stop, \
             parked, resumed_us, first_request_us, max_growth, max_shrinkage, max_rejects, \
             max_source_age_us, source_wait_us, segments, frozen, export_id, created_us, trial_rows, \
             columns, columns_for"
        )
    };
}

const LOCK: &str = lock!("$1");
pub(crate) const LOCK_OF_CLAIM: &str = lock!("(SELECT run_id FROM jobs WHERE claim_id = $1)");
pub(crate) const LOCK_OF_JOB: &str = lock!("(SELECT run_id FROM jobs WHERE job_id = $1)");

fn decode(mut row: Row) -> Result<Run, StoreError> {
    let mut run = Run {
        run: row.parsed()?,
        state: row.parsed()?,
        account_id: row.string()?,
        connection: row.opt_parsed()?,
        list_id: row.string()?,
        plan: row.string()?,
        hold: row.flag()?,
        guards: Guards {
            max_profiles: Some(row.count()?).filter(|most| i64::try_from(*most) != Ok(i64::MAX)),
            allow_empty: row.flag()?,
            ..Guards::default()
        },
        freshness: None,
        segments: None,
        columns: RunColumns::default(),
        frozen: false,
        export: None,
        created: Micros(0),
        trial_rows: None,
        confirm_timeout: Duration::from_micros(row.count()?),
        deadline: Duration::from_micros(row.count()?),
        splits_left: row.count()?,
        read_done: row.flag()?,
        stop: match row.opt_string()?.as_deref() {
            None => None,
            Some("cancel") => Some(Stop::Cancel),
            Some("failure") => Some(Stop::Failure),
            Some(other) => return Err(StoreError::inconsistent(format!("stop {other:?}"))),
        },
        parked: row.flag()?,
        resumed: row.time()?,
        first_request: row.opt_time()?,
    };
    // Columns that came later stand behind the others.
    let guards = &mut run.guards;
    guards.max_growth = row.opt_small()?;
    guards.max_shrinkage = row.opt_small()?;
    guards.max_rejects = row.opt_small()?;
    let (max_source_age, wait) = (row.opt_time()?, Duration::from_micros(row.count()?));
    run.freshness =
        max_source_age.map(|age| Freshness { max_source_age: age.since(Micros(0)), wait });
    (run.segments, run.frozen) = (row.opt_string()?, row.flag()?);
    (run.export, run.created) = (row.opt_parsed()?, row.time()?);
    run.trial_rows = Some(row.count()?).filter(|rows| *rows > 0);
    run.columns = RunColumns {
        mapping: Some(row.string()?).filter(|json| !json.is_empty()),
        settled_for: row.string()?,
    };
    Ok(run)
}

/// Every run that has not ended and that somebody works on.
pub async fn live(tx: &mut Tx) -> Result<Vec<RunId>, StoreError> {
    const SQL: &str = "SELECT run_id FROM runs WHERE ended_us IS NULL AND parked = 0 \
         ORDER BY run_id";
    let rows = tx.rows(SQL, &[]).await?;
    rows.into_iter().map(|mut row| row.parsed()).collect()
}

/// Freezes the plan of a run. `false`: it is frozen already, and another.
pub async fn freeze(tx: &mut Tx, run: RunId, plan: &str) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE runs SET plan = $2, frozen = 1 \
         WHERE run_id = $1 AND (frozen = 0 OR plan = $2)";
    Ok(tx.execute(SQL, args![text(run), plan]).await? > 0)
}

/// The first claim of a run's read job. `false`: it was not the first.
pub async fn start(tx: &mut Tx, run: RunId) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE runs SET state = 'running', started_us = $2 \
         WHERE run_id = $1 AND state = 'queued'";
    let now = tx.now();
    Ok(tx.execute(SQL, args![text(run), now]).await? > 0)
}

pub async fn note_request(tx: &mut Tx, run: RunId, at: Micros) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET first_request_us = $2 \
         WHERE run_id = $1 AND first_request_us IS NULL";
    tx.execute(SQL, args![text(run), at]).await?;
    Ok(())
}

pub async fn note_acceptance(tx: &mut Tx, run: RunId, at: Micros) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET last_accepted_us = $2 WHERE run_id = $1";
    tx.execute(SQL, args![text(run), at]).await?;
    Ok(())
}

pub async fn read_done(tx: &mut Tx, run: RunId, summary: &str) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET read_done = 1, summary = $2 WHERE run_id = $1";
    tx.execute(SQL, args![text(run), summary]).await?;
    Ok(())
}

/// Whoever worked on the runs that have not ended is dead. Nobody does until [`unpark`].
pub async fn park_live(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET parked = 1 WHERE ended_us IS NULL";
    tx.execute(SQL, &[]).await?;
    Ok(())
}

/// Whoever worked on the runs of `segue export` is dead: what they staged may have been in its memory.
pub async fn park_command_line(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET parked = 1 WHERE ended_us IS NULL AND connection_id IS NULL";
    tx.execute(SQL, &[]).await?;
    Ok(())
}

/// Runs of the services that are parked, because `segue export` took over their data folder in between.
pub async fn parked_of_services(tx: &mut Tx) -> Result<Vec<RunId>, StoreError> {
    const SQL: &str = "SELECT run_id FROM runs WHERE ended_us IS NULL AND parked = 1 \
         AND connection_id IS NOT NULL ORDER BY run_id";
    tx.rows(SQL, &[]).await?.into_iter().map(|mut row| row.parsed()).collect()
}

/// Somebody goes on with a run.
pub async fn unpark(tx: &mut Tx, run: RunId) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET parked = 0, resumed_us = $2 WHERE run_id = $1";
    let now = tx.now();
    tx.execute(SQL, args![text(run), now]).await?;
    Ok(())
}

/// Adds to the profiles that were staged; returns how many there are.
pub async fn add_profiles(tx: &mut Tx, run: RunId, profiles: u64) -> Result<u64, StoreError> {
    const SQL: &str =
        "UPDATE runs SET profiles = profiles + $2 WHERE run_id = $1 RETURNING profiles";
    match tx.row(SQL, args![text(run), profiles]).await? {
        Some(mut row) => row.count(),
        None => Ok(0),
    }
}

/// Klaviyo answered 429 to a request that was for all runs of the account.
pub async fn note_throttled(tx: &mut Tx, account_id: &str) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET throttled = throttled + 1 \
         WHERE account_id = $1 AND ended_us IS NULL AND parked = 0";
    tx.execute(SQL, args![account_id]).await?;
    Ok(())
}

/// Takes back the word that the segment was read, because what was staged of it is gone.
pub async fn read_again(tx: &mut Tx, run: RunId) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET read_done = 0 WHERE run_id = $1";
    tx.execute(SQL, args![text(run)]).await?;
    Ok(())
}

/// Takes one from the run's budget of splits. `false`: nothing is left of it.
pub async fn use_split(tx: &mut Tx, run: RunId) -> Result<bool, StoreError> {
    const SQL: &str =
        "UPDATE runs SET splits_left = splits_left - 1 WHERE run_id = $1 AND splits_left > 0";
    Ok(tx.execute(SQL, args![text(run)]).await? > 0)
}

/// The run cannot go on. The first reason stays.
pub async fn fail(
    tx: &mut Tx,
    run: RunId,
    reason: FailReason,
    detail: &str,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE runs SET stop = 'failure', fail_reason = $2, fail_detail = $3 \
         WHERE run_id = $1 AND stop IS NULL AND ended_us IS NULL";
    tx.execute(SQL, args![text(run), reason.code(), detail]).await?;
    Ok(())
}

/// Somebody wants the run to stop. Returns whether this changed anything.
pub async fn cancel(tx: &mut Tx, run: RunId) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE runs SET stop = 'cancel', state = 'cancelling' \
         WHERE run_id = $1 AND stop IS NULL AND ended_us IS NULL";
    Ok(tx.execute(SQL, args![text(run)]).await? > 0)
}

/// Ends a run. `false`: it has ended already.
pub async fn end(tx: &mut Tx, run: RunId, state: RunState) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE runs SET state = $2, ended_us = $3, fail_reason = CASE WHEN \
         $2 = 'failed' THEN COALESCE(fail_reason, 'undelivered') ELSE fail_reason END \
         WHERE run_id = $1 AND ended_us IS NULL";
    let now = tx.now();
    Ok(tx.execute(SQL, args![text(run), state.name(), now]).await? > 0)
}

/// A cheap look that spares [`facts`]: `false` only if the run certainly goes on.
pub async fn may_end(tx: &mut Tx, run: &Run) -> Result<bool, StoreError> {
    if run.state.is_terminal() || (run.stop.is_none() && !run.read_done) {
        return Ok(false);
    }
    let open = if run.stop.is_some() { UNCONFIRMED } else { OPEN };
    Ok(tx.row(open, args![text(run.run)]).await?.is_none())
}

pub(crate) const OPEN: &str = "SELECT 1 FROM batches WHERE run_id = $1 \
     AND state IN ('accepted', 'held', 'ready') LIMIT 1";
const UNCONFIRMED: &str = "SELECT 1 FROM batches WHERE run_id = $1 AND state = 'accepted' LIMIT 1";

/// What [`segue_model::outcome`] wants to know.
pub async fn facts(tx: &mut Tx, run: &Run) -> Result<RunFacts, StoreError> {
    const BATCHES: &str = "SELECT \
         CAST(COALESCE(sum(CASE WHEN state IN ('held', 'ready') THEN 1 ELSE 0 END), 0) AS BIGINT), \
         CAST(COALESCE(sum(CASE WHEN state = 'accepted' THEN 1 ELSE 0 END), 0) AS BIGINT) \
         FROM batches WHERE run_id = $1";
    let missing = || StoreError::inconsistent("an aggregate without a row");
    let mut batches = tx.row(BATCHES, args![text(run.run)]).await?.ok_or_else(missing)?;
    let mut sends = tx.row(IN_FLIGHT, args![text(run.run)]).await?.ok_or_else(missing)?;
    let counts = counts(tx, run.run).await?;
    Ok(RunFacts {
        state: run.state,
        stop: run.stop,
        read_done: run.read_done,
        unsent: batches.count()?,
        unconfirmed: batches.count()?,
        in_flight: sends.count()?,
        counts,
    })
}

pub(crate) const IN_FLIGHT: &str =
    "SELECT CAST(count(*) AS BIGINT) FROM sends WHERE run_id = $1 AND answered_us IS NULL";

/// What became of the rows of a run so far.
pub async fn counts(tx: &mut Tx, run: RunId) -> Result<Counts, StoreError> {
    let missing = || StoreError::inconsistent("an aggregate without a row");
    let batches = tx.row(crate::read::BATCH_SUMS, args![text(run)]).await?.ok_or_else(missing)?;
    let rejects = tx.row(crate::read::REJECT_SUM, args![text(run)]).await?.ok_or_else(missing)?;
    crate::read::decode_counts(batches, rejects)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A duration as a cell that may be NULL.
pub(crate) fn as_time(duration: Duration) -> Micros {
    Micros(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}
