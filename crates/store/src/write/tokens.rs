//! API tokens. Only hashes of their secrets are kept.

use segue_model::Micros;

use crate::{
    StoreError, Tx,
    sql::{Row, args},
};

/// What is kept of an API token. Who may do what is not decided here, so its words are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: String,
    /// What people call it.
    pub name: String,
    pub role: String,
    pub hash: String,
    /// Who made it.
    pub created_by: String,
    pub created: Micros,
    /// `None`: never.
    pub expires: Option<Micros>,
    pub revoked: Option<Micros>,
}

pub async fn create(tx: &mut Tx, token: &Token) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO tokens (token_id, name, role, hash, created_by, created_us, \
         expires_us, revoked_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let Token { id, name, role, hash, created_by, created, expires, revoked } = token;
    let args = args![
        id.as_str(),
        name.as_str(),
        role.as_str(),
        hash.as_str(),
        created_by.as_str(),
        *created,
        *expires,
        *revoked,
    ];
    tx.execute(SQL, args).await?;
    Ok(())
}

/// Whether any token was ever made.
pub async fn any(tx: &mut Tx) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT token_id FROM tokens LIMIT 1";
    Ok(tx.row(SQL, &[]).await?.is_some())
}

/// `None`: there is no such token.
pub async fn find(tx: &mut Tx, id: &str) -> Result<Option<Token>, StoreError> {
    tx.row(FIND, args![id]).await?.map(decode).transpose()
}

pub(crate) const FIND: &str = "SELECT token_id, name, role, hash, created_by, created_us, \
     expires_us, revoked_us FROM tokens WHERE token_id = $1";

/// Takes a token back, once: the first time stays. `None`: there is no such token.
pub async fn revoke(tx: &mut Tx, id: &str) -> Result<Option<Token>, StoreError> {
    const SQL: &str = "UPDATE tokens SET revoked_us = COALESCE(revoked_us, $2) WHERE token_id = $1 \
         RETURNING token_id, name, role, hash, created_by, created_us, expires_us, revoked_us";
    let now = tx.now();
    tx.row(SQL, args![id, now]).await?.map(decode).transpose()
}

pub(crate) fn decode(mut row: Row) -> Result<Token, StoreError> {
    Ok(Token {
        id: row.string()?,
        name: row.string()?,
        role: row.string()?,
        hash: row.string()?,
        created_by: row.string()?,
        created: row.time()?,
        expires: row.opt_time()?,
        revoked: row.opt_time()?,
    })
}
