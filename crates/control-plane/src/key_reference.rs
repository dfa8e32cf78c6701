//! Keys that the operator keeps: in a variable of this process, or in a file below one folder.
//!
//! What may be referred to is limited by the configuration, or an administrator of Segue could read any variable and
//! any file of the machine by making connections.

use std::{
    ffi::OsString,
    fmt, fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;
use segue_store::write::connections::KeyReference;
use zeroize::Zeroizing;

/// Where the keys are that connections may refer to, as the configuration says it.
#[derive(Clone)]
pub struct KeyPlaces {
    /// What names of variables begin with.
    pub env_prefix: String,
    /// The folder that files lie below. `None`: no file can be referred to.
    pub folder: Option<PathBuf>,
    /// What people call this machine, for errors: of several control-planes each looks at its own.
    pub machine: String,
    pub variable: Environment,
}

/// The value of a variable, by its name. `None`: it is not set.
pub type Environment = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// What is Segue's own begins with this, but for what begins with [`KeyPlaces::DEFAULT_PREFIX`].
const OWN: &str = "SEGUE_";
/// More than any key has.
const MAX_BYTES: u64 = 4096;
const MAX_NAME: usize = 500;
/// A folder that another machine serves may not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a key cannot be had from where it is kept. No text holds any part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key cannot be had from {place}: {words}")]
pub struct ReferenceError {
    place: String,
    words: String,
}

impl KeyPlaces {
    /// What names of variables begin with unless the configuration says otherwise.
    pub const DEFAULT_PREFIX: &'static str = "SEGUE_KLAVIYO_KEY_";

    /// The environment of this process, and no files.
    pub fn of_process(machine: String) -> Self {
        Self {
            env_prefix: Self::DEFAULT_PREFIX.to_owned(),
            folder: None,
            machine,
            variable: Arc::new(|name| std::env::var_os(name)),
        }
    }

    /// Whether it may be referred to; says what is wrong and which setting allows it.
    pub(crate) fn allows(&self, reference: &KeyReference) -> Result<(), String> {
        match reference {
            KeyReference::Variable(name) => self.allows_variable(name),
            KeyReference::File(path) => self.below(path).map(|_| ()),
        }
    }

    fn allows_variable(&self, name: &str) -> Result<(), String> {
        let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
            return Err(
                "is no name of a variable: write letters, digits and underscores".to_owned()
            );
        }
        let prefix = &self.env_prefix;
        if !name.starts_with(prefix.as_str()) || name == prefix {
            return Err(format!(
                "names a variable that is not for keys: the control-plane reads those whose names begin with \
                 {prefix}, as its setting key_env_prefix says"
            ));
        }
        if name.starts_with(OWN) && !name.starts_with(Self::DEFAULT_PREFIX) {
            return Err("names a variable of Segue's own settings".to_owned());
        }
        Ok(())
    }

    /// The path, as it is below the folder.
    fn below(&self, path: &str) -> Result<(&Path, PathBuf), String> {
        let Some(folder) = self.folder.as_deref() else {
            return Err(
                "names a file, and the control-plane reads keys from none: set key_dir (SEGUE_KEY_DIR) to the folder \
                 that they lie in, and restart it"
                    .to_owned(),
            );
        };
        let given = Path::new(path);
        let inner = given.strip_prefix(folder).unwrap_or(given);
        let mut parts = inner.components();
        let is_plain = !inner.as_os_str().is_empty()
            && path.len() <= MAX_NAME
            && !path.contains(char::is_control)
            && parts.all(|part| matches!(part, Component::Normal(_)));
        if !is_plain {
            return Err(format!(
                "is no file below {}, from which alone keys are read (key_dir): write its path from there, without ..",
                folder.display()
            ));
        }
        Ok((folder, folder.join(inner)))
    }

    /// The key that is there now.
    pub(crate) async fn read(
        &self,
        reference: &KeyReference,
    ) -> Result<SecretString, ReferenceError> {
        let found = match self.allows(reference) {
            Err(words) => Err(format!("it {words}")),
            Ok(()) => match reference {
                KeyReference::Variable(name) => self.of_variable(name),
                KeyReference::File(path) => self.of_file(path).await,
            },
        };
        found.map_err(|words| ReferenceError { place: self.called(reference), words })
    }

    fn called(&self, reference: &KeyReference) -> String {
        let machine = &self.machine;
        match reference {
            KeyReference::Variable(name) => {
                format!("the variable {name} of the control-plane on {machine}")
            }
            KeyReference::File(path) => {
                format!("the file {path} of the control-plane on {machine}")
            }
        }
    }

    fn of_variable(&self, name: &str) -> Result<SecretString, String> {
        let Some(value) = (self.variable)(name) else {
            return Err("it is not set; set it there and restart the control-plane".to_owned());
        };
        let value = value.into_string().map_err(|_| MALFORMED.to_owned())?;
        checked(Zeroizing::new(value.into_bytes()).as_slice())
    }

    async fn of_file(&self, path: &str) -> Result<SecretString, String> {
        let (folder, path) = self.below(path)?;
        let folder = folder.to_owned();
        let reading = tokio::task::spawn_blocking(move || read_file(&folder, &path));
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            Err(_) => Err("the folder does not answer; look at what it is mounted from".to_owned()),
        }
    }
}

impl fmt::Debug for KeyPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { env_prefix, folder, machine, variable: _ } = self;
        f.debug_struct("KeyPlaces")
            .field("env_prefix", env_prefix)
            .field("folder", folder)
            .field("machine", machine)
            .finish_non_exhaustive()
    }
}

const MALFORMED: &str = "it holds spaces or other characters that no key has; put a private key there, which begins \
                         with pk_, and nothing else";

/// Mounted secrets are links within their folder, so links are followed, but not out of it.
fn read_file(folder: &Path, path: &Path) -> Result<SecretString, String> {
    let missing = |err: io::Error| match err.kind() {
        io::ErrorKind::NotFound => {
            "it is not there; mount it, or put a private key into it".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "the control-plane may not read it; give its user the right to".to_owned()
        }
        kind => format!("it cannot be read ({kind}); look at the disk and the mount"),
    };
    let folder = folder.canonicalize().map_err(missing)?;
    let path = path.canonicalize().map_err(missing)?;
    if !path.starts_with(&folder) {
        return Err("it is a link to what lies outside of the folder of keys".to_owned());
    }
    let metadata = fs::metadata(&path).map_err(missing)?;
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    if metadata.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, more than any key", metadata.len()));
    }
    checked(Zeroizing::new(fs::read(&path).map_err(missing)?).as_slice())
}

fn checked(content: &[u8]) -> Result<SecretString, String> {
    let text = std::str::from_utf8(content.trim_ascii()).map_err(|_| MALFORMED.to_owned())?;
    match check_key(text) {
        Ok(()) => Ok(SecretString::from(text)),
        Err(_) if text.is_empty() => Err("it is empty; put a private key there".to_owned()),
        Err(_) if text.len() > MAX_KEY_BYTES => Err("it is longer than any key".to_owned()),
        Err(_) => Err(MALFORMED.to_owned()),
    }
}

pub(crate) const MAX_KEY_BYTES: usize = 1000;

/// Whether text can be a key, wherever it is from.
pub(crate) fn check_key(key: &str) -> Result<(), &'static str> {
    match key.len() {
        0 => Err(
            "is empty: it has to be a private key of the Klaviyo account, which begins with pk_",
        ),
        1..=MAX_KEY_BYTES if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("has spaces or other characters that no key has: copy it again")
        }
        1..=MAX_KEY_BYTES => Ok(()),
        _ => Err("is longer than any key"),
    }
}
