use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, FileTypeExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    ReadOptions, Rows,
    csv::CsvReader,
    error::{ColumnsProblem, Difference, SourceError},
    input::{Input, UnfoldsTooFar},
    ndjson::{self, Names},
    sniff,
    version::{Manifest, ManifestObject, Stamp, Version},
};

/// A named set of profiles: one or several files, opened once and read as often as needed.
///
/// Cheap to clone; clones share the open files.
#[derive(Debug, Clone)]
pub struct Segment {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) objects: Vec<Object>,
    pub(crate) options: ReadOptions,
}

/// How the rows of an object are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `delimiter` is `,`, `;`, `|` or a tab.
    Csv {
        delimiter: u8,
    },
    Ndjson,
}

/// How an object is compressed, by its first bytes and whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// One file of a segment.
///
/// The open handle is kept: a file that is replaced by a rename goes on being read as it was.
#[derive(Debug)]
pub struct Object {
    name: String,
    /// The number of the pattern that named it.
    pattern: u32,
    file: Arc<File>,
    version: Version,
    compression: Compression,
    format: Format,
    names: Arc<Names>,
}

impl Segment {
    /// Opens all files that the patterns name, in this order: the arguments, then the names that one
    /// pattern finds, by their bytes. Reads every header and version before it returns.
    ///
    /// A pattern may hold `*`, `?`, `[…]` and `**`; hidden files are found only if the pattern begins
    /// with a dot. A file whose name has such characters is found under its own name first.
    pub fn open<P: AsRef<str>>(patterns: &[P], options: &ReadOptions) -> Result<Self, SourceError> {
        let named = |(pattern, path): (u32, PathBuf)| Found {
            name: path.to_string_lossy().into_owned(),
            path,
            pattern,
        };
        Self::open_found(resolve(patterns)?.into_iter().map(named), options)
    }

    pub(crate) fn open_found(
        found: impl IntoIterator<Item = Found>,
        options: &ReadOptions,
    ) -> Result<Self, SourceError> {
        let mut objects: Vec<Object> = Vec::new();
        for found in found {
            let object = Object::open(found, options, |identity| {
                let twice = |earlier: &&Object| earlier.version.stamp().identity() == identity;
                objects.iter().find(twice).map(|earlier| earlier.name.clone())
            })?;
            objects.push(object);
        }
        if objects.is_empty() {
            return Err(SourceError::NothingGiven);
        }
        Ok(Self { shared: Arc::new(Shared { objects, options: options.clone() }) })
    }

    /// The columns of the segment: those of its first object.
    pub fn columns(&self) -> &[String] {
        self.shared.objects[0].columns() // `open` refuses a segment of none
    }

    /// In the order in which they are read. Another object may have more, fewer or other columns than
    /// the first, or another order; what that means is for the caller to decide.
    pub fn objects(&self) -> &[Object] {
        &self.shared.objects
    }

    /// What a run freezes, so that [`Self::check`] can tell later whether this is still the same.
    pub fn manifest(&self) -> Manifest {
        let entry = |object: &Object| ManifestObject {
            name: object.name.clone(),
            version: object.version.clone(),
        };
        Manifest { objects: self.shared.objects.iter().map(entry).collect() }
    }

    /// The same objects in the same order and versions as in the manifest? Names the first that is not.
    pub fn check(&self, manifest: &Manifest) -> Result<(), SourceError> {
        let (now, then) = (&self.shared.objects, &manifest.objects);
        for (object, earlier) in now.iter().zip(then) {
            let difference = if object.name == earlier.name {
                object.version.difference(&earlier.version)
            } else {
                Some(Difference::Object)
            };
            if let Some(difference) = difference {
                return Err(SourceError::Differs { object: object.name.clone(), difference });
            }
        }
        let added = now.get(then.len()).map(|object| &object.name);
        let missing = then.get(now.len()).map(|object| &object.name);
        match added.or(missing) {
            None => Ok(()),
            Some(object) => {
                Err(SourceError::Differs { object: object.clone(), difference: Difference::Object })
            }
        }
    }

