//! Connections, exports, settings and tokens, for whoever asks about them.

use segue_model::{ConnectionId, ExportId};

use crate::{
    Reader, StoreError,
    sql::{args, text},
    write::{
        connections::{self, Connection, SealedKey},
        exports::{self, Export, export_columns},
        settings,
        tokens::{self, Token},
    },
};

/// A connection and its key.
pub async fn connection(
    store: &Reader,
    id: ConnectionId,
) -> Result<Option<(Connection, SealedKey)>, StoreError> {
    const SQL: &str = "SELECT connection_id, display_name, account_id, account_name, \
         consent_version, consent_by, consent_us, created_us, sealed_key, master_key \
         FROM connections WHERE connection_id = $1";
    let row = store.read(SQL, args![text(id)]).await?.into_iter().next();
    row.map(connections::decode_with_key).transpose()
}

/// At most `most` connections behind `after`, by id, which is by the time of their making.
pub async fn connections(
    store: &Reader,
    after: Option<ConnectionId>,
    most: u32,
) -> Result<Vec<Connection>, StoreError> {
    const SQL: &str = "SELECT connection_id, display_name, account_id, account_name, \
         consent_version, consent_by, consent_us, created_us \
         FROM connections WHERE connection_id > $1 ORDER BY connection_id LIMIT $2";
    let after = after.map_or_else(String::new, |id| id.to_string());
    let rows = store.read(SQL, args![after, most]).await?;
    rows.into_iter().map(|mut row| connections::decode(&mut row)).collect()
}

pub async fn export(store: &Reader, id: ExportId) -> Result<Option<Export>, StoreError> {
    const SQL: &str = concat!("SELECT ", export_columns!(), " FROM exports WHERE export_id = $1");
    store.read(SQL, args![text(id)]).await?.into_iter().next().map(exports::decode).transpose()
}

/// At most `most` exports behind `after`, by id, which is by the time of their making; `connection`: only
/// those that use it.
pub async fn exports(
    store: &Reader,
    after: Option<ExportId>,
    connection: Option<ConnectionId>,
    most: u32,
) -> Result<Vec<Export>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        export_columns!(),
        " FROM exports WHERE export_id > $1 AND ($2 = '' OR connection_id = $2) \
         ORDER BY export_id LIMIT $3"
    );
    let after = after.map_or_else(String::new, |id| id.to_string());
    let connection = connection.map_or_else(String::new, |id| id.to_string());
    let rows = store.read(SQL, args![after, connection, most]).await?;
    rows.into_iter().map(exports::decode).collect()
}

/// What holds for the whole system, as JSON. `None`: nobody knows a setting of this name.
pub async fn setting(store: &Reader, name: &str) -> Result<Option<String>, StoreError> {
    let row = store.read(settings::GET, args![name]).await?.into_iter().next();
    row.map(|mut row| row.string()).transpose()
}

/// `None`: there is no such token.
pub async fn token(store: &Reader, id: &str) -> Result<Option<Token>, StoreError> {
    const SQL: &str = "SELECT token_id, name, role, hash, created_by, created_us, expires_us, \
         revoked_us FROM tokens WHERE token_id = $1";
    store.read(SQL, args![id]).await?.into_iter().next().map(tokens::decode).transpose()
}

/// At most `most` tokens behind `after`, by id.
pub async fn tokens(store: &Reader, after: &str, most: u32) -> Result<Vec<Token>, StoreError> {
    const SQL: &str = "SELECT token_id, name, role, hash, created_by, created_us, expires_us, \
         revoked_us FROM tokens WHERE token_id > $1 ORDER BY token_id LIMIT $2";
    store.read(SQL, args![after, most]).await?.into_iter().map(tokens::decode).collect()
}
