//! `docs/reasons.md` is made from the codes. `UPDATE_DOCS=1 cargo test -p segue-model` writes it anew.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{fmt::Write as _, fs, path::Path};

use segue_model::{FailReason, RefusalReason, RejectReason, UndeliveredReason, WarningReason};

#[test]
fn page_of_reasons_says_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reasons.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/reasons.md is old: UPDATE_DOCS=1 cargo test -p segue-model");
}

fn page() -> String {
    let mut page = String::from(
        "# Reasons\n\n\
         Every code that a report, a rejects file or a summary can hold, what it means and what to do.\n\
         This page is made from the code; a test compares the two.\n",
    );
    section(
        &mut page,
        "Rejects: the row was not delivered",
        "In `--rejects` and in `rejects_by_reason`.",
        RejectReason::ALL.iter().map(|r| (r.code(), r.meaning(), r.fix())),
    );
    section(
        &mut page,
        "Warnings: the person was sent, a field was not",
        "In `--warnings`.",
        WarningReason::ALL.iter().map(|r| (r.code(), r.meaning(), r.fix())),
    );
    section(
        &mut page,
        "Failures: the run could not do its work",
        "In the summary of a run that ended `failed`.",
        FailReason::ALL.iter().map(|r| (r.code(), r.meaning(), r.fix())),
    );
    section(
        &mut page,
        "Undelivered: read, but neither delivered nor rejected",
        "In the summary, beside the number of undelivered rows.",
        UndeliveredReason::ALL.iter().map(|r| (r.code(), r.meaning(), r.fix())),
    );
    section(
        &mut page,
        "Refusals: what the services were asked for is not done",
        "In events `command.rejected`, and in capitals in the details of an answer of gRPC.",
        RefusalReason::ALL.iter().map(|r| (r.code(), r.meaning(), r.fix())),
    );
    page
}

fn section<'a>(
    page: &mut String,
    title: &str,
    where_: &str,
    reasons: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
) {
    write!(page, "\n## {title}\n\n{where_}\n\n| code | meaning | what to do |\n|---|---|---|\n")
        .unwrap();
    for (code, meaning, fix) in reasons {
        writeln!(page, "| `{code}` | {meaning} | {fix} |").unwrap();
    }
}