    /// A pass over all rows, from the beginning. Any number of passes can go on at the same time.
    pub fn rows(&self) -> Rows {
        Rows::new(Arc::clone(&self.shared))
    }

    /// Bytes on disk of all objects: what [`Rows::bytes_read`] ends at, or shortly before.
    pub fn size_bytes(&self) -> u64 {
        self.shared.objects.iter().map(Object::size_bytes).sum()
    }
}

/// A file that is to be opened.
pub(crate) struct Found {
    /// What people call it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// The number of the pattern that named it, from 0.
    pub(crate) pattern: u32,
}

impl Object {
    /// The path as it was given or as the pattern found it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the pattern that named it, from 0. A file is named by one: a second is an error.
    pub fn pattern(&self) -> u32 {
        self.pattern
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The names of the columns, in the order in which the cells of its rows are counted.
    pub fn columns(&self) -> &[String] {
        &self.names.list
    }

    /// Whether cells have the types of JSON, or are text that a mapping has to interpret.
    pub fn is_typed(&self) -> bool {
        self.format == Format::Ndjson
    }

    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Bytes on disk.
    pub fn size_bytes(&self) -> u64 {
        self.version.size_bytes()
    }

    fn open(
        found: Found,
        options: &ReadOptions,
        opened_as: impl FnOnce((u64, u64)) -> Option<String>,
    ) -> Result<Self, SourceError> {
        let Found { name, path, pattern } = found;
        let unreadable = |source| SourceError::Unreadable { object: name.clone(), source };
        let file = Arc::new(open_file(&path, &name)?);
        let version = Version::of(&file).map_err(unreadable)?;
        if let Some(first) = opened_as(version.stamp().identity()) {
            return Err(SourceError::NamedTwice { object: name, first });
        }

        let mut magic = [0; 8];
        let length = file.read_at(&mut magic, 0).map_err(unreadable)?;
        let magic = &magic[..length];
        if let Some(what) = sniff::foreign(magic) {
            return Err(SourceError::Unsupported { object: name, what });
        }
        let mut object = Self {
            compression: sniff::compression(magic),
            format: Format::Ndjson, // until its head is read
            names: Arc::default(),
            name,
            pattern,
            file,
            version,
        };
        let head = object.head(options)?;
        if object.compression != Compression::None
            && let Some(what) = sniff::packed_twice(&head)
        {
            return Err(SourceError::Unsupported { object: object.name, what });
        }
        if let Some(encoding) = sniff::foreign_encoding(&head) {
            return Err(SourceError::Encoding { object: object.name, encoding });
        }
        let head = sniff::without_bom(&head);
        object.format = sniff::format(Path::new(&object.name), head);
        object.names = Arc::new(object.read_columns(head, options)?);
        if object.is_changed() {
            return Err(SourceError::Changed { object: object.name, rows_read: 0 });
        }
        Ok(object)
    }

    fn head(&self, options: &ReadOptions) -> Result<Vec<u8>, SourceError> {
        let mut head = Vec::new();
        self.input(options)
            .and_then(|input| input.take(sniff::HEAD_BYTES as u64).read_to_end(&mut head))
            .map_err(|err| self.error(err, 0))?;
        Ok(head)
    }

    fn read_columns(&self, head: &[u8], options: &ReadOptions) -> Result<Names, SourceError> {
        let problem = |problem| SourceError::Columns { object: self.name.clone(), problem };
        let failed = |err| self.error(err, 0);
        let input = self.input(options).map_err(failed)?;
        let names = match self.format {
            Format::Csv { .. } if sniff::is_cr_only(head) => {
                return Err(problem(ColumnsProblem::CrOnly));
            }
            Format::Csv { delimiter } => {
                let capacity = options.buffer_bytes;
                CsvReader::new(input, delimiter, options.limits(), capacity)
                    .header(options.max_columns)
                    .map_err(failed)?
                    .map_err(problem)?
                    .map(Names::new)
            }
            Format::Ndjson if head.trim_ascii_start().starts_with(b"[") => {
                let what = "one JSON array";
                return Err(SourceError::Unsupported { object: self.name.clone(), what });
            }
            Format::Ndjson => ndjson::discover(input, options).map_err(failed)?.map_err(problem)?,
        };
        names.ok_or_else(|| SourceError::Empty { object: self.name.clone() })
    }

    /// The object's bytes from the beginning.
    pub(crate) fn input(&self, options: &ReadOptions) -> io::Result<Input> {
        Input::new(Arc::clone(&self.file), self.compression, options.expansion.clone())
    }

    pub(crate) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }

