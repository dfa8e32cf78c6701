use std::io;

use askama::Template;
use axum::{
    body::Body,
    extract::Path,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use segue_model::{RejectReason, WarningReason};
use segue_proto::v1::{self, list_rejects_request::Kind};
use tonic::Streaming;

use super::runs::{export_name, get};
use crate::{
    caller::Caller,
    failure::Failure,
    form::{Form, address},
    page::{Chrome, Place, html},
    shown::grouped,
};

/// Rows on a page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "rejects.html")]
struct RejectsPage {
    chrome: Chrome,
    id: String,
    name: String,
    warnings: bool,
    rows: Vec<Row>,
    reasons: Vec<Choice>,
    reason: String,
    total: String,
    first: String,
    newer: Option<String>,
    older: Option<String>,
    download: String,
}

struct Row {
    source: String,
    number: String,
    identifier: String,
    field: String,
    code: String,
    meaning: &'static str,
    fix: &'static str,
    detail: String,
}

struct Choice {
    code: String,
    words: String,
    chosen: bool,
}

/// Which rows are meant: of a run, with one reason or with any.
struct Wanted {
    run_id: String,
    kind: Kind,
    reason: String,
}

impl Wanted {
    fn of(run_id: String, form: &Form) -> Self {
        let kind = if form.text("kind") == "warnings" { Kind::Warnings } else { Kind::Rejects };
        Self { run_id, kind, reason: form.text("reason").to_owned() }
    }

    fn is(&self, row: &v1::RowReport) -> bool {
        self.reason.is_empty() || row.reason == self.reason
    }

    fn warnings(&self) -> bool {
        self.kind == Kind::Warnings
    }

    async fn stream(&self, caller: &Caller) -> Result<Streaming<v1::ListRejectsResponse>, Failure> {
        let kind = self.kind.into();
        let request = v1::ListRejectsRequest { run_id: self.run_id.clone(), kind };
        Ok(caller.services.status().list_rejects(request).await?.into_inner())
    }

    fn address(&self, place: &str, page: &str) -> String {
        let kind = if self.warnings() { "warnings" } else { "" };
        let path = format!("/runs/{}/{place}", self.run_id);
        address(&path, &[("kind", kind), ("reason", &self.reason), ("page", page)])
    }
}

pub(super) async fn show(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let run = get(&caller, &id).await?;
    let wanted = Wanted::of(run.id.clone(), &form);
    let page: usize = form.text("page").parse().unwrap_or(0);
    let name = export_name(&caller, &run).await?;
    let counts = run.counts.unwrap_or_default();
    let skipped = page.saturating_mul(PAGE);
    let stream = wanted.stream(&caller).await?;
    let (rows, more) = read(&wanted, stream, skipped).await?;
    let total = if wanted.warnings() { counts.warnings } else { counts.rejected };
    let what = if wanted.warnings() { "Warnings" } else { "Rejected rows" };
    html(&RejectsPage {
        chrome: Chrome::new(&caller, Place::Runs, format!("{what} of {name}")),
        reasons: choices(&wanted, &counts),
        total: grouped(total),
        first: grouped(u64::try_from(skipped + 1).unwrap_or(u64::MAX)),
        newer: (page > 0).then(|| wanted.address("rejects", &(page - 1).to_string())),
        older: more.then(|| wanted.address("rejects", &(page + 1).to_string())),
        download: wanted.address("rejects.csv", ""),
        rows: rows.into_iter().map(row).collect(),
        warnings: wanted.warnings(),
        reason: wanted.reason,
        id: run.id,
        name,
    })
}

/// The rows of one page, and whether there are more. However many there are, no more than a message of them is
/// here at a time.
async fn read(
    wanted: &Wanted,
    mut stream: Streaming<v1::ListRejectsResponse>,
    mut skipped: usize,
) -> Result<(Vec<v1::RowReport>, bool), Failure> {
    let mut rows = Vec::new();
    while let Some(reply) = stream.message().await? {
        for row in reply.rows.into_iter().filter(|row| wanted.is(row)) {
            if skipped > 0 {
                skipped -= 1;
            } else if rows.len() == PAGE {
                return Ok((rows, true));
            } else {
                rows.push(row);
            }
        }
    }
    Ok((rows, false))
}

fn row(row: v1::RowReport) -> Row {
    let v1::RowReport { source, row: number, identifier, field, reason: code, detail } = row;
    let reject = code.parse::<RejectReason>().ok();
    let warning = code.parse::<WarningReason>().ok();
    let meaning = reject.map(RejectReason::meaning).or(warning.map(WarningReason::meaning));
    let fix = reject.map(RejectReason::fix).or(warning.map(WarningReason::fix));
    Row {
        source,
        number: grouped(number),
        identifier,
        field,
        meaning: meaning.unwrap_or_default(),
        fix: fix.unwrap_or_default(),
        code,
        detail,
    }
}

/// The reasons that there are. How many warnings have which, the run does not tell.
fn choices(wanted: &Wanted, counts: &v1::Counts) -> Vec<Choice> {
    let choice = |code: &str, words: String| Choice {
        chosen: code == wanted.reason,
        code: code.to_owned(),
        words,
    };
    if wanted.warnings() {
        let all = WarningReason::ALL.iter().map(|it| choice(it.code(), it.code().to_owned()));
        return all.collect();
    }
    let mut found: Vec<(&String, &u64)> = counts.rejects_by_reason.iter().collect();
    found.sort();
    let found = found.into_iter();
    found.map(|(code, rows)| choice(code, format!("{code} ({})", grouped(*rows)))).collect()
}

pub(super) async fn download(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let wanted = Wanted::of(get(&caller, &id).await?.id, &form);
    let stream = wanted.stream(&caller).await?;
    let name = if wanted.warnings() { "warnings" } else { "rejects" };
    let disposition = format!("attachment; filename=\"{name}-{}.csv\"", wanted.run_id);
    let headers =
        [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)];
    // Without the mark spreadsheets take it for another encoding.
    let head = [b"\xef\xbb\xbf".as_slice(), &line(segue_staging::REPORT_COLUMNS)].concat();
    let rows = stream::try_unfold((stream, wanted), async |(mut stream, wanted)| {
        // A file that ends early must not look like a whole one: an error breaks the connection off.
        let reply = stream.message().await.map_err(io::Error::other)?;
        let Some(reply) = reply else { return Ok(None) };
        let rows = reply.rows.iter().filter(|row| wanted.is(row));
        let lines: Vec<u8> = rows.flat_map(record).collect();
        Ok::<_, io::Error>(Some((Bytes::from(lines), (stream, wanted))))
    });
    let head = stream::once(std::future::ready(Ok(Bytes::from(head))));
    let body = Body::from_stream(futures::StreamExt::chain(head, rows));
    Ok((headers, body).into_response())
}

