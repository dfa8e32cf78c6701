//! Connections: Klaviyo accounts with a name, a key or where it is, and a recorded consent.

use std::{fmt, str::FromStr};

use segue_model::{ConnectionId, Micros, RunId};

use crate::{
    StoreError, Tx,
    sql::{Arg, Row, args, text},
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
    pub sharing: Sharing,
    /// Where its key is; `None`: it is sealed in the store.
    pub reference: Option<KeptElsewhere>,
    pub created: Micros,
    /// Since when it has its present key.
    pub key_since: Micros,
    /// When Klaviyo was last seen to take or to refuse the key.
    pub checked: Option<Micros>,
    /// Why the key cannot be used, as was seen then.
    pub problem: Option<Problem>,
}

/// Who may use a connection besides administrators.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sharing {
    pub contributors: bool,
    /// JSON: the only lists that they may use; none: any.
    pub only_lists: String,
}

/// What is known against the key of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A code.
    pub reason: String,
    /// Words without personal data.
    pub detail: String,
}

/// The recorded agreement to send personal data to Klaviyo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    pub text_version: String,
    pub accepted_by: String,
    pub accepted: Micros,
}

/// A key that the control-plane looks up whenever it needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptElsewhere {
    pub at: KeyReference,
    /// A name for the key that was last found there.
    pub print: String,
}

/// Where a key is, as the control-plane sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyReference {
    /// The name of a variable of its environment.
    Variable(String),
    /// A file below the folder that its configuration names.
    File(String),
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

/// What begins with neither `env:` nor `file:`.
#[derive(Debug, thiserror::Error)]
#[error("no reference to a key")]
pub struct NoReference;

impl FromStr for KeyReference {
    type Err = NoReference;
    fn from_str(text: &str) -> Result<Self, NoReference> {
        match text.split_once(':') {
            Some(("env", name)) => Ok(Self::Variable(name.to_owned())),
            Some(("file", path)) => Ok(Self::File(path.to_owned())),
            _ => Err(NoReference),
        }
    }
}

/// A key that only the holder of the master key can read. Empty if the connection has a reference in its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealedKey {
    /// Base64.
    pub sealed: String,
    /// The id of the master key that sealed it.
    pub master_key: String,
}

macro_rules! connection_columns {
    () => {
        "connection_id, display_name, account_id, account_name, consent_version, consent_by, \
         consent_us, for_contributors, only_lists, key_reference, key_print, created_us, key_us, \
         checked_us, problem, problem_detail"
    };
}
pub(crate) use connection_columns;

pub async fn create(
    tx: &mut Tx,
    connection: &Connection,
    key: &SealedKey,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO connections (connection_id, display_name, account_id, \
         account_name, consent_version, consent_by, consent_us, for_contributors, only_lists, \
         sealed_key, master_key, key_us, checked_us, problem, problem_detail, key_reference, \
         key_print, created_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
    let mut args = changeable(connection, key);
    args.push(connection.created.into());
    tx.execute(SQL, &args).await?;
    Ok(())
}

/// Writes everything but when it was created.
pub async fn update(
    tx: &mut Tx,
    connection: &Connection,
    key: &SealedKey,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE connections SET display_name = $2, account_id = $3, \
         account_name = $4, consent_version = $5, consent_by = $6, consent_us = $7, \
         for_contributors = $8, only_lists = $9, sealed_key = $10, master_key = $11, \
         key_us = $12, checked_us = $13, problem = $14, problem_detail = $15, \
         key_reference = $16, key_print = $17 WHERE connection_id = $1";
    tx.execute(SQL, &changeable(connection, key)).await?;
    Ok(())
}

fn changeable(connection: &Connection, key: &SealedKey) -> Vec<Arg> {
    let Connection {
        id,
        display_name,
        account_id,
        account_name,
        consent,
        sharing,
        reference,
        created: _,
        key_since,
        checked,
        problem,
    } = connection;
    let (reason, detail) = parts(problem.as_ref());
    let at = reference.as_ref().map(|it| it.at.to_string()).unwrap_or_default();
    let print = reference.as_ref().map(|it| it.print.as_str()).unwrap_or_default();
    vec![
        text(id),
        display_name.as_str().into(),
        account_id.as_str().into(),
        account_name.as_str().into(),
        consent.text_version.as_str().into(),
        consent.accepted_by.as_str().into(),
        consent.accepted.into(),
        sharing.contributors.into(),
        sharing.only_lists.as_str().into(),
        key.sealed.as_str().into(),
        key.master_key.as_str().into(),
        (*key_since).into(),
        (*checked).into(),
        reason.into(),
        detail.into(),
        at.into(),
        print.into(),
    ]
}

/// Locks a connection until the transaction ends, and reads it: until then nobody deletes it. `None`: there is
/// no such connection, or it was removed.
pub async fn lock(
    tx: &mut Tx,
    id: ConnectionId,
) -> Result<Option<(Connection, SealedKey)>, StoreError> {
    const SQL: &str = concat!(
        "UPDATE connections SET display_name = display_name \
         WHERE connection_id = $1 AND removed_us IS NULL RETURNING ",
        connection_columns!(),
        ", sealed_key, master_key"
    );
    tx.row(SQL, args![text(id)]).await?.map(decode_with_key).transpose()
}

/// A connection and its key, also of a removed one; locks nothing.
pub async fn key(
    tx: &mut Tx,
    id: ConnectionId,
) -> Result<Option<(Connection, SealedKey)>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        connection_columns!(),
        ", sealed_key, master_key FROM connections WHERE connection_id = $1"
    );
    tx.row(SQL, args![text(id)]).await?.map(decode_with_key).transpose()
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

