//! Jobs and the claims on them.

use std::{collections::HashMap, hash::Hash, time::Duration};

use segue_model::{
    BatchNo, ClaimId, Endpoint, JobId, LookId, Micros, RunId,
    turns::{Crowd, again, turns},
    work::{Job, JobKind, Slots},
};

use super::workers::GONE_AFTER;
use crate::{
    StoreError, Tx,
    sql::{Arg, Row, args, text},
};

/// A job that is claimed.
#[derive(Debug, Clone)]
pub struct Held {
    pub job: JobId,
    pub kind: JobKind,
    pub account_id: String,
    /// `None` for confirm and for a look.
    pub run: Option<RunId>,
    /// `None` but for a look.
    pub look: Option<LookId>,
    /// `None` but for upload.
    pub batch: Option<BatchNo>,
    /// Failures in a row.
    pub failures: u32,
    /// Since when it has been failing.
    pub failing_since: Option<Micros>,
    pub lease: Micros,
}

/// What a job is about; there is one row for each.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    pub kind: JobKind,
    pub account_id: &'a str,
    pub run: Option<RunId>,
    pub batch: Option<BatchNo>,
}

/// Makes sure that there is something to be done about `subject` from `available` on: makes the job, or
/// brings back one that was done. A job that is ready or claimed stays as it is.
pub async fn ensure(
    tx: &mut Tx,
    job: JobId,
    subject: &Subject<'_>,
    available: Micros,
) -> Result<(), StoreError> {
    ensure_for(tx, job, subject, subject.run, available).await
}

/// As [`ensure`]; a job that is made or brought back belongs to the trace of the run `wants`.
pub async fn ensure_for(
    tx: &mut Tx,
    job: JobId,
    subject: &Subject<'_>,
    wants: Option<RunId>,
    available: Micros,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO jobs (job_id, kind, account_id, run_id, batch_no, state, \
         attempt, available_us, announced, announce_us, failures, trace) \
         VALUES ($1, $2, $3, $4, $5, 'ready', 1, $6, 0, $6, 0, \
             (SELECT trace FROM runs WHERE run_id = $7)) \
         ON CONFLICT (kind, account_id, run_id, batch_no) DO UPDATE SET state = 'ready', \
         attempt = jobs.attempt + 1, available_us = excluded.available_us, announced = 0, \
         announce_us = excluded.announce_us, failures = 0, failing_us = NULL, \
         trace = excluded.trace \
         WHERE jobs.state = 'done'";
    let args = args![
        text(job),
        subject.kind.name(),
        subject.account_id,
        run_key(subject.run),
        subject.batch.map_or(-1, |no| i64::from(no.0)),
        available,
        run_key(wants),
    ];
    tx.execute(SQL, args).await?;
    Ok(())
}

/// Makes the job of a look, to be announced now. It is of no account. `trace`: what it belongs to.
pub async fn ask(
    tx: &mut Tx,
    job: JobId,
    look: LookId,
    trace: Option<String>,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO jobs (job_id, kind, account_id, run_id, batch_no, state, \
         attempt, available_us, announced, announce_us, failures, trace) \
         VALUES ($1, $2, '', $3, -1, 'ready', 1, $4, 0, $4, 0, $5)";
    let kind = JobKind::Look.name();
    let now = tx.now();
    tx.execute(SQL, args![text(job), kind, text(look), now, trace]).await?;
    Ok(())
}

/// Nobody waits for a look any more: its job is gone, and whoever has it hears so with the next renewal.
pub async fn forget_look(tx: &mut Tx, look: LookId) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM jobs WHERE run_id = $1";
    tx.execute(SQL, args![text(look)]).await?;
    Ok(())
}

fn run_key(run: Option<RunId>) -> Arg {
    run.map_or_else(|| Arg::from(""), text)
}

/// What one round of announcing has found.
#[derive(Debug, Default)]
pub struct Announced {
    /// What workers should hear of now, in this order.
    pub jobs: Vec<Job>,
    /// When the next job is due. Those that are due and have to wait for others do not count.
    pub next: Option<Micros>,
    /// There is work that is not done.
    pub any: bool,
}

