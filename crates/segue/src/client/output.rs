//! How answers are shown: as a table for people, as JSON with the names of the contract for programs.

mod audit;
mod connections;
mod exports;
mod jobs;
mod lists;
mod preview;
mod runs;
mod sources;
mod tokens;
mod verified;

use jiff::Timestamp;
use segue_proto::v1;
use serde::Serialize;

pub(super) use audit::{AuditEntry, AuditState, Rotated};
pub(super) use connections::Connection;
pub(super) use exports::{Export, Schedule};
pub(super) use jobs::DeadJob;
pub(super) use lists::{List, ListWithFlows, names_of};
pub(super) use preview::{Columns, Preview};
pub(super) use runs::Run;
pub(super) use sources::{Described, Source, SourceEntry};
pub(super) use tokens::{Caller, NewToken, Token};
pub(super) use verified::Verified;

use super::Output;
use crate::ui;

/// `RUN_STATE_COMPLETED_WITH_REJECTS` as the documentation has it.
pub(super) fn state_name(state: v1::RunState) -> String {
    short(state.as_str_name(), "RUN_STATE_")
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

fn time(at: Option<prost_types::Timestamp>) -> Option<String> {
    let at = at?;
    let at = Timestamp::new(at.seconds, at.nanos).ok()?;
    Some(format!("{at:.3}"))
}

/// What has a row in a table.
pub(super) trait Shown: Serialize {
    const COLUMNS: &'static [&'static str];

    fn cells(&self) -> Vec<String>;

    /// What is shown besides where it is shown alone.
    fn more(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// Shows one.
pub(super) fn one<T: Shown>(output: Output, item: &T) -> anyhow::Result<()> {
    match output {
        Output::Json => ui::say(serde_json::to_string_pretty(item)?),
        Output::Table => {
            let width = T::COLUMNS.iter().map(|column| column.len()).max().unwrap_or(0);
            for (column, cell) in T::COLUMNS.iter().zip(item.cells()) {
                ui::say(format_args!("{:width$}  {}", column.to_lowercase(), ui::plain(&cell)));
            }
            for (name, words) in item.more() {
                ui::say(format_args!("{name:width$}  {}", ui::plain(&words)));
            }
        }
    }
    Ok(())
}

/// Tells what was done: people in words, programs also as JSON.
pub(super) fn done(
    output: Output,
    item: &impl Serialize,
    words: impl std::fmt::Display,
) -> anyhow::Result<()> {
    if output == Output::Json {
        ui::say(serde_json::to_string_pretty(item)?);
    }
    ui::note(words);
    Ok(())
}

/// Shows several.
pub(super) fn many<T: Shown>(output: Output, items: &[T]) -> anyhow::Result<()> {
    if output == Output::Json {
        ui::say(serde_json::to_string_pretty(items)?);
        return Ok(());
    }
    let header = T::COLUMNS.iter().map(|column| (*column).to_owned()).collect();
    let mut rows: Vec<Vec<String>> = vec![header];
    rows.extend(items.iter().map(|item| item.cells().iter().map(|cell| ui::plain(cell)).collect()));
    let width = |nth: usize| rows.iter().map(|row| row[nth].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..T::COLUMNS.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        ui::say(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    Ok(())
}
