//! Connections: Klaviyo accounts with a name, a sealed key and a recorded consent.

use segue_model::{ConnectionId, Micros};

use crate::{
    StoreError, Tx,
    sql::{Row, args, text},
};

/// A connection without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub id: ConnectionId,
    pub display_name: String,
    /// As Klaviyo told it.
    pub account_id: String,
    /// As Klaviyo told it.
    pub account_name: String,
    pub consent: Consent,
    pub created: Micros,
}

/// The recorded agreement to send personal data to Klaviyo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    pub text_version: String,
    pub accepted_by: String,
    pub accepted: Micros,
}

/// A key that only the holder of the master key can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// Base64.
    pub sealed: String,
    /// The id of the master key that sealed it.
    pub master_key: String,
}

pub async fn create(
    tx: &mut Tx,
    connection: &Connection,
    key: &SealedKey,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO connections (connection_id, display_name, account_id, \
         account_name, consent_version, consent_by, consent_us, created_us, sealed_key, master_key) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let Connection { id, display_name, account_id, account_name, consent, created } = connection;
    let args = args![
        text(id),
        display_name.as_str(),
        account_id.as_str(),
        account_name.as_str(),
        consent.text_version.as_str(),
        consent.accepted_by.as_str(),
        consent.accepted,
        *created,
        key.sealed.as_str(),
        key.master_key.as_str(),
    ];
    tx.execute(SQL, args).await?;
    Ok(())
}

/// Locks a connection until the transaction ends, and reads it: until then nobody deletes it.
pub async fn lock(
    tx: &mut Tx,
    id: ConnectionId,
) -> Result<Option<(Connection, SealedKey)>, StoreError> {
    const SQL: &str = "UPDATE connections SET display_name = display_name \
         WHERE connection_id = $1 RETURNING connection_id, display_name, account_id, account_name, \
         consent_version, consent_by, consent_us, created_us, sealed_key, master_key";
    tx.row(SQL, args![text(id)]).await?.map(decode_with_key).transpose()
}

/// The account and the key of a connection; locks nothing.
pub async fn key(tx: &mut Tx, id: ConnectionId) -> Result<Option<(String, SealedKey)>, StoreError> {
    const SQL: &str =
        "SELECT account_id, sealed_key, master_key FROM connections WHERE connection_id = $1";
    let decode = |mut row: Row| Ok((row.string()?, decode_key(&mut row)?));
    tx.row(SQL, args![text(id)]).await?.map(decode).transpose()
}

/// The connection of a run that waits for Klaviyo to confirm something in an account, the oldest run first.
pub async fn waiting(tx: &mut Tx, account_id: &str) -> Result<Option<ConnectionId>, StoreError> {
    const SQL: &str = "SELECT r.connection_id FROM runs r JOIN connections c \
         ON c.connection_id = r.connection_id \
         WHERE r.account_id = $1 AND r.ended_us IS NULL AND r.parked = 0 AND EXISTS \
         (SELECT 1 FROM batches b WHERE b.run_id = r.run_id AND b.state = 'accepted') \
         ORDER BY r.run_id LIMIT 1";
    tx.row(SQL, args![account_id]).await?.map(|mut row| row.parsed()).transpose()
}

/// Ids of exports and of live runs that use a connection: at most `most` of each.
pub async fn users(
    tx: &mut Tx,
    id: ConnectionId,
    most: u32,
) -> Result<(Vec<String>, Vec<String>), StoreError> {
    const EXPORTS: &str =
        "SELECT export_id FROM exports WHERE connection_id = $1 ORDER BY export_id LIMIT $2";
    const RUNS: &str = "SELECT run_id FROM runs WHERE connection_id = $1 AND ended_us IS NULL \
         ORDER BY run_id LIMIT $2";
    let mut names = [Vec::new(), Vec::new()];
    for (names, sql) in names.iter_mut().zip([EXPORTS, RUNS]) {
        for mut row in tx.rows(sql, args![text(id), most]).await? {
            names.push(row.string()?);
        }
    }
    let [exports, runs] = names;
    Ok((exports, runs))
}

/// `false`: there is no such connection.
pub async fn delete(tx: &mut Tx, id: ConnectionId) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM connections WHERE connection_id = $1";
    Ok(tx.execute(SQL, args![text(id)]).await? > 0)
}

pub(crate) fn decode(row: &mut Row) -> Result<Connection, StoreError> {
    Ok(Connection {
        id: row.parsed()?,
        display_name: row.string()?,
        account_id: row.string()?,
        account_name: row.string()?,
        consent: Consent {
            text_version: row.string()?,
            accepted_by: row.string()?,
            accepted: row.time()?,
        },
        created: row.time()?,
    })
}

fn decode_key(row: &mut Row) -> Result<SealedKey, StoreError> {
    Ok(SealedKey { sealed: row.string()?, master_key: row.string()? })
}

pub(crate) fn decode_with_key(mut row: Row) -> Result<(Connection, SealedKey), StoreError> {
    Ok((decode(&mut row)?, decode_key(&mut row)?))
}