/// Takes the jobs that workers should hear of now: those whose turn it is ([`turns`]), and those that were
/// announced and not claimed for so long that the message may be lost. These are announced again after 10,
/// 20, 40, 40 … s, as long as somebody has a slot free ([`again`]).
pub async fn announce(tx: &mut Tx) -> Result<Announced, StoreError> {
    let now = tx.now();
    let mut round = Announced::default();
    if let Some(mut row) = tx.row(NEXT, &[]).await? {
        round.next = row.opt_time()?;
        round.any = row.flag()?;
    }
    if round.next.is_none_or(|at| at > now) {
        return Ok(round);
    }
    let live = tx.rows(LIVE, args![now]).await?;
    let live = live.into_iter().map(live_row).collect::<Result<Vec<_>, _>>()?;
    round.next = live.iter().filter_map(|it| it.next).min();
    let crowds: Vec<_> = live.iter().map(|it| it.crowd.clone()).collect();
    let (slots, throttled) = room(tx, now).await?;
    let most = Endpoint::Import.limits().burst;
    let granted = turns(&crowds, slots, |account| *throttled.get(account).unwrap_or(&most));
    let mut due = Vec::new();
    for (it, granted) in live.iter().zip(granted) {
        let Crowd { kind, account, run, .. } = &it.crowd;
        let args = args![now, micros(AGAIN), kind.name(), account.as_str(), run.as_str(), granted];
        if granted > 0 {
            due.extend(tx.rows(ANNOUNCE, args).await?);
        }
        if it.again && again(&crowds, *kind, slots) {
            due.extend(tx.rows(ANNOUNCE_AGAIN, &args[..5]).await?);
        }
    }
    let due = due.into_iter().map(due_row).collect::<Result<_, _>>()?;
    round.jobs = in_turn(due);
    // The first time has an end, too.
    let repeated = (!round.jobs.is_empty()).then(|| now + AGAIN);
    round.next = round.next.into_iter().chain(repeated).min();
    Ok(round)
}

/// Jobs of one kind, account and run.
struct Live {
    crowd: Crowd<String, String>,
    /// Some that were announced may be announced again.
    again: bool,
    next: Option<Micros>,
}

fn live_row(mut row: Row) -> Result<Live, StoreError> {
    let crowd = Crowd {
        kind: kind(&mut row)?,
        account: row.string()?,
        run: row.string()?,
        claimed: row.small()?,
        announced: row.small()?,
        fresh: row.small()?,
    };
    Ok(Live { crowd, again: row.int()? > 0, next: row.opt_time()? })
}

/// Who is there to work, and the accounts whose lane takes less than usual: nothing, while it is closed.
async fn room(tx: &mut Tx, now: Micros) -> Result<(Slots, HashMap<String, u32>), StoreError> {
    let mut slots = Slots::default();
    let mut throttled = HashMap::new();
    let import = Endpoint::Import;
    let args = args![now - GONE_AFTER, import.name(), import.limits().burst, now];
    for mut row in tx.rows(ROOM, args).await? {
        slots = Slots {
            read: row.small()?,
            upload: row.small()?,
            confirm: row.small()?,
            look: row.small()?,
        };
        if let Some(account) = row.opt_string()? {
            throttled.insert(account, row.small()?);
        }
    }
    Ok((slots, throttled))
}

/// Most rounds end with this one: nothing is due.
pub(crate) const NEXT: &str = "SELECT CAST(min(announce_us) AS BIGINT), \
     CAST(CASE WHEN EXISTS (SELECT 1 FROM jobs WHERE state IN ('claimed', 'ready')) THEN 1 ELSE 0 \
         END AS BIGINT) FROM jobs WHERE state = 'ready'";

/// The oldest first, which matters for those that would otherwise have the same turn.
pub(crate) const LIVE: &str = "SELECT kind, account_id, run_id, \
         CAST(sum(CASE state WHEN 'claimed' THEN 1 ELSE 0 END) AS BIGINT), \
         CAST(sum(CASE WHEN state = 'ready' AND announced > 0 THEN 1 ELSE 0 END) AS BIGINT), \
         CAST(sum(CASE WHEN state = 'ready' AND announced = 0 AND announce_us <= $1 THEN 1 ELSE 0 \
             END) AS BIGINT), \
         CAST(sum(CASE WHEN state = 'ready' AND announced > 0 AND announce_us <= $1 THEN 1 ELSE 0 \
             END) AS BIGINT), \
         CAST(min(CASE WHEN state = 'ready' AND announce_us > $1 THEN announce_us END) AS BIGINT) \
     FROM jobs WHERE state IN ('claimed', 'ready') GROUP BY kind, account_id, run_id \
     ORDER BY min(available_us), run_id";

