//! Transactions, arguments and the schema.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{Engine, Fixture, START, new_run, run_id};
use crate::{
    ManualClock, Schema, Store, StoreError, read,
    sql::{args, text},
    test_util::TestDatabase,
    write::{answers, runs},
};

crate::on_both_engines! {
    what_was_committed_is_there_after_the_database_was_opened_again,
    schema_of_another_version_is_refused_in_words,
    database_without_a_schema_is_refused_until_it_is_migrated,
    migrations_at_the_same_time_wait_for_each_other,
    reader_sees_what_is_committed_and_cannot_write,
    transaction_whose_statement_failed_is_not_committed,
    dropped_transaction_is_undone_and_the_next_begins_cleanly,
    transaction_that_the_engine_has_ended_does_not_block_the_next,
    commit_whose_waiter_is_dropped_leaves_the_store_usable,
    wrong_number_of_arguments_is_an_error_and_not_null,
    row_that_no_version_writes_is_an_error_that_names_it,
    clock_of_the_store_stamps_what_is_written,
    texts_are_in_the_order_of_their_bytes,
}

async fn what_was_committed_is_there_after_the_database_was_opened_again(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let Fixture { database, store, clock } = fixture;
    drop(store);
    let store = database.store(clock).await;
    assert_eq!(read::unfinished(&store).await.unwrap(), [run]);
}

async fn schema_of_another_version_is_refused_in_words(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let url = fixture.database.url().to_owned();
    let connect = |schema| Store::connect(&url, schema, Arc::new(fixture.clock.clone()));
    connect(Schema::Expect).await.unwrap();
    set_version(&fixture, 999).await;
    for schema in [Schema::Expect, Schema::Migrate] {
        let err = connect(schema).await.unwrap_err();
        assert!(matches!(err, StoreError::Newer { found: 999, .. }), "{err}");
        assert!(err.to_string().contains("newer version of segue"));
    }
    set_version(&fixture, 1).await;
    let err = connect(Schema::Expect).await.unwrap_err();
    assert!(matches!(err, StoreError::Older { found: 1, .. }), "{err}");
    assert!(err.to_string().contains("run `segue migrate`"));
    let err = Store::connect_read_only(&url).await.unwrap_err();
    assert!(matches!(err, StoreError::Older { found: 1, .. }), "{err}");
}

