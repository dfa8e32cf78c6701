//! Formats, delimiters, encodings and compression.

use std::io::Write;

use segue_model::RejectReason;
use segue_source::{Compression, Expansion, Format, ReadOptions, SourceError};

use crate::{Folder, cells, drain};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn format(name: &str, content: &str) -> Format {
    Folder::with(&[(name, content.as_bytes())]).open(&[name]).unwrap().objects()[0].format()
}

#[test]
fn extension_names_the_format_and_content_decides_without_one() {
    for name in ["a.ndjson", "a.jsonl", "a.json", "A.JSON", "a.jsonl.gz", "a", "a.dat", "a.zst"] {
        assert_eq!(format(name, " \n{\"a\":1}"), Format::Ndjson, "{name}");
    }
    for name in ["a.csv", "a.txt", "A.CSV", "a.csv.gz", "a", "a.dat", "json"] {
        assert_eq!(format(name, "a,b\n{,}"), Format::Csv { delimiter: b',' }, "{name}");
    }
}

#[test]
fn delimiter_is_the_one_that_all_lines_agree_on() {
    for (delimiter, text) in [
        (b',', "a,b\n1;1;1,2\n3;3,4\n"),
        (b';', "id;price;note\n1;2,50;a,b\n2;3,50;c\n"),
        (b'\t', "a\tb\n1, 2\t3\n"),
        (b'|', "a|b\n1|2"),
        (b';', "\"a,b,c,d\";\"e\"\n\"1,2\"\"3;;;\";4\n"),
        (b',', "\"a\nb;\",c;d\n1,2;3\n"),
        (b';', "a,b;c;d\n1;2;3\n"),
        (b';', "a;b,c,d\n1;2\n3;4\n"),
        (b';', "a,b;c\n5\";2\n6;2\n7;1\n"),
        (b',', "email\nann@example.com\n"),
        (b';', "\r\na;b\r\n"),
        // Two candidates that agree equally: the more frequent, then the first.
        (b';', "a;b;c,d\n"),
        (b',', "a,b;c\n"),
    ] {
        assert_eq!(format("a.csv", text), Format::Csv { delimiter }, "{text:?}");
    }
    assert_eq!(format("a.tsv", "a,b\tc\n"), Format::Csv { delimiter: b'\t' });
}

#[test]
fn compressed_files_are_known_by_their_content() {
    let text = b"email,n\nann,1\nbob,2\n".as_slice();
    let (two_members, skippable) = (
        [gzip(&text[..11]), gzip(&text[11..])].concat(),
        [&[0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 7, 7], &*zstd(text)].concat(),
    );
    for (name, content, compression) in [
        ("a.csv.gz", gzip(text), Compression::Gzip),
        ("a.csv", gzip(text), Compression::Gzip),
        ("a.csv.gz", two_members, Compression::Gzip),
        ("a.csv.zst", zstd(text), Compression::Zstd),
        ("a.csv.gz", zstd(text), Compression::Zstd),
        ("a.csv.zst", skippable, Compression::Zstd),
        ("a.csv.gz", text.to_vec(), Compression::None),
        ("a.csv", ["\u{FEFF}".as_bytes(), text].concat(), Compression::None),
        ("a.csv.gz", gzip(&["\u{FEFF}".as_bytes(), text].concat()), Compression::Gzip),
    ] {
        let folder = Folder::with(&[(name, &content)]);
        let segment = folder.open(&[name]).unwrap();
        assert_eq!(segment.objects()[0].compression(), compression);
        assert_eq!(segment.objects()[0].columns(), ["email", "n"]);
        let rows: Vec<_> = cells(&segment).into_iter().map(|(_, cells)| cells).collect();
        assert_eq!(rows, [["ann", "1"], ["bob", "2"]]);
    }
}

#[test]
fn archive_that_unfolds_too_far_is_an_error() {
    let bomb = [b"email,x\n".as_slice(), &b"ann,1\n".repeat(2_000_000)].concat();
    for (name, content) in [("a.csv.gz", gzip(&bomb)), ("a.csv.zst", zstd(&bomb))] {
        let folder = Folder::with(&[(name, &content)]);
        let expansion = |max_ratio, free_bytes, max_bytes| ReadOptions {
            expansion: Expansion { max_ratio, free_bytes, max_bytes },
            ..ReadOptions::default()
        };
        for (options, passes) in [
            (ReadOptions::default(), true), // below the free 64 MiB
            (expansion(200, 1 << 20, u64::MAX), false),
            (expansion(u64::MAX, 1 << 20, u64::MAX), true),
            (expansion(u64::MAX, 1 << 20, 11 << 20), false),
        ] {
            let segment = folder.open_with(&[name], &options).unwrap();
            match drain(&mut segment.rows()) {
                Ok((rows, _)) => assert!(passes && rows == 2_000_000, "{name} {options:?}"),
                Err(err) => {
                    assert!(!passes, "{name} {options:?}: {err}");
                    assert!(matches!(err, SourceError::TooLarge { .. }), "{err}");
                }
            }
        }
    }
}