const ROOM: &str = "SELECT CAST(slots.read AS BIGINT), CAST(slots.upload AS BIGINT), \
         CAST(slots.confirm AS BIGINT), CAST(slots.look AS BIGINT), lanes.account_id, \
         CASE WHEN lanes.closed_us > $4 THEN lanes.burst * 0 ELSE lanes.burst END \
     FROM (SELECT COALESCE(sum(read), 0) AS read, COALESCE(sum(upload), 0) AS upload, \
         COALESCE(sum(confirm), 0) AS confirm, COALESCE(sum(look), 0) AS look FROM workers WHERE seen_us > $1) AS slots \
     LEFT JOIN lanes ON lanes.endpoint = $2 AND (lanes.burst < $3 OR lanes.closed_us > $4)";

/// By the index of what is ready: a run may have many jobs that are done, so `|| ''` keeps the engines from
/// the index that has them all. Asked for twice, because another may have announced between the two.
pub(crate) const ANNOUNCE: &str = "UPDATE jobs SET announced = 1, announce_us = $1 + $2 \
     WHERE state = 'ready' AND announced = 0 AND job_id IN (SELECT job_id FROM jobs \
         WHERE state = 'ready' AND announce_us <= $1 AND announced = 0 \
         AND kind || '' = $3 AND account_id || '' = $4 AND run_id || '' = $5 \
         ORDER BY batch_no LIMIT $6) \
     RETURNING job_id, attempt, kind, run_id, trace, account_id, available_us, batch_no";

pub(crate) const ANNOUNCE_AGAIN: &str = "UPDATE jobs SET announced = announced + 1, \
         announce_us = $1 + $2 * CASE announced WHEN 1 THEN 2 ELSE 4 END \
     WHERE state = 'ready' AND announce_us <= $1 AND announced > 0 \
     AND kind || '' = $3 AND account_id || '' = $4 AND run_id || '' = $5 \
     RETURNING job_id, attempt, kind, run_id, trace, account_id, available_us, batch_no";

/// A job that is to be announced.
struct Due {
    job: Job,
    account_id: String,
    /// Since when it is available, and the number of its batch.
    since: (Micros, i64),
}

fn due_row(mut row: Row) -> Result<Due, StoreError> {
    let (id, attempt, kind) = (row.parsed()?, row.small()?, kind(&mut row)?);
    let run = match kind {
        JobKind::Look => row.string().map(|_| None)?,
        JobKind::Read | JobKind::Upload | JobKind::Confirm => run(&mut row)?,
    };
    let job = Job { id, attempt, kind, run, trace: row.opt_string()? };
    Ok(Due { job, account_id: row.string()?, since: (row.time()?, row.int()?) })
}

/// Accounts take turns, and so do the runs of an account; within a run batches go in their order.
fn in_turn(mut due: Vec<Due>) -> Vec<Job> {
    if due.len() > 1 {
        due.sort_by_key(|due| due.since);
        due = by_turns(due, |due| (due.account_id.clone(), due.job.run));
        due = by_turns(due, |due| due.account_id.clone());
    }
    due.into_iter().map(|due| due.job).collect()
}

/// First one of each, then the second of each, and so on.
fn by_turns<K: Hash + Eq>(due: Vec<Due>, whose: impl Fn(&Due) -> K) -> Vec<Due> {
    let mut seen: HashMap<K, u32> = HashMap::new();
    let turn = |due: Due| {
        let nth = seen.entry(whose(&due)).or_default();
        *nth += 1;
        (*nth, due)
    };
    let mut queued: Vec<(u32, Due)> = due.into_iter().map(turn).collect();
    queued.sort_by_key(|(turn, _)| *turn);
    queued.into_iter().map(|(_, due)| due).collect()
}

/// A message that nobody has acted upon for so long may be lost.
pub const AGAIN: Duration = Duration::from_secs(10);

/// The conditional update that makes a job somebody's. `None`: it is not to be had, drop the message.
pub async fn claim(
    tx: &mut Tx,
    job: JobId,
    attempt: u32,
    claim: ClaimId,
    lease: Duration,
) -> Result<Option<Held>, StoreError> {
    let now = tx.now();
    let args = args![text(job), attempt, text(claim), now + lease, now];
    tx.row(CLAIM, args).await?.map(decode).transpose()
}

