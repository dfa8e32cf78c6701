//! `segue sample`.

use std::{fs::File, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;
use segue_source::sample::{self, SampleFormat};

use crate::ui;

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// How many rows.
    #[arg(long, value_name = "N")]
    rows: u64,
    /// The same seed gives the same rows.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Spoil some rows: bad addresses, ragged rows, broken encodings and more.
    #[arg(long)]
    dirty: bool,
    /// Where to; the name ends in .csv or .ndjson.
    #[arg(value_name = "FILE.csv|.ndjson")]
    file: PathBuf,
}

pub(crate) fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let format = match args.file.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => SampleFormat::Csv,
        Some("ndjson" | "jsonl") => SampleFormat::Ndjson,
        _ => bail!("{} must end in .csv or .ndjson", args.file.display()),
    };
    let cannot = || format!("cannot write {}", args.file.display());
    let file = File::create(&args.file).with_context(cannot)?;
    sample::write(file, args.rows, args.seed, args.dirty, format).with_context(cannot)?;
    ui::note(format_args!("{} rows in {}", ui::grouped(args.rows), args.file.display()));
    Ok(ExitCode::SUCCESS)
}