/// All connections, by id, also removed ones.
pub async fn all(tx: &mut Tx) -> Result<Vec<ConnectionId>, StoreError> {
    const SQL: &str = "SELECT connection_id FROM connections ORDER BY connection_id";
    tx.rows(SQL, &[]).await?.into_iter().map(|mut row| row.parsed()).collect()
}

/// Nobody can use it from now on but the runs that go on, so that they can be told how they ended.
pub async fn remove(tx: &mut Tx, id: ConnectionId) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE connections SET removed_us = $2 WHERE connection_id = $1";
    let now = tx.now();
    tx.execute(SQL, args![text(id), now]).await?;
    Ok(())
}

/// Notes that Klaviyo has taken the key (`None`) or why it cannot be used.
pub async fn note_check(
    tx: &mut Tx,
    id: ConnectionId,
    problem: Option<&Problem>,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE connections SET checked_us = $2, problem = $3, problem_detail = $4 \
         WHERE connection_id = $1";
    let now = tx.now();
    let (reason, detail) = parts(problem);
    tx.execute(SQL, args![text(id), now, reason, detail]).await?;
    Ok(())
}

/// Nothing is known against the key any more. Writes nothing if nothing was.
pub async fn mended(tx: &mut Tx, id: ConnectionId) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE connections SET checked_us = $2, problem = '', problem_detail = '' \
         WHERE connection_id = $1 AND problem <> ''";
    let now = tx.now();
    tx.execute(SQL, args![text(id), now]).await?;
    Ok(())
}

/// Runs that go on with a removed connection.
pub async fn runs_of_removed(tx: &mut Tx) -> Result<Vec<RunId>, StoreError> {
    const SQL: &str = "SELECT r.run_id FROM runs r JOIN connections c \
         ON c.connection_id = r.connection_id \
         WHERE r.ended_us IS NULL AND c.removed_us IS NOT NULL ORDER BY r.run_id";
    tx.rows(SQL, &[]).await?.into_iter().map(|mut row| row.parsed()).collect()
}

/// Deletes removed connections, with their keys, that no run goes on with.
pub async fn forget_removed(tx: &mut Tx) -> Result<u64, StoreError> {
    const SQL: &str = "DELETE FROM connections WHERE removed_us IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM runs r WHERE r.connection_id = connections.connection_id \
          AND r.ended_us IS NULL)";
    tx.execute(SQL, &[]).await
}

/// When Klaviyo last accepted a batch of a run that uses the connection.
pub async fn last_acceptance(tx: &mut Tx, id: ConnectionId) -> Result<Option<Micros>, StoreError> {
    const SQL: &str = "SELECT max(last_accepted_us) FROM runs WHERE connection_id = $1";
    match tx.row(SQL, args![text(id)]).await? {
        Some(mut row) => row.opt_time(),
        None => Ok(None),
    }
}

fn parts(problem: Option<&Problem>) -> (&str, &str) {
    problem.map_or(("", ""), |it| (it.reason.as_str(), it.detail.as_str()))
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
        sharing: Sharing { contributors: row.flag()?, only_lists: row.string()? },
        reference: decode_reference(row)?,
        created: row.time()?,
        key_since: row.time()?,
        checked: row.opt_time()?,
        problem: decode_problem(row)?,
    })
}

fn decode_reference(row: &mut Row) -> Result<Option<KeptElsewhere>, StoreError> {
    let (at, print) = (row.string()?, row.string()?);
    if at.is_empty() {
        return Ok(None);
    }
    let unknown = |_| StoreError::Inconsistent { what: format!("the key reference {at:?}") };
    Ok(Some(KeptElsewhere { at: at.parse().map_err(unknown)?, print }))
}

fn decode_problem(row: &mut Row) -> Result<Option<Problem>, StoreError> {
    let (reason, detail) = (row.string()?, row.string()?);
    Ok((!reason.is_empty()).then_some(Problem { reason, detail }))
}

fn decode_key(row: &mut Row) -> Result<SealedKey, StoreError> {
    Ok(SealedKey { sealed: row.string()?, master_key: row.string()? })
}

pub(crate) fn decode_with_key(mut row: Row) -> Result<(Connection, SealedKey), StoreError> {
    Ok((decode(&mut row)?, decode_key(&mut row)?))
}
