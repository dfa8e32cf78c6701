//! Statements with arguments, for whichever engine is behind.

use std::{fmt::Display, str::FromStr};

use segue_model::Micros;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type, postgres::PgRow, sqlite::SqliteRow};

use crate::StoreError;

/// An argument of a statement: there are two types, and NULL.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Int(i64),
    Text(String),
    NullInt,
    NullText,
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}
impl From<u64> for Arg {
    /// Saturates: no count of this program comes near 2^63.
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}
impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}
impl From<Micros> for Arg {
    fn from(value: Micros) -> Self {
        Self::Int(value.0)
    }
}
impl From<Option<Micros>> for Arg {
    fn from(value: Option<Micros>) -> Self {
        value.map_or(Self::NullInt, Self::from)
    }
}
impl From<Option<u32>> for Arg {
    fn from(value: Option<u32>) -> Self {
        value.map_or(Self::NullInt, Self::from)
    }
}
impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl From<Option<String>> for Arg {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::NullText, Self::Text)
    }
}

/// An id, a hash, or whatever else the store keeps as text.
pub(crate) fn text(value: impl Display) -> Arg {
    Arg::Text(value.to_string())
}

macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::sql::Arg::from($value)),*] };
}
pub(crate) use args;

/// A row of a result, read from left to right.
#[derive(Debug)]
pub(crate) struct Row {
    cells: Cells,
    next: usize,
}

#[derive(Debug)]
enum Cells {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self { cells: Cells::Sqlite(row), next: 0 }
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self { cells: Cells::Postgres(row), next: 0 }
    }
}

impl Row {
    fn get<'r, T>(&'r mut self) -> Result<T, StoreError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        let column = self.next;
        self.next += 1;
        let value = match &self.cells {
            Cells::Sqlite(row) => row.try_get(column),
            Cells::Postgres(row) => row.try_get(column),
        };
        value.map_err(|err| StoreError::inconsistent(format!("column {column}: {err}")))
    }

    pub(crate) fn int(&mut self) -> Result<i64, StoreError> {
        self.get()
    }

    pub(crate) fn opt_int(&mut self) -> Result<Option<i64>, StoreError> {
        self.get()
    }

    pub(crate) fn count(&mut self) -> Result<u64, StoreError> {
        let value = self.int()?;
        u64::try_from(value).map_err(|_| StoreError::inconsistent(format!("count {value}")))
    }

    pub(crate) fn small(&mut self) -> Result<u32, StoreError> {
        let value = self.int()?;
        u32::try_from(value).map_err(|_| StoreError::inconsistent(format!("number {value}")))
    }

    pub(crate) fn opt_small(&mut self) -> Result<Option<u32>, StoreError> {
        let Some(value) = self.opt_int()? else { return Ok(None) };
        let small = u32::try_from(value).ok();
        small.map(Some).ok_or_else(|| StoreError::inconsistent(format!("number {value}")))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, StoreError> {
        Ok(self.int()? != 0)
    }

    pub(crate) fn time(&mut self) -> Result<Micros, StoreError> {
        self.int().map(Micros)
    }

    pub(crate) fn opt_time(&mut self) -> Result<Option<Micros>, StoreError> {
        Ok(self.opt_int()?.map(Micros))
    }

    pub(crate) fn string(&mut self) -> Result<String, StoreError> {
        self.get()
    }

    pub(crate) fn opt_string(&mut self) -> Result<Option<String>, StoreError> {
        self.get()
    }

    pub(crate) fn parsed<T: FromStr>(&mut self) -> Result<T, StoreError>
    where
        T::Err: Display,
    {
        let text = self.string()?;
        text.parse().map_err(|err| StoreError::inconsistent(format!("{text:?}: {err}")))
    }

    /// Where nothing is kept as an empty text.
    pub(crate) fn parsed_unless_empty<T: FromStr>(&mut self) -> Result<Option<T>, StoreError>
    where
        T::Err: Display,
    {
        let text = self.string()?;
        let parse = |text: &String| {
            text.parse().map_err(|err| StoreError::inconsistent(format!("{text:?}: {err}")))
        };
        Some(text).filter(|text| !text.is_empty()).as_ref().map(parse).transpose()
    }

    pub(crate) fn opt_parsed<T: FromStr>(&mut self) -> Result<Option<T>, StoreError>
    where
        T::Err: Display,
    {
        let parse = |text: String| {
            text.parse().map_err(|err| StoreError::inconsistent(format!("{text:?}: {err}")))
        };
        self.opt_string()?.map(parse).transpose()
    }
}

/// Too few arguments would silently be NULL on SQLite.
pub(crate) fn check(statement: &'static str, args: &[Arg]) -> Result<(), StoreError> {
    let taken = statement
        .split('$')
        .skip(1)
        .filter_map(|rest| {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            rest[..digits].parse::<usize>().ok()
        })
        .max()
        .unwrap_or(0);
    if taken == args.len() {
        Ok(())
    } else {
        Err(StoreError::Arguments { statement, given: args.len(), taken })
    }
}
