use std::{
    io,
    path::{Path, PathBuf},
};

use segue_model::ContentHash;

use crate::key::{InvalidKey, Key};

/// Why an object could not be put, got or deleted.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// There is an object of this name with other content, which stays, or the name is the hash of other
    /// content. A second read of the same source cuts the same batches, so the source is not what it was.
    #[error("{key} is already staged with other content ({staged}, now {offered})")]
    Conflict { key: Key, staged: ContentHash, offered: ContentHash },
    /// A text that was to name an object cannot.
    #[error(transparent)]
    InvalidName(#[from] InvalidKey),
    /// The file is not what was written. A batch can be read from its source again.
    #[error("{key} was damaged at rest")]
    Corrupt { key: Key },
    /// Free some space and do it again.
    #[error("no space left at {}", .path.display())]
    DiskFull {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot use {}", .path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl StagingError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            _ => Self::Io { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StagingError;
    use std::{io, path::Path};

    #[test]
    fn a_full_disk_is_told_apart_from_other_errors() {
        let at = |kind: io::ErrorKind| StagingError::at(Path::new("data"))(kind.into());
        assert!(matches!(at(io::ErrorKind::StorageFull), StagingError::DiskFull { .. }));
        assert!(matches!(at(io::ErrorKind::QuotaExceeded), StagingError::DiskFull { .. }));
        assert!(matches!(at(io::ErrorKind::PermissionDenied), StagingError::Io { .. }));
    }
}
