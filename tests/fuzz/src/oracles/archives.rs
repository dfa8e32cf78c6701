//! Compressed files: the rows of what they hold, or an error, and never more memory than was allowed.

use std::{fs, io::Write as _};

use segue_source::{Expansion, Item, ReadOptions, Segment, SourceError};

const MOST: u64 = 1 << 20;

fn options() -> ReadOptions {
    ReadOptions {
        max_cell_bytes: 16 << 10,
        max_row_bytes: 64 << 10,
        expansion: Expansion { max_ratio: 50, free_bytes: 64 << 10, max_bytes: MOST },
        buffer_bytes: 4096,
        ..ReadOptions::default()
    }
}

/// Any bytes as a file, which may be compressed, and packed by gzip and Zstandard.
pub fn archives(data: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let read = |bytes: &[u8]| {
        let path = folder.path().join("people");
        fs::write(&path, bytes).unwrap();
        read(path.to_str().unwrap())
    };
    let plain = read(data);
    assert_eq!(read(data), plain, "the second time");
    if is_packed(data) {
        return; // twice packed, it is an error
    }
    for packed in [gzip(data), zstd::encode_all(data, 1).unwrap()] {
        match read(&packed) {
            // A bomb is no error while it is not packed.
            Err(Problem::TooLarge) => assert!(data.len() > 64 << 10),
            unpacked => {
                assert!(unpacked == plain || plain == Err(Problem::Foreign), "{unpacked:?}");
            }
        }
        let cut = 4 + data.len() % (packed.len() - 4);
        assert!(read(&packed[..cut]).is_err(), "cut off at {cut} of {}", packed.len());
    }
}

/// Rows and rejects as they came, with what was wrong with them.
type Rows = Vec<Result<Vec<String>, String>>;

#[derive(Debug, PartialEq)]
enum Problem {
    TooLarge,
    /// A format that is known by its first bytes.
    Foreign,
    Other(String),
}

fn read(path: &str) -> Result<Rows, Problem> {
    let problem = |err: SourceError| {
        let words = err.to_string();
        assert!(words.len() < 8192, "{words}");
        match err {
            SourceError::TooLarge { .. } => Problem::TooLarge,
            SourceError::Unsupported { .. } | SourceError::Encoding { .. } => Problem::Foreign,
            _ => Problem::Other(words),
        }
    };
    let segment = Segment::open(&[path], &options()).map_err(problem)?;
    let mut rows = segment.rows();
    let (mut read, mut bytes) = (Vec::new(), 0);
    while let Some(item) = rows.next().map_err(problem)? {
        read.push(match item {
            Item::Row(row) => Ok(row.to_cells()),
            Item::Bad(bad) => Err(format!("{} {} {}", bad.position.row, bad.reason, bad.detail)),
        });
        let cells = read.last().and_then(|row| row.as_ref().ok()).into_iter().flatten();
        bytes += cells.map(String::len).sum::<usize>();
        assert!(bytes as u64 <= MOST + segment.size_bytes() + 4096, "{bytes} bytes came out");
    }
    Ok(read)
}

fn is_packed(data: &[u8]) -> bool {
    matches!(
        data,
        [0x1F, 0x8B, ..] | [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..]
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}