pub(crate) const CLAIM: &str = "UPDATE jobs SET state = 'claimed', claim_id = $3, lease_us = $4 \
     WHERE job_id = $1 AND attempt = $2 AND state = 'ready' AND available_us <= $5 \
     RETURNING job_id, kind, account_id, run_id, batch_no, failures, failing_us, lease_us";

/// The job behind a claim, its row locked. `None`: the claim has ended or is somebody else's.
pub async fn held(tx: &mut Tx, claim: ClaimId) -> Result<Option<Held>, StoreError> {
    let now = tx.now();
    tx.row(HELD, args![text(claim), now]).await?.map(decode).transpose()
}

pub(crate) const HELD: &str = "UPDATE jobs SET state = state WHERE claim_id = $1 AND state = 'claimed' AND lease_us > $2 \
     RETURNING job_id, kind, account_id, run_id, batch_no, failures, failing_us, lease_us";

fn decode(mut row: Row) -> Result<Held, StoreError> {
    let (job, kind, account_id) = (row.parsed()?, kind(&mut row)?, row.string()?);
    let (run, look) = match kind {
        JobKind::Look => (None, Some(row.parsed()?)),
        JobKind::Read | JobKind::Upload | JobKind::Confirm => (run(&mut row)?, None),
    };
    Ok(Held {
        job,
        kind,
        account_id,
        run,
        look,
        batch: u32::try_from(row.int()?).ok().map(BatchNo),
        failures: row.small()?,
        failing_since: row.opt_time()?,
        lease: row.time()?,
    })
}

pub(super) fn kind(row: &mut Row) -> Result<JobKind, StoreError> {
    let name = row.string()?;
    JobKind::from_name(&name).ok_or_else(|| StoreError::inconsistent(format!("kind {name:?}")))
}

pub(super) fn run(row: &mut Row) -> Result<Option<RunId>, StoreError> {
    let text = row.string()?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|err| StoreError::inconsistent(format!("{text:?}: {err}")))
}

/// Prolongs claims; returns those that have ended. Jobs of runs are locked before those of accounts, as an
/// acceptance does it, and otherwise in the order of the claims.
pub async fn renew(
    tx: &mut Tx,
    claims: &[ClaimId],
    lease: Duration,
) -> Result<Vec<ClaimId>, StoreError> {
    let mut left = claims.to_vec();
    left.sort_unstable();
    for statement in [RENEW_OF_RUN, RENEW_OF_ACCOUNT] {
        let mut others = Vec::new();
        for claim in left {
            let now = tx.now();
            if tx.execute(statement, args![text(claim), now + lease, now]).await? == 0 {
                others.push(claim);
            }
        }
        left = others;
    }
    Ok(left)
}

pub(crate) const RENEW_OF_RUN: &str = "UPDATE jobs SET lease_us = $2 \
     WHERE claim_id = $1 AND state = 'claimed' AND lease_us > $3 AND run_id <> ''";
pub(crate) const RENEW_OF_ACCOUNT: &str = "UPDATE jobs SET lease_us = $2 \
     WHERE claim_id = $1 AND state = 'claimed' AND lease_us > $3 AND run_id = ''";

/// What giving a job back means for its count of failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failures {
    Count,
    Keep,
    Reset,
}

/// Gives a job back, to be done from `available` on.
pub async fn release(
    tx: &mut Tx,
    job: JobId,
    available: Micros,
    failures: Failures,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE jobs SET state = 'ready', attempt = attempt + 1, \
         available_us = $2, announced = 0, announce_us = $2, claim_id = NULL, lease_us = NULL, \
         failures = CASE $3 WHEN 'count' THEN failures + 1 WHEN 'keep' THEN failures ELSE 0 END, \
         failing_us = CASE $3 WHEN 'count' THEN COALESCE(failing_us, $4) \
             WHEN 'keep' THEN failing_us ELSE NULL END \
         WHERE job_id = $1";
    let now = tx.now();
    let failures = match failures {
        Failures::Count => "count",
        Failures::Keep => "keep",
        Failures::Reset => "reset",
    };
    tx.execute(SQL, args![text(job), available, failures, now]).await?;
    Ok(())
}

pub async fn done(tx: &mut Tx, job: JobId) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE jobs SET state = 'done', claim_id = NULL, lease_us = NULL, \
         failures = 0, failing_us = NULL WHERE job_id = $1";
    tx.execute(SQL, args![text(job)]).await?;
    Ok(())
}

