//! What the statements run in.

use std::{sync::Arc, time::Instant};

use segue_model::Micros;

use crate::{
    Clock, StoreError,
    pool::{Loan, Purpose},
    sql::{Arg, Row},
};

/// Several reads that see the same state of the database.
#[derive(Debug)]
pub(crate) struct View {
    loan: Loan,
}

impl View {
    pub(crate) async fn begin(mut loan: Loan) -> Result<Self, StoreError> {
        loan.begin(Purpose::View).await?;
        Ok(Self { loan })
    }

    pub(crate) async fn rows(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<Vec<Row>, StoreError> {
        self.loan.session().fetch(statement, args).await
    }

    pub(crate) async fn row(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(statement, args).await?.into_iter().next())
    }

    /// The one row of an aggregate.
    pub(crate) async fn sums(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<Row, StoreError> {
        let row = self.row(statement, args).await?;
        row.ok_or_else(|| StoreError::inconsistent("an aggregate without a row"))
    }

    /// Lets go of what was seen. A view that is dropped instead lasts a little longer.
    pub(crate) async fn end(mut self) -> Result<(), StoreError> {
        self.loan.session().commit().await
    }
}

/// Where a transaction has its time from.
#[derive(Debug)]
enum Time {
    /// The clock of the store.
    Clock(Arc<dyn Clock>),
    /// What the database's clock showed when the transaction began, and when we heard of it.
    Database { began: Micros, heard: Instant },
}

/// A writing transaction. Dropped without [`Tx::commit`] it is undone.
#[derive(Debug)]
pub struct Tx {
    loan: Loan,
    time: Time,
}

impl Tx {
    /// `clock`: instead of the database's, if it has one.
    pub(crate) async fn begin(
        mut loan: Loan,
        clock: Option<&Arc<dyn Clock>>,
    ) -> Result<Self, StoreError> {
        let began = loan.begin(Purpose::Write).await?;
        let time = match (clock, began) {
            (Some(clock), _) => Time::Clock(Arc::clone(clock)),
            (None, Some(began)) => Time::Database { began, heard: Instant::now() },
            (None, None) => return Err(StoreError::inconsistent("a transaction without a time")),
        };
        Ok(Self { loan, time })
    }

    /// The store's clock. Ask it after what has to be locked is locked.
    ///
    /// On PostgreSQL it is the database's: what that showed when the transaction began, plus the time that
    /// has passed here since it was heard. So it is never ahead of the database's clock, and behind it by
    /// one trip of an answer at most. That is the side on which pace and leases are safe: an answer is
    /// not dated before it came, because the database was asked after it had come, and neither a permit
    /// nor a claim is taken for older than it is.
    pub fn now(&self) -> Micros {
        match &self.time {
            Time::Clock(clock) => clock.now(),
            Time::Database { began, heard } => *began + heard.elapsed(),
        }
    }

    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.loan.session().commit().await
    }

    pub(crate) async fn execute(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<u64, StoreError> {
        self.loan.session().execute(statement, args).await
    }

    pub(crate) async fn rows(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<Vec<Row>, StoreError> {
        self.loan.session().fetch(statement, args).await
    }

    pub(crate) async fn row(
        &mut self,
        statement: &'static str,
        args: &[Arg],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(statement, args).await?.into_iter().next())
    }
}
