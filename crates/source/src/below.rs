//! Files that somebody names who may see one folder and nothing else.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
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
        let root = fs::canonicalize(folder).map_err(|source| {
            let object = "the source folder".to_owned();
            SourceError::Unreadable { object, source }
        })?;
        let mut found = Vec::new();
        for (nth, pattern) in (0..).zip(patterns) {
            for path in resolve(&root, pattern.as_ref())? {
                found.push(Found { pattern: nth, ..inside(&root, &path)? });
            }
        }
        Self::open_found(found, options)
    }
}

fn resolve(root: &Path, pattern: &str) -> Result<Vec<PathBuf>, SourceError> {
    let mut parts = Path::new(pattern).components();
    if !parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(SourceError::Outside { object: pattern.to_owned() });
    }
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
