//! What nobody comes for any more.

use std::{
    fs::{self, DirEntry, File},
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use segue_model::RunId;

use crate::{
    error::StagingError,
    file::absent_is_fine,
    key::STAGING,
    staging::{INCOMING, Staging},
};

impl Staging {
    /// The runs that have bodies or indexes in files, or had some. Those in memory are not looked for.
    pub fn runs(&self) -> Result<Vec<RunId>, StagingError> {
        let folder = self.shared.folder.join(STAGING);
        let mut runs = Vec::new();
        for entry in entries(&folder).map_err(StagingError::at(&folder))? {
            runs.extend(entry.file_name().to_str().and_then(|name| name.parse::<RunId>().ok()));
        }
        Ok(runs)
    }

    /// Forgets the bodies and indexes of each run that was last written to longer than `age` ago, unless
    /// it is to be kept; reports stay. Also forgets files that were begun so long ago and never finished.
    /// Returns the runs.
    ///
    /// The clock is that of the file system, which may be on another machine: the age of a file is taken
    /// against one that is written now. Any number of processes may purge at the same time.
    pub fn purge(
        &self,
        age: Duration,
        keep: impl Fn(RunId) -> bool,
    ) -> Result<Vec<RunId>, StagingError> {
        let Some(before) = self.now()?.checked_sub(age) else { return Ok(Vec::new()) };
        let incoming = self.shared.folder.join(INCOMING);
        remove_older(&incoming, before).map_err(StagingError::at(&incoming))?;
        let mut purged = Vec::new();
        for run in self.runs()? {
            let folder = self.shared.folder.join(STAGING).join(run.to_string());
            let newest = newest(&folder).map_err(StagingError::at(&folder))?;
            if newest.is_some_and(|newest| newest < before) && !keep(run) {
                self.delete_run(run)?;
                purged.push(run);
            }
        }
        Ok(purged)
    }

    fn now(&self) -> Result<SystemTime, StagingError> {
        let path = self.shared.incoming();
        let now = File::create_new(&path).and_then(|file| file.metadata()?.modified());
        drop(fs::remove_file(&path)); // what stays behind is purged one day
        now.map_err(StagingError::at(&path))
    }
}

/// When a folder or a file in it was last written. `None`: it is gone.
fn newest(folder: &Path) -> io::Result<Option<SystemTime>> {
    let Some(mut newest) = modified(fs::metadata(folder))? else { return Ok(None) };
    for entry in entries(folder)? {
        newest = newest.max(modified(entry.metadata())?.unwrap_or(newest));
    }
    Ok(Some(newest))
}

fn remove_older(folder: &Path, before: SystemTime) -> io::Result<()> {
    for entry in entries(folder)? {
        if modified(entry.metadata())?.is_some_and(|modified| modified < before) {
            absent_is_fine(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

fn modified(metadata: io::Result<fs::Metadata>) -> io::Result<Option<SystemTime>> {
    match metadata {
        Ok(metadata) => metadata.modified().map(Some),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err),
    }
}

/// None if somebody else has removed the folder.
fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(err),
    }
}
