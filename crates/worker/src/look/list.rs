use std::{path::Path, time::UNIX_EPOCH};

use segue_model::{
    Micros,
    look::{Entry, Listing, MAX_LISTED},
};
use segue_source::{FolderEntry, Segment, SourceError, list_within};

/// Files up to this size are read to count their rows …
const CHEAP: u64 = 1 << 20;
/// … until so many bytes were read for one listing.
const CHEAP_TOGETHER: u64 = 16 << 20;

/// What is in a folder. Blocking.
pub(super) fn list(root: &Path, within: &str, path: &str) -> Result<Listing, SourceError> {
    let mut found = list_within(root, within, path)?;
    let truncated = found.len() > MAX_LISTED;
    found.truncate(MAX_LISTED);
    let mut read = 0;
    let entries = found.into_iter().map(|entry| {
        let FolderEntry { path, folder, size, modified } = entry;
        let cheap = !folder && size <= CHEAP && read + size <= CHEAP_TOGETHER;
        let rows = cheap.then(|| rows_of(root, within, &path)).flatten();
        read += if cheap { size } else { 0 };
        let modified = modified.and_then(|at| {
            let since = at.duration_since(UNIX_EPOCH).ok()?;
            i64::try_from(since.as_micros()).ok().map(Micros)
        });
        Entry { path, folder, size, modified, rows }
    });
    Ok(Listing { entries: entries.collect(), truncated })
}

/// `None`: it is no segment. Rows that cannot be read count: a run would reject them.
fn rows_of(root: &Path, within: &str, path: &str) -> Option<u64> {
    let segment =
        Segment::open_within(root, within, &[path], &segue_source::ReadOptions::default());
    let mut rows = segment.ok()?.rows();
    let mut count = 0;
    while rows.next().ok()?.is_some() {
        count += 1;
    }
    Some(count)
}
