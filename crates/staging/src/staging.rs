use std::{
    collections::HashMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use segue_model::{ContentHash, RunId};
use uuid::Uuid;

use crate::{
    error::StagingError,
    file::{self, Hashed, Stored},
    key::{Key, REPORTS, STAGING},
};

pub(crate) const INCOMING: &str = "incoming";

/// The objects of one data folder. A cheap handle: clones share everything.
///
/// One process at a time may use a folder that was opened by [`Staging::open`]; the lock of the data
/// folder sees to that. Any number may use one that all of them opened by [`Staging::open_shared`].
///
/// The methods block, for as long as a file of some megabytes takes; async code calls them through
/// [`Staging::off_thread`].
#[derive(Clone)]
pub struct Staging {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    /// Begins the names of files that are being written, so that no other process has the same.
    writer: Uuid,
    /// Bytes that objects may take in memory.
    memory: usize,
    state: Mutex<State>,
    /// An object that was being put now is there, or is not.
    settled: Condvar,
}

#[derive(Default)]
struct State {
    objects: HashMap<Key, Object>,
    /// Bytes of all objects in memory.
    used: usize,
    /// How many files were begun: each has a name of its own in `incoming`.
    files: u64,
}

enum Object {
    InMemory(Bytes, ContentHash),
    /// Some thread is putting it; nobody sees it yet.
    BeingPut,
}

/// How many bytes are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of the objects in memory.
    pub memory: usize,
    /// Bytes of all files, reports included.
    pub disk: u64,
}

impl Staging {
    /// Opens a folder, made if need be, and keeps bodies and indexes of up to `memory` bytes in memory.
    ///
    /// Objects that were in memory are gone after a restart; those in files are still there.
    pub fn open(folder: PathBuf, memory: usize) -> Result<Self, StagingError> {
        let incoming = folder.join(INCOMING);
        file::absent_is_fine(fs::remove_dir_all(&incoming)).map_err(StagingError::at(&incoming))?;
        Self::open_as_it_is(folder, memory)
    }

    /// Opens a folder that other processes use too, made if need be. Nothing is kept in memory: what one
    /// has put, all others find.
    pub fn open_shared(folder: PathBuf) -> Result<Self, StagingError> {
        Self::open_as_it_is(folder, 0)
    }

    fn open_as_it_is(folder: PathBuf, memory: usize) -> Result<Self, StagingError> {
        for place in [INCOMING, STAGING, REPORTS].map(|place| folder.join(place)) {
            file::create_folder(&place).map_err(StagingError::at(&place))?;
        }
        file::sync_folder(&folder).map_err(StagingError::at(&folder))?;
        let (writer, state, settled) = (Uuid::new_v4(), Mutex::default(), Condvar::new());
        Ok(Self { shared: Arc::new(Shared { folder, writer, memory, state, settled }) })
    }

    /// Keeps an object, whole or not at all. The same content under the same key again changes nothing.
    ///
    /// The bytes are kept as they are, without a copy: they should not be a small slice of a large buffer.
    /// Returns the content's XXH3-128, which for a body is the one in its key.
    ///
    /// A body or an index may be in memory and so end with the process. A report is a file, which a loss
    /// of power may damage.
    pub fn put(&self, key: &Key, content: impl Into<Hashed>) -> Result<ContentHash, StagingError> {
        self.put_where(key, content.into(), false)
    }

    /// As [`put`](Self::put), on the disk for good before it returns: for what cannot be made again.
    pub fn put_on_disk(
        &self,
        key: &Key,
        content: impl Into<Hashed>,
    ) -> Result<ContentHash, StagingError> {
        self.put_where(key, content.into(), true)
    }

    fn put_where(
        &self,
        key: &Key,
        content: Hashed,
        durable: bool,
    ) -> Result<ContentHash, StagingError> {
        let (bytes, hash) = content.into_parts();
        let same_as = |staged: ContentHash| {
            if staged == hash {
                Ok(())
            } else {
                Err(StagingError::Conflict { key: key.clone(), staged, offered: hash })
            }
        };
        key.body_hash().map_or(Ok(()), same_as)?;
        let begun = self.begin(key);
        let staged = match begun {
            Begun::InMemory(staged) => Some(staged),
            // What is damaged helps nobody: it is replaced.
            Begun::Put(_) => self.read(key)?.and_then(Stored::hash),
        };
        staged.map_or(Ok(()), same_as)?;
        match begun {
            // Also what is there already: it may not be there for good.
            _ if durable => self.write(key, &bytes, hash, true)?,
            Begun::Put(put) if staged.is_none() => {
                let for_file =
                    if key.is_report() { Some(bytes) } else { put.keep_in_memory(bytes, hash) };
                if let Some(bytes) = for_file {
                    self.write(key, &bytes, hash, false)?;
                }
            }
            Begun::InMemory(_) | Begun::Put(_) => {}
        }
        Ok(hash)
    }

    /// The content of an object; `None` if there is none. From memory without a copy.
    pub fn get(&self, key: &Key) -> Result<Option<Bytes>, StagingError> {
        if let Some(Object::InMemory(bytes, _)) = self.shared.lock().objects.get(key) {
            return Ok(Some(bytes.clone()));
        }
        match self.read(key)? {
            None => Ok(None),
            Some(Stored::Whole(bytes, hash)) if key.body_hash().is_none_or(|it| it == hash) => {
                Ok(Some(bytes))
            }
            Some(Stored::Whole(..) | Stored::Damaged) => {
                Err(StagingError::Corrupt { key: key.clone() })
            }
        }
    }

