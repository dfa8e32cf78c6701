use std::collections::BTreeSet;

use askama::Template;
use axum::response::Response;
use segue_proto::v1;
use serde_json::Value;

use crate::{
    caller::Caller,
    failure::Failure,
    form::{Form, address},
    page::{Chrome, Place, html},
    services::asking,
    shown::{Markup, grouped, timestamp, when_exactly},
};

/// Entries on a page.
const PAGE: i32 = 50;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    chrome: Chrome,
    entries: Vec<Entry>,
    object: String,
    older: Option<String>,
    is_first: bool,
    verified: Option<Verified>,
}

struct Entry {
    seq: String,
    at: Option<Markup>,
    name: String,
    subject: String,
    action: String,
    object: String,
    changes: Vec<Change>,
}

/// A field that is not what it was.
struct Change {
    field: String,
    before: String,
    after: String,
}

struct Verified {
    entries: String,
    problem: String,
    broken: String,
    last_hash: String,
}

pub(super) async fn list(caller: Caller, form: Form) -> Result<Response, Failure> {
    page(&caller, &form, None).await
}

async fn page(
    caller: &Caller,
    form: &Form,
    verified: Option<Verified>,
) -> Result<Response, Failure> {
    let object = form.text("object");
    let request = v1::ListAuditEntriesRequest {
        page_size: PAGE,
        page_token: form.text("page").to_owned(),
        object_id: object.to_owned(),
    };
    let found = caller.services.audit().list_audit_entries(asking(request)).await?.into_inner();
    let v1::ListAuditEntriesResponse { entries, next_page_token } = found;
    let older = (!next_page_token.is_empty())
        .then(|| address("/audit", &[("object", object), ("page", &next_page_token)]));
    html(&AuditPage {
        chrome: Chrome::new(caller, Place::Audit, "Audit").after(form),
        entries: entries.into_iter().map(entry).collect(),
        object: object.to_owned(),
        older,
        is_first: form.text("page").is_empty(),
        verified,
    })
}

fn entry(entry: v1::AuditEntry) -> Entry {
    let v1::AuditEntry { seq, at, subject, display_name, action, object_id, detail, hash: _ } =
        entry;
    Entry {
        seq: grouped(seq),
        at: timestamp(at).map(when_exactly),
        name: display_name,
        subject,
        action,
        object: object_id,
        changes: changes(&detail),
    }
}

/// What changed, field by field. What is no such text is shown as it is.
fn changes(detail: &str) -> Vec<Change> {
    let parsed: Value = serde_json::from_str(detail).unwrap_or_default();
    let part = |name: &str| parsed.get(name).and_then(Value::as_object);
    let (before, after) = (part("before"), part("after"));
    if before.is_none() && after.is_none() {
        let nothing = detail.is_empty() || detail == "{}" || detail == "null";
        let all =
            Change { field: "detail".to_owned(), before: String::new(), after: detail.to_owned() };
        return if nothing { Vec::new() } else { vec![all] };
    }
    let fields: BTreeSet<&String> =
        before.into_iter().chain(after).flat_map(serde_json::Map::keys).collect();
    let value = |of: Option<&serde_json::Map<String, Value>>, field: &String| {
        of.and_then(|of| of.get(field)).map(words).unwrap_or_default()
    };
    let change = |field: &String| Change {
        before: value(before, field),
        after: value(after, field),
        field: field.clone(),
    };
    fields.into_iter().map(change).collect()
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

pub(super) async fn verify(caller: Caller) -> Result<Response, Failure> {
    let request = asking(v1::VerifyAuditRequest {});
    let said = caller.services.audit().verify_audit(request).await?.into_inner();
    let v1::VerifyAuditResponse { entries, broken_seq, problem, last_hash } = said;
    let verified =
        Verified { entries: grouped(entries), problem, broken: grouped(broken_seq), last_hash };
    page(&caller, &Form::default(), Some(verified)).await
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn changes_are_told_field_by_field() {
        let detail = r#"{"before":{"name":"A","limit":5},"after":{"name":"B","lists":["x"]}}"#;
        let found: Vec<(String, String, String)> =
            changes(detail).into_iter().map(|it| (it.field, it.before, it.after)).collect();
        let row = |field: &str, before: &str, after: &str| {
            (field.to_owned(), before.to_owned(), after.to_owned())
        };
        assert_eq!(
            found,
            [row("limit", "5", ""), row("lists", "", r#"["x"]"#), row("name", "A", "B")]
        );
    }

    #[test]
    fn detail_of_another_form_is_shown_as_it_is() {
        assert_eq!(changes("a word")[0].after, "a word");
        assert!(changes("").is_empty() && changes("{}").is_empty());
    }
}
