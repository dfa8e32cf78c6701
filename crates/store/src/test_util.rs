//! Databases for tests: a fresh one for each case, on either engine.
#![expect(clippy::expect_used, reason = "these are parts of tests")]

use std::sync::Arc;

use uuid::Uuid;

use crate::{Clock, Schema, Store, StoreError, address::Address};

/// Which engine a case runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Makes two tests of each case, `case::on_sqlite` and `case::on_postgres`. A case is an
/// `async fn case(engine: Engine)` of the module around it; one that is not listed is unused code.
///
/// ```ignore
/// segue_store::on_both_engines! { job_is_claimed_once, run_ends_once }
/// ```
#[macro_export]
macro_rules! on_both_engines {
    ($($case:ident),+ $(,)?) => {$(
        mod $case {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$case($crate::test_util::Engine::Sqlite).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$case($crate::test_util::Engine::Postgres).await;
            }
        }
    )+};
}

/// A database without a schema, which is gone when this is dropped: a file in a folder of its own, or a
/// schema with a random name in the database that `DATABASE_URL` names (if it is not set, in `postgres` of the
/// server on 127.0.0.1:5432, as `postgres` without a password).
///
/// Keep it longer than its stores.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    #[expect(dead_code, reason = "it is deleted when it is dropped")]
    Folder(tempfile::TempDir),
    Schema(String),
}

impl TestDatabase {
    /// Panics if the engine does not answer: a test that cannot run has failed.
    pub async fn new(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let url = format!("sqlite://{}", folder.path().join("segue.db").display());
                Self { url, place: Place::Folder(folder) }
            }
            Engine::Postgres => {
                let schema = format!("segue_test_{}", Uuid::new_v4().simple());
                ask_server(format!("CREATE SCHEMA {schema}")).await;
                let server = server();
                let sign = if server.contains('?') { '&' } else { '?' };
                let url = format!(
                    "{server}{sign}options[search_path]={schema}&application_name={schema}"
                );
                Self { url, place: Place::Schema(schema) }
            }
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The schema on PostgreSQL, which is also the name of the application that its stores give.
    pub fn schema(&self) -> Option<&str> {
        match &self.place {
            Place::Folder(_) => None,
            Place::Schema(schema) => Some(schema),
        }
    }

    /// Connects, as another process would, with a clock of the test's.
    pub async fn store(&self, clock: impl Clock) -> Store {
        Store::connect_with_clock(&self.url, Arc::new(clock)).await.expect("a store")
    }

    /// Connects as the services do: on PostgreSQL its clock decides.
    pub async fn store_with_its_clock(&self) -> Store {
        let clock = Arc::new(crate::SystemClock::start());
        Store::connect(&self.url, Schema::Migrate, clock).await.expect("a store")
    }
}

/// Does what other hands may do to a database.
pub async fn meddle(store: &Store, statement: &'static str) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    tx.execute(statement, &[]).await?;
    tx.commit().await
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Place::Schema(schema) = &self.place else { return };
        // Whatever connections are left may hold locks on what is to be dropped.
        let statements = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = '{schema}'; \
             SET client_min_messages = warning; DROP SCHEMA {schema} CASCADE"
        );
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(ask_server(statements));
        });
        assert!(dropped.join().is_ok() || std::thread::panicking(), "{schema} was not dropped");
    }
}

fn server() -> String {
    std::env::var("DATABASE_URL")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned())
}

async fn ask_server(statements: String) {
    let address = Address::parse(&server()).expect("DATABASE_URL");
    let mut conn = match address.connect().await {
        Ok(conn) => conn,
        Err(err) => panic!("PostgreSQL has to answer for this test, `make test` starts it: {err}"),
    };
    conn.migrate(statements).await.expect("a schema for the test");
}
