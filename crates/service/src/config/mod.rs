//! Where a service learns what to do: flags, then `SEGUE_*` variables, then a TOML file, then defaults.
//!
//! Every key has one name in three spellings: `--worker-listen`, `SEGUE_WORKER_LISTEN`, `worker_listen`. A key
//! that no service knows is an error. A key of another service is none, because services share their
//! environment and their file.

mod args;
mod error;
mod keys;
mod load;
mod print;
mod roles;
mod secret_url;
#[cfg(test)]
mod tests;
mod values;

pub use self::values::is_loopback;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use url::Url;

pub use self::{
    args::ConfigArgs,
    error::{ConfigError, Origin},
    keys::Key,
    roles::{Client, Console, ControlPlane, Migrate, Role, Serve, Status, Worker},
    secret_url::SecretUrl,
};

/// A key without a default: set or not.
#[derive(Debug, Clone)]
pub struct Setting<T> {
    key: Key,
    value: Option<T>,
}

impl<T> Setting<T> {
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// # Errors
    /// It is not set; the words say how to set it.
    pub fn required(&self) -> Result<&T, ConfigError> {
        self.value.as_ref().ok_or(ConfigError::Missing { key: self.key })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// What is in force. Values of keys that the role does not have are those that everybody shares or the
/// defaults; nobody looked whether their files exist.
#[derive(Debug)]
pub struct Config {
    /// `sqlite://…` or `postgres://…`.
    pub database_url: Setting<SecretUrl>,
    /// `amqp://…` or `amqps://…`, with the virtual host as its path.
    pub amqp_url: Setting<SecretUrl>,
    /// What the names of exchanges and queues begin with.
    pub amqp_prefix: String,
    /// The folder that `file:///…` names.
    pub staging_dir: Setting<PathBuf>,
    /// The folder under which all segments lie.
    pub source_dir: Setting<PathBuf>,
    pub klaviyo_url: Url,
    /// `YYYY-MM-DD`. Not set: what the client was built for.
    pub klaviyo_revision: Setting<String>,
    pub master_key_file: Setting<PathBuf>,
    pub old_master_key_file: Setting<PathBuf>,
    /// What the names of variables begin with that connections may refer to.
    pub key_env_prefix: String,
    /// The folder below which files lie that connections may refer to.
    pub key_dir: Setting<PathBuf>,
    pub worker_token_file: Setting<PathBuf>,
    pub admin_token_file: Setting<PathBuf>,
    pub oidc_file: Setting<PathBuf>,
    pub console_key_file: Setting<PathBuf>,
    /// Where connections, exports and runs are served.
    pub listen: SocketAddr,
    /// Where status is served.
    pub status_listen: SocketAddr,
    /// Where workers are served.
    pub worker_listen: SocketAddr,
    /// Where the console is served. `None`: nowhere.
    pub console_listen: Option<SocketAddr>,
    /// Where metrics and health are served.
    pub metrics_listen: SocketAddr,
    /// The workers' listeners of all control-planes, or what leads to any of them, as a worker reaches them: at
    /// least one.
    pub control_plane_url: Vec<Url>,
    /// The control-plane, as a client reaches it.
    pub server: Url,
    /// Status, as a client reaches it. Not set: where the server is.
    pub status_url: Setting<Url>,
    pub token_file: Setting<PathBuf>,
    /// Batches that a worker uploads at a time.
    pub slots: u32,
    /// Bytes for remembering identities while a segment is read.
    pub dedupe_memory: usize,
    /// From 1 to 10,000.
    pub batch_profiles: usize,
    /// A folder for what does not fit into memory while a segment is read.
    pub scratch_dir: PathBuf,
    pub tls_cert_file: Setting<PathBuf>,
    pub tls_key_file: Setting<PathBuf>,
    pub tls_ca_file: Setting<PathBuf>,
    /// Whether tokens may travel to other machines without TLS.
    pub insecure_http: bool,
    pub worker_tls_cert_file: Setting<PathBuf>,
    pub worker_tls_key_file: Setting<PathBuf>,
    pub worker_tls_ca_file: Setting<PathBuf>,
    /// Where the embedded form keeps everything.
    pub data: Setting<PathBuf>,
    pub log_format: LogFormat,
    /// A filter such as `info` or `warn,segue_worker=debug`.
    pub log: String,
    /// How long what is under way may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// What is odd but no error, to be logged once logs are set up.
    pub warnings: Vec<String>,
    pub(crate) settled: load::Settled,
}
