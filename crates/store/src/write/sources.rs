//! Sources: named places where segments are found.

use segue_model::{ExportId, Micros, SourceId};

use crate::{
    StoreError, Tx,
    sql::{Row, args, text},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub id: SourceId,
    /// No other source has it.
    pub display_name: String,
    /// Below the workers' source folder; empty: that folder itself.
    pub folder: String,
    pub created: Micros,
    pub updated: Micros,
}

macro_rules! source_columns {
    () => {
        "source_id, display_name, folder, created_us, updated_us"
    };
}
pub(crate) use source_columns;

pub(crate) const FIND: &str =
    concat!("SELECT ", source_columns!(), " FROM sources WHERE source_id = $1");

/// Whoever gives a source a name holds [`settings::SOURCES`](super::settings::SOURCES).
pub async fn create(tx: &mut Tx, source: &Source) -> Result<(), StoreError> {
    const SQL: &str =
        concat!("INSERT INTO sources (", source_columns!(), ") VALUES ($1, $2, $3, $4, $5)");
    let Source { id, display_name, folder, created, updated } = source;
    let args = args![text(id), display_name.as_str(), folder.as_str(), *created, *updated];
    tx.execute(SQL, args).await?;
    Ok(())
}

/// Locks a source until the transaction ends, and reads it: until then nobody changes or deletes it.
pub async fn lock(tx: &mut Tx, id: SourceId) -> Result<Option<Source>, StoreError> {
    const SQL: &str = concat!(
        "UPDATE sources SET display_name = display_name WHERE source_id = $1 RETURNING ",
        source_columns!()
    );
    tx.row(SQL, args![text(id)]).await?.map(decode).transpose()
}

/// A source; locks nothing.
pub async fn find(tx: &mut Tx, id: SourceId) -> Result<Option<Source>, StoreError> {
    tx.row(FIND, args![text(id)]).await?.map(decode).transpose()
}

/// Writes everything but when it was created.
pub async fn update(tx: &mut Tx, source: &Source) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE sources SET display_name = $2, folder = $3, updated_us = $4 \
         WHERE source_id = $1";
    let Source { id, display_name, folder, created: _, updated } = source;
    tx.execute(SQL, args![text(id), display_name.as_str(), folder.as_str(), *updated]).await?;
    Ok(())
}

/// The source that has this name.
pub async fn named(tx: &mut Tx, display_name: &str) -> Result<Option<SourceId>, StoreError> {
    const SQL: &str = "SELECT source_id FROM sources WHERE display_name = $1";
    tx.row(SQL, args![display_name]).await?.map(|mut row| row.parsed()).transpose()
}

/// Exports that use a source, by id: at most `most`.
pub async fn users(tx: &mut Tx, id: SourceId, most: u32) -> Result<Vec<ExportId>, StoreError> {
    const SQL: &str =
        "SELECT export_id FROM exports WHERE source_id = $1 ORDER BY export_id LIMIT $2";
    let rows = tx.rows(SQL, args![text(id), most]).await?;
    rows.into_iter().map(|mut row| row.parsed()).collect()
}

/// `false`: there is no such source.
pub async fn delete(tx: &mut Tx, id: SourceId) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM sources WHERE source_id = $1";
    Ok(tx.execute(SQL, args![text(id)]).await? > 0)
}

pub(crate) fn decode(mut row: Row) -> Result<Source, StoreError> {
    Ok(Source {
        id: row.parsed()?,
        display_name: row.string()?,
        folder: row.string()?,
        created: row.time()?,
        updated: row.time()?,
    })
}
