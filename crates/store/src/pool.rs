//! Connections that wait for work.

use std::sync::{Arc, Mutex, PoisonError};

use segue_model::Micros;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    StoreError,
    address::Address,
    conn::Conn,
    sql::{Arg, Row},
};

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Write,
    /// Several reads that show one moment.
    View,
}

/// A connection and whether a transaction may be open on it.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// `None`: it broke, or there never was one.
    conn: Option<Conn>,
    /// A transaction that was dropped half way is open until it is undone: its drop cannot wait for the engine.
    open: bool,
    /// A statement of the open transaction has failed.
    failed: bool,
    /// A statement is under way. If nobody waits for it any more, its answer is still to come.
    busy: bool,
}

impl Session {
    pub(crate) fn new(conn: Conn) -> Self {
        Self { conn: Some(conn), ..Self::default() }
    }

    fn is_lost(&self) -> bool {
        self.conn.is_none()
    }

    /// Begins a transaction. On PostgreSQL one that writes gets the time of the database's clock.
    async fn begin(&mut self, purpose: Purpose) -> Result<Option<Micros>, StoreError> {
        /// The time is asked for in the same round trip, in microseconds.
        const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
             SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
        const VIEW: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.undo().await;
        self.open = true;
        self.failed = false;
        if self.conn.as_ref().is_some_and(Conn::is_postgres) {
            let text = if purpose == Purpose::Write { WRITE } else { VIEW };
            let answer = self.ask()?.batch(text).await;
            let row = self.heard(answer)?.into_iter().next();
            row.map(|mut row| row.time()).transpose()
        } else {
            let text = if purpose == Purpose::Write { "BEGIN IMMEDIATE" } else { "BEGIN" };
            let answer = self.ask()?.execute(text, &[]).await;
            self.heard(answer).map(|_| None)
        }
    }

    /// Undoes what a dropped transaction left.
    async fn undo(&mut self) {
        if !self.open {
            return;
        }
        // It fails if there is nothing to undo: the engine has undone it after an error of its own,
        // or whoever committed was dropped before it heard. If it fails for another reason, so does
        // what follows.
        let answer = match self.ask() {
            Ok(conn) => conn.execute("ROLLBACK", &[]).await,
            Err(err) => Err(err),
        };
        if let Err(err) = self.heard(answer) {
            tracing::debug!(error = %err, "no transaction to undo");
        }
        self.open = false;
    }

    /// Makes what was done last, and ends the transaction.
    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        if self.failed {
            // PostgreSQL would undo it and not call that an error.
            self.undo().await;
            return Err(StoreError::Undone);
        }
        let answer = self.ask()?.execute("COMMIT", &[]).await;
        self.heard(answer)?;
        self.open = false;
        Ok(())
    }

    pub(crate) async fn fetch(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<Vec<Row>, StoreError> {
        let answer = self.ask()?.fetch(statement, args).await;
        self.heard(answer)
    }

    pub(crate) async fn execute(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<u64, StoreError> {
        let answer = self.ask()?.execute(statement, args).await;
        self.heard(answer)
    }

    fn ask(&mut self) -> Result<&mut Conn, StoreError> {
        let conn = self.conn.as_mut().ok_or(StoreError::Lost)?;
        self.busy = true;
        Ok(conn)
    }

    fn heard<T>(&mut self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        self.busy = false;
        if let Err(err) = &answer {
            self.failed = true;
            if err.breaks_connection() {
                self.conn = None;
            }
        }
        answer
    }
}

/// A few connections with one database, each for one transaction at a time. Who comes first is served
/// first; the connection that was used last is used next, so that few are kept warm.
#[derive(Debug)]
pub(crate) struct Pool {
    address: Address,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
}

impl Pool {
    /// Up to `size` connections, of which `first` is there already.
    pub(crate) fn new(address: Address, size: usize, first: Option<Conn>) -> Arc<Self> {
        let idle = Mutex::new(first.map(Session::new).into_iter().collect());
        Arc::new(Self { address, places: Arc::new(Semaphore::new(size)), idle })
    }

    /// Waits for a place, and connects if no connection is idle.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Loan, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Lost)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match idle {
            Some(session) => session,
            None => Session::new(self.address.connect().await?),
        };
        Ok(Loan { session, pool: Arc::clone(self), place: Some(place) })
    }

    fn give_back(&self, session: Session) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}

/// A connection of a [`Pool`], which gets it back when this is dropped.
#[derive(Debug)]
pub(crate) struct Loan {
    session: Session,
    pool: Arc<Pool>,
    place: Option<OwnedSemaphorePermit>,
}

impl Loan {
    pub(crate) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    pub(crate) async fn begin(&mut self, purpose: Purpose) -> Result<Option<Micros>, StoreError> {
        match self.session.begin(purpose).await {
            // It had broken while it was idle, and nothing was done on it yet.
            Err(_) if self.session.is_lost() => {
                self.session = Session::new(self.pool.address.connect().await?);
                self.session.begin(purpose).await
            }
            began => began,
        }
    }

    /// A single read, without a transaction around it.
    pub(crate) async fn read(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<Vec<Row>, StoreError> {
        self.session.undo().await;
        match self.session.fetch(statement, args).await {
            Err(_) if self.session.is_lost() => {
                self.session = Session::new(self.pool.address.connect().await?);
                self.session.fetch(statement, args).await
            }
            read => read,
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut session = std::mem::take(&mut self.session);
        match &session.conn {
            None => return,
            Some(_) if !session.open && !session.busy => return self.pool.give_back(session),
            // Closing it undoes the transaction; nobody could say how long the statement takes.
            Some(Conn::Postgres(_)) if session.busy => return,
            Some(_) => {}
        }
        // Others are kept out until it is undone, and nobody may come by for long. Without a runtime
        // whoever comes next undoes it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.pool.give_back(session);
        };
        let (pool, place) = (Arc::clone(&self.pool), self.place.take());
        runtime.spawn(async move {
            session.undo().await;
            if !session.is_lost() {
                pool.give_back(session);
            }
            drop(place);
        });
    }
}
