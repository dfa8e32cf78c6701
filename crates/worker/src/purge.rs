//! What was left undelivered is kept for a while, so that it can be sent again, and then no more.

use std::time::Duration;

use segue_staging::Staging;

use crate::error::words;

const EACH: Duration = Duration::from_hours(1);

/// Deletes what was not written to for `keep`, for ever.
pub(crate) async fn regularly(staging: &Staging, keep: Option<Duration>) {
    let Some(keep) = keep else { return std::future::pending().await };
    let mut tick = tokio::time::interval(EACH);
    loop {
        tick.tick().await;
        match staging.off_thread(move |staging| staging.purge(keep, |_| false)).await {
            Ok(purged) if purged.is_empty() => {}
            Ok(purged) => tracing::info!(runs = purged.len(), "old batches deleted from staging"),
            Err(err) => tracing::warn!(error = words(&err), "old batches could not be deleted"),
        }
    }
}
