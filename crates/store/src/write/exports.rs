//! Exports: what is exported where.

use std::time::Duration;

use segue_model::{ConnectionId, ExportId, Freshness, Micros, RunId, SourceId, Who};

use super::runs::as_time;
use crate::{
    StoreError, Tx,
    sql::{Arg, Row, args, text},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub id: ExportId,
    pub display_name: String,
    /// `None`: it has none any more.
    pub connection: Option<ConnectionId>,
    pub list_id: String,
    /// Below whose folder its segments are; `None`: below the workers' source folder.
    pub source: Option<SourceId>,
    /// JSON.
    pub segments: String,
    /// JSON.
    pub mapping: String,
    pub allow_live_flows: bool,
    pub allow_empty: bool,
    /// `None`: no limit.
    pub max_profiles: Option<u64>,
    /// In percent, as are the next two. `None`: what holds unless somebody says otherwise; 0: not judged.
    pub max_growth: Option<u32>,
    pub max_shrinkage: Option<u32>,
    pub max_rejects: Option<u32>,
    pub freshness: Option<Freshness>,
    /// JSON.
    pub schedule: String,
    /// Whom its runs act for.
    pub owner: Who,
    pub disabled: bool,
    pub timing: Timing,
    pub created: Micros,
    pub updated: Micros,
}

/// How an export stands with its schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timing {
    /// When it is due next.
    pub next: Option<Micros>,
    /// It has been due since then, and was not started yet.
    pub waiting: Option<Micros>,
    /// How many times it was due before that, which nobody has started either.
    pub missed: u64,
    /// Why it was not started when it was due last.
    pub problem: Option<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// For which time it was due.
    pub due: Micros,
    /// A code.
    pub reason: String,
    /// Words without personal data.
    pub detail: String,
}

macro_rules! export_columns {
    () => {
        "export_id, display_name, connection_id, list_id, segments, mapping, allow_live_flows, \
         allow_empty, max_profiles, schedule, next_us, waiting_us, missed, problem_us, problem, \
         problem_detail, owner, owner_name, disabled, created_us, updated_us, max_growth, \
         max_shrinkage, max_rejects, max_source_age_us, source_wait_us, source_id"
    };
}
pub(crate) use export_columns;

pub async fn create(tx: &mut Tx, export: &Export) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO exports (export_id, display_name, connection_id, list_id, \
         segments, mapping, allow_live_flows, allow_empty, max_profiles, updated_us, schedule, \
         next_us, waiting_us, missed, problem_us, problem, problem_detail, owner, owner_name, \
         disabled, max_growth, max_shrinkage, max_rejects, max_source_age_us, source_wait_us, \
         source_id, created_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
         $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)";
    let mut args = changeable(export);
    args.push(export.created.into());
    tx.execute(SQL, &args).await?;
    Ok(())
}

/// Locks an export until the transaction ends, and reads it. Whoever starts a run of it or changes it comes
/// by here, so one at a time does.
pub async fn lock(tx: &mut Tx, id: ExportId) -> Result<Option<Export>, StoreError> {
    const SQL: &str = concat!(
        "UPDATE exports SET display_name = display_name WHERE export_id = $1 RETURNING ",
        export_columns!()
    );
    tx.row(SQL, args![text(id)]).await?.map(decode).transpose()
}

/// The export as it is, without a lock.
pub async fn find(tx: &mut Tx, id: ExportId) -> Result<Option<Export>, StoreError> {
    tx.row(FIND, args![text(id)]).await?.map(decode).transpose()
}

pub(crate) const FIND: &str =
    concat!("SELECT ", export_columns!(), " FROM exports WHERE export_id = $1");

/// Writes everything but when it was created.
pub async fn update(tx: &mut Tx, export: &Export) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE exports SET display_name = $2, connection_id = $3, list_id = $4, \
         segments = $5, mapping = $6, allow_live_flows = $7, allow_empty = $8, max_profiles = $9, \
         updated_us = $10, schedule = $11, next_us = $12, waiting_us = $13, missed = $14, \
         problem_us = $15, problem = $16, problem_detail = $17, owner = $18, owner_name = $19, \
         disabled = $20, max_growth = $21, max_shrinkage = $22, max_rejects = $23, \
         max_source_age_us = $24, source_wait_us = $25, source_id = $26 WHERE export_id = $1";
    tx.execute(SQL, &changeable(export)).await?;
    Ok(())
}

