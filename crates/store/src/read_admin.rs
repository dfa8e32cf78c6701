//! Connections, exports, sources, settings, tokens and the audit record, for whoever asks about them.

use std::collections::BTreeMap;

use segue_model::{ConnectionId, ExportId, SourceId};

use crate::{
    Reader, StoreError,
    sql::{args, text},
    write::{
        audit::{self, Entry, audit_columns},
        columns::{self, ExportColumns},
        connections::{self, Connection, SealedKey, connection_columns},
        exports::{self, Export, export_columns},
        people::{self, Person},
        settings,
        sources::{self, Source, source_columns},
        tokens::{self, Token},
    },
};

/// A connection and its key.
pub async fn connection(
    store: &Reader,
    id: ConnectionId,
) -> Result<Option<(Connection, SealedKey)>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        connection_columns!(),
        ", sealed_key, master_key FROM connections WHERE connection_id = $1 AND removed_us IS NULL"
    );
    let row = store.read(SQL, args![text(id)]).await?.into_iter().next();
    row.map(connections::decode_with_key).transpose()
}

/// At most `most` connections behind `after`, by id, which is by the time of their making; `shared`: only
/// those that contributors may use.
pub async fn connections(
    store: &Reader,
    after: Option<ConnectionId>,
    shared: bool,
    most: u32,
) -> Result<Vec<Connection>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        connection_columns!(),
        " FROM connections WHERE connection_id > $1 AND removed_us IS NULL \
         AND (for_contributors = 1 OR $2 = 0) ORDER BY connection_id LIMIT $3"
    );
    let after = after.map_or_else(String::new, |id| id.to_string());
    let rows = store.read(SQL, args![after, shared, most]).await?;
    rows.into_iter().map(|mut row| connections::decode(&mut row)).collect()
}

/// What is known against the keys of connections: words, for those only against which anything is.
pub async fn connection_problems(
    store: &Reader,
) -> Result<BTreeMap<ConnectionId, String>, StoreError> {
    const SQL: &str = "SELECT connection_id, problem_detail FROM connections WHERE problem <> ''";
    let rows = store.read(SQL, &[]).await?;
    rows.into_iter().map(|mut row| Ok((row.parsed()?, row.string()?))).collect()
}

pub async fn export(store: &Reader, id: ExportId) -> Result<Option<Export>, StoreError> {
    let row = store.read(exports::FIND, args![text(id)]).await?.into_iter().next();
    row.map(exports::decode).transpose()
}

/// What an export keeps of its columns. `None`: nobody has looked.
pub async fn columns(store: &Reader, id: ExportId) -> Result<Option<ExportColumns>, StoreError> {
    let row = store.read(columns::OF, args![text(id)]).await?.into_iter().next();
    row.map(columns::decode).transpose()
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

pub async fn source(store: &Reader, id: SourceId) -> Result<Option<Source>, StoreError> {
    let row = store.read(sources::FIND, args![text(id)]).await?.into_iter().next();
    row.map(sources::decode).transpose()
}

/// At most `most` sources behind `after`, by id, which is by the time of their making.
pub async fn sources(
    store: &Reader,
    after: Option<SourceId>,
    most: u32,
) -> Result<Vec<Source>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        source_columns!(),
        " FROM sources WHERE source_id > $1 ORDER BY source_id LIMIT $2"
    );
    let after = after.map_or_else(String::new, |id| id.to_string());
    let rows = store.read(SQL, args![after, most]).await?;
    rows.into_iter().map(sources::decode).collect()
}

/// What holds for the whole system, as JSON. `None`: nobody knows a setting of this name.
pub async fn setting(store: &Reader, name: &str) -> Result<Option<String>, StoreError> {
    let row = store.read(settings::GET, args![name]).await?.into_iter().next();
    row.map(|mut row| row.string()).transpose()
}

/// `None`: there is no such token.
pub async fn token(store: &Reader, id: &str) -> Result<Option<Token>, StoreError> {
    store.read(tokens::FIND, args![id]).await?.into_iter().next().map(tokens::decode).transpose()
}

/// At most `most` tokens behind `after`, by id.
pub async fn tokens(store: &Reader, after: &str, most: u32) -> Result<Vec<Token>, StoreError> {
    const SQL: &str = "SELECT token_id, name, role, hash, created_by, created_us, expires_us, \
         revoked_us FROM tokens WHERE token_id > $1 ORDER BY token_id LIMIT $2";
    store.read(SQL, args![after, most]).await?.into_iter().map(tokens::decode).collect()
}

/// `None`: nobody was seen who is that.
pub async fn person(store: &Reader, subject: &str) -> Result<Option<Person>, StoreError> {
    store
        .read(people::FIND, args![subject])
        .await?
        .into_iter()
        .next()
        .map(people::decode)
        .transpose()
}

/// At most `most` entries of the audit record before `before`, the newest first; `object`: only what was done
/// to it.
pub async fn audit(
    store: &Reader,
    before: u64,
    object: &str,
    most: u32,
) -> Result<Vec<Entry>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        audit_columns!(),
        " FROM audit WHERE seq < $1 AND ($2 = '' OR object = $2) ORDER BY seq DESC LIMIT $3"
    );
    let rows = store.read(SQL, args![before, object, most]).await?;
    rows.into_iter().map(audit::decode).collect()
}

/// At most `most` entries of the audit record behind `after`, the oldest first.
pub async fn audit_from(store: &Reader, after: u64, most: u32) -> Result<Vec<Entry>, StoreError> {
    const SQL: &str =
        concat!("SELECT ", audit_columns!(), " FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2");
    let rows = store.read(SQL, args![after, most]).await?;
    rows.into_iter().map(audit::decode).collect()
}
