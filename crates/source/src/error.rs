use std::{collections::HashMap, fmt, io};

use segue_model::RejectReason;

/// Why a segment cannot be read, or not be read on. The words say what, where and what to do.
///
/// Objects are named as the user named them. No message holds a cell of a row.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("no file given: name at least one CSV or NDJSON file")]
    NothingGiven,
    #[error("`{pattern}` is not a valid pattern: {problem}")]
    BadPattern { pattern: String, problem: String },
    #[error("`{pattern}` matches no file: check the folder and the spelling")]
    NoMatch { pattern: String },
    #[error("{object}: there is no such file: check the folder and the spelling")]
    NotFound { object: String },
    /// What [`crate::Segment::open_below`] does not open.
    #[error("{object} is outside of the source folder: name files by their path below it")]
    Outside { object: String },
    /// A folder, a pipe, a device: it has no bytes that can be read a second time.
    #[error("{object} is {what}, not a file: {fix}")]
    NotAFile { object: String, what: &'static str, fix: &'static str },
    #[error("{object} cannot be opened: check that you may read it")]
    Unreadable { object: String, source: io::Error },
    #[error("{object} is named twice (first as {first}): name each file once")]
    NamedTwice { object: String, first: String },
    #[error("{object} is {encoding}: save it as UTF-8")]
    Encoding { object: String, encoding: &'static str },
    #[error("{object} is {what}: export it as CSV (UTF-8) or as one JSON object a line")]
    Unsupported { object: String, what: &'static str },
    #[error("{object} is empty: it has no header and no row")]
    Empty { object: String },
    #[error("{object}: {problem}")]
    Columns { object: String, problem: ColumnsProblem },
    /// Most often an archive that was made to fill a disk.
    #[error(
        "{object} unfolds to more than {limit_bytes} bytes from {read_bytes} compressed ones: \
         decompress it yourself, or raise the limit, if you trust it"
    )]
    TooLarge { object: String, limit_bytes: u64, read_bytes: u64 },
    #[error("{object} is damaged: decompression failed after row {rows_read}; copy it again")]
    Damaged { object: String, rows_read: u64, source: io::Error },
    #[error("{object} could not be read on after row {rows_read}")]
    Read { object: String, rows_read: u64, source: io::Error },
    /// The rows that were handed out may belong to either version.
    #[error(
        "{object} was changed while it was read, at or before row {rows_read}: start again once \
         nothing writes to it"
    )]
    Changed { object: String, rows_read: u64 },
    /// What [`crate::Segment::check`] found.
    #[error("{object} is not what the plan was made for: {difference}")]
    Differs { object: String, difference: Difference },
}

/// What is wrong with the columns of an object. Names of columns are quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnsProblem {
    /// The same name more than once, after white space around it was removed.
    Duplicate {
        names: Vec<String>,
    },
    /// Columns without a name, counted from 1.
    Unnamed {
        columns: Vec<usize>,
    },
    TooMany {
        limit: usize,
    },
    NotUtf8,
    HasNul,
    TooLong {
        limit_bytes: usize,
    },
    /// A quote in the header is not closed, or not doubled.
    Quoting,
    /// Lines end in CR alone, as on a Mac before 2001.
    CrOnly,
    /// Not one of the first lines of NDJSON is a row, so nobody knows the columns.
    NoRow {
        lines: usize,
        /// Why the first of them is none.
        reason: RejectReason,
    },
}

impl ColumnsProblem {
    /// What is wrong with names from which white space was already removed.
    pub(crate) fn find(names: &[String], limit: usize) -> Option<Self> {
        let unnamed: Vec<usize> = (1..)
            .zip(names)
            .filter(|(_, name)| name.is_empty())
            .map(|(column, _)| column)
            .collect();
        if !unnamed.is_empty() {
            return Some(Self::Unnamed { columns: unnamed });
        }
        let mut times = HashMap::<&str, u32>::new();
        let mut duplicates = Vec::new();
        for name in names {
            let times = times.entry(name).or_default();
            *times += 1;
            if *times == 2 {
                duplicates.push(name.clone());
            }
        }
        if !duplicates.is_empty() {
            return Some(Self::Duplicate { names: duplicates });
        }
        (names.len() > limit).then_some(Self::TooMany { limit })
    }
}

impl fmt::Display for ColumnsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { names } => {
                write!(f, "two columns have the same name: {}; rename one of each", Quoted(names))
            }
            Self::Unnamed { columns } => {
                let (noun, verb) =
                    if columns.len() == 1 { ("column", "has") } else { ("columns", "have") };
                write!(f, "{noun} {} {verb} no name; name each or remove it", Numbers(columns))
            }
            Self::TooMany { limit } => write!(
                f,
                "more than {limit} columns; is a property used as a key? leave out what is not needed"
            ),
            Self::NotUtf8 => f.write_str("the header is not UTF-8; save the file as UTF-8"),
            Self::HasNul => f.write_str(
                "the header holds NUL characters, so the file is UTF-16 or not text; save it as UTF-8",
            ),
            Self::TooLong { limit_bytes } => {
                write!(f, "the header is longer than {limit_bytes} bytes; is this a CSV file?")
            }
            Self::Quoting => f.write_str("a quote in the header is not closed or not doubled"),
            Self::CrOnly => f.write_str("its lines end in CR alone; save it with LF or CRLF line ends"),
            Self::NoRow { lines, reason } => {
                let (meaning, fix) = (reason.meaning(), reason.fix());
                match lines {
                    1 => write!(f, "its first line is no row. {meaning} {fix}"),
                    _ => write!(f, "none of its first {lines} lines is a row. {meaning} {fix}"),
                }
            }
        }
    }
}

/// How an object differs from the one in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Another file stands in this place of the list, or none, or one too many.
    Object,
    Size,
    /// The same size, other bytes at its beginning or end.
    Content,
    /// The same bytes as far as can be seen, but written again.
    ModifiedAt,
    /// Another file under the same name.
    File,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "the list of files is another one",
            Self::Size => "its size changed",
            Self::Content => "its content changed",
            Self::ModifiedAt => "it was written again",
            Self::File => "it was replaced by another file",
        })
    }
}

struct Quoted<'a>(&'a [String]);
impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(
            f,
            self.0.iter().map(|name| match name.char_indices().nth(NAME_CHARS) {
                Some((end, _)) => format!("{:?}…", &name[..end]),
                None => format!("{name:?}"),
            }),
        )
    }
}

struct Numbers<'a>(&'a [usize]);
impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.0.iter().map(usize::to_string))
    }
}

/// More would hide the message they belong to.
const SHOWN: usize = 20;
/// Of one name.
const NAME_CHARS: usize = 100;

fn list(f: &mut fmt::Formatter<'_>, items: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    let more = items.len().saturating_sub(SHOWN);
    f.write_str(&items.take(SHOWN).collect::<Vec<_>>().join(", "))?;
    if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
}
