use std::{
    hash::BuildHasher as _, hash::RandomState, ops::Deref, path::Path, sync::Arc, time::Duration,
};

use crate::{
    Clock, StoreError, Tx,
    address::Address,
    migrate::{self, Schema},
    pool::Pool,
    sql,
    tx::View,
};

/// SQLite takes one writer at a time, so there is one writing connection and a queue before it; reading has
/// a connection of its own, which in WAL mode waits for nobody.
const ON_SQLITE: Sizes = Sizes { writers: 1, readers: 1 };
/// PostgreSQL serves many, and each connection costs it a process: what one control-plane needs at once.
const ON_POSTGRES: Sizes = Sizes { writers: 8, readers: 4 };

struct Sizes {
    writers: usize,
    readers: usize,
}

/// A database, to be looked at. Clones share it. The functions of [`crate::read`] take it, or a [`Store`].
#[derive(Debug, Clone)]
pub struct Reader {
    readers: Arc<Pool>,
}

/// A database, to be looked at and written to. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    reader: Reader,
    writers: Arc<Pool>,
    /// `None`: the database's own.
    clock: Option<Arc<dyn Clock>>,
}

impl Deref for Store {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl Store {
    /// Opens or makes an SQLite database and brings its schema up to date. A commit is on the disk when it
    /// returns (`synchronous=FULL`).
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::build(Address::file(path), Schema::Migrate, Some(clock)).await
    }

    /// Connects with the database at `url`: `sqlite:///path`, as [`Store::open`] does, or
    /// `postgres://user:password@host:port/database`, with up to 8 connections to write and 4 to read.
    ///
    /// One clock decides: on SQLite, which one process has for itself, `clock`; on PostgreSQL, which several
    /// share, the database's.
    pub async fn connect(
        url: &str,
        schema: Schema,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        let clock = matches!(address, Address::Sqlite { .. }).then_some(clock);
        Self::build(address, schema, clock).await
    }

    /// As [`Store::connect`], but `clock` decides on PostgreSQL too.
    #[cfg(any(test, feature = "test-util"))]
    pub async fn connect_with_clock(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::build(Address::parse(url)?, Schema::Migrate, Some(clock)).await
    }

    /// Connects to look only: whatever the role may do, the database refuses to write. Of the schema it
    /// needs the version that this program knows. On PostgreSQL a role is enough that may select:
    ///
    /// ```sql
    /// CREATE ROLE segue_status LOGIN PASSWORD '…';
    /// GRANT USAGE ON SCHEMA public TO segue_status;
    /// GRANT SELECT ON ALL TABLES IN SCHEMA public TO segue_status;
    /// -- Tables that a later version makes; to be run as the role that migrates:
    /// ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO segue_status;
    /// -- Nobody who reads progress needs the sealed keys:
    /// REVOKE SELECT ON connections FROM segue_status;
    /// ```
    pub async fn connect_read_only(url: &str) -> Result<Reader, StoreError> {
        let address = Address::parse(url)?.read_only();
        let mut first = address.connect().await?;
        migrate::prepare(&mut first, Schema::Expect).await?;
        let sizes = sizes(&address);
        Ok(Reader { readers: Pool::new(address, sizes.readers, Some(first)) })
    }

    /// Brings the schema of the database at `url` up to date.
    pub async fn migrate(url: &str) -> Result<(), StoreError> {
        let mut conn = Address::parse(url)?.connect().await?;
        migrate::prepare(&mut conn, Schema::Migrate).await
    }

    async fn build(
        address: Address,
        schema: Schema,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, StoreError> {
        let mut first = address.connect().await?;
        migrate::prepare(&mut first, schema).await?;
        let Sizes { writers, readers } = sizes(&address);
        let reader = Reader { readers: Pool::new(address.clone(), readers, None) };
        Ok(Self { reader, writers: Pool::new(address, writers, Some(first)), clock })
    }

    /// Begins a writing transaction. On SQLite there is one at a time, and this waits for it; on PostgreSQL
    /// several lock the rows that they touch (read committed: each statement sees what was committed when it
    /// began, and one that waited for a row sees that row as it is then).
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Tx::begin(self.writers.take().await?, self.clock.as_ref()).await
    }

    /// Does `transaction`, which begins and commits a transaction of its own, and does it again if it was
    /// undone because another was in its way (a deadlock, which PostgreSQL ends after a second). Any other
    /// error is the caller's. What is done apart from the transaction is done again too, so it has to bear
    /// that. `what` names it in the log and in the metric `segue_store_conflicts_total`.
    ///
    /// ```ignore
    /// pub async fn cancel(&self, run: RunId) -> Result<bool, Error> {
    ///     self.store.retry("cancel", || self.try_cancel(run)).await
    /// }
    /// ```
    pub async fn retry<T, E, F>(
        &self,
        what: &'static str,
        mut transaction: impl FnMut() -> F,
    ) -> Result<T, E>
    where
        E: std::error::Error + 'static,
        F: Future<Output = Result<T, E>>,
    {
        for failures in 1..=MOST_CONFLICTS {
            match transaction().await {
                Err(err) if is_conflict(&err) => {
                    metrics::counter!("segue_store_conflicts_total", "transaction" => what)
                        .increment(1);
                    tracing::debug!(transaction = what, failures, "conflict, tried again");
                    tokio::time::sleep(jitter(failures)).await;
                }
                done => return done,
            }
        }
        transaction().await
    }
}

/// So often in a row a transaction is undone and tried again.
const MOST_CONFLICTS: u32 = 5;

/// Whether a [`StoreError`] in the chain of `err` says that two transactions were in each other's way.
fn is_conflict(err: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(err), |err| err.source())
        .filter_map(|err| err.downcast_ref::<StoreError>())
        .any(StoreError::is_conflict)
}

/// Up to 10, 20, 40 … ms, so that those who met do not meet again.
fn jitter(failures: u32) -> Duration {
    let ceiling = 10_000_u64 << failures.min(8);
    // A hasher has keys of its own: random enough for this.
    Duration::from_micros(RandomState::new().hash_one(failures) % ceiling)
}

fn sizes(address: &Address) -> Sizes {
    match address {
        Address::Sqlite { .. } => ON_SQLITE,
        Address::Postgres(_) => ON_POSTGRES,
    }
}

impl Reader {
    /// Begins to read: whatever is committed meanwhile, all that is read shows one moment.
    pub(crate) async fn view(&self) -> Result<View, StoreError> {
        View::begin(self.readers.take().await?).await
    }

    /// A single read.
    pub(crate) async fn read(
        &self,
        statement: &'static str,
        args: &[sql::Arg],
    ) -> Result<Vec<sql::Row>, StoreError> {
        self.readers.take().await?.read(statement, args).await
    }
}
