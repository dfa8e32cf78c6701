//! What exports keep of their columns.

use segue_model::{ExportId, Micros};

use crate::{
    StoreError, Tx,
    sql::{Row, args, text},
};

/// What becomes of the columns of an export, as it was found once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportColumns {
    /// What the export said of its segments and columns then, as JSON. While it says anything else, this is not of it.
    pub settled_for: String,
    /// JSON. `None`: it is not known yet.
    pub mapping: Option<String>,
    /// Why it is not known, in words; empty if it is.
    pub problem: String,
    /// Columns that a run has met since and that are not sent, as JSON.
    pub new_columns: String,
    pub settled: Micros,
}

/// What a run began with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunColumns {
    /// JSON. `None`: its first reading decides.
    pub mapping: Option<String>,
    /// As [`ExportColumns::settled_for`].
    pub settled_for: String,
}

/// `None`: nobody has looked.
pub async fn of(tx: &mut Tx, export: ExportId) -> Result<Option<ExportColumns>, StoreError> {
    tx.row(OF, args![text(export)]).await?.map(decode).transpose()
}

pub(crate) const OF: &str = "SELECT settled_for, mapping, problem, new_columns, settled_us \
     FROM export_columns WHERE export_id = $1";

/// Replaces what was kept.
pub async fn keep(
    tx: &mut Tx,
    export: ExportId,
    columns: &ExportColumns,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO export_columns (export_id, settled_for, mapping, problem, \
         new_columns, settled_us) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (export_id) DO UPDATE SET settled_for = $2, mapping = $3, problem = $4, \
         new_columns = $5, settled_us = $6";
    let ExportColumns { settled_for, mapping, problem, new_columns, settled } = columns;
    let args = args![
        text(export),
        settled_for.as_str(),
        mapping.as_deref().unwrap_or_default(),
        problem.as_str(),
        new_columns.as_str(),
        *settled,
    ];
    tx.execute(SQL, args).await?;
    Ok(())
}

pub async fn forget(tx: &mut Tx, export: ExportId) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM export_columns WHERE export_id = $1";
    tx.execute(SQL, args![text(export)]).await?;
    Ok(())
}

pub(crate) fn decode(mut row: Row) -> Result<ExportColumns, StoreError> {
    Ok(ExportColumns {
        settled_for: row.string()?,
        mapping: Some(row.string()?).filter(|json| !json.is_empty()),
        problem: row.string()?,
        new_columns: row.string()?,
        settled: row.time()?,
    })
}
