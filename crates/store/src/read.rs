//! Views: progress, report, and what a user may ask about a run. Nothing here writes, so a role that can
//! only read `runs`, `batches`, `rejects`, `reports`, `sends` and `segment_counts` is enough; and `tokens`, for whoever has to
//! know who asks.

mod batches;
mod numbers;
mod progress;
mod report;
mod reports;
mod runs;
mod segments;

pub use batches::{BatchView, batches};
pub use progress::{Progress, progress};
pub use report::{Report, report};
pub use reports::{Removed, ReportKind, Reports, reports};
pub use runs::{Planned, RunPlace, RunsQuery, planned, run, runs, unfinished};

pub(crate) use numbers::{BATCH_SUMS, REJECT_SUM, decode_counts};