/// No spreadsheet runs what a person typed.
fn record(row: &v1::RowReport) -> Vec<u8> {
    let v1::RowReport { source, row, identifier, field, reason, detail } = row;
    let row = row.to_string();
    let cells = [source, &row, identifier, field, reason, detail];
    let cells = cells.map(|cell| segue_staging::neutralise(cell));
    line(cells.each_ref().map(|cell| &**cell))
}

fn line(cells: [&str; 6]) -> Vec<u8> {
    let mut out = csv::Writer::from_writer(Vec::new());
    // Neither fails: it is written to memory, and all records are as long.
    if out.write_record(cells).is_err() {
        return Vec::new();
    }
    out.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use segue_proto::v1;

    use super::{Form, Wanted, record};

    #[test]
    fn cells_of_the_download_are_quoted_and_run_nothing() {
        let row = v1::RowReport {
            source: "people.csv".to_owned(),
            row: 7,
            identifier: "=HYPERLINK(\"https://evil.example\",\"x\")".to_owned(),
            field: "email".to_owned(),
            reason: "email_invalid".to_owned(),
            detail: "two\nlines, and a comma".to_owned(),
        };
        let text = String::from_utf8(record(&row)).unwrap();
        assert_eq!(
            text,
            "people.csv,7,\"'=HYPERLINK(\"\"https://evil.example\"\",\"\"x\"\")\",email,email_invalid,\
             \"two\nlines, and a comma\"\n"
        );
        for begin in ["@", "+", "-", "\t"] {
            let identifier = format!("{begin}cmd|' /C calc'!A0");
            let row = v1::RowReport { identifier, ..v1::RowReport::default() };
            let text = String::from_utf8(record(&row)).unwrap();
            assert!(text.contains(&format!("'{begin}cmd")), "{text}");
        }
    }

    #[test]
    fn filter_stays_in_the_addresses() {
        let form = Form::parse(b"kind=warnings&reason=phone_invalid&page=2");
        let wanted = Wanted::of("run_1".to_owned(), &form);
        assert_eq!(
            wanted.address("rejects.csv", ""),
            "/runs/run_1/rejects.csv?kind=warnings&reason=phone_invalid"
        );
        let row =
            |reason: &str| v1::RowReport { reason: reason.to_owned(), ..v1::RowReport::default() };
        assert!(wanted.is(&row("phone_invalid")) && !wanted.is(&row("type_mismatch")));
    }
}