    /// Whether somebody wrote to the file since it was opened. A file that cannot be asked counts as
    /// changed.
    pub(crate) fn is_changed(&self) -> bool {
        Stamp::of(&self.file).ok() != Some(self.version.stamp())
    }

    /// What an I/O error from [`Input`] means. A file that was cut short fails in many ways; that it
    /// changed is the true reason.
    pub(crate) fn error(&self, err: io::Error, rows_read: u64) -> SourceError {
        let object = self.name.clone();
        if self.is_changed() {
            return SourceError::Changed { object, rows_read };
        }
        if let Some(too_far) = err.get_ref().and_then(|err| err.downcast_ref::<UnfoldsTooFar>()) {
            let UnfoldsTooFar { limit_bytes, read_bytes } = *too_far;
            return SourceError::TooLarge { object, limit_bytes, read_bytes };
        }
        // Errors of the operating system carry its number; those of a decoder do not.
        if err.raw_os_error().is_none() && self.compression != Compression::None {
            return SourceError::Damaged { object, rows_read, source: err };
        }
        SourceError::Read { object, rows_read, source: err }
    }
}

/// Opens a regular file. Asks what it is first, because opening a pipe waits for its writer.
fn open_file(path: &Path, name: &str) -> Result<File, SourceError> {
    let object = name.to_owned();
    let failed = |err: io::Error| match err.kind() {
        io::ErrorKind::NotFound => SourceError::NotFound { object: name.to_owned() },
        _ => SourceError::Unreadable { object: name.to_owned(), source: err },
    };
    let kind = fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_dir() {
        let fix = "name the files in it, for example with /*.csv";
        return Err(SourceError::NotAFile { object, what: "a folder", fix });
    }
    if !kind.is_file() {
        let what = if kind.is_fifo() { "a pipe" } else { "a device or socket" };
        let fix = "write its content to a file first";
        return Err(SourceError::NotAFile { object, what, fix });
    }
    File::open(path).map_err(failed)
}

/// Each path with the number of its pattern.
fn resolve<P: AsRef<str>>(patterns: &[P]) -> Result<Vec<(u32, PathBuf)>, SourceError> {
    let mut paths = Vec::new();
    for (nth, pattern) in (0..).zip(patterns.iter().map(AsRef::as_ref)) {
        if !is_pattern(pattern) || fs::symlink_metadata(pattern).is_ok() {
            paths.push((nth, PathBuf::from(pattern)));
            continue;
        }
        let found = find(pattern, pattern)?;
        if found.is_empty() {
            return Err(SourceError::NoMatch { pattern: pattern.to_owned() });
        }
        paths.extend(found.into_iter().map(|path| (nth, path)));
    }
    Ok(paths)
}

pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// `shown`: the pattern as it was given.
pub(crate) fn find(pattern: &str, shown: &str) -> Result<Vec<PathBuf>, SourceError> {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let matches = glob::glob_with(pattern, options).map_err(|err| SourceError::BadPattern {
        pattern: shown.to_owned(),
        problem: err.to_string(),
    })?;
    let mut paths = matches.collect::<Result<Vec<_>, _>>().map_err(|err| {
        let object = err.path().to_string_lossy().into_owned();
        SourceError::Unreadable { object, source: err.into() }
    })?;
    paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    Ok(paths)
}
