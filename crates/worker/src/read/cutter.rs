mod settle;

use std::{collections::BTreeMap, path::PathBuf};

use bytes::Bytes;
use segue_dedupe::{Dedupe, DedupeError, fingerprint};
use segue_klaviyo::{ListId, import};
use segue_model::{
    BatchNo, MAX_BATCH_BYTES, MAX_BATCH_PROFILES, Pii, Position, RejectReason, RowCounts,
    WarningReason,
};
use segue_profile::{FieldStats, Mapper, Mapping, MappingError, Reject};
use segue_source::{BadRow, Item, Row, Rows, Segment, SourceError};
use segue_staging::{IndexBuilder, RejectRecord, StagingError, WarningRecord, Writer};

use self::settle::Pending;
use super::{
    buffers::Buffers,
    person::{Person, is_rejects_file, person_columns},
};

/// A batch as the reader cuts it, together with all rows since the batch before.
#[derive(Debug)]
pub struct Cut {
    pub batch: BatchNo,
    /// Empty if there is no profile.
    pub body: Bytes,
    pub index: Bytes,
    pub profiles: u64,
    pub rows: u64,
    pub duplicates: u64,
    pub rejects: BTreeMap<RejectReason, u64>,
    /// Reject records, to be kept as they are.
    pub reject_records: Vec<u8>,
    pub warnings: u64,
    pub warning_records: Vec<u8>,
    /// How the rows are spread over the objects of the segment.
    pub objects: BTreeMap<u32, RowCounts>,
}

/// How the segment is read, apart from what the plan says.
#[derive(Debug, Clone)]
pub struct CutOptions {
    pub list: ListId,
    /// Of the fingerprints by which an identity is known again: one for each run.
    pub seed: u64,
    /// Bytes for remembering identities; beyond it they spill.
    pub dedupe_memory: usize,
    /// Profiles in a batch, at most. At least one.
    pub batch_profiles: usize,
    /// Where they spill to.
    pub scratch: PathBuf,
    /// Only the first rows.
    pub limit: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error("identities cannot be remembered")]
    Dedupe(#[from] DedupeError),
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// Whoever takes the batches wants no more.
    #[error("reading was stopped")]
    Stopped,
}

/// Who takes the batches.
pub trait Sink {
    /// Blocks until the next batch is welcome.
    fn take(&mut self, cut: Cut) -> Result<(), ReadError>;

    /// Every profile that is sent, for those who want to look at some. `profile` is its JSON.
    fn look(&mut self, _profile: &[u8], _identity: &[u8]) {}

    /// Called now and then with the bytes on disk that were read. An error ends the reading.
    fn progress(&mut self, _bytes_read: u64, _rows_read: u64) -> Result<(), ReadError> {
        Ok(())
    }
}

/// What is held before it is handed over.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Of one batch.
    profiles: usize,
    /// Of one body.
    bytes: usize,
    /// Bytes of the records of rejects and warnings while a batch is filled. Beyond it they are handed over
    /// without a batch, so that a segment of nothing but bad rows needs no more memory than another.
    reports: usize,
    /// Profiles whose identities are asked for together: see [`Dedupe::warm`]. It changes nothing of what
    /// is handed over.
    pending: usize,
}

const BOUNDS: Bounds =
    Bounds { profiles: MAX_BATCH_PROFILES, bytes: MAX_BATCH_BYTES, reports: 4 << 20, pending: 32 };

/// Reads a segment and cuts it into batches. Blocking.
pub struct Cutter<'a> {
    segment: &'a Segment,
    mapping: &'a Mapping,
    options: &'a CutOptions,
    bounds: Bounds,
    dedupe: Dedupe,
    buffers: Buffers,
    next: BatchNo,
    open: Open,
    /// Profiles that stand in the open body, behind those that belong to it, and may be duplicates.
    pending: Vec<Pending>,
    stats: FieldStats,
    rows_read: u64,
    /// The object at hand is a rejects file.
    mended: bool,
}

