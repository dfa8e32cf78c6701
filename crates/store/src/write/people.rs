//! People whom an identity provider vouched for, as they were seen last.

use crate::{StoreError, Tx, sql::args};

/// Who may do what is not decided here, so its words are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub subject: String,
    pub name: String,
    pub role: String,
}

pub async fn seen(tx: &mut Tx, person: &Person) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO people (subject, name, role, seen_us) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (subject) DO UPDATE SET name = EXCLUDED.name, role = EXCLUDED.role, \
         seen_us = EXCLUDED.seen_us";
    let Person { subject, name, role } = person;
    let now = tx.now();
    tx.execute(SQL, args![subject.as_str(), name.as_str(), role.as_str(), now]).await?;
    Ok(())
}

/// `None`: nobody was seen who is that.
pub async fn find(tx: &mut Tx, subject: &str) -> Result<Option<Person>, StoreError> {
    let row = tx.row(FIND, args![subject]).await?;
    row.map(decode).transpose()
}

pub(crate) const FIND: &str = "SELECT subject, name, role FROM people WHERE subject = $1";

pub(crate) fn decode(mut row: crate::sql::Row) -> Result<Person, StoreError> {
    Ok(Person { subject: row.string()?, name: row.string()?, role: row.string()? })
}
