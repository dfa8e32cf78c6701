//! The truth, in SQL: one set of statements, TEXT and BIGINT only, for SQLite and PostgreSQL.
//!
//! [`Store::begin`] opens a writing transaction; the functions of [`write`] work on it and the caller
//! commits. Nothing here decides: rules live in `segue-model`, the control-plane applies them.
//! [`read`] has the views from which progress and reports are made; a [`Reader`] is enough for it.
//!
//! **Invariant:** the only crate that names `sqlx`.

mod address;
mod clock;
mod conn;
mod error;
mod migrate;
mod pool;
pub mod read;
pub mod read_admin;
mod sql;
mod store;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;
#[cfg(test)]
mod tests;
mod tx;
pub mod write;

#[cfg(any(test, feature = "test-util"))]
pub use clock::ManualClock;
pub use clock::{Clock, SystemClock};
pub use error::StoreError;
pub use migrate::Schema;
pub use store::{Reader, Store};
pub use tx::Tx;
