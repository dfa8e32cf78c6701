//! One connection with either engine: the same statements, bound and run.

use sqlx::{PgConnection, SqliteConnection};

use crate::{
    StoreError,
    sql::{Arg, Row, check},
};

#[derive(Debug)]
pub(crate) enum Conn {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// The same text for both: what is expanded differs only in types.
macro_rules! bound {
    ($statement:ident, $args:ident) => {{
        check($statement, $args)?;
        let mut query = sqlx::query($statement);
        for arg in $args {
            query = match arg.clone() {
                Arg::Int(value) => query.bind(value),
                Arg::Text(value) => query.bind(value),
                Arg::NullInt => query.bind(None::<i64>),
                Arg::NullText => query.bind(None::<String>),
            };
        }
        query
    }};
}

impl Conn {
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(crate) async fn fetch(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<Vec<Row>, StoreError> {
        let failed = |source| StoreError::Database { statement, source };
        match self {
            Self::Sqlite(conn) => {
                let rows = bound!(statement, args).fetch_all(conn).await.map_err(failed)?;
                Ok(rows.into_iter().map(Row::from).collect())
            }
            Self::Postgres(conn) => {
                let rows = bound!(statement, args).fetch_all(conn).await.map_err(failed)?;
                Ok(rows.into_iter().map(Row::from).collect())
            }
        }
    }

    pub(crate) async fn execute(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<u64, StoreError> {
        let failed = |source| StoreError::Database { statement, source };
        match self {
            Self::Sqlite(conn) => {
                let done = bound!(statement, args).execute(conn).await.map_err(failed)?;
                Ok(done.rows_affected())
            }
            Self::Postgres(conn) => {
                let done = bound!(statement, args).execute(conn).await.map_err(failed)?;
                Ok(done.rows_affected())
            }
        }
    }

    /// Statements without arguments, one or several, in one round trip; returns all of their rows.
    pub(crate) async fn batch(&mut self, statements: &'static str) -> Result<Vec<Row>, StoreError> {
        let failed = |source| StoreError::Database { statement: statements, source };
        match self {
            Self::Sqlite(conn) => {
                let rows = sqlx::raw_sql(statements).fetch_all(conn).await.map_err(failed)?;
                Ok(rows.into_iter().map(Row::from).collect())
            }
            Self::Postgres(conn) => {
                let rows = sqlx::raw_sql(statements).fetch_all(conn).await.map_err(failed)?;
                Ok(rows.into_iter().map(Row::from).collect())
            }
        }
    }

    /// Statements of a migration; returns when all are done.
    pub(crate) async fn migrate(&mut self, statements: String) -> Result<(), StoreError> {
        let failed = |source| StoreError::Database { statement: "migration", source };
        let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(statements));
        match self {
            Self::Sqlite(conn) => statements.execute(conn).await.map(drop).map_err(failed),
            Self::Postgres(conn) => statements.execute(conn).await.map(drop).map_err(failed),
        }
    }
}
