use segue_proto::v1;
use serde::Serialize;

use super::{Shown, short, time};
use crate::ui;

#[derive(Serialize)]
pub(in crate::client) struct Source {
    id: String,
    display_name: String,
    folder: String,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl From<v1::Source> for Source {
    fn from(source: v1::Source) -> Self {
        let v1::Source { id, display_name, folder, created_at, updated_at } = source;
        let (created_at, updated_at) = (time(created_at), time(updated_at));
        Self { id, display_name, folder, created_at, updated_at }
    }
}

impl Shown for Source {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "FOLDER"];

    fn cells(&self) -> Vec<String> {
        let folder = if self.folder.is_empty() { "(the source folder)" } else { &self.folder };
        vec![self.id.clone(), self.display_name.clone(), folder.to_owned()]
    }
}

#[derive(Serialize)]
pub(in crate::client) struct SourceEntry {
    path: String,
    is_folder: bool,
    size_bytes: u64,
    modified_at: Option<String>,
    rows: Option<u64>,
}

impl From<v1::SourceEntry> for SourceEntry {
    fn from(entry: v1::SourceEntry) -> Self {
        let v1::SourceEntry { path, is_folder, size_bytes, modified_at, rows } = entry;
        Self { path, is_folder, size_bytes, modified_at: time(modified_at), rows }
    }
}

impl Shown for SourceEntry {
    const COLUMNS: &'static [&'static str] = &["PATH", "BYTES", "MODIFIED", "ROWS"];

    fn cells(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        let (path, bytes) = if self.is_folder {
            (format!("{}/", self.path), dash())
        } else {
            (self.path.clone(), ui::grouped(self.size_bytes))
        };
        let modified = self.modified_at.clone().unwrap_or_else(dash);
        vec![path, bytes, modified, self.rows.map_or_else(dash, ui::grouped)]
    }
}

/// What is known of a segment without a cell of it.
#[derive(Serialize)]
pub(in crate::client) struct Described {
    pub(in crate::client) files: Vec<SourceFile>,
    pub(in crate::client) columns: Vec<SourceColumn>,
    pub(in crate::client) sampled_rows: u64,
    pub(in crate::client) problem: String,
}

#[derive(Serialize)]
pub(in crate::client) struct SourceFile {
    pub(in crate::client) path: String,
    format: String,
    compression: String,
    size_bytes: u64,
}

#[derive(Serialize)]
pub(in crate::client) struct SourceColumn {
    name: String,
    r#type: String,
    filled_rows: u64,
    /// What share that is, for people.
    #[serde(skip)]
    filled_percent: u64,
    longest_chars: u64,
    attribute: String,
}

impl From<v1::DescribeSegmentResponse> for Described {
    fn from(found: v1::DescribeSegmentResponse) -> Self {
        let v1::DescribeSegmentResponse { files, columns, sampled_rows, problem } = found;
        let file = |it: v1::SourceFile| {
            let v1::SourceFile { path, format, compression, size_bytes } = it;
            SourceFile { path, format, compression, size_bytes }
        };
        let column = |it: v1::SourceColumn| SourceColumn {
            r#type: short(it.r#type().as_str_name(), "COLUMN_TYPE_"),
            name: it.name,
            filled_rows: it.filled_rows,
            filled_percent: percent(it.filled_rows, sampled_rows),
            longest_chars: it.longest_chars,
            attribute: it.attribute,
        };
        Self {
            files: files.into_iter().map(file).collect(),
            columns: columns.into_iter().map(column).collect(),
            sampled_rows,
            problem,
        }
    }
}

/// Rounded down, so that 100 means all.
fn percent(part: u64, of: u64) -> u64 {
    part.saturating_mul(100).checked_div(of).unwrap_or(0)
}

impl Shown for SourceColumn {
    const COLUMNS: &'static [&'static str] = &["COLUMN", "TYPE", "FILLED", "LONGEST", "BECOMES"];

    fn cells(&self) -> Vec<String> {
        let becomes = if self.attribute.is_empty() { "-" } else { &self.attribute };
        vec![
            self.name.clone(),
            self.r#type.clone(),
            format!("{} %", self.filled_percent),
            ui::grouped(self.longest_chars),
            becomes.to_owned(),
        ]
    }
}
