//! The record of what was done, by whom.
//!
//! An entry is written in the transaction that does what it tells, as its last statement: there is none without
//! the other, and whoever waits for the record holds all else already.

use ring::digest::{SHA256, digest};
use segue_access::Principal;
use segue_store::{
    StoreError, Tx, read_admin,
    write::{
        audit::{self, Entry},
        settings,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{ControlPlane, Error, exports::text, seal::hex};

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    ConnectionCreate,
    ConnectionUpdate,
    ConnectionDelete,
    KeysRotate,
    ListCreate,
    SourceCreate,
    SourceUpdate,
    SourceDelete,
    ExportCreate,
    ExportUpdate,
    ExportSettle,
    ExportDetach,
    ExportDelete,
    RunStart,
    RunCancel,
    ScheduleSet,
    TokenCreate,
    TokenRevoke,
    JobRequeue,
    JobDrop,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::ConnectionCreate => "connection.create",
            Self::ConnectionUpdate => "connection.update",
            Self::ConnectionDelete => "connection.delete",
            Self::KeysRotate => "keys.rotate",
            Self::ListCreate => "list.create",
            Self::SourceCreate => "source.create",
            Self::SourceUpdate => "source.update",
            Self::SourceDelete => "source.delete",
            Self::ExportCreate => "export.create",
            Self::ExportUpdate => "export.update",
            Self::ExportSettle => "export.settle_columns",
            Self::ExportDetach => "export.detach",
            Self::ExportDelete => "export.delete",
            Self::RunStart => "run.start",
            Self::RunCancel => "run.cancel",
            Self::ScheduleSet => "schedule.set",
            Self::TokenCreate => "token.create",
            Self::TokenRevoke => "token.revoke",
            Self::JobRequeue => "job.requeue",
            Self::JobDrop => "job.drop",
        }
    }
}

/// Whether the record is as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCheck {
    pub entries: u64,
    /// The first entry that is not as it was written, and what is wrong.
    pub broken: Option<(u64, String)>,
    /// Of the last entry.
    pub last_hash: String,
}

/// The last row, as it is kept beside the rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Head {
    seq: u64,
    hash: String,
}

/// Entries that are read at a time.
const SOME: u32 = 1000;

/// Writes down what `by` did to `object`. The last statement of a transaction.
pub(crate) async fn note(
    tx: &mut Tx,
    by: &Principal,
    action: Action,
    object: impl ToString,
    detail: &Value,
) -> Result<(), Error> {
    let head: Head = parse(&settings::lock(tx, audit::HEAD).await?)?;
    let mut entry = Entry {
        seq: head.seq + 1,
        at: tx.now(),
        subject: by.subject.to_string(),
        name: by.name.clone(),
        action: action.name().to_owned(),
        object: object.to_string(),
        detail: detail.to_string(),
        hash: String::new(),
    };
    entry.hash = hash(&head.hash, &entry);
    audit::append(tx, &entry).await?;
    let head = Head { seq: entry.seq, hash: entry.hash };
    Ok(settings::set(tx, audit::HEAD, &text(&head)?).await?)
}

/// The fields that differ, of two things that were written as JSON objects.
pub(crate) fn changes(before: &impl Serialize, after: &impl Serialize) -> Result<Value, Error> {
    let (mut before, mut after) = (object(before)?, object(after)?);
    before.retain(|field, was| match after.get(field) {
        Some(is) if is == was => {
            after.remove(field);
            false
        }
        _ => true,
    });
    Ok(json!({ "before": before, "after": after }))
}

fn object(value: &impl Serialize) -> Result<Map<String, Value>, Error> {
    parse(&text(value)?)
}

fn parse<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Error> {
    let damaged = |err| StoreError::Inconsistent { what: format!("the audit record: {err}") };
    Ok(serde_json::from_str(text).map_err(damaged)?)
}

fn hash(before: &str, entry: &Entry) -> String {
    // Destructured, so that a field that is added cannot be forgotten. JSON says where each ends.
    let Entry { seq, at, subject, name, action, object, detail, hash: _ } = entry;
    let all = json!([before, seq, at.0, subject, name, action, object, detail]).to_string();
    hex(digest(&SHA256, all.as_bytes()).as_ref())
}

impl ControlPlane {
    /// At most `most` entries before `before`, the newest first. `object`: only what was done to it; empty: all.
    pub async fn audit(
        &self,
        before: Option<u64>,
        object: &str,
        most: u32,
    ) -> Result<Vec<Entry>, Error> {
        let before = before.unwrap_or(u64::MAX);
        Ok(read_admin::audit(&self.store, before, object, most).await?)
    }

    /// Reads the whole record. Entries that are added meanwhile may be left out.
    pub async fn check_audit(&self) -> Result<AuditCheck, Error> {
        let kept = read_admin::setting(&self.store, audit::HEAD).await?;
        let head: Head = parse(&kept.unwrap_or_else(|| "null".to_owned()))?;
        let mut last = Head::default();
        loop {
            let some = read_admin::audit_from(&self.store, last.seq, SOME).await?;
            if some.is_empty() {
                break;
            }
            for entry in some {
                if let Some(words) = wrong(&last, &entry) {
                    let broken = Some((entry.seq, words.to_owned()));
                    return Ok(AuditCheck { entries: last.seq, broken, last_hash: last.hash });
                }
                if entry.seq == head.seq && entry.hash != head.hash {
                    let words = "it is not the entry that was the last one".to_owned();
                    let broken = Some((entry.seq, words));
                    return Ok(AuditCheck { entries: last.seq, broken, last_hash: last.hash });
                }
                last = Head { seq: entry.seq, hash: entry.hash };
            }
        }
        let cut = (last.seq < head.seq).then(|| {
            let words = format!("the entries from here to {} are missing", head.seq);
            (last.seq + 1, words)
        });
        Ok(AuditCheck { entries: last.seq, broken: cut, last_hash: last.hash })
    }
}

fn wrong(last: &Head, entry: &Entry) -> Option<&'static str> {
    if entry.seq != last.seq + 1 {
        return Some("entries before it are missing");
    }
    (hash(&last.hash, entry) != entry.hash).then_some("it, or the one before it, was changed")
}