#[test]
fn archive_that_is_cut_off_is_an_error_and_not_a_short_segment() {
    let mut text = b"a,b\n".to_vec();
    for n in 0..50_000 {
        writeln!(text, "{n},{}", n * 7919 % 10_007).unwrap();
    }
    for (name, content) in [("a.csv.gz", gzip(&text)), ("a.csv.zst", zstd(&text))] {
        let folder = Folder::with(&[(name, &content[..content.len() - 20])]);
        let segment = folder.open(&[name]).unwrap();
        let err = drain(&mut segment.rows()).unwrap_err();
        assert!(matches!(err, SourceError::Damaged { rows_read: 1.., .. }), "{name}: {err}");
    }
}

#[test]
fn what_is_no_segment_is_named() {
    let utf16: Vec<u8> = "\u{FEFF}a,b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16_be: Vec<u8> = "\u{FEFF}a,b\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let export = "export it as CSV (UTF-8) or as one JSON object a line";
    for (content, words) in [
        (&*utf16, "a.csv is UTF-16: save it as UTF-8".to_owned()),
        (&utf16_be, "a.csv is UTF-16: save it as UTF-8".to_owned()),
        (&gzip(&utf16), "a.csv is UTF-16: save it as UTF-8".to_owned()),
        (
            &utf16[2..],
            "a.csv: the header holds NUL characters, so the file is UTF-16 or not text; \
             save it as UTF-8"
                .to_owned(),
        ),
        (b"PK\x03\x04....", format!("a.csv is a ZIP archive or an Excel workbook: {export}")),
        (b"PAR1....", format!("a.csv is a Parquet file: {export}")),
        (b"", "a.csv is empty: it has no header and no row".to_owned()),
        (b"\xEF\xBB\xBF\r\n\n", "a.csv is empty: it has no header and no row".to_owned()),
        (&gzip(b""), "a.csv is empty: it has no header and no row".to_owned()),
        (
            b"a,b\r1,2\r3,4",
            "a.csv: its lines end in CR alone; save it with LF or CRLF line ends".to_owned(),
        ),
        (
            b"a,b,a, b\n",
            "a.csv: two columns have the same name: \"a\", \"b\"; rename one of each".to_owned(),
        ),
        (b"a,b,\n1,2,\n", "a.csv: column 3 has no name; name each or remove it".to_owned()),
        (b",a,\n", "a.csv: columns 1, 3 have no name; name each or remove it".to_owned()),
        (b"a,\xE9\n", "a.csv: the header is not UTF-8; save the file as UTF-8".to_owned()),
    ] {
        let folder = Folder::with(&[("a.csv", content)]);
        assert_eq!(folder.words(folder.open(&["a.csv"])), words);
    }
    let folder = Folder::with(&[("a.json", b"\n[{\"a\":1}]"), ("b.json", b"\n \n")]);
    assert_eq!(
        folder.words(folder.open(&["a.json"])),
        format!("a.json is one JSON array: {export}")
    );
    assert!(matches!(folder.open(&["b.json"]), Err(SourceError::Empty { .. })));
}

#[test]
fn ten_megabyte_cell_is_one_reject() {
    let mut text = b"email,note\nann,".to_vec();
    text.resize(text.len() + (10 << 20), b'x');
    text.extend_from_slice(b"\nbob,2\n");
    let mut quoted = b"email,note\nann,\"".to_vec();
    quoted.resize(quoted.len() + (10 << 20), b'x');
    quoted.extend_from_slice(b"\"\nbob,2\n");
    let mut json = b"{\"email\":\"".to_vec();
    json.resize(json.len() + (10 << 20), b'x');
    json.extend_from_slice(b"\"}\n{\"email\":\"bob\"}\n");
    let folder = Folder::with(&[("a.csv", &text), ("b.csv", &quoted), ("c.ndjson", &json)]);
    for name in ["a.csv", "b.csv", "c.ndjson"] {
        let segment = folder.open(&[name]).unwrap();
        let read = drain(&mut segment.rows()).unwrap();
        assert_eq!(read, (1, vec![RejectReason::RowTooLarge]), "{name}");
    }
}