/// The batch that is being filled.
#[derive(Default)]
struct Open {
    body: Vec<u8>,
    index: IndexBuilder,
    profiles: usize,
    rows: u64,
    duplicates: u64,
    rejects: BTreeMap<RejectReason, u64>,
    reject_records: Writer<RejectReason>,
    warning_records: Writer<WarningReason>,
    /// Of each object, in their order. Rows come object after object, so the last is nearly always the one.
    objects: Vec<(u32, RowCounts)>,
}

impl Open {
    /// Counts a row.
    fn count(&mut self, object: u32) -> &mut RowCounts {
        self.rows += 1;
        if self.objects.last().is_none_or(|(last, _)| *last != object) {
            self.objects.push((object, RowCounts::default()));
        }
        let last = self.objects.len() - 1;
        let counts = &mut self.objects[last].1;
        counts.rows += 1;
        counts
    }

    /// Leaves of the numbers only those of its profiles, and returns the others.
    fn split_objects(&mut self) -> Vec<(u32, RowCounts)> {
        let mut others = std::mem::take(&mut self.objects);
        for (object, counts) in &mut others {
            let others = counts.duplicates + counts.rejected;
            let profiles = RowCounts { rows: counts.rows - others, ..RowCounts::default() };
            counts.rows = others;
            self.objects.push((*object, profiles));
        }
        others
    }

    /// Bytes of records.
    fn reports(&self) -> usize {
        self.reject_records.len() + self.warning_records.len()
    }

    fn reject(&mut self, position: Position, reject: Reject) {
        let Reject { field, reason, detail, identifier } = reject;
        let Position { object, row } = position;
        *self.rejects.entry(reason).or_default() += 1;
        let record = RejectRecord { object, row, identifier, field, reason, detail };
        self.reject_records.push(&record);
    }

    fn warn(
        &mut self,
        position: Position,
        identifier: &Pii<String>,
        field: &str,
        reason: WarningReason,
        detail: &str,
    ) {
        self.warning_records.push(&WarningRecord {
            object: position.object,
            row: position.row,
            identifier: identifier.clone(),
            field: field.to_owned(),
            reason,
            detail: detail.to_owned(),
        });
    }
}

impl<'a> Cutter<'a> {
    pub fn new(segment: &'a Segment, mapping: &'a Mapping, options: &'a CutOptions) -> Self {
        Self {
            segment,
            mapping,
            options,
            bounds: Bounds {
                profiles: options.batch_profiles.clamp(1, MAX_BATCH_PROFILES),
                ..BOUNDS
            },
            dedupe: Dedupe::new(options.dedupe_memory, options.scratch.clone()),
            buffers: Buffers::default(),
            next: BatchNo(0),
            open: Open::default(),
            pending: Vec::new(),
            stats: FieldStats::default(),
            rows_read: 0,
            mended: false,
        }
    }

    /// Reads to the end. Returns how each field fared.
    pub fn run(mut self, sink: &mut impl Sink) -> Result<FieldStats, ReadError> {
        let mut rows = self.segment.rows();
        let mut mapper = None;
        self.begin(0);
        let read = self.read(&mut rows, &mut mapper, sink);
        // What came before a row that could not be read is as good as without it.
        self.settle(sink)?;
        read?;
        sink.progress(rows.bytes_read(), self.rows_read)?;
        if let Some((_, mapper)) = &mapper {
            self.stats.merge(&mapper.stats());
        }
        if self.open.rows > 0 {
            self.cut(sink, self.open.body.len(), self.open.body.len())?;
        }
        Ok(self.stats)
    }

