//! What becomes of the columns of an export, and what a run of it would send.

use askama::Template;
use axum::{extract::Path, response::Response};
use segue_model::RejectReason;
use segue_proto::v1;

use super::{exports::get, go_to};
use crate::{
    caller::Caller,
    failure::Failure,
    form::address,
    page::{Chrome, Place, html},
    services::asking,
    shown::{Markup, bytes, counted, grouped, when_given},
};

/// What an export keeps of its columns, for its page.
pub(super) struct Columns {
    pub(super) sent: Vec<Column>,
    pub(super) not_sent: String,
    pub(super) new: String,
    pub(super) settled: Option<Markup>,
    pub(super) problem: String,
}

pub(super) struct Column {
    pub(super) name: String,
    pub(super) attribute: String,
    pub(super) kind: String,
}

impl Columns {
    pub(super) fn of(columns: v1::Columns) -> Self {
        let v1::Columns { sent, not_sent, new_columns, settled_at, problem } = columns;
        Self {
            sent: sent.into_iter().map(column).collect(),
            not_sent: not_sent.join(", "),
            new: new_columns.join(", "),
            settled: when_given(settled_at),
            problem,
        }
    }
}

fn column(v1::Column { name, attribute, r#type }: v1::Column) -> Column {
    Column { name, attribute, kind: r#type }
}

/// Lets a worker look at the segments again, and keeps what it finds.
pub(super) async fn settle(
    caller: Caller,
    Path(export_id): Path<String>,
) -> Result<Response, Failure> {
    let request = v1::SettleColumnsRequest { export_id: export_id.clone() };
    caller.services.exports().settle_columns(asking(request)).await?;
    Ok(go_to(&address(&format!("/exports/{export_id}"), &[("done", "settled")])))
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage {
    chrome: Chrome,
    id: String,
    name: String,
    columns: Vec<Column>,
    not_sent: String,
    /// `None`: everything was read.
    part: Option<String>,
    numbers: Vec<Number>,
    new: String,
    stopped_by: String,
    reasons: Vec<Reason>,
    rejects: Vec<Reject>,
    profiles: Vec<String>,
}

struct Number {
    what: &'static str,
    value: String,
}

struct Reason {
    code: String,
    rows: String,
    fix: &'static str,
}

struct Reject {
    row: String,
    file: String,
    identifier: String,
    field: String,
    code: String,
    detail: String,
}

pub(super) async fn show(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let export = get(&caller, id).await?;
    let request = v1::PreviewExportRequest { export_id: export.id.clone() };
    let found = caller.services.exports().preview_export(asking(request)).await?.into_inner();
    html(&PreviewPage {
        chrome: Chrome::new(&caller, Place::Exports, format!("Preview of {}", export.display_name)),
        part: (!found.complete)
            .then(|| format!("{} of {}", bytes(found.bytes_read), bytes(found.source_bytes))),
        numbers: numbers(&found),
        new: new_profiles(&found.new_profiles.unwrap_or_default()),
        stopped_by: found.stopped_by,
        reasons: reasons(found.rejects_by_reason.into_iter().collect()),
        rejects: found.first_rejects.into_iter().map(reject).collect(),
        profiles: found.first_profiles.iter().map(|json| indented(json)).collect(),
        columns: found.columns.into_iter().map(column).collect(),
        not_sent: found.not_sent.join(", "),
        id: export.id,
        name: export.display_name,
    })
}

fn numbers(found: &v1::PreviewExportResponse) -> Vec<Number> {
    let rejected = found.rejects_by_reason.values().sum();
    let batches = counted(found.batches, "batch", "batches");
    let requests = counted(found.batches, "request", "requests");
    let number = |what, value: u64| Number { what, value: grouped(value) };
    vec![
        number("Rows", found.rows),
        number("Profiles to send", found.profiles),
        number("Duplicates", found.duplicates),
        number("Rows that would be rejected", rejected),
        number("Fields that would be left out", found.warnings),
        Number {
            what: "To Klaviyo",
            value: format!("{batches} in {requests}, {}", bytes(found.body_bytes)),
        },
        Number {
            what: "Time at Klaviyo's limits",
            value: match found.least_seconds {
                0 => "less than a second".to_owned(),
                seconds => format!("at least {}", counted(seconds, "second", "seconds")),
            },
        },
    ]
}

fn new_profiles(new: &v1::NewProfiles) -> String {
    let v1::NewProfiles { known, asked, low, high, problem } = new;
    if !problem.is_empty() {
        return format!("Not known: {problem}.");
    }
    format!(
        "Between {} and {}: Klaviyo has {} of {} that were asked for. It bills by active profiles.",
        grouped(*low),
        grouped(*high),
        grouped(*known),
        grouped(*asked)
    )
}

/// The most frequent first.
fn reasons(mut all: Vec<(String, u64)>) -> Vec<Reason> {
    all.sort_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
    let reason = |(code, rows): (String, u64)| Reason {
        fix: code.parse().map(RejectReason::fix).unwrap_or_default(),
        rows: grouped(rows),
        code,
    };
    all.into_iter().map(reason).collect()
}

fn reject(reject: v1::PreviewedReject) -> Reject {
    let v1::PreviewedReject { file, row, identifier, field, reason, detail } = reject;
    Reject { row: grouped(row), file, identifier, field, code: reason, detail }
}

/// One that was cut is no JSON any more, and is shown as it is.
fn indented(json: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(json);
    value.and_then(|it| serde_json::to_string_pretty(&it)).unwrap_or_else(|_| json.to_owned())
}

#[cfg(test)]
mod tests {
    use segue_proto::v1;

    use super::{indented, new_profiles, reasons};

    #[test]
    fn what_is_not_known_of_people_is_said() {
        let new =
            v1::NewProfiles { known: 9, asked: 10, low: 1000, high: 4000, ..Default::default() };
        assert!(new_profiles(&new).starts_with("Between 1,000 and 4,000: Klaviyo has 9 of 10"));
        let unknown = v1::NewProfiles { problem: "no key".to_owned(), ..Default::default() };
        assert_eq!(new_profiles(&unknown), "Not known: no key.");
    }

    #[test]
    fn most_frequent_reason_comes_first_with_what_to_do() {
        let all = [("email_empty", 2), ("email_invalid", 7), ("of_tomorrow", 7)];
        let all = reasons(all.iter().map(|(code, n)| ((*code).to_owned(), *n)).collect());
        let codes: Vec<_> = all.iter().map(|it| it.code.as_str()).collect();
        assert_eq!(codes, ["email_invalid", "of_tomorrow", "email_empty"]);
        assert!(!all[0].fix.is_empty() && all[1].fix.is_empty());
    }

    #[test]
    fn profile_that_was_cut_is_shown_as_it_is() {
        assert_eq!(indented(r#"{"a":1}"#), "{\n  \"a\": 1\n}");
        assert_eq!(indented(r#"{"a":1 …"#), r#"{"a":1 …"#);
    }
}