async fn set_version(fixture: &Fixture, version: i64) {
    let mut tx = fixture.tx().await;
    if fixture.database.schema().is_some() {
        tx.execute("DELETE FROM schema_version WHERE version > $1", args![version]).await.unwrap();
        tx.execute("INSERT INTO schema_version VALUES ($1)", args![version]).await.unwrap();
    } else {
        let statement =
            if version == 1 { "PRAGMA user_version = 1" } else { "PRAGMA user_version = 999" };
        tx.execute(statement, &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn database_without_a_schema_is_refused_until_it_is_migrated(engine: Engine) {
    let database = TestDatabase::new(engine).await;
    let clock = Arc::new(ManualClock::at(START));
    let err = Store::connect(database.url(), Schema::Expect, clock.clone()).await.unwrap_err();
    assert!(matches!(err, StoreError::Older { found: 0, .. }), "{err}");
    for _ in 0..2 {
        Store::migrate(database.url()).await.unwrap();
    }
    Store::connect(database.url(), Schema::Expect, clock).await.unwrap();
}

/// As when two services come up at once.
async fn migrations_at_the_same_time_wait_for_each_other(engine: Engine) {
    let database = TestDatabase::new(engine).await;
    let url = database.url();
    let (a, b, c) = tokio::join!(Store::migrate(url), Store::migrate(url), Store::migrate(url));
    for done in [a, b, c] {
        done.unwrap();
    }
    Store::connect_read_only(url).await.unwrap();
}

/// The first connection of all changes the file to a write-ahead log. It holds a read lock by then, and SQLite
/// refuses it the write lock at once when another connection has that: each could wait for the other.
#[tokio::test]
async fn sqlite_file_that_somebody_else_makes_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segue.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    let held = "CREATE TABLE held (id INTEGER); BEGIN IMMEDIATE";
    sqlx::raw_sql(held).execute(&mut other).await.unwrap();
    let url = format!("sqlite://{}", path.display());
    let migrated = tokio::spawn(async move { Store::migrate(&url).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!migrated.is_finished(), "{:?}", migrated.await);
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    migrated.await.unwrap().unwrap();
}

async fn reader_sees_what_is_committed_and_cannot_write(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let reader = Store::connect_read_only(fixture.database.url()).await.unwrap();
    assert_eq!(read::unfinished(&reader).await.unwrap(), [run]);
    let err = reader.read("DELETE FROM runs", &[]).await.unwrap_err();
    let StoreError::Database { source, .. } = err else { panic!("{err}") };
    let words = source.to_string();
    assert!(words.contains("read-only") || words.contains("readonly"), "{words}");
    assert_eq!(read::unfinished(&reader).await.unwrap(), [run]);
}

async fn transaction_whose_statement_failed_is_not_committed(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    runs::create(&mut tx, &new_run(run_id(1))).await.unwrap();
    runs::create(&mut tx, &new_run(run_id(1))).await.unwrap_err();
    assert!(matches!(tx.commit().await.unwrap_err(), StoreError::Undone));
    assert!(read::unfinished(&fixture.store).await.unwrap().is_empty());
}

async fn dropped_transaction_is_undone_and_the_next_begins_cleanly(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    runs::create(&mut tx, &new_run(run_id(1))).await.unwrap();
    drop(tx);
    let mut tx = fixture.tx().await;
    assert!(runs::lock(&mut tx, run_id(1)).await.unwrap().is_none());
    runs::create(&mut tx, &new_run(run_id(2))).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(read::unfinished(&fixture.store).await.unwrap(), [run_id(2)]);
}

/// The engine may end a transaction on its own, after an error or when a commit came through whose
/// waiter was dropped; there is nothing left to undo then.
async fn transaction_that_the_engine_has_ended_does_not_block_the_next(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    runs::create(&mut tx, &new_run(run_id(1))).await.unwrap();
    tx.execute("COMMIT", &[]).await.unwrap();
    drop(tx);
    let mut tx = fixture.tx().await;
    assert!(runs::lock(&mut tx, run_id(1)).await.unwrap().is_some());
    tx.commit().await.unwrap();
}

async fn commit_whose_waiter_is_dropped_leaves_the_store_usable(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    for n in 0..50 {
        let mut tx = fixture.tx().await;
        runs::create(&mut tx, &new_run(run_id(n))).await.unwrap();
        let mut commit = Box::pin(tx.commit());
        let once = std::future::poll_fn(|cx| std::task::Poll::Ready(commit.as_mut().poll(cx)));
        if once.await.is_pending() {
            tokio::task::yield_now().await;
        }
        drop(commit);
    }
    let mut tx = fixture.tx().await;
    runs::create(&mut tx, &new_run(run_id(100))).await.unwrap();
    tx.commit().await.unwrap();
}

/// On PostgreSQL it waits for rows only: `races` has that.
#[tokio::test]
async fn second_transaction_of_sqlite_waits_for_the_first() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let mut first = fixture.tx().await;
    let second = tokio::spawn({
        let store = fixture.store.clone();
        async move {
            let mut tx = store.begin().await.unwrap();
            runs::lock(&mut tx, run_id(1)).await.unwrap().is_some()
        }
    });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    runs::create(&mut first, &new_run(run_id(1))).await.unwrap();
    first.commit().await.unwrap();
    assert!(second.await.unwrap(), "the second did not see what the first wrote");
}

async fn wrong_number_of_arguments_is_an_error_and_not_null(engine: Engine) {
    const SQL: &str = "SELECT 1 FROM runs WHERE run_id = $1 AND (state = $2 OR $1 = $2)";
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    for given in 0..4_usize {
        let args = vec![text(1); given];
        let result = tx.rows(SQL, &args).await;
        match result {
            Ok(_) => assert_eq!(given, 2),
            Err(StoreError::Arguments { given: said, taken: 2, .. }) => assert_eq!(said, given),
            Err(other) => panic!("{other}"),
        }
    }
}

async fn row_that_no_version_writes_is_an_error_that_names_it(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let mut tx = fixture.tx().await;
    tx.execute("UPDATE runs SET state = $1", args!["asleep"]).await.unwrap();
    let err = runs::lock(&mut tx, run).await.unwrap_err();
    assert!(matches!(&err, StoreError::Inconsistent { what } if what.contains("asleep")), "{err}");
}

async fn clock_of_the_store_stamps_what_is_written(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run_with_a_batch().await;
    let report = read::report(&fixture.store, run).await.unwrap().unwrap();
    assert_eq!(report.started, Some(START));
}

/// Pages go by it, and databases are made with all kinds of languages.
async fn texts_are_in_the_order_of_their_bytes(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    for subject in ["a", "B", "_", "a-b", "ab"] {
        answers::remember(&mut tx, subject, "").await.unwrap();
    }
    let rows = tx.rows("SELECT subject FROM answers ORDER BY subject", &[]).await.unwrap();
    let order: Vec<_> = rows.into_iter().map(|mut row| row.string().unwrap()).collect();
    assert_eq!(order, ["B", "_", "a", "a-b", "ab"]);
}
