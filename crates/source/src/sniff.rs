//! What a file is, from its name and its first bytes.

use std::path::Path;

use memchr::memchr;

use crate::{Compression, Format};

/// Bytes, decompressed, that are looked at to find the format and the delimiter.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// Records that have a say in what the delimiter is.
const SAMPLED_RECORDS: usize = 20;

/// The content decides, not the extension: a download may have been decompressed on the way.
pub(crate) fn compression(magic: &[u8]) -> Compression {
    match magic {
        [0x1F, 0x8B, ..] => Compression::Gzip,
        // A Zstandard frame, or a skippable frame that some tools write before the first.
        [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// Formats that people name by mistake, to be told apart from a damaged file.
pub(crate) fn foreign(magic: &[u8]) -> Option<&'static str> {
    match magic {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Some("a ZIP archive or an Excel workbook"),
        [0xD0, 0xCF, 0x11, 0xE0, ..] => Some("an old Excel workbook"),
        [b'P', b'A', b'R', b'1', ..] => Some("a Parquet file"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some("compressed with bzip2"),
        [0xFD, b'7', b'z', b'X', b'Z', ..] => Some("compressed with xz"),
        _ => None,
    }
}

/// What came out of a compressed file, if that has to be unpacked once more.
pub(crate) fn packed_twice(head: &[u8]) -> Option<&'static str> {
    foreign(head).or((compression(head) != Compression::None).then_some("compressed twice"))
}

/// The name of an encoding other than UTF-8, from its byte order mark.
pub(crate) fn foreign_encoding(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => Some("UTF-32"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some("UTF-16"),
        _ => None,
    }
}

pub(crate) fn without_bom(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head)
}

pub(crate) fn format(path: &Path, head: &[u8]) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = [".gz", ".zst"].iter().find_map(|ext| name.strip_suffix(ext)).unwrap_or(&name);
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("ndjson" | "jsonl" | "json") => Format::Ndjson,
        Some("csv" | "txt") => Format::Csv { delimiter: delimiter(head, b",;\t|") },
        Some("tsv") => Format::Csv { delimiter: delimiter(head, b"\t,;|") },
        _ if head.trim_ascii_start().starts_with(b"{") => Format::Ndjson,
        _ => Format::Csv { delimiter: delimiter(head, b",;\t|") },
    }
}

/// The candidate that the most records have as often as the header has it; if several do, the one that
/// is most frequent in the header, then the first in the list. A file of one column has none.
fn delimiter(head: &[u8], candidates: &[u8]) -> u8 {
    let mut best = (0, 0, candidates[0]);
    for &candidate in candidates {
        let counts = counts(head, candidate);
        let Some((&header, records)) = counts.split_first() else { continue };
        let alike = records.iter().filter(|count| **count == header).count();
        if header > 0 && (best.1 == 0 || (alike, header) > (best.0, best.1)) {
            best = (alike, header, candidate);
        }
    }
    best.2
}

/// How often the delimiter stands outside quotes in each of the first records.
fn counts(head: &[u8], delimiter: u8) -> Vec<usize> {
    #[derive(PartialEq)]
    enum At {
        CellStart,
        Bare,
        Quoted,
        ClosingQuote,
    }
    let (mut counts, mut count, mut at, mut is_blank) = (Vec::new(), 0, At::CellStart, true);
    for &byte in head {
        at = match byte {
            b'"' if at == At::Quoted => At::ClosingQuote,
            // Behind a closing quote: it was the first of a doubled one.
            b'"' if at != At::Bare => At::Quoted,
            _ if at == At::Quoted => At::Quoted,
            b'\n' => {
                if !is_blank {
                    counts.push(count);
                }
                if counts.len() == SAMPLED_RECORDS {
                    return counts;
                }
                (count, is_blank) = (0, true);
                At::CellStart
            }
            byte if byte == delimiter => {
                count += 1;
                At::CellStart
            }
            _ => At::Bare,
        };
        is_blank &= matches!(byte, b'\r' | b'\n');
    }
    if head.len() < HEAD_BYTES && !is_blank {
        counts.push(count); // the last record, without a line end
    }
    counts
}

/// The lines end in CR alone.
pub(crate) fn is_cr_only(head: &[u8]) -> bool {
    let inner = head.strip_suffix(b"\r").unwrap_or(head);
    memchr(b'\n', head).is_none() && memchr(b'\r', inner).is_some()
}
