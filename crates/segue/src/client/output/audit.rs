use segue_proto::v1;
use serde::Serialize;
use serde_json::Value;

use super::{Shown, time};

#[derive(Serialize)]
pub(in crate::client) struct AuditEntry {
    seq: u64,
    at: Option<String>,
    subject: String,
    display_name: String,
    action: String,
    object_id: String,
    detail: Value,
    hash: String,
}

impl From<v1::AuditEntry> for AuditEntry {
    fn from(entry: v1::AuditEntry) -> Self {
        // Of a later version it may be something else.
        let detail = serde_json::from_str(&entry.detail).unwrap_or(Value::String(entry.detail));
        Self {
            seq: entry.seq,
            at: time(entry.at),
            subject: entry.subject,
            display_name: entry.display_name,
            action: entry.action,
            object_id: entry.object_id,
            detail,
            hash: entry.hash,
        }
    }
}

impl Shown for AuditEntry {
    const COLUMNS: &'static [&'static str] = &["SEQ", "AT", "WHO", "ACTION", "OBJECT", "DETAIL"];

    fn cells(&self) -> Vec<String> {
        let Self { seq, at, subject, display_name, action, object_id, detail, hash: _ } = self;
        let at = at.clone().unwrap_or_default();
        let who = format!("{display_name} ({subject})");
        vec![seq.to_string(), at, who, action.clone(), object_id.clone(), detail.to_string()]
    }
}

/// How it stands with the whole record.
#[derive(Serialize)]
pub(in crate::client) struct AuditState {
    entries: u64,
    broken_seq: u64,
    problem: String,
    last_hash: String,
}

impl From<v1::VerifyAuditResponse> for AuditState {
    fn from(reply: v1::VerifyAuditResponse) -> Self {
        let v1::VerifyAuditResponse { entries, broken_seq, problem, last_hash } = reply;
        Self { entries, broken_seq, problem, last_hash }
    }
}

impl Shown for AuditState {
    const COLUMNS: &'static [&'static str] = &["ENTRIES", "PROBLEM", "LAST HASH"];

    fn cells(&self) -> Vec<String> {
        let problem = if self.problem.is_empty() { "none" } else { &self.problem };
        vec![self.entries.to_string(), problem.to_owned(), self.last_hash.clone()]
    }
}

#[derive(Serialize)]
pub(in crate::client) struct Rotated {
    resealed: u32,
    current: u32,
    unreadable_connection_ids: Vec<String>,
    /// Keys that are kept elsewhere, so that no master key seals them.
    elsewhere: u32,
}

impl From<v1::RotateKeysResponse> for Rotated {
    fn from(reply: v1::RotateKeysResponse) -> Self {
        let v1::RotateKeysResponse { resealed, current, unreadable_connection_ids, elsewhere } =
            reply;
        Self { resealed, current, unreadable_connection_ids, elsewhere }
    }
}

impl Shown for Rotated {
    const COLUMNS: &'static [&'static str] =
        &["SEALED ANEW", "AS THEY WERE", "KEPT ELSEWHERE", "UNREADABLE"];

    fn cells(&self) -> Vec<String> {
        let unreadable = self.unreadable_connection_ids.join(" ");
        vec![
            self.resealed.to_string(),
            self.current.to_string(),
            self.elsewhere.to_string(),
            unreadable,
        ]
    }
}
