//! Files that somebody names who may see one folder and nothing else.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use crate::{
    ReadOptions, Segment, SourceError,
    segment::{Found, find, is_pattern},
};

impl Segment {
    /// As [`Segment::open`], for patterns below `folder`, by which objects are named too. What lies
    /// outside is not opened, whether a pattern or a symbolic link leads there: no error tells what is in
    /// it.
    pub fn open_below<P: AsRef<str>>(
        folder: &Path,
        patterns: &[P],
        options: &ReadOptions,
    ) -> Result<Self, SourceError> {
        Self::open_within(folder, "", patterns, options)
    }

    /// As [`Segment::open_below`] for the folder `within` it, which may not lie outside of it either; empty:
    /// `folder` itself.
    pub fn open_within<P: AsRef<str>>(
        folder: &Path,
        within: &str,
        patterns: &[P],
        options: &ReadOptions,
    ) -> Result<Self, SourceError> {
        let root = root_within(folder, within)?;
        let mut found = Vec::new();
        for (nth, pattern) in (0..).zip(patterns) {
            for path in resolve(&root, pattern.as_ref())? {
                found.push(Found { pattern: nth, ..inside(&root, &path)? });
            }
        }
        Self::open_found(found, options)
    }
}

/// A file or a folder in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// Below the folder that somebody may see.
    pub path: String,
    pub folder: bool,
    /// Bytes on disk; 0 for a folder.
    pub size: u64,
    /// `None`: the file system does not tell.
    pub modified: Option<SystemTime>,
}

/// What is in the folder `path` of the folder `within` `folder`: folders first, then files, each by name. Hidden
/// ones, pipes and devices are left out, and so is what a link leads to outside of `within`.
pub fn list_within(
    folder: &Path,
    within: &str,
    path: &str,
) -> Result<Vec<FolderEntry>, SourceError> {
    let root = root_within(folder, within)?;
    check_inside(path)?;
    let Found { name, path: real, pattern: _ } = inside(&root, &root.join(path))?;
    let unreadable = |source| SourceError::Unreadable { object: name.clone(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(real).map_err(unreadable)? {
        let file_name = entry.map_err(unreadable)?.file_name();
        // A pattern is text, so nobody could name it.
        let Some(file_name) = file_name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let Ok(Found { name, path, pattern: _ }) = inside(&root, &root.join(path).join(file_name))
        else {
            continue;
        };
        let Ok(metadata) = fs::metadata(path) else { continue };
        let folder = metadata.is_dir();
        if folder || metadata.is_file() {
            let size = if folder { 0 } else { metadata.len() };
            found.push(FolderEntry {
                path: name,
                folder,
                size,
                modified: metadata.modified().ok(),
            });
        }
    }
    found.sort_by(|one, other| (!one.folder, &one.path).cmp(&(!other.folder, &other.path)));
    Ok(found)
}

fn root_within(folder: &Path, within: &str) -> Result<PathBuf, SourceError> {
    let root = fs::canonicalize(folder).map_err(|source| {
        let object = "the source folder".to_owned();
        SourceError::Unreadable { object, source }
    })?;
    check_inside(within)?;
    Ok(inside(&root, &root.join(within))?.path)
}

fn check_inside(path: &str) -> Result<(), SourceError> {
    let mut parts = Path::new(path).components();
    if parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Ok(());
    }
    Err(SourceError::Outside { object: path.to_owned() })
}

fn resolve(root: &Path, pattern: &str) -> Result<Vec<PathBuf>, SourceError> {
    check_inside(pattern)?;
    let path = root.join(pattern);
    if !is_pattern(pattern) || fs::symlink_metadata(&path).is_ok() {
        return Ok(vec![path]);
    }
    let Some(text) = root.to_str() else {
        // A pattern is text, and this folder has no name in text.
        let problem = "the name of the source folder is not UTF-8".to_owned();
        return Err(SourceError::BadPattern { pattern: pattern.to_owned(), problem });
    };
    let full = format!("{}/{pattern}", glob::Pattern::escape(text));
    let found = find(&full, pattern).map_err(|err| match err {
        SourceError::Unreadable { object, source } => {
            SourceError::Unreadable { object: shown(root, Path::new(&object)), source }
        }
        other => other,
    })?;
    if found.is_empty() {
        return Err(SourceError::NoMatch { pattern: pattern.to_owned() });
    }
    Ok(found)
}

/// The file itself, with all links followed, unless they lead out of the folder.
fn inside(root: &Path, path: &Path) -> Result<Found, SourceError> {
    let object = shown(root, path);
    match fs::canonicalize(path) {
        Ok(real) if real.starts_with(root) => Ok(Found { name: object, path: real, pattern: 0 }),
        Ok(_) => Err(SourceError::Outside { object }),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Err(SourceError::NotFound { object }),
        Err(source) => Err(SourceError::Unreadable { object, source }),
    }
}

/// Where the root is, is nobody's business.
fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}
