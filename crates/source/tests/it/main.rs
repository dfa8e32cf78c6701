//! The crate from outside: files on disk, and samples.

#![expect(clippy::unwrap_used, reason = "the lint exempts tests, but not the functions they share")]

mod below;
mod files;
mod formats;
mod sample;
mod versions;

use std::{fs, path::PathBuf};

use segue_model::{Position, RejectReason};
use segue_source::{Item, ReadOptions, Rows, Segment, SourceError};
use tempfile::TempDir;

/// A folder with files, gone at the end of the test.
struct Folder(TempDir);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, patterns: &[&str]) -> Result<Segment, SourceError> {
        self.open_with(patterns, &ReadOptions::default())
    }

    fn open_with(&self, patterns: &[&str], options: &ReadOptions) -> Result<Segment, SourceError> {
        let patterns: Vec<String> =
            patterns.iter().map(|pattern| self.path(pattern).display().to_string()).collect();
        Segment::open(&patterns, options)
    }

    /// The words of an error, with the folder left out.
    fn words(&self, result: Result<impl Sized, SourceError>) -> String {
        let Err(err) = result else { panic!("this should not have worked") };
        err.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn names(segment: &Segment) -> Vec<&str> {
    segment
        .objects()
        .iter()
        .map(|object| object.name().rsplit_once('/').map_or(object.name(), |(_, name)| name))
        .collect()
}

/// The cells of all rows, which must all be good.
fn cells(segment: &Segment) -> Vec<(Position, Vec<String>)> {
    let mut rows = segment.rows();
    let mut cells = Vec::new();
    while let Some(item) = rows.next().unwrap() {
        match item {
            Item::Row(row) => cells.push((row.position(), row.to_cells())),
            Item::Bad(bad) => panic!("{bad:?}"),
        }
    }
    cells
}

/// Reads on to the end: how many rows were good, and the reasons of the others.
fn drain(rows: &mut Rows) -> Result<(u64, Vec<RejectReason>), SourceError> {
    let (mut good, mut reasons) = (0, Vec::new());
    while let Some(item) = rows.next()? {
        match item {
            Item::Row(_) => good += 1,
            Item::Bad(bad) => reasons.push(bad.reason),
        }
    }
    Ok((good, reasons))
}