/// Ends all that is to be done for a run but confirming. Part of the end of a run.
pub async fn drop_run(tx: &mut Tx, run: RunId) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE jobs SET state = 'done', claim_id = NULL, lease_us = NULL \
         WHERE run_id = $1 AND state <> 'done'";
    tx.execute(SQL, args![text(run)]).await?;
    Ok(())
}

/// Ends all that is to be done: whoever did it is dead, and whoever goes on brings back what is needed.
pub async fn drop_all(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE jobs SET state = 'done', claim_id = NULL, lease_us = NULL \
         WHERE state <> 'done'";
    tx.execute(SQL, &[]).await?;
    Ok(())
}

/// Claims that nobody renewed.
pub async fn expired(tx: &mut Tx) -> Result<Vec<ClaimId>, StoreError> {
    const SQL: &str = "SELECT claim_id FROM jobs WHERE state = 'claimed' AND lease_us <= $1";
    let now = tx.now();
    tx.rows(SQL, args![now]).await?.into_iter().map(|mut row| row.parsed()).collect()
}

/// The job behind a claim that nobody renewed, its row locked. `None`: the claim was renewed after all, or
/// has ended.
pub async fn overdue(tx: &mut Tx, claim: ClaimId) -> Result<Option<JobId>, StoreError> {
    const SQL: &str = "UPDATE jobs SET state = state WHERE claim_id = $1 AND state = 'claimed' \
         AND lease_us <= $2 RETURNING job_id";
    let now = tx.now();
    tx.row(SQL, args![text(claim), now]).await?.map(|mut row| row.parsed()).transpose()
}

/// Lets every claim live for at least `lease` from now: for a while nobody was there to renew it.
pub async fn grace(tx: &mut Tx, lease: Duration) -> Result<u64, StoreError> {
    const SQL: &str = "UPDATE jobs SET lease_us = $1 WHERE state = 'claimed' AND lease_us < $1";
    let until = tx.now() + lease;
    tx.execute(SQL, args![until]).await
}

/// Ends all that is to be done for runs that are parked.
pub async fn drop_parked(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE jobs SET state = 'done', claim_id = NULL, lease_us = NULL \
         WHERE state <> 'done' AND run_id IN \
             (SELECT run_id FROM runs WHERE ended_us IS NULL AND parked = 1)";
    tx.execute(SQL, &[]).await?;
    Ok(())
}

/// Takes everything that is not done back from a process that is known to be dead, to be announced now.
pub async fn restart(tx: &mut Tx) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE jobs SET state = 'ready', attempt = attempt + 1, \
         available_us = $1, announced = 0, announce_us = $1, claim_id = NULL, lease_us = NULL \
         WHERE state <> 'done'";
    let now = tx.now();
    tx.execute(SQL, args![now]).await?;
    Ok(())
}

/// A job whose message died before anybody claimed it, its row locked. `None`: there is no such job, or it
/// is in other hands by now. Without `attempt`: whichever it is.
pub async fn unclaimed(
    tx: &mut Tx,
    job: JobId,
    attempt: Option<u32>,
) -> Result<Option<Held>, StoreError> {
    const SQL: &str = "UPDATE jobs SET state = state WHERE job_id = $1 AND state = 'ready' \
         AND announced > 0 AND attempt = COALESCE($2, attempt) \
         RETURNING job_id, kind, account_id, run_id, batch_no, failures, failing_us, \
             COALESCE(lease_us, 0)";
    tx.row(SQL, args![text(job), attempt]).await?.map(decode).transpose()
}

/// A job that waits to be announced or to be claimed, its row locked. `None`: somebody has it, or there is
/// nothing left to do.
pub async fn waiting(tx: &mut Tx, job: JobId) -> Result<Option<Held>, StoreError> {
    const SQL: &str = "UPDATE jobs SET state = state WHERE job_id = $1 AND state = 'ready' \
         RETURNING job_id, kind, account_id, run_id, batch_no, failures, failing_us, \
             COALESCE(lease_us, 0)";
    tx.row(SQL, args![text(job)]).await?.map(decode).transpose()
}

/// Which attempt of a job is the present one. `None`: there is no such job.
pub async fn attempt(tx: &mut Tx, job: JobId) -> Result<Option<u32>, StoreError> {
    const SQL: &str = "SELECT attempt FROM jobs WHERE job_id = $1";
    tx.row(SQL, args![text(job)]).await?.map(|mut row| row.small()).transpose()
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
