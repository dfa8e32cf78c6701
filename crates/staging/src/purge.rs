//! What is there, for whoever decides what nobody needs any more, and what was never finished.

use std::{
    fs::{self, DirEntry, File},
    io,
    path::Path,
    time::SystemTime,
};

use segue_model::RunId;

use crate::{
    error::StagingError,
    file::absent_is_fine,
    key::{Key, REPORTS, STAGING},
    staging::{INCOMING, Staging},
};

/// The files of one run.
#[derive(Debug, Clone)]
pub struct Found {
    pub keys: Vec<Key>,
    /// When one of them, or a folder of theirs, was last written.
    pub written: SystemTime,
}

impl Staging {
    /// The time by the clock of the file system, which may be on another machine: by it the age of a file is
    /// told.
    pub fn now(&self) -> Result<SystemTime, StagingError> {
        let path = self.shared.incoming();
        let now = File::create_new(&path).and_then(|file| file.metadata()?.modified());
        drop(fs::remove_file(&path)); // what stays behind was never finished
        now.map_err(StagingError::at(&path))
    }

    /// The runs that have objects in files, or had some. Those in memory are not looked for.
    pub fn runs(&self) -> Result<Vec<RunId>, StagingError> {
        let mut runs = Vec::new();
        for place in [STAGING, REPORTS] {
            let folder = self.shared.folder.join(place);
            for entry in entries(&folder).map_err(StagingError::at(&folder))? {
                runs.extend(entry.file_name().to_str().and_then(|name| name.parse::<RunId>().ok()));
            }
        }
        runs.sort_unstable();
        runs.dedup();
        Ok(runs)
    }

    /// What of a run is in files. `None`: nothing, not even a folder. Files that are no objects are not looked
    /// at.
    pub fn found(&self, run: RunId) -> Result<Option<Found>, StagingError> {
        let (mut keys, mut written) = (Vec::new(), None);
        for place in [STAGING, REPORTS] {
            let folder = self.shared.folder.join(place).join(run.to_string());
            let (names, newest) = names(&folder).map_err(StagingError::at(&folder))?;
            written = written.max(newest);
            let key = |name: String| format!("{place}/{run}/{name}").parse::<Key>().ok();
            keys.extend(names.into_iter().filter_map(key));
        }
        Ok(written.map(|written| Found { keys, written }))
    }

    /// Removes the folders of a run, as far as nothing is in them.
    pub fn remove_empty(&self, run: RunId) -> Result<(), StagingError> {
        for place in [STAGING, REPORTS] {
            let folder = self.shared.folder.join(place).join(run.to_string());
            match absent_is_fine(fs::remove_dir(&folder)) {
                Err(err) if err.kind() != io::ErrorKind::DirectoryNotEmpty => {
                    return Err(StagingError::at(&folder)(err));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes files that were begun before `before` and never finished: whoever wrote them is gone. Any
    /// number of processes may do so at the same time.
    pub fn remove_unfinished(&self, before: SystemTime) -> Result<(), StagingError> {
        let incoming = self.shared.folder.join(INCOMING);
        remove_older(&incoming, before).map_err(StagingError::at(&incoming))
    }
}

/// The files in a folder, and when it or one of them was last written.
fn names(folder: &Path) -> io::Result<(Vec<String>, Option<SystemTime>)> {
    let (mut names, mut newest) = (Vec::new(), modified(fs::metadata(folder))?);
    for entry in entries(folder)? {
        newest = newest.max(modified(entry.metadata())?);
        names.extend(entry.file_name().into_string().ok());
    }
    Ok((names, newest))
}

fn remove_older(folder: &Path, before: SystemTime) -> io::Result<()> {
    for entry in entries(folder)? {
        if modified(entry.metadata())?.is_some_and(|modified| modified < before) {
            absent_is_fine(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// `None`: it is gone.
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
