//! How fast rows are read: `cargo run --release -p segue-source --example speed [rows]`.
//!
//! Every cell of every row is asked for and its bytes are counted, so nothing can be left out.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::{
    fs::File,
    hint::black_box,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use segue_model::Cell;
use segue_source::{
    Item, ReadOptions, Segment,
    sample::{self, SampleFormat},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let rows = std::env::args().nth(1).map_or(Ok(1_000_000), |rows| rows.parse())?;
    let folder = tempfile::tempdir()?;
    for (name, format) in
        [("segment.csv", SampleFormat::Csv), ("segment.ndjson", SampleFormat::Ndjson)]
    {
        let plain = folder.path().join(name);
        let began = Instant::now();
        sample::write(File::create(&plain)?, rows, 1, false, format)?;
        report(&format!("write {name}"), rows, began.elapsed(), std::fs::metadata(&plain)?.len());

        let (gzip, zstd) = compress(&plain)?;
        for path in [plain, gzip, zstd] {
            measure(&path)?;
        }
    }
    Ok(())
}

fn compress(plain: &Path) -> Result<(std::path::PathBuf, std::path::PathBuf)> {
    let bytes = std::fs::read(plain)?;
    let (gzip, zstd) = (plain.with_added_extension("gz"), plain.with_added_extension("zst"));
    let mut encoder =
        flate2::write::GzEncoder::new(File::create(&gzip)?, flate2::Compression::fast());
    encoder.write_all(&bytes)?;
    encoder.finish()?;
    std::fs::write(&zstd, zstd::encode_all(&*bytes, 3)?)?;
    Ok((gzip, zstd))
}

/// The best of five passes: the others were disturbed.
fn measure(path: &Path) -> Result<()> {
    let segment = Segment::open(&[path.to_string_lossy()], &ReadOptions::default())?;
    let mut best = Duration::MAX;
    let mut count = 0;
    for _ in 0..5 {
        let began = Instant::now();
        count = read(&segment)?;
        best = best.min(began.elapsed());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    report(&format!("read {name}"), count, best, segment.size_bytes());
    Ok(())
}

fn read(segment: &Segment) -> Result<u64> {
    let mut rows = segment.rows();
    let (mut count, mut bytes) = (0, 0);
    while let Some(item) = rows.next()? {
        let Item::Row(row) = item else { return Err("a bad row in a clean sample".into()) };
        count += 1;
        for column in 0..row.len() {
            if let Cell::Text(text) | Cell::Number(text) = row.get(column) {
                bytes += text.len();
            }
        }
    }
    black_box(bytes);
    Ok(count)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn report(what: &str, rows: u64, took: Duration, bytes: u64) {
    let seconds = took.as_secs_f64();
    let (million_rows, mega) = (rows as f64 / seconds / 1e6, bytes as f64 / seconds / 1e6);
    let size = bytes as f64 / rows as f64;
    println!("{what:24} {million_rows:6.2} M rows/s  {mega:7.1} MB/s  {size:6.1} bytes a row");
}
