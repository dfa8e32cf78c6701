use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use bytes::Bytes;
use segue_model::ContentHash;
use xxhash_rust::xxh3::xxh3_128;

/// A file begins with this and the hash of what follows. Another format gets another magic.
const MAGIC: [u8; 8] = *b"SEGUEO1\n";
const HEADER: usize = MAGIC.len() + size_of::<u128>();

/// What a file turned out to be.
pub(crate) enum Stored {
    Whole(Bytes, ContentHash),
    Damaged,
}

impl Stored {
    /// `None` if it is damaged.
    pub(crate) fn hash(self) -> Option<ContentHash> {
        match self {
            Self::Whole(_, hash) => Some(hash),
            Self::Damaged => None,
        }
    }
}

/// A content and its XXH3-128: the name of a body, and how damage at rest is noticed. To hash megabytes
/// once is enough.
#[derive(Clone)]
pub struct Hashed {
    bytes: Bytes,
    hash: ContentHash,
}

impl Hashed {
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    pub(crate) fn into_parts(self) -> (Bytes, ContentHash) {
        (self.bytes, self.hash)
    }
}

impl From<Bytes> for Hashed {
    fn from(bytes: Bytes) -> Self {
        Self { hash: hash(&bytes), bytes }
    }
}

/// The hash alone.
pub fn hash(content: &[u8]) -> ContentHash {
    ContentHash(xxh3_128(content))
}

/// `None` if there is no such file.
pub(crate) fn read(path: &Path) -> io::Result<Option<Stored>> {
    let file = match fs::read(path) {
        Ok(file) => Bytes::from(file),
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(err),
    };
    Ok(Some(verify(&file).unwrap_or(Stored::Damaged)))
}

fn verify(file: &Bytes) -> Option<Stored> {
    let (written, content) = file.strip_prefix(&MAGIC)?.split_first_chunk()?;
    let hash = hash(content);
    (hash.0.to_le_bytes() == *written).then(|| Stored::Whole(file.slice(HEADER..), hash))
}

/// Writes `content` to `incoming` and moves it to `path`, so that `path` is whole or not there.
///
/// `durable`: it is also there after a loss of power. Otherwise it may then be gone or damaged.
pub(crate) fn write(
    incoming: &Path,
    path: &Path,
    (content, hash): (&[u8], ContentHash),
    durable: bool,
) -> io::Result<()> {
    let written = write_incoming(incoming, (content, hash), durable)
        .and_then(|()| move_into_place(incoming, path, durable));
    if written.is_err() {
        // The error is what matters; what is left behind goes when the folder is opened again.
        drop(fs::remove_file(incoming));
    }
    written
}

fn write_incoming(
    incoming: &Path,
    (content, hash): (&[u8], ContentHash),
    durable: bool,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(incoming)?;
    file.write_all(&MAGIC)?;
    file.write_all(&hash.0.to_le_bytes())?;
    file.write_all(content)?;
    if durable { file.sync_all() } else { Ok(()) }
}

fn move_into_place(incoming: &Path, path: &Path, durable: bool) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    kill_points::at("staging.written");
    fs::rename(incoming, path)?;
    kill_points::at("staging.moved");
    if durable {
        sync_folder(folder)?;
        // The folder itself may be new.
        sync_folder(folder.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Makes a folder and its parents, for this user only: they hold personal data.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A new name in a folder lasts only when the folder itself was synced; elsewhere than on Unix a folder
/// cannot be opened, and the file system's journal sees to it.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Bytes of all files below `folder`; 0 if it does not exist.
pub(crate) fn size(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(err) => return Err(err),
    };
    let mut total = 0;
    for entry in entries {
        let entry = entry?;
        total += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path())?,
            Ok(metadata) => metadata.len(),
            Err(err) if err.kind() == io::ErrorKind::NotFound => 0, // deleted meanwhile
            Err(err) => return Err(err),
        };
    }
    Ok(total)
}

/// `Ok` also if there was nothing to remove.
pub(crate) fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
