use std::{io, sync::Arc};

use segue_model::Position;

use crate::{
    Format, Item, Object, Row, SourceError,
    csv::CsvReader,
    input::Input,
    ndjson::NdjsonReader,
    row::{Defect, Record},
    segment::Shared,
};

/// Bytes on disk after which the file is asked again whether it changed.
const CHECK_EVERY_BYTES: u64 = 8 << 20;

/// A pass over the rows of a segment, object by object. Blocking.
pub struct Rows {
    shared: Arc<Shared>,
    /// The object that is being read, or will be next.
    object: usize,
    reader: Option<Reader>,
    /// `bytes_read` at which the object is checked for changes again.
    check_at: u64,
    bytes_of_finished: u64,
}

enum Reader {
    Csv(CsvReader<Input>),
    Ndjson(NdjsonReader<Input>),
}

impl Rows {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, object: 0, reader: None, check_at: 0, bytes_of_finished: 0 }
    }

    /// The next row, good or bad; `None` behind the last. After an error the pass is over.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its items")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, SourceError> {
        while !self.advance()? {
            if !self.open_next()? {
                return Ok(None);
            }
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let object = u32::try_from(self.object).unwrap_or(u32::MAX);
        let position = Position { object, row: reader.row() };
        Ok(Some(match reader.record() {
            Ok(record) => Item::Row(Row::new(position, record)),
            Err(defect) => Item::Bad(defect.at(position)),
        }))
    }

    /// Bytes on disk that were read so far, a little ahead of the rows handed out.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_of_finished
            + self.reader.as_ref().map_or(0, |reader| reader.input().bytes_read())
    }

    /// Moves on within the object that is open. `false`: none is, or it has no more rows.
    fn advance(&mut self) -> Result<bool, SourceError> {
        let Some(reader) = &mut self.reader else { return Ok(false) };
        let object = &self.shared.objects[self.object];
        let found = reader.advance().map_err(|err| object.error(err, reader.row()))?;
        let bytes_read = reader.input().bytes_read();
        if !found || bytes_read >= self.check_at {
            check(object, reader.row())?;
            self.check_at = bytes_read + CHECK_EVERY_BYTES;
        }
        if !found {
            self.reader = None;
            self.object += 1;
            self.bytes_of_finished += object.size_bytes();
        }
        Ok(found)
    }

    /// Opens the object that is next. `false`: there is none.
    fn open_next(&mut self) -> Result<bool, SourceError> {
        let Shared { objects, options } = &*self.shared;
        let Some(object) = objects.get(self.object) else { return Ok(false) };
        check(object, 0)?;
        let reader = Reader::open(object, options).map_err(|err| object.error(err, 0))?;
        self.reader = Some(reader);
        self.check_at = CHECK_EVERY_BYTES;
        Ok(true)
    }
}

fn check(object: &Object, rows_read: u64) -> Result<(), SourceError> {
    if object.is_changed() {
        return Err(SourceError::Changed { object: object.name().to_owned(), rows_read });
    }
    Ok(())
}

impl Reader {
    fn open(object: &Object, options: &crate::ReadOptions) -> io::Result<Self> {
        let (input, limits) = (object.input(options)?, options.limits());
        match object.format() {
            Format::Csv { delimiter } => {
                let mut reader = CsvReader::new(input, delimiter, limits, options.buffer_bytes);
                // It was good when the segment was opened; a change since then is found by `check`.
                drop(reader.header(options.max_columns)?);
                Ok(Self::Csv(reader))
            }
            Format::Ndjson => {
                NdjsonReader::new(input, object.names(), limits, options.buffer_bytes)
                    .map(Self::Ndjson)
            }
        }
    }

    fn advance(&mut self) -> io::Result<bool> {
        match self {
            Self::Csv(reader) => reader.advance(),
            Self::Ndjson(reader) => reader.advance(),
        }
    }

    fn record(&mut self) -> Result<Record<'_>, Defect> {
        match self {
            Self::Csv(reader) => reader.record(),
            Self::Ndjson(reader) => reader.record(),
        }
    }

    fn row(&self) -> u64 {
        match self {
            Self::Csv(reader) => reader.row(),
            Self::Ndjson(reader) => reader.row(),
        }
    }

    fn input(&self) -> &Input {
        match self {
            Self::Csv(reader) => reader.source(),
            Self::Ndjson(reader) => reader.source(),
        }
    }
}