fn changeable(export: &Export) -> Vec<Arg> {
    let Timing { next, waiting, missed, problem } = &export.timing;
    let (due, reason, detail) = match problem {
        Some(Problem { due, reason, detail }) => (Some(*due), reason.as_str(), detail.as_str()),
        None => (None, "", ""),
    };
    vec![
        text(export.id),
        export.display_name.as_str().into(),
        export.connection.map(|id| id.to_string()).unwrap_or_default().into(),
        export.list_id.as_str().into(),
        export.segments.as_str().into(),
        export.mapping.as_str().into(),
        export.allow_live_flows.into(),
        export.allow_empty.into(),
        export.max_profiles.unwrap_or(u64::MAX).into(),
        export.updated.into(),
        export.schedule.as_str().into(),
        (*next).into(),
        (*waiting).into(),
        (*missed).into(),
        due.into(),
        reason.into(),
        detail.into(),
        export.owner.subject.as_str().into(),
        export.owner.name.as_str().into(),
        export.disabled.into(),
        export.max_growth.into(),
        export.max_shrinkage.into(),
        export.max_rejects.into(),
        export.freshness.map(|it| as_time(it.max_source_age)).into(),
        as_time(export.freshness.map(|it| it.wait).unwrap_or_default()).into(),
        export.source.map(|id| id.to_string()).unwrap_or_default().into(),
    ]
}

/// All exports, by id.
pub async fn all(tx: &mut Tx) -> Result<Vec<ExportId>, StoreError> {
    const SQL: &str = "SELECT export_id FROM exports ORDER BY export_id";
    tx.rows(SQL, &[]).await?.into_iter().map(|mut row| row.parsed()).collect()
}

/// The exports of a connection, by id.
pub async fn of_connection(tx: &mut Tx, id: ConnectionId) -> Result<Vec<ExportId>, StoreError> {
    const SQL: &str = "SELECT export_id FROM exports WHERE connection_id = $1 ORDER BY export_id";
    tx.rows(SQL, args![text(id)]).await?.into_iter().map(|mut row| row.parsed()).collect()
}

/// Exports that are due at `now`, and those that have been due and wait for no run any more: at most `most`.
pub async fn due(tx: &mut Tx, now: Micros, most: u32) -> Result<Vec<ExportId>, StoreError> {
    const SQL: &str = "SELECT export_id FROM exports e \
         WHERE next_us <= $1 OR waiting_us IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM runs r WHERE r.export_id = e.export_id AND r.ended_us IS NULL) \
         ORDER BY export_id LIMIT $2";
    let rows = tx.rows(SQL, args![now, most]).await?;
    rows.into_iter().map(|mut row| row.parsed()).collect()
}

/// `false`: there is no such export.
pub async fn delete(tx: &mut Tx, id: ExportId) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM exports WHERE export_id = $1";
    Ok(tx.execute(SQL, args![text(id)]).await? > 0)
}

/// The run of an export that has not ended.
pub async fn live_run(tx: &mut Tx, id: ExportId) -> Result<Option<RunId>, StoreError> {
    const SQL: &str = "SELECT run_id FROM runs WHERE export_id = $1 AND ended_us IS NULL";
    tx.row(SQL, args![text(id)]).await?.map(|mut row| row.parsed()).transpose()
}

pub(crate) fn decode(mut row: Row) -> Result<Export, StoreError> {
    Ok(Export {
        id: row.parsed()?,
        display_name: row.string()?,
        connection: row.parsed_unless_empty()?,
        list_id: row.string()?,
        segments: row.string()?,
        mapping: row.string()?,
        allow_live_flows: row.flag()?,
        allow_empty: row.flag()?,
        max_profiles: Some(row.count()?).filter(|most| i64::try_from(*most) != Ok(i64::MAX)),
        schedule: row.string()?,
        timing: decode_timing(&mut row)?,
        owner: Who { subject: row.string()?, name: row.string()? },
        disabled: row.flag()?,
        created: row.time()?,
        updated: row.time()?,
        max_growth: row.opt_small()?,
        max_shrinkage: row.opt_small()?,
        max_rejects: row.opt_small()?,
        freshness: decode_freshness(&mut row)?,
        source: row.parsed_unless_empty()?,
    })
}

fn decode_freshness(row: &mut Row) -> Result<Option<Freshness>, StoreError> {
    let (max_source_age, wait) = (row.opt_time()?, Duration::from_micros(row.count()?));
    Ok(max_source_age.map(|age| Freshness { max_source_age: age.since(Micros(0)), wait }))
}

fn decode_timing(row: &mut Row) -> Result<Timing, StoreError> {
    let (next, waiting, missed) = (row.opt_time()?, row.opt_time()?, row.count()?);
    let (due, reason, detail) = (row.opt_time()?, row.string()?, row.string()?);
    let problem = due.map(|due| Problem { due, reason, detail });
    Ok(Timing { next, waiting, missed, problem })
}
