use std::collections::BTreeMap;

use segue_model::{
    Counts, FailReason, Micros, RejectReason, RowCounts, RunId, RunState, SegmentTally,
};

use super::{
    numbers::undelivered,
    reports::{ReportKind, names},
    runs::run_in,
};
use crate::{
    Reader, StoreError,
    sql::{args, text},
    tx::View,
};

/// All that is known of a run.
#[derive(Debug, Clone)]
pub struct Report {
    pub run: RunId,
    pub state: RunState,
    pub counts: Counts,
    pub rejects_by_reason: BTreeMap<RejectReason, u64>,
    /// Batches as first cut.
    pub batches: u64,
    /// Bulk-import requests.
    pub requests: u64,
    /// Requests that repeated what Klaviyo may have accepted before.
    pub repeated_sends: u64,
    /// Answers of 429 to any request of the run, and to any that asked for several runs at once.
    pub throttled: u64,
    /// Bytes of the bodies that Klaviyo accepted.
    pub bytes: u64,
    pub started: Option<Micros>,
    pub first_request: Option<Micros>,
    pub last_accepted: Option<Micros>,
    pub ended: Option<Micros>,
    pub failure: Option<(FailReason, String)>,
    /// As [`segue_model::RunView`] has them.
    pub segments: Vec<SegmentTally>,
    pub not_by_segment: RowCounts,
    /// What the reader had to say of its fields, as JSON.
    pub summary: Option<String>,
    /// Why profiles are undelivered, and how many.
    pub undelivered: BTreeMap<String, u64>,
    /// Names of the report objects, in the order of the source.
    pub reject_reports: Vec<String>,
    pub warning_reports: Vec<String>,
}

pub async fn report(store: &Reader, run: RunId) -> Result<Option<Report>, StoreError> {
    let mut view = store.view().await?;
    let report = report_of(&mut view, run).await?;
    view.end().await?;
    Ok(report)
}

async fn report_of(view: &mut View, run: RunId) -> Result<Option<Report>, StoreError> {
    const SUMMARY: &str = "SELECT summary FROM runs WHERE run_id = $1";
    let Some(seen) = run_in(view, run).await? else { return Ok(None) };
    let summary = match view.row(SUMMARY, args![text(run)]).await? {
        Some(mut row) => row.opt_string()?,
        None => None,
    };
    Ok(Some(Report {
        run,
        state: seen.state,
        counts: seen.tally.counts,
        rejects_by_reason: seen.tally.rejects_by_reason,
        batches: seen.tally.batches,
        requests: seen.tally.requests,
        repeated_sends: seen.tally.repeated_sends,
        throttled: seen.tally.throttled,
        bytes: seen.tally.bytes,
        started: seen.started,
        first_request: seen.first_request,
        last_accepted: seen.last_accepted,
        ended: seen.ended,
        failure: seen.failure.map(|failure| (failure.reason, failure.detail)),
        segments: seen.segments,
        not_by_segment: seen.not_by_segment,
        summary,
        undelivered: undelivered(view, run).await?,
        reject_reports: names(view, run, ReportKind::Rejects).await?.concat(),
        warning_reports: names(view, run, ReportKind::Warnings).await?.concat(),
    }))
}
