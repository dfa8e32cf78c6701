use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use segue_klaviyo::ListId;
use segue_model::{
    MAX_BATCH_PROFILES,
    look::{Preview, PreviewedReject},
};
use segue_profile::{MapOptions, Mapping};
use segue_source::{Object, Segment};
use segue_staging::RejectRecord;

use super::{LookError, json};
use crate::read::{CutOptions, Cutter, Kept, ReadError, Tally, infer_mapping, settled_mapping};

/// Enough to see what is sent, and few enough to be told.
const SHOWN: usize = 10;
const SHOWN_REJECTS: usize = 20;
/// Identities by which it is estimated how many people are new. They are asked for by the hundred.
const DRAWN: usize = 500;
/// What a profile or the words of a reject are cut to: a cell may be megabytes.
const MAX_CHARS: usize = 10_000;

/// What decides over the columns.
pub(super) enum Columns {
    Settled(String),
    ByRows(MapOptions),
}

/// How a reader of this worker cuts.
pub(super) struct How {
    pub(super) dedupe_memory: usize,
    pub(super) scratch: PathBuf,
    pub(super) batch_profiles: usize,
    /// Reading ends after so long, whatever is left.
    pub(super) patience: Duration,
    pub(super) seed: u64,
}

/// What a run would send now. Blocking.
pub(super) fn preview(
    segment: &Segment,
    columns: &Columns,
    list: ListId,
    how: &How,
) -> Result<Preview, LookError> {
    let until = Instant::now() + how.patience;
    let mapping = match columns {
        Columns::Settled(settled) => settled_mapping(segment, settled)?,
        Columns::ByRows(options) => infer_mapping(segment, options)?,
    };
    let options = CutOptions {
        list,
        seed: how.seed,
        dedupe_memory: how.dedupe_memory,
        batch_profiles: how.batch_profiles.min(MAX_BATCH_PROFILES),
        scratch: how.scratch.clone(),
        limit: None,
    };
    let kept = Kept { profiles: SHOWN, rejects: SHOWN_REJECTS, drawn: DRAWN, until: Some(until) };
    let mut tally = Tally::new(kept, how.seed);
    let complete = match Cutter::new(segment, &mapping, &options).run(&mut tally) {
        Ok(_) => true,
        Err(ReadError::Stopped) => false,
        Err(err) => return Err(err.into()),
    };
    told(segment, &mapping, tally, complete)
}

fn told(
    segment: &Segment,
    mapping: &Mapping,
    tally: Tally,
    complete: bool,
) -> Result<Preview, LookError> {
    let reject = |record: RejectRecord| {
        let object = segment.objects().get(record.object as usize);
        PreviewedReject {
            file: object.map(|it| it.name().to_owned()).unwrap_or_default(),
            row: record.row,
            identifier: short(record.identifier.expose()),
            field: record.field,
            reason: record.reason,
            detail: short(&record.detail),
        }
    };
    Ok(Preview {
        mapping: json(mapping)?,
        sums: tally.sums,
        first: tally.first.iter().map(|it| short(it)).collect(),
        first_rejects: tally.first_rejects.into_iter().map(reject).collect(),
        drawn: tally.drawn,
        complete,
        bytes_read: tally.bytes_read,
        source_bytes: segment.objects().iter().map(Object::size_bytes).sum(),
    })
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}
