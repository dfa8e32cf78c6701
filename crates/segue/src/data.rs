//! The folder where runs are kept.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::ui;

/// The file with the token of the first administrator.
pub(crate) const ADMIN_TOKEN: &str = "admin-token";

/// A data folder that is ours until the process ends.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    /// Held open: the lock goes with it, however the process ends.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if need be and locks it. Waits, and says so, while another process has it.
    pub(crate) async fn open(chosen: Option<PathBuf>) -> anyhow::Result<Self> {
        let path = match chosen {
            Some(path) => path,
            None => default_path()?,
        };
        make_private(&path).with_context(|| format!("cannot use the folder {}", path.display()))?;
        let file = path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file)
            .with_context(|| format!("cannot open {}", file.display()))?;
        match lock.try_lock() {
            Ok(()) => return Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => ui::note(format_args!(
                "another export uses {}: waiting for it (or use another folder with --data)",
                path.display()
            )),
            Err(TryLockError::Error(err)) => {
                return Err(err).with_context(|| format!("cannot lock {}", file.display()));
            }
        }
        let locked = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await?;
        let lock = locked.with_context(|| format!("cannot lock {}", file.display()))?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("segue.db")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }
}

/// Batches hold personal data: the folder is for its owner only.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Where everything is kept if nobody says otherwise.
pub(crate) fn default_path() -> anyhow::Result<PathBuf> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(data) = absolute("XDG_DATA_HOME") {
        return Ok(data.join("segue"));
    }
    match absolute("HOME") {
        Some(home) => Ok(home.join(".local/share/segue")),
        None => bail!("neither XDG_DATA_HOME nor HOME is set: name a folder with --data"),
    }
}
