//! Where a database is, and how to connect with it.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, PgConnection, SqliteConnection,
    error::DatabaseError,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{StoreError, conn::Conn};

/// Who does not answer by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What holds of every connection with PostgreSQL unless its address says otherwise (`?options[…]=…`): nobody
/// waits without end for a row, and a process that stands still does not hold rows for as long as it does.
const LIMITS: &[(&str, &str)] = &[
    ("lock_timeout", "30s"),
    ("statement_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "15s"),
];

/// As long waits who finds an SQLite database locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks at an SQLite database that is being changed to a write-ahead log.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Statements that one connection keeps prepared: more than there are.
const PREPARED: usize = 256;

/// Shown and debugged without the password.
#[derive(Clone)]
pub(crate) enum Address {
    Sqlite { path: PathBuf, read_only: bool },
    Postgres(Box<PgConnectOptions>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path, .. } => path.display().fmt(f),
            Self::Postgres(options) => {
                let (user, host) = (options.get_username(), options.get_host());
                let database = options.get_database().unwrap_or(user);
                match options.get_socket() {
                    Some(socket) => write!(f, "{database} at {} as {user}", socket.display()),
                    None => write!(f, "{database} at {host}:{} as {user}", options.get_port()),
                }
            }
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl Address {
    pub(crate) fn file(path: &Path) -> Self {
        Self::Sqlite { path: path.to_owned(), read_only: false }
    }

    /// `sqlite:///path` or `postgres://user:password@host:port/database?sslmode=…`.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let address = |source| StoreError::Address { source };
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options: PgConnectOptions = url.parse().map_err(address)?;
            let options = match options.get_application_name() {
                Some(_) => options,
                None => options.application_name("segue"),
            };
            let given = options.get_options().unwrap_or_default().to_owned();
            let missing = LIMITS.iter().copied().filter(|(name, _)| !given.contains(name));
            let options = options.options(missing);
            Ok(Self::Postgres(Box::new(options.statement_cache_capacity(PREPARED))))
        } else if url.starts_with("sqlite:") {
            let options: SqliteConnectOptions = url.parse().map_err(address)?;
            let path = options.get_filename().to_owned();
            if path.as_os_str().is_empty() || path.to_string_lossy().contains(":memory:") {
                // Each connection would have a database of its own.
                return Err(StoreError::InMemory);
            }
            Ok(Self::Sqlite { path, read_only: false })
        } else {
            Err(StoreError::Scheme)
        }
    }

    /// As whoever can only read: the engine refuses the rest.
    pub(crate) fn read_only(self) -> Self {
        match self {
            Self::Sqlite { path, .. } => Self::Sqlite { path, read_only: true },
            Self::Postgres(options) => {
                Self::Postgres(Box::new(options.options([("default_transaction_read_only", "on")])))
            }
        }
    }

    pub(crate) async fn connect(&self) -> Result<Conn, StoreError> {
        match self {
            Self::Sqlite { path, read_only } => {
                let open = |source| StoreError::Open { path: path.clone(), source };
                let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
                let options = if *read_only {
                    options.read_only(true)
                } else {
                    options
                        .create_if_missing(true)
                        .journal_mode(SqliteJournalMode::Wal)
                        .synchronous(SqliteSynchronous::Full)
                };
                connect_when_free(&options).await.map(Conn::Sqlite).map_err(open)
            }
            Self::Postgres(options) => {
                let database = || self.to_string();
                match tokio::time::timeout(
                    CONNECT_TIMEOUT,
                    PgConnection::connect_with(options.as_ref()),
                )
                .await
                {
                    Ok(Ok(conn)) => Ok(Conn::Postgres(conn)),
                    Ok(Err(source)) => Err(StoreError::Connect { database: database(), source }),
                    Err(_) => Err(StoreError::NoAnswer {
                        database: database(),
                        seconds: CONNECT_TIMEOUT.as_secs(),
                    }),
                }
            }
        }
    }
}

/// Connects with SQLite, and waits for others that connect for the first time.
///
/// The first connection changes the file to a write-ahead log. It holds a read lock by then, and SQLite refuses it
/// the write lock at once when another connection has that, since each could wait for the other: the busy timeout
/// does not hold there (<https://sqlite.org/c3ref/busy_handler.html>).
async fn connect_when_free(
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, sqlx::Error> {
    let until = Instant::now() + BUSY_TIMEOUT;
    loop {
        match SqliteConnection::connect_with(options).await {
            Err(err) if is_busy(&err) && Instant::now() < until => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            done => return done,
        }
    }
}

/// Extended result codes carry the primary one in their lowest byte.
fn is_busy(err: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    err.as_database_error()
        .and_then(DatabaseError::code)
        .and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == SQLITE_BUSY)
}
