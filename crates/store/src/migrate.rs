//! The schema and its versions.

use crate::{StoreError, conn::Conn};

/// The statements that make the schema of version n from that of version n - 1.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_init.sql"),
    include_str!("../migrations/0002_services.sql"),
    include_str!("../migrations/0003_retention.sql"),
    include_str!("../migrations/0004_schedules.sql"),
    include_str!("../migrations/0005_tokens.sql"),
    include_str!("../migrations/0006_administration.sql"),
    include_str!("../migrations/0007_connection_checks.sql"),
    include_str!("../migrations/0008_guards.sql"),
    include_str!("../migrations/0009_looks.sql"),
    include_str!("../migrations/0010_key_references.sql"),
    include_str!("../migrations/0011_columns.sql"),
    include_str!("../migrations/0012_sources.sql"),
];

/// What connecting does about a schema that is not of the version which this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Brings an older one up to date. Processes that do so at once wait for each other.
    Migrate,
    /// Refuses any other: somebody else migrates.
    Expect,
}

pub(crate) async fn prepare(conn: &mut Conn, schema: Schema) -> Result<(), StoreError> {
    match schema {
        Schema::Expect => expect(conn).await,
        Schema::Migrate if conn.is_postgres() => migrate_postgres(conn).await,
        Schema::Migrate => migrate_sqlite(conn).await,
    }
}

/// The migrations that are still to be applied to a schema of version `found`, with their versions.
fn missing(found: i64) -> Result<impl Iterator<Item = (i64, &'static str)>, StoreError> {
    let known = known();
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    Ok((1..).zip(MIGRATIONS.iter().copied()).skip_while(move |(version, _)| *version <= found))
}

fn known() -> i64 {
    MIGRATIONS.len().try_into().unwrap_or(i64::MAX)
}

async fn expect(conn: &mut Conn) -> Result<(), StoreError> {
    let found = if conn.is_postgres() {
        if there(conn).await? { version(conn).await? } else { 0 }
    } else {
        user_version(conn).await?
    };
    match missing(found)?.next() {
        None => Ok(()),
        Some(_) => Err(StoreError::Older { found, known: known() }),
    }
}

/// All versions in one transaction, as below.
async fn migrate_sqlite(conn: &mut Conn) -> Result<(), StoreError> {
    if missing(user_version(conn).await?)?.next().is_none() {
        return Ok(());
    }
    conn.batch("BEGIN IMMEDIATE").await?;
    for (version, statements) in missing(user_version(conn).await?)? {
        conn.migrate(format!("{statements}; PRAGMA user_version = {version}")).await?;
    }
    conn.batch("COMMIT").await?;
    Ok(())
}

async fn user_version(conn: &mut Conn) -> Result<i64, StoreError> {
    match conn.fetch("PRAGMA user_version", &[]).await?.first_mut() {
        Some(row) => row.int(),
        None => Ok(0),
    }
}

/// All versions in one transaction, under a lock that is let go with it: another process may be about it.
async fn migrate_postgres(conn: &mut Conn) -> Result<(), StoreError> {
    /// The number means nothing, but is the same in every process. `segue` in ASCII.
    const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock(495622518117); \
         CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)";
    if there(conn).await? && missing(version(conn).await?)?.next().is_none() {
        return Ok(());
    }
    conn.batch(BEGIN).await?;
    let found = version(conn).await?;
    for (version, statements) in missing(found)? {
        let statements = in_byte_order(statements);
        let note = format!("INSERT INTO schema_version (version) VALUES ({version})");
        conn.migrate(format!("{statements}; {note}")).await?;
    }
    conn.batch("COMMIT").await?;
    Ok(())
}

/// Texts are compared byte by byte, as SQLite does, whatever the language of the database: what is read
/// page by page goes by their order.
fn in_byte_order(statements: &str) -> String {
    let words = |line: &str| {
        let code = line.split("--").next().unwrap_or_default();
        code.replace(" TEXT", " TEXT COLLATE \"C\"")
    };
    statements.lines().map(words).collect::<Vec<_>>().join("\n")
}

/// Whether there is a schema at all, where the connection looks for it.
async fn there(conn: &mut Conn) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT CAST(count(to_regclass('schema_version')) AS BIGINT)";
    match conn.fetch(SQL, &[]).await?.first_mut() {
        Some(row) => row.flag(),
        None => Ok(false),
    }
}

async fn version(conn: &mut Conn) -> Result<i64, StoreError> {
    const SQL: &str = "SELECT CAST(COALESCE(max(version), 0) AS BIGINT) FROM schema_version";
    match conn.fetch(SQL, &[]).await?.first_mut() {
        Some(row) => row.int(),
        None => Ok(0),
    }
}
