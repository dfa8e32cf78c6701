use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use crate::error::DedupeError;

const EXTENSION: &str = "seen";

/// The folder of the files: made with the first file, removed with the last owner.
pub(crate) struct Scratch {
    folder: PathBuf,
    files: u64,
}

/// A file of its own name, read and written by one owner; removed on drop.
pub(crate) struct ScratchFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Scratch {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, files: 0 }
    }

    pub(crate) fn create(&mut self) -> Result<ScratchFile, DedupeError> {
        if self.files == 0 {
            self.open().map_err(DedupeError::at(&self.folder))?;
        }
        let path = self.folder.join(format!("{:06}.{EXTENSION}", self.files));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(DedupeError::at(&path))?;
        self.files += 1;
        Ok(ScratchFile { file, path })
    }

    /// Makes the folder, for this user only, and clears it of what a process left that died.
    fn open(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.files > 0 {
            // Only if it is empty: what is not ours stays.
            drop(fs::remove_dir(&self.folder));
        }
    }
}

impl ScratchFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the file's cursor on some systems: not to be mixed with reading it through.
    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, offset);
        #[cfg(not(unix))]
        {
            use io::{Read, Seek};
            (&self.file).seek(io::SeekFrom::Start(offset))?;
            (&self.file).read_exact(bytes)
        }
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}
