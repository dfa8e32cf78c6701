use std::{io, path::PathBuf};

/// Why an identity could not be looked up or kept. Nothing was changed: the call may be repeated.
///
/// It never holds an identity, only the path of the scratch folder or of a file in it.
#[derive(Debug, thiserror::Error)]
pub enum DedupeError {
    /// Free some space, or give more memory.
    #[error("no space left for the identities of this run in {}", .path.display())]
    ScratchFull {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The scratch folder or a file in it cannot be written or read.
    #[error("cannot keep the identities of this run in {}", .path.display())]
    Scratch {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl DedupeError {
    pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::ScratchFull { path, source }
            }
            _ => Self::Scratch { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DedupeError;
    use std::{io, path::Path};

    #[test]
    fn a_full_disk_is_told_apart_from_other_errors() {
        let at = |kind: io::ErrorKind| DedupeError::at(Path::new("scratch"))(kind.into());
        assert!(matches!(at(io::ErrorKind::StorageFull), DedupeError::ScratchFull { .. }));
        assert!(matches!(at(io::ErrorKind::QuotaExceeded), DedupeError::ScratchFull { .. }));
        assert!(matches!(at(io::ErrorKind::PermissionDenied), DedupeError::Scratch { .. }));
    }
}
