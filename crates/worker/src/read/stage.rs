//! What was cut becomes objects in staging.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use segue_model::{
    BatchNo, RunId,
    work::{KnownBatch, Rejects, StagedBatch},
};
use segue_staging::{Hashed, Key, ReportName, Staging, StagingError};
use tokio::sync::mpsc;

use super::{Cut, ReadError, ReadProgress, Sink};
use crate::metrics;

/// Puts what is cut into staging, and only then hands it on to be told to the control-plane.
pub(super) struct Stage {
    pub(super) staged: mpsc::Sender<StagedBatch>,
    pub(super) staging: Staging,
    /// Whether it has to be on the disk for good, because nobody will read the segment again.
    pub(super) durable: bool,
    pub(super) run: RunId,
    pub(super) known: BTreeMap<BatchNo, KnownBatch>,
    pub(super) progress: Arc<ReadProgress>,
}

impl Stage {
    fn put(&self, cut: Cut) -> Result<StagedBatch, ReadError> {
        let (run, batch) = (self.run, cut.batch);
        let body = Hashed::from(cut.body);
        let (hash, bytes) = (body.hash(), body.bytes().len() as u64);
        // What was sent needs no body; what was confirmed needs no index either.
        let known = self.known.get(&batch).filter(|known| known.hash == hash);
        let (needs_body, needs_index) =
            known.map_or((true, true), |known| (known.needs_body, known.needs_index));
        if cut.profiles > 0 && needs_index {
            put(&self.staging, &Key::Index { run, hash }, cut.index, self.durable)?;
        }
        if cut.profiles > 0 && needs_body {
            put(&self.staging, &Key::Body { run, hash }, body, self.durable)?;
        }
        let name: ReportName = format!("{batch}-mapping").parse().map_err(StagingError::from)?;
        let rejects = Key::Rejects { run, name: name.clone() };
        let rejects = put_report(&self.staging, &rejects, cut.reject_records, self.durable)?;
        let warnings = Key::Warnings { run, name };
        let warnings = put_report(&self.staging, &warnings, cut.warning_records, self.durable)?;
        metrics::rows_read(cut.rows);
        Ok(StagedBatch {
            batch,
            hash,
            profiles: cut.profiles,
            bytes,
            rows: cut.rows,
            duplicates: cut.duplicates,
            rejects: Rejects {
                by_reason: cut.rejects,
                report: rejects,
                by_object: BTreeMap::new(),
            },
            warnings: cut.warnings,
            warnings_report: warnings,
            objects: cut.objects,
        })
    }
}

impl Sink for Stage {
    fn take(&mut self, cut: Cut) -> Result<(), ReadError> {
        let staged = self.put(cut)?;
        self.staged.blocking_send(staged).map_err(|_| ReadError::Stopped)
    }

    fn progress(&mut self, bytes_read: u64, rows_read: u64) -> Result<(), ReadError> {
        self.progress.note(bytes_read, rows_read);
        Ok(())
    }
}

/// `durable`: it cannot be made again.
pub(super) fn put(
    staging: &Staging,
    key: &Key,
    content: impl Into<Hashed>,
    durable: bool,
) -> Result<(), StagingError> {
    if durable { staging.put_on_disk(key, content) } else { staging.put(key, content) }.map(drop)
}

/// Keeps records, if there are any; returns the name by which the store may name them.
pub(crate) fn put_report(
    staging: &Staging,
    key: &Key,
    records: Vec<u8>,
    durable: bool,
) -> Result<Option<String>, StagingError> {
    if records.is_empty() {
        return Ok(None);
    }
    put(staging, key, Bytes::from(records), durable)?;
    Ok(Some(key.to_string()))
}
