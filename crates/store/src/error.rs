use std::path::PathBuf;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot open the database {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: sqlx::Error,
    },
    #[error("the address of the database begins with neither sqlite:// nor postgres://")]
    Scheme,
    #[error("the address of the database cannot be understood")]
    Address {
        #[source]
        source: sqlx::Error,
    },
    #[error("a database in memory cannot be shared: name a file, as in sqlite:///var/lib/segue.db")]
    InMemory,
    /// `database` names host, database and user, never the password.
    #[error("cannot connect with the database {database}")]
    Connect {
        database: String,
        #[source]
        source: sqlx::Error,
    },
    #[error("the database {database} did not answer within {seconds} s")]
    NoAnswer { database: String, seconds: u64 },
    /// Made by a later version of Segue.
    #[error(
        "the database is of schema version {found}, this program knows up to {known}: use a newer \
         version of segue, or another database or data folder"
    )]
    Newer { found: i64, known: i64 },
    /// Not made yet, or by an earlier version of Segue.
    #[error(
        "the database is of schema version {found}, this program needs {known}: run `segue migrate`"
    )]
    Older { found: i64, known: i64 },
    /// The database did not do what it was asked; the transaction is undone.
    #[error("the database failed at {statement:?}")]
    Database {
        statement: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// A commit after a statement of the transaction has failed: a bug.
    #[error("the transaction was undone, because a statement of it had failed")]
    Undone,
    /// The connection broke before the statement, or within an earlier one.
    #[error("the connection with the database is lost")]
    Lost,
    /// A statement and its arguments do not fit: a bug.
    #[error("{given} arguments for {statement:?}, which takes {taken}")]
    Arguments { statement: &'static str, given: usize, taken: usize },
    /// A stored row that no version of Segue writes.
    #[error("inconsistent row in the database: {what}")]
    Inconsistent { what: String },
}

impl StoreError {
    pub(crate) fn inconsistent(what: impl Into<String>) -> Self {
        Self::Inconsistent { what: what.into() }
    }

    /// Two transactions were in each other's way, and this one was undone for it. Tried again, it works.
    pub fn is_conflict(&self) -> bool {
        const SERIALIZATION_FAILURE: &str = "40001";
        const DEADLOCK: &str = "40P01";
        let Self::Database { source: sqlx::Error::Database(err), .. } = self else { return false };
        err.code().is_some_and(|code| [SERIALIZATION_FAILURE, DEADLOCK].contains(&code.as_ref()))
    }

    /// Nothing more can be asked on the connection.
    pub(crate) fn breaks_connection(&self) -> bool {
        let Self::Database { source, .. } = self else { return matches!(self, Self::Lost) };
        match source {
            sqlx::Error::Database(err) => err
                .try_downcast_ref::<PgDatabaseError>()
                .is_some_and(|err| matches!(err.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => true,
            _ => false,
        }
    }
}
