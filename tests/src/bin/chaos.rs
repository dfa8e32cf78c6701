//! Runs the cases of `segue_tests::chaos` and writes what came of them: `make chaos`.
#![allow(clippy::print_stdout, reason = "it tells people what it does")]
#![expect(clippy::expect_used, reason = "it ends with these words")]

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::Parser;
use segue_tests::chaos::{self, cases, ledger, soak};

/// Faults, made on purpose, and what became of every row.
#[derive(Parser)]
struct Args {
    /// Only cases whose names or faults begin so; `soak` for the soak.
    only: Vec<String>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds for each case.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Cases at a time: more than the machine carries make every recovery longer.
    #[arg(long, default_value_t = 3)]
    lanes: usize,
    /// Profiles that the soak delivers.
    #[arg(long, default_value_t = 5_000_000)]
    soak: u64,
    /// The machine does other work besides, so how long recoveries take says nothing: leave them out.
    #[arg(long)]
    busy: bool,
    /// Outcomes are added to this file, one JSON object a line.
    #[arg(long, default_value = "docs/reliability.jsonl")]
    ledger: PathBuf,
    /// The page that is made of all outcomes in it.
    #[arg(long)]
    page: Option<PathBuf>,
    /// Only names.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let wanted = |names: [&str; 2]| {
        args.only.is_empty()
            || names.iter().any(|name| args.only.iter().any(|only| name.starts_with(only.as_str())))
    };
    let mut all = cases::all();
    all.retain(|case| wanted([case.name, case.fault]));
    if args.list {
        for case in all {
            println!("{:12} {:34} {}", case.fault, case.name, case.what);
        }
        return ExitCode::SUCCESS;
    }
    if let Some(folder) = args.ledger.parent() {
        fs::create_dir_all(folder).expect("a folder for the ledger");
    }
    let failed = AtomicBool::new(false);
    let done = |outcome: &ledger::Outcome| {
        let mut outcome = outcome.clone();
        if args.busy {
            outcome.verdict.recovery = None;
        }
        println!("{}", outcome.line());
        ledger::add(&args.ledger, &outcome).expect("the ledger can be written");
        failed.fetch_or(!outcome.verdict.is_clean(), Ordering::Relaxed);
    };
    let seeds: Vec<u64> = (args.seed..args.seed + args.seeds).collect();
    chaos::run(&all, &seeds, args.lanes, &done);
    if wanted(["soak", "soak"]) && args.soak > 0 {
        done(&soak::run(args.seed, args.soak));
    }
    if let Some(page) = &args.page {
        let outcomes = ledger::read(&args.ledger).expect("the ledger can be read");
        fs::write(page, ledger::page(&outcomes)).expect("the page can be written");
        println!("{} says what came of {} runs", page.display(), outcomes.len());
    }
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