    fn read(&self, key: &Key) -> Result<Option<Stored>, StagingError> {
        let path = key.path(&self.shared.folder);
        file::read(&path).map_err(StagingError::at(&path))
    }

    fn write(
        &self,
        key: &Key,
        bytes: &Bytes,
        hash: ContentHash,
        durable: bool,
    ) -> Result<(), StagingError> {
        let path = key.path(&self.shared.folder);
        file::write(&self.shared.incoming(), &path, (bytes, hash), durable)
            .map_err(StagingError::at(&path))
    }

    /// Forgets an object; it need not exist. What [`get`](Self::get) returned before stays readable.
    pub fn delete(&self, key: &Key) -> Result<(), StagingError> {
        self.shared.lock_settled(|other| other == key).forget(|other| other == key);
        let path = key.path(&self.shared.folder);
        file::absent_is_fine(fs::remove_file(&path)).map_err(StagingError::at(&path))
    }

    /// Forgets the bodies and indexes of a run. Its reports stay.
    pub fn delete_run(&self, run: RunId) -> Result<(), StagingError> {
        // Reports are never in memory, so this forgets none.
        let of_run = |key: &Key| key.run() == run;
        self.shared.lock_settled(of_run).forget(of_run);
        self.delete_folder(STAGING, run)
    }

    /// Forgets the reports of a run.
    pub fn delete_reports(&self, run: RunId) -> Result<(), StagingError> {
        drop(self.shared.lock_settled(|key| key.run() == run));
        self.delete_folder(REPORTS, run)
    }

    fn delete_folder(&self, place: &str, run: RunId) -> Result<(), StagingError> {
        let path = self.shared.folder.join(place).join(run.to_string());
        file::absent_is_fine(fs::remove_dir_all(&path)).map_err(StagingError::at(&path))
    }

    /// Looks at every file in the folder.
    pub fn usage(&self) -> Result<Usage, StagingError> {
        let size = |place| {
            let path = self.shared.folder.join(place);
            file::size(&path).map_err(StagingError::at(&path))
        };
        let disk = size(STAGING)? + size(REPORTS)?;
        Ok(Usage { memory: self.shared.lock().used, disk })
    }

    /// Does blocking work from async code: `staging.off_thread(move |s| s.get(&key)).await`.
    ///
    /// Dropping the future does not stop work that was begun; an object is whole or not there either way.
    pub async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StagingError> + Send + 'static,
    ) -> Result<T, StagingError> {
        let staging = self.clone();
        match tokio::task::spawn_blocking(move || work(&staging)).await {
            Ok(done) => done,
            Err(err) => match err.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(stopped) => {
                    Err(StagingError::at(&self.shared.folder)(io::Error::other(stopped)))
                }
            },
        }
    }

    /// Waits for whoever is putting the same key.
    fn begin<'a>(&'a self, key: &'a Key) -> Begun<'a> {
        let mut state = self.shared.lock_settled(|other| other == key);
        if let Some(Object::InMemory(_, staged)) = state.objects.get(key) {
            return Begun::InMemory(*staged);
        }
        state.objects.insert(key.clone(), Object::BeingPut);
        Begun::Put(Put { shared: &self.shared, key })
    }
}

enum Begun<'a> {
    /// It is in memory already, with this hash.
    InMemory(ContentHash),
    Put(Put<'a>),
}

/// The only thread that may put this key. Ends the put on drop, whatever became of it.
struct Put<'a> {
    shared: &'a Shared,
    key: &'a Key,
}

impl Put<'_> {
    /// Gives the bytes back if there is no room.
    fn keep_in_memory(&self, bytes: Bytes, hash: ContentHash) -> Option<Bytes> {
        let mut state = self.shared.lock();
        if bytes.len() > self.shared.memory - state.used {
            return Some(bytes);
        }
        state.used += bytes.len();
        state.objects.insert(self.key.clone(), Object::InMemory(bytes, hash));
        None
    }
}

impl Drop for Put<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(Object::BeingPut) = state.objects.get(self.key) {
            state.objects.remove(self.key);
        }
        self.shared.settled.notify_all();
    }
}

impl Shared {
    /// No code that holds the lock leaves the state half changed, so a panic elsewhere does not matter.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state at a moment when nobody is putting any of these keys.
    fn lock_settled(&self, keys: impl Fn(&Key) -> bool) -> MutexGuard<'_, State> {
        let unsettled = |state: &mut State| {
            let being_put =
                |(key, object): (&Key, &Object)| matches!(object, Object::BeingPut) && keys(key);
            state.objects.iter().any(being_put)
        };
        self.settled.wait_while(self.lock(), unsettled).unwrap_or_else(PoisonError::into_inner)
    }

    /// A name that no other file has.
    pub(crate) fn incoming(&self) -> PathBuf {
        let mut state = self.lock();
        state.files += 1;
        self.folder.join(INCOMING).join(format!("{}-{}", self.writer.simple(), state.files))
    }
}

impl State {
    fn forget(&mut self, keys: impl Fn(&Key) -> bool) {
        let Self { objects, used, .. } = self;
        objects.retain(|key, object| match object {
            Object::InMemory(bytes, _) if keys(key) => {
                *used -= bytes.len();
                false
            }
            Object::InMemory(..) | Object::BeingPut => true,
        });
    }
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder: &Path = &self.shared.folder;
        f.debug_struct("Staging").field("folder", &folder).finish_non_exhaustive()
    }
}
