//! What only PostgreSQL has: several writers, a clock of its own, roles, connections that break.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use segue_model::RunId;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Engine, Fixture, new_run, run_id};
use crate::{
    Schema, Store, StoreError, SystemClock, Tx, read,
    sql::args,
    test_util::TestDatabase,
    write::{answers, runs},
};

const LONG: Duration = Duration::from_secs(20);

async fn fixture() -> Fixture {
    Fixture::new(Engine::Postgres).await
}

async fn two_runs(fixture: &Fixture) -> [RunId; 2] {
    let runs = [1, 2].map(run_id);
    let mut tx = fixture.tx().await;
    for run in runs {
        runs::create(&mut tx, &new_run(run)).await.unwrap();
    }
    tx.commit().await.unwrap();
    runs
}

async fn lock(tx: &mut Tx, run: RunId) -> Result<(), StoreError> {
    runs::lock(tx, run).await?.map(drop).ok_or(StoreError::Lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlock_is_tried_again_and_both_get_through() {
    let fixture = fixture().await;
    let [a, b] = two_runs(&fixture).await;
    let (both_have_one, tries) = (tokio::sync::Barrier::new(2), AtomicU32::new(0));
    let in_order = async |first: RunId, second: RunId, again: bool| -> Result<(), StoreError> {
        tries.fetch_add(1, Ordering::SeqCst);
        let mut tx = fixture.store.begin().await?;
        lock(&mut tx, first).await?;
        if !again {
            both_have_one.wait().await;
        }
        lock(&mut tx, second).await?;
        runs::add_profiles(&mut tx, second, 1).await?;
        tx.commit().await
    };
    let one = async |first: RunId, second: RunId| {
        let again = AtomicBool::new(false);
        let transaction = || in_order(first, second, again.swap(true, Ordering::SeqCst));
        fixture.store.retry("test", transaction).await
    };
    let (first, second) =
        timeout(LONG, async { tokio::join!(one(a, b), one(b, a)) }).await.unwrap();
    first.unwrap();
    second.unwrap();
    assert_eq!(tries.load(Ordering::SeqCst), 3, "one of the two had to try again");
    let mut tx = fixture.tx().await;
    for run in [a, b] {
        assert_eq!(runs::add_profiles(&mut tx, run, 0).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn other_errors_are_not_tried_again() {
    let fixture = fixture().await;
    let [run, _] = two_runs(&fixture).await;
    let tries = AtomicU32::new(0);
    let transaction = || async {
        tries.fetch_add(1, Ordering::SeqCst);
        let mut tx = fixture.store.begin().await?;
        runs::create(&mut tx, &new_run(run)).await
    };
    let err = fixture.store.retry("test", transaction).await.unwrap_err();
    assert!(!err.is_conflict(), "{err}");
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_transaction_lets_go_of_its_rows_although_nobody_begins_another() {
    let fixture = fixture().await;
    let [run, _] = two_runs(&fixture).await;
    let (mut holds, mut waits) = (fixture.tx().await, fixture.tx().await);
    lock(&mut holds, run).await.unwrap();
    let (locked, ()) = tokio::join!(timeout(LONG, lock(&mut waits, run)), async {
        fixture.until_one_waits().await;
        drop(holds);
    });
    locked.expect("the row is locked still").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statement_that_nobody_waits_for_any_more_leaves_the_store_usable() {
    let fixture = fixture().await;
    let [run, other] = two_runs(&fixture).await;
    let mut holds = fixture.tx().await;
    lock(&mut holds, run).await.unwrap();
    // More often than there are connections.
    for _ in 0..10 {
        let mut tx = fixture.tx().await;
        tokio::select! {
            locked = lock(&mut tx, run) => panic!("{locked:?}"),
            () = fixture.until_one_waits() => {}
        }
        drop(tx);
    }
    let mut tx = timeout(LONG, fixture.tx()).await.expect("no connection is left");
    lock(&mut tx, other).await.unwrap();
    holds.commit().await.unwrap();
    timeout(LONG, lock(&mut tx, run)).await.expect("somebody holds the row").unwrap();
}

#[tokio::test]
async fn ninth_writer_waits_for_one_of_eight() {
    let fixture = fixture().await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(fixture.tx().await);
    }
    let mut ninth = Box::pin(fixture.store.begin());
    let waits = timeout(Duration::from_millis(50), &mut ninth).await;
    assert!(waits.is_err(), "there is a ninth connection");
    open.pop().unwrap().commit().await.unwrap();
    timeout(LONG, ninth).await.expect("it waits although there is a place").unwrap();
}

#[tokio::test]
async fn connections_that_broke_while_they_were_idle_are_made_anew() {
    let fixture = fixture().await;
    let [run, _] = two_runs(&fixture).await;
    assert_eq!(read::unfinished(&fixture.store).await.unwrap().len(), 2);
    drop((fixture.tx().await, fixture.tx().await));
    end_connections(&fixture.database).await;
    assert_eq!(read::unfinished(&fixture.store).await.unwrap().len(), 2);
    assert!(read::progress(&fixture.store, run).await.unwrap().is_some());
    let mut txs = [fixture.tx().await, fixture.tx().await];
    lock(&mut txs[0], run).await.unwrap();
}

#[tokio::test]
async fn transaction_whose_connection_breaks_fails_and_the_next_one_does_not() {
    let fixture = fixture().await;
    let [run, _] = two_runs(&fixture).await;
    let mut tx = fixture.tx().await;
    lock(&mut tx, run).await.unwrap();
    end_connections(&fixture.database).await;
    lock(&mut tx, run).await.unwrap_err();
    assert!(matches!(lock(&mut tx, run).await.unwrap_err(), StoreError::Lost));
    tx.commit().await.unwrap_err();
    let mut tx = fixture.tx().await;
    lock(&mut tx, run).await.unwrap();
}

/// As when the server starts again.
async fn end_connections(database: &TestDatabase) {
    const SQL: &str = "SELECT CAST(count(pg_terminate_backend(pid, 5000)) AS BIGINT) \
         FROM pg_stat_activity WHERE application_name = $1";
    let other = TestDatabase::new(Engine::Postgres).await;
    let store = other.store_with_its_clock().await;
    store.read(SQL, args![database.schema().unwrap()]).await.unwrap();
}

async fn database_now(tx: &mut Tx) -> segue_model::Micros {
    const SQL: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
    tx.row(SQL, &[]).await.unwrap().unwrap().time().unwrap()
}

#[tokio::test]
async fn clock_of_the_database_decides_and_is_never_run_ahead_of() {
    let database = TestDatabase::new(Engine::Postgres).await;
    let store = database.store_with_its_clock().await;
    let mut tx = store.begin().await.unwrap();
    for _ in 0..50 {
        let before = database_now(&mut tx).await;
        let now = tx.now();
        let after = database_now(&mut tx).await;
        assert!(now <= after, "{now:?} is ahead of {after:?}");
        // Behind by the trip of one answer: not by what the transaction has taken.
        assert!(before - Duration::from_secs(2) < now, "{now:?} stands still at {before:?}");
    }
}

/// Pace depends on it: the time of a permit is taken behind the lock of its lane.
#[tokio::test]
async fn time_that_a_transaction_waits_for_a_row_has_passed_on_its_clock() {
    const HELD: Duration = Duration::from_millis(300);
    let database = TestDatabase::new(Engine::Postgres).await;
    let store = database.store_with_its_clock().await;
    let (mut first, mut second) = (store.begin().await.unwrap(), store.begin().await.unwrap());
    let began = second.now();
    answers::remember(&mut first, "row", "a").await.unwrap();
    let (waited, ()) = tokio::join!(answers::remember(&mut second, "row", "b"), async {
        tokio::time::sleep(HELD).await;
        first.commit().await.unwrap();
    });
    waited.unwrap();
    assert!(second.now() >= began + HELD);
}

/// As `Store::connect_read_only` says that the role is to be made.
#[tokio::test]
async fn role_that_may_only_select_reads_all_but_keys_and_writes_nothing() {
    let database = TestDatabase::new(Engine::Postgres).await;
    let store = database.store_with_its_clock().await;
    let mut tx = store.begin().await.unwrap();
    runs::create(&mut tx, &new_run(run_id(1))).await.unwrap();
    tx.commit().await.unwrap();
    let role = Role::new(&database, &store).await;

    let reader = Store::connect_read_only(&role.url).await.unwrap();
    assert_eq!(read::unfinished(&reader).await.unwrap(), [run_id(1)]);
    assert!(read::progress(&reader, run_id(1)).await.unwrap().is_some());
    assert!(read::report(&reader, run_id(1)).await.unwrap().is_some());
    let words = failure(reader.read("SELECT sealed_key FROM connections", &[]).await.unwrap_err());
    assert!(words.contains("permission denied"), "{words}");
    let words = failure(reader.read("DELETE FROM runs", &[]).await.unwrap_err());
    assert!(words.contains("read-only"), "{words}");

    // It is the role that may not, whatever the connection says of itself.
    let clock = std::sync::Arc::new(SystemClock::start());
    let writer = Store::connect(&role.url, Schema::Expect, clock).await.unwrap();
    let mut tx = writer.begin().await.unwrap();
    let words = failure(runs::create(&mut tx, &new_run(run_id(2))).await.unwrap_err());
    assert!(words.contains("permission denied"), "{words}");
    drop((tx, writer, reader));
    role.drop(&store).await;
}

fn failure(err: StoreError) -> String {
    match err {
        StoreError::Database { source, .. } => source.to_string(),
        other => panic!("{other}"),
    }
}

struct Role {
    name: String,
    url: String,
}

impl Role {
    async fn new(database: &TestDatabase, owner: &Store) -> Self {
        let name = format!("segue_test_{}", Uuid::new_v4().simple());
        let schema = database.schema().unwrap();
        run(
            owner,
            format!(
                "CREATE ROLE {name} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA {schema} TO {name}; \
                 GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}; \
                 REVOKE SELECT ON connections FROM {name}"
            ),
        )
        .await;
        let (protocol, rest) = database.url().split_once("://").unwrap();
        let (_, rest) = rest.split_once('@').unwrap();
        Self { url: format!("{protocol}://{name}:secret@{rest}"), name }
    }

    async fn drop(self, owner: &Store) {
        run(owner, format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name)).await;
    }
}

async fn run(store: &Store, statements: String) {
    let mut tx = store.begin().await.unwrap();
    for statement in statements.split("; ") {
        let statement: &'static str = Box::leak(statement.to_owned().into_boxed_str());
        tx.execute(statement, &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn who_cannot_be_reached_is_named_without_the_password() {
    let clock = || std::sync::Arc::new(SystemClock::start());
    let url = "postgres://somebody:hunter2@127.0.0.1:1/nowhere";
    let err = Store::connect(url, Schema::Expect, clock()).await.unwrap_err();
    assert_eq!(
        err.to_string(),
        "cannot connect with the database nowhere at 127.0.0.1:1 as somebody"
    );
    assert!(!format!("{err:?}").contains("hunter2"));
    for url in ["postgres://somebody:hunter2@[::1/x", "mysql://somebody:hunter2@127.0.0.1/x"] {
        let err = Store::connect(url, Schema::Expect, clock()).await.unwrap_err();
        assert!(!format!("{err} {err:?}").contains("hunter2"), "{err:?}");
    }
}

#[tokio::test]
async fn store_does_not_show_the_password() {
    let database = TestDatabase::new(Engine::Postgres).await;
    let url = database.url().replacen("postgres@", "postgres:hunter2@", 1);
    let clock = std::sync::Arc::new(SystemClock::start());
    let store = Store::connect(&url, Schema::Migrate, clock).await.unwrap();
    let shown = format!("{store:?}");
    assert!(shown.contains("127.0.0.1") && !shown.contains("hunter2"), "{shown}");
}
