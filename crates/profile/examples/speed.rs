//! How long one row takes: `cargo run --release -p segue-profile --example speed`.

use std::{
    hint::black_box,
    io::{self, Write},
    time::{Duration, Instant},
};

use segue_model::Cell;
use segue_profile::{MapOptions, Mapper, Sample, plan};

const HEADER: &str = "customer_id,email,first_name,last_name,phone,city,country,loyalty_tier,\
    lifetime_value,orders,last_purchase";
const ROWS: usize = 10_000;
const ROUNDS: usize = 60;

fn rows() -> Vec<String> {
    let cities = ["Berlin", "San Francisco", "Düsseldorf", "Aix-en-Provence"];
    let tiers = ["gold", "silver", "bronze", "platinum"];
    (0..ROWS)
        .map(|i| {
            format!(
                "C{i:07},Ann.Miller{i}@example.com,Annabel,Miller,+1 202 555 01{:02},\
                 {},Germany,{},{}.{:02},{},2026-0{}-1{}",
                i % 100,
                cities[i % 4],
                tiers[i / 7 % 4],
                i * 37 % 9000,
                i % 100,
                i % 61,
                1 + i % 9,
                i % 10,
            )
        })
        .collect()
}

fn main() -> io::Result<()> {
    let columns: Vec<String> = HEADER.split(',').map(str::to_owned).collect();
    let lines = rows();
    let rows: Vec<Vec<Cell<'_>>> =
        lines.iter().map(|line| line.split(',').map(Cell::Text).collect()).collect();
    let mut sample = Sample::new(columns.len(), false);
    let started = Instant::now();
    for row in &rows {
        sample.see(&row[..]);
    }
    let sampling = started.elapsed();
    let mapping = plan(&columns, &sample, &MapOptions::default()).map_err(io::Error::other)?;
    let mut mapper = Mapper::new(&mapping, &columns).map_err(io::Error::other)?;

    let mut out = Vec::with_capacity(8 << 20);
    let mut best = Duration::MAX;
    let mut total = Duration::ZERO;
    for _ in 0..ROUNDS {
        out.clear();
        let started = Instant::now();
        for row in &rows {
            black_box(mapper.map(black_box(&row[..]), &mut out).is_ok());
        }
        let took = started.elapsed();
        best = best.min(took);
        total += took;
    }
    let input: usize = lines.iter().map(|line| line.len() + 1).sum();
    writeln!(
        io::stdout(),
        "map: {} ns/row best, {} ns/row mean · row {} B in, {} B out · sampling {} ns/row",
        best.as_nanos() / ROWS as u128,
        total.as_nanos() / (ROWS * ROUNDS) as u128,
        input / ROWS,
        out.len() / ROWS,
        sampling.as_nanos() / ROWS as u128,
    )
}
