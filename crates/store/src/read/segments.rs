use std::collections::BTreeMap;

use segue_model::{Counts, RowCounts, RunId, SegmentSource, SegmentTally};

use crate::StoreError;

/// The numbers of a run by segment, and those of which nobody has said of which segment they are.
/// `segments`: as JSON, as the run keeps them.
pub(super) fn spread(
    run: RunId,
    segments: Option<&str>,
    counted: &BTreeMap<u32, RowCounts>,
    all: &Counts,
) -> Result<(Vec<SegmentTally>, RowCounts), StoreError> {
    let segments: Vec<SegmentSource> = match segments {
        Some(json) => serde_json::from_str(json)
            .map_err(|err| StoreError::inconsistent(format!("segments of {run}: {err}")))?,
        None => Vec::new(),
    };
    let mut left =
        RowCounts { rows: all.rows_read, duplicates: all.duplicates, rejected: all.rejected };
    for counts in counted.values() {
        left = left.without(*counts);
    }
    // Undelivered rows are not known by segment; without any, what is no duplicate and no reject was delivered.
    let known = all.undelivered == 0 && left == RowCounts::default();
    let tally = |(nth, segment): (u32, SegmentSource)| {
        let counts = counted.get(&nth).copied().unwrap_or_default();
        let RowCounts { rows, duplicates, rejected } = counts;
        let delivered = known.then(|| rows.saturating_sub(duplicates + rejected));
        SegmentTally { name: segment.name, counts, delivered }
    };
    Ok(((0..).zip(segments).map(tally).collect(), left))
}
