//! Report records of a run in the order of the source.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    io::Cursor,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use segue_model::Position;
use segue_staging::{InvalidRecord, Key, Record, Staging, read};
use serde::de::DeserializeOwned;

/// Merges report objects, each of which is in the order of the source. An object is read only when its
/// first record is due, so few are in memory at a time. Blocking.
pub(super) struct Merged<R> {
    staging: Staging,
    /// First position and key of those that are still closed, last due first.
    closed: Vec<(Position, Key)>,
    open: BinaryHeap<Reverse<Open<R>>>,
}

struct Open<R> {
    head: Record<R>,
    rest: Box<dyn Iterator<Item = Result<Record<R>, InvalidRecord>> + Send>,
}

impl<R: DeserializeOwned + Send + 'static> Merged<R> {
    pub(super) fn new(staging: Staging, names: &[String]) -> anyhow::Result<Self> {
        let mut closed = Vec::with_capacity(names.len());
        for name in names {
            let key: Key = name.parse().context("the store names a report that cannot be")?;
            if let Some(open) = Open::<R>::read(&staging, &key)? {
                closed.push((position(&open.head), key));
            }
        }
        closed.sort_by_key(|(first, _)| Reverse(*first));
        Ok(Self { staging, closed, open: BinaryHeap::new() })
    }

    /// The next record; `None` behind the last.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Record<R>>> {
        while let Some((first, key)) = self.closed.last() {
            if self.open.peek().is_some_and(|Reverse(open)| position(&open.head) < *first) {
                break;
            }
            if let Some(open) = Open::read(&self.staging, key)? {
                self.open.push(Reverse(open));
            }
            self.closed.pop();
        }
        let Some(Reverse(mut due)) = self.open.pop() else { return Ok(None) };
        let Some(next) = due.rest.next() else { return Ok(Some(due.head)) };
        let head = std::mem::replace(&mut due.head, next?);
        self.open.push(Reverse(due));
        Ok(Some(head))
    }
}

impl<R: DeserializeOwned + Send + 'static> Open<R> {
    fn read(staging: &Staging, key: &Key) -> anyhow::Result<Option<Self>> {
        let Some(bytes): Option<Bytes> = staging.get(key)? else {
            bail!("the report {key} is gone");
        };
        let mut rest = read::<R>(Cursor::new(bytes));
        match rest.next() {
            Some(head) => Ok(Some(Self { head: head?, rest: Box::new(rest) })),
            None => Ok(None),
        }
    }
}

pub(super) fn position<R>(record: &Record<R>) -> Position {
    Position { object: record.object, row: record.row }
}

impl<R> PartialEq for Open<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<R> Eq for Open<R> {}
impl<R> PartialOrd for Open<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<R> Ord for Open<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        position(&self.head).cmp(&position(&other.head))
    }
}
