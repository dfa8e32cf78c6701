//! Exports: what is exported where.

use segue_model::{ConnectionId, ExportId, Micros, RunId};

use crate::{
    StoreError, Tx,
    sql::{Arg, Row, args, text},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub id: ExportId,
    pub display_name: String,
    pub connection: ConnectionId,
    pub list_id: String,
    /// JSON.
    pub segments: String,
    /// JSON.
    pub mapping: String,
    pub allow_live_flows: bool,
    pub allow_empty: bool,
    /// `None`: no limit.
    pub max_profiles: Option<u64>,
    pub created: Micros,
    pub updated: Micros,
}

pub async fn create(tx: &mut Tx, export: &Export) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO exports (export_id, display_name, connection_id, list_id, \
         segments, mapping, allow_live_flows, allow_empty, max_profiles, updated_us, created_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let mut args = changeable(export).to_vec();
    args.push(export.created.into());
    tx.execute(SQL, &args).await?;
    Ok(())
}

/// Locks an export until the transaction ends, and reads it. Whoever starts a run of it or changes it comes
/// by here, so one at a time does.
pub async fn lock(tx: &mut Tx, id: ExportId) -> Result<Option<Export>, StoreError> {
    const SQL: &str = "UPDATE exports SET display_name = display_name WHERE export_id = $1 \
         RETURNING export_id, display_name, connection_id, list_id, segments, mapping, \
         allow_live_flows, allow_empty, max_profiles, created_us, updated_us";
    tx.row(SQL, args![text(id)]).await?.map(decode).transpose()
}

/// Writes everything but when it was created.
pub async fn update(tx: &mut Tx, export: &Export) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE exports SET display_name = $2, connection_id = $3, list_id = $4, \
         segments = $5, mapping = $6, allow_live_flows = $7, allow_empty = $8, max_profiles = $9, \
         updated_us = $10 WHERE export_id = $1";
    tx.execute(SQL, &changeable(export)).await?;
    Ok(())
}

fn changeable(export: &Export) -> [Arg; 10] {
    [
        text(export.id),
        export.display_name.as_str().into(),
        text(export.connection),
        export.list_id.as_str().into(),
        export.segments.as_str().into(),
        export.mapping.as_str().into(),
        export.allow_live_flows.into(),
        export.allow_empty.into(),
        export.max_profiles.unwrap_or(u64::MAX).into(),
        export.updated.into(),
    ]
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
        connection: row.parsed()?,
        list_id: row.string()?,
        segments: row.string()?,
        mapping: row.string()?,
        allow_live_flows: row.flag()?,
        allow_empty: row.flag()?,
        max_profiles: Some(row.count()?).filter(|most| i64::try_from(*most) != Ok(i64::MAX)),
        created: row.time()?,
        updated: row.time()?,
    })
}
