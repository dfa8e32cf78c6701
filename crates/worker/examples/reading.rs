//! How long reading takes, from the bytes of a file to batches:
//! `cargo run --release -p segue-worker --example reading -- people.csv`, with a file of `segue sample`.
#![expect(clippy::print_stdout, reason = "an example that reports what it measured")]

use std::{error::Error, time::Instant};

use segue_profile::{MapOptions, Sample, plan};
use segue_source::{Item, ReadOptions, Segment};
use segue_worker::read::{Cut, CutOptions, Cutter, ReadError, Sink};

/// As many rows as `segue export` infers the mapping from.
const SAMPLED: usize = 10_000;

#[derive(Default)]
struct Tally {
    batches: u64,
    bytes: usize,
    rows: u64,
}

impl Sink for Tally {
    fn take(&mut self, cut: Cut) -> Result<(), ReadError> {
        self.batches += 1;
        self.bytes += cut.body.len();
        self.rows += cut.rows;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("which file?")?;
    let segment = Segment::open(&[&file], &ReadOptions::default())?;
    let typed = segment.objects().iter().any(segue_source::Object::is_typed);
    let mut sample = Sample::new(segment.columns().len(), typed);
    let mut rows = segment.rows();
    while sample.rows() < SAMPLED
        && let Some(item) = rows.next()?
    {
        if let Item::Row(row) = item {
            sample.see(&row);
        }
    }
    let mapping = plan(segment.columns(), &sample, &MapOptions::default())?;
    let options = CutOptions {
        list: "LIST01".parse()?,
        seed: 42,
        dedupe_memory: 64 << 20,
        scratch: std::env::temp_dir().join(format!("segue-speed-{}", std::process::id())),
        batch_profiles: segue_model::MAX_BATCH_PROFILES,
        limit: None,
    };
    let mut tally = Tally::default();
    let started = Instant::now();
    Cutter::new(&segment, &mapping, &options).run(&mut tally)?;
    let Tally { batches, bytes, rows } = tally;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let ns_a_row = started.elapsed().as_nanos() as f64 / rows as f64;
    println!("{rows} rows: {batches} batches, {} MB, {ns_a_row:.0} ns a row", bytes / 1_000_000);
    Ok(())
}
