//! What a worker counts. No label has an unbounded number of values: no run, no account.

use std::time::Duration;

use segue_model::{
    Endpoint,
    work::{Answer, JobKind, Verdict},
};

pub(crate) fn request(endpoint: Endpoint, answer: &Answer) {
    let labels = [("endpoint", endpoint.name()), ("outcome", outcome(answer))];
    metrics::counter!("segue_klaviyo_requests_total", &labels).increment(1);
}

/// How long a worker waited until it was granted a permit.
pub(crate) fn permit_waited(endpoint: Endpoint, waited: Duration) {
    metrics::histogram!("segue_permit_wait_seconds", "endpoint" => endpoint.name()).record(waited);
}

/// From the request for a permit to the recorded acceptance.
pub(crate) fn uploaded(took: Duration, bytes: u64, profiles: u64) {
    metrics::histogram!("segue_batch_upload_seconds").record(took);
    metrics::counter!("segue_accepted_bytes_total").increment(bytes);
    metrics::counter!("segue_accepted_profiles_total").increment(profiles);
}

pub(crate) fn rows_read(rows: u64) {
    metrics::counter!("segue_rows_read_total").increment(rows);
}

/// `how`: a verdict, or what ended the job without one.
pub(crate) fn job_ended(kind: JobKind, how: &'static str) {
    let labels = [("kind", kind.name()), ("verdict", how)];
    metrics::counter!("segue_jobs_total", &labels).increment(1);
}

pub(crate) fn name_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::ReadDone { .. } => "read_done",
        Verdict::AllRefused(_) => "all_refused",
        Verdict::Split { .. } => "split",
        Verdict::Retry => "retry",
        Verdict::Deferred { .. } => "deferred",
        Verdict::Passed { .. } => "passed",
        Verdict::GiveUp(_) => "give_up",
        Verdict::Stale { .. } => "stale",
        Verdict::FailRun { .. } => "fail_run",
        Verdict::Looked(_) => "looked",
    }
}

fn outcome(answer: &Answer) -> &'static str {
    match answer {
        Answer::Accepted(_) => "accepted",
        Answer::Fine => "fine",
        Answer::Throttled { .. } => "throttled",
        Answer::NotApplied { .. } => "not_applied",
        Answer::Ambiguous => "ambiguous",
        Answer::NotSent => "not_sent",
    }
}
