//! From files to what a run freezes of them: which they are, and what becomes of their columns.

use std::path::PathBuf;

use segue_model::{Cell, Cells, SegmentSource};
use segue_profile::{
    MapOptions, Mapper, Mapping, MappingError, Properties, SAMPLE_ROWS, Sample, plan,
};
use segue_source::{Item, Object, ReadOptions, Segment, SourceError};

use super::person::{Person, is_rejects_file, person_columns};

/// Where a worker finds the segments of its runs.
#[derive(Debug, Clone)]
pub enum Sources {
    /// There is one run, and its segment is open.
    Opened(Segment),
    /// Files below this folder. What lies outside is never opened.
    Below(PathBuf),
}

impl Sources {
    /// Opens what a plan names. Blocking.
    pub fn open(&self, patterns: &[String]) -> Result<Segment, SourceError> {
        match self {
            Self::Opened(segment) => Ok(segment.clone()),
            Self::Below(folder) => Segment::open_below(folder, patterns, &ReadOptions::default()),
        }
    }
}

/// Why no mapping can be made for a segment. Names of columns are quoted, cells are not.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error(
        "{first} and {other} are of different kinds: export CSV and NDJSON files one after the other"
    )]
    MixedKinds { first: String, other: String },
    #[error("{object} cannot be exported")]
    Unmappable {
        object: String,
        #[source]
        source: MappingError,
    },
    #[error(
        "{object} has no column {column:?}, which is mapped (columns here: {columns}); give all files \
         the same columns, or export this one on its own"
    )]
    ColumnAbsent { object: String, column: String, columns: String },
    #[error(
        "{object} has no column {column:?}, which the export sends (columns here: {columns}); put it back, or \
         settle the columns of the export anew"
    )]
    ColumnGone { object: String, column: String, columns: String },
    #[error(
        "what the export keeps of its columns was made by another version of segue: settle them anew"
    )]
    UnknownColumns,
    #[error(
        "{object} has a column {column:?} that the first file does not have; give all files the same \
         columns, or name those that should be sent with --properties"
    )]
    ColumnUnknown { object: String, column: String },
}

/// What was found of each segment that `patterns` name, which the segment was opened by.
pub fn segment_sources(segment: &Segment, patterns: &[String]) -> Vec<SegmentSource> {
    let found = |(nth, name): (u32, &String)| {
        let objects = segment.objects().iter().filter(|object| object.pattern() == nth);
        SegmentSource {
            name: name.clone(),
            objects: u32::try_from(objects.clone().count()).unwrap_or(u32::MAX),
            modified: objects.map(|object| object.version().modified()).max(),
        }
    };
    (0..).zip(patterns).map(found).collect()
}

/// Looks at the first rows and decides over the mapping. Blocking.
pub fn infer_mapping(segment: &Segment, options: &MapOptions) -> Result<Mapping, PrepareError> {
    let (columns, sample) = sample_of(segment, |_, _| {})?;
    let mapping = plan(&columns, &sample, options)?;
    for object in segment.objects() {
        check_header(object, &mapping, options)?;
    }
    Ok(mapping)
}

/// The mapping that an export has settled, for a segment of today. Columns that came since are not sent. Blocking.
pub(crate) fn settled_mapping(segment: &Segment, settled: &str) -> Result<Mapping, PrepareError> {
    let mut mapping: Mapping =
        serde_json::from_str(settled).map_err(|_| PrepareError::UnknownColumns)?;
    // So that files of two kinds are refused as ever.
    columns(segment)?;
    for object in segment.objects() {
        let here = person_columns(object);
        let mapper = Mapper::new(&mapping, here).map_err(|source| PrepareError::Unmappable {
            object: object.name().to_owned(),
            source,
        })?;
        if let ([gone, ..], false) = (mapper.absent(), object.is_typed()) {
            return Err(PrepareError::ColumnGone {
                object: object.name().to_owned(),
                column: gone.clone(),
                columns: here.join(", "),
            });
        }
        mapping.leave_out(mapper.unknown());
    }
    Ok(mapping)
}

/// The columns of a segment and what its first rows look like. `look` gets each of these rows, by the columns, and
/// how many those are. Blocking.
pub(crate) fn sample_of(
    segment: &Segment,
    look: impl FnMut(&dyn Cells, usize),
) -> Result<(Vec<String>, Sample), PrepareError> {
    let columns = columns(segment)?;
    let typed = segment.objects().first().is_some_and(Object::is_typed);
    let sample = sample(segment, &columns, typed, look)?;
    Ok((columns, sample))
}

/// The columns of the segment. CSV files have those of the first; NDJSON files, whose objects may leave
/// keys out, all that occur in any.
fn columns(segment: &Segment) -> Result<Vec<String>, PrepareError> {
    let Some((first, others)) = segment.objects().split_first() else {
        return Err(SourceError::NothingGiven.into());
    };
    let mut columns = person_columns(first).to_vec();
    for other in others {
        if other.is_typed() != first.is_typed() {
            let (first, other) = (first.name().to_owned(), other.name().to_owned());
            return Err(PrepareError::MixedKinds { first, other });
        }
        if first.is_typed() {
            let new = other.columns().iter().filter(|column| !columns.contains(column));
            let new: Vec<String> = new.cloned().collect();
            columns.extend(new);
        }
    }
    Ok(columns)
}

/// Everybody's rows must have what is mapped, and nothing must be left behind in silence.
fn check_header(
    object: &Object,
    mapping: &Mapping,
    options: &MapOptions,
) -> Result<(), PrepareError> {
    let columns = person_columns(object);
    let name = || object.name().to_owned();
    let mapper = Mapper::new(mapping, columns)
        .map_err(|source| PrepareError::Unmappable { object: name(), source })?;
    if object.is_typed() {
        return Ok(());
    }
    if let [absent, ..] = mapper.absent() {
        let (column, columns) = (absent.clone(), columns.join(", "));
        return Err(PrepareError::ColumnAbsent { object: name(), column, columns });
    }
    if let ([unknown, ..], Properties::All) = (mapper.unknown(), &options.properties) {
        return Err(PrepareError::ColumnUnknown { object: name(), column: unknown.clone() });
    }
    Ok(())
}

fn sample(
    segment: &Segment,
    columns: &[String],
    typed: bool,
    mut look: impl FnMut(&dyn Cells, usize),
) -> Result<Sample, SourceError> {
    let mut sample = Sample::new(columns.len(), typed);
    let mut rows = segment.rows();
    let mut seen = 0;
    let mut order: (u32, Vec<Option<usize>>) = (u32::MAX, Vec::new());
    let mut mended = false;
    while seen < SAMPLE_ROWS {
        let Some(item) = rows.next()? else { break };
        seen += 1;
        let Item::Row(row) = item else { continue };
        let object = row.position().object;
        if order.0 != object {
            let read = segment.objects().get(object as usize);
            let here = read.map_or(&[][..], person_columns);
            mended = read.is_some_and(is_rejects_file);
            let at = |name: &String| here.iter().position(|other| other == name);
            order = (object, columns.iter().map(at).collect());
        }
        let row = Reordered { row: Person::new(row, mended), order: &order.1 };
        sample.see(&row);
        look(&row, columns.len());
    }
    Ok(sample)
}

/// A row of a file whose columns stand in another order.
struct Reordered<'a> {
    row: Person<'a>,
    order: &'a [Option<usize>],
}

impl Cells for Reordered<'_> {
    fn cell(&self, column: usize) -> Cell<'_> {
        match self.order.get(column) {
            Some(Some(here)) => self.row.cell(*here),
            _ => Cell::Empty,
        }
    }
}