    fn read(
        &mut self,
        rows: &mut Rows,
        mapper: &mut Option<(u32, Mapper)>,
        sink: &mut impl Sink,
    ) -> Result<(), ReadError> {
        /// Rows between two words about the progress.
        const SOME: u64 = 4096;
        while self.options.limit.is_none_or(|limit| self.rows_read < limit) {
            let Some(item) = rows.next()? else { break };
            self.rows_read += 1;
            match item {
                Item::Bad(bad) => self.bad(bad, sink)?,
                Item::Row(row) => {
                    let object = row.position().object;
                    let mapper = self.mapper(mapper, object)?;
                    self.row(&row, mapper, sink)?;
                }
            }
            self.bound_reports(sink)?;
            if self.rows_read.is_multiple_of(SOME) {
                sink.progress(rows.bytes_read(), self.rows_read)?;
            }
        }
        Ok(())
    }

    /// The mapper for the columns of an object.
    fn mapper<'m>(
        &mut self,
        mapper: &'m mut Option<(u32, Mapper)>,
        object: u32,
    ) -> Result<&'m mut Mapper, ReadError> {
        if mapper.as_ref().is_none_or(|(current, _)| *current != object) {
            if let Some((_, before)) = mapper.take() {
                self.stats.merge(&before.stats());
            }
            let read = self.segment.objects().get(object as usize);
            self.mended = read.is_some_and(is_rejects_file);
            let columns = read.map_or(&[][..], person_columns);
            let made = (object, Mapper::new(self.mapping, columns)?);
            return Ok(&mut mapper.insert(made).1);
        }
        match mapper {
            Some((_, mapper)) => Ok(mapper),
            None => Err(ReadError::Stopped), // the branch above has made one
        }
    }

    /// `profiles`: about as many as are expected.
    fn begin(&mut self, profiles: usize) {
        self.open.body = self.buffers.take();
        self.open.index = IndexBuilder::with_capacity(profiles);
        import::begin(&mut self.open.body, &self.options.list);
    }

    fn bad(&mut self, bad: BadRow, sink: &mut impl Sink) -> Result<(), ReadError> {
        let BadRow { position, reason, detail, raw: _ } = bad;
        let identifier = Pii::new(String::new());
        self.reject(position, Reject { field: String::new(), reason, detail, identifier }, sink)
    }

    fn reject(
        &mut self,
        position: Position,
        reject: Reject,
        sink: &mut impl Sink,
    ) -> Result<(), ReadError> {
        // A batch that a row before this one completes goes without it.
        self.settle(sink)?;
        self.open.count(position.object).rejected += 1;
        self.open.reject(position, reject);
        Ok(())
    }

    fn row(
        &mut self,
        row: &Row<'_>,
        mapper: &mut Mapper,
        sink: &mut impl Sink,
    ) -> Result<(), ReadError> {
        let position = row.position();
        let before = self.open.body.len();
        if self.open.profiles > 0 || !self.pending.is_empty() {
            self.open.body.push(import::SEPARATOR);
        }
        let start = self.open.body.len();
        let profile = match mapper.map(&Person::new(*row, self.mended), &mut self.open.body) {
            Ok(profile) => profile,
            Err(reject) => {
                self.open.body.truncate(before);
                return self.reject(position, reject, sink);
            }
        };
        let identity = profile.identity;
        self.pending.push(Pending {
            position,
            start,
            end: self.open.body.len(),
            fingerprint: fingerprint(self.options.seed, &self.open.body[identity.clone()]),
            identity,
            payload: profile.payload_hash,
        });
        // The reader and the mapper know what is to be said of a row only until the next one.
        if !mapper.warnings().is_empty() || !row.unknown().is_empty() {
            if let Some(start) = self.settle(sink)? {
                self.warn(position, start, row, mapper);
            }
        } else if self.pending.len() >= self.bounds.pending || !self.fits(self.open.body.len()) {
            self.settle(sink)?;
        }
        Ok(())
    }

    /// Whether a body may end its last profile there.
    fn fits(&self, end: usize) -> bool {
        end + import::END_BYTES <= self.bounds.bytes
    }

    /// Says what was left out of the profile that begins at `start`.
    fn warn(&mut self, position: Position, start: usize, row: &Row<'_>, mapper: &Mapper) {
        let open = &mut self.open;
        let identifier = identity_at(&open.body[start..]);
        for warning in mapper.warnings() {
            open.warn(position, &identifier, &warning.field, warning.reason, &warning.detail);
        }
        for key in row.unknown() {
            let detail = "the key is not among the columns of the mapping";
            open.warn(position, &identifier, key, WarningReason::UnknownColumn, detail);
        }
    }

    fn bound_reports(&mut self, sink: &mut impl Sink) -> Result<(), ReadError> {
        if self.open.reports() > self.bounds.reports {
            self.hand_over_reports(sink)?;
        }
        Ok(())
    }

    /// Hands over what is known of the rows so far, but for the profiles of the open batch.
    fn hand_over_reports(&mut self, sink: &mut impl Sink) -> Result<(), ReadError> {
        let others = self.open.split_objects();
        let Open { body, index, profiles, objects, .. } = &mut self.open;
        let kept = *profiles as u64;
        let next = Open {
            body: std::mem::take(body),
            index: std::mem::take(index),
            profiles: *profiles,
            rows: kept,
            objects: std::mem::take(objects),
            ..Open::default()
        };
        let mut full = std::mem::replace(&mut self.open, next);
        full.rows -= kept;
        full.objects = others;
        self.hand_over(sink, full, Bytes::new(), Bytes::new(), 0)
    }

    /// Hands the open batch over, whose last profile ends at `end`, and begins the next with what stands in
    /// the body from `rest` on.
    fn cut(&mut self, sink: &mut impl Sink, end: usize, rest: usize) -> Result<(), ReadError> {
        let mut full = std::mem::take(&mut self.open);
        let profiles = full.profiles;
        self.begin(profiles);
        self.open.body.extend_from_slice(&full.body[rest..]);
        let (body, index) = if profiles == 0 {
            (Bytes::new(), Bytes::new())
        } else {
            let mut body = std::mem::take(&mut full.body);
            body.truncate(end);
            import::end(&mut body);
            (self.buffers.freeze(body), std::mem::take(&mut full.index).finish())
        };
        self.hand_over(sink, full, body, index, profiles as u64)
    }

    fn hand_over(
        &mut self,
        sink: &mut impl Sink,
        full: Open,
        body: Bytes,
        index: Bytes,
        profiles: u64,
    ) -> Result<(), ReadError> {
        let batch = self.next;
        self.next = BatchNo(batch.0 + 1);
        sink.take(Cut {
            batch,
            body,
            index,
            profiles,
            rows: full.rows,
            duplicates: full.duplicates,
            rejects: full.rejects,
            reject_records: full.reject_records.finish(),
            warnings: full.warning_records.records(),
            warning_records: full.warning_records.finish(),
            objects: by_object(&full.objects),
        })
    }
}

fn by_object(counted: &[(u32, RowCounts)]) -> BTreeMap<u32, RowCounts> {
    let mut objects: BTreeMap<u32, RowCounts> = BTreeMap::new();
    for (object, counts) in counted.iter().filter(|(_, counts)| counts.rows > 0) {
        objects.entry(*object).or_default().add(*counts);
    }
    objects
}

/// The identity of a profile from its JSON: what stands behind `"email":"`, where nothing is escaped.
pub(crate) fn identity_at(profile: &[u8]) -> Pii<String> {
    const KEY: &[u8] = br#""email":""#;
    let at = profile.windows(KEY.len()).position(|window| window == KEY);
    let rest = at.map_or(&[][..], |at| &profile[at + KEY.len()..]);
    let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(0);
    Pii::new(String::from_utf8_lossy(&rest[..end]).into_owned())
}

#[cfg(test)]
mod tests;
