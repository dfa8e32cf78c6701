//! All keys of all services, in the order in which they are printed.

/// One thing that can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Data,
    DatabaseUrl,
    AmqpUrl,
    AmqpPrefix,
    StagingUrl,
    SourceDir,
    ScratchDir,
    KlaviyoUrl,
    KlaviyoRevision,
    MasterKeyFile,
    OldMasterKeyFile,
    KeyEnvPrefix,
    KeyDir,
    WorkerTokenFile,
    AdminTokenFile,
    OidcFile,
    ConsoleKeyFile,
    Listen,
    StatusListen,
    WorkerListen,
    ConsoleListen,
    MetricsListen,
    Server,
    ControlPlaneUrl,
    StatusUrl,
    TokenFile,
    TlsCertFile,
    TlsKeyFile,
    TlsCaFile,
    InsecureHttp,
    WorkerTlsCertFile,
    WorkerTlsKeyFile,
    WorkerTlsCaFile,
    Slots,
    BatchProfiles,
    DedupeMemory,
    DrainTimeout,
    Log,
    LogFormat,
}

pub(crate) struct Spec {
    pub(crate) key: Key,
    /// As it stands in the file.
    name: &'static str,
    flag: &'static str,
    /// What the help shows in place of a value.
    pub(crate) shape: &'static str,
    pub(crate) default: Option<&'static str>,
    pub(crate) help: &'static str,
}

const fn spec(
    key: Key,
    name: &'static str,
    flag: &'static str,
    shape: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Spec {
    Spec { key, name, flag, shape, default, help }
}

#[rustfmt::skip]
pub(crate) const SPECS: [Spec; 39] = [
    spec(Key::Data, "data", "data", "FOLDER", None,
        "Where everything is kept: database, staging, keys"),
    spec(Key::DatabaseUrl, "database_url", "database-url", "URL", None,
        "sqlite://… or postgres://…; a password is better kept in the variable or the file"),
    spec(Key::AmqpUrl, "amqp_url", "amqp-url", "URL", None,
        "RabbitMQ: amqp://… or amqps://…; a password is better kept in the variable or the file"),
    spec(Key::AmqpPrefix, "amqp_prefix", "amqp-prefix", "PREFIX", Some("segue"),
        "What the names of exchanges and queues begin with"),
    spec(Key::StagingUrl, "staging_url", "staging-url", "URL", None,
        "Where batches and reports are kept between services: file:///…"),
    spec(Key::SourceDir, "source_dir", "source-dir", "FOLDER", None,
        "The folder under which all segments lie; nothing outside of it is read"),
    spec(Key::ScratchDir, "scratch_dir", "scratch-dir", "FOLDER", Some("/tmp"),
        "For what does not fit into memory while a segment is read"),
    spec(Key::KlaviyoUrl, "klaviyo_url", "klaviyo-url", "URL", Some("https://a.klaviyo.com"),
        "Where Klaviyo is"),
    spec(Key::KlaviyoRevision, "klaviyo_revision", "klaviyo-revision", "YYYY-MM-DD", None,
        "The revision of Klaviyo's API"),
    spec(Key::MasterKeyFile, "master_key_file", "master-key-file", "FILE", None,
        "Holds the key that seals API keys: `openssl rand -base64 32 > FILE` makes one"),
    spec(Key::OldMasterKeyFile, "old_master_key_file", "old-master-key-file", "FILE", None,
        "Holds the key that sealed before that one, until `segue keys rotate` was run"),
    spec(Key::KeyEnvPrefix, "key_env_prefix", "key-env-prefix", "PREFIX", Some("SEGUE_KLAVIYO_KEY_"),
        "Connections may refer to API keys in variables whose names begin with this"),
    spec(Key::KeyDir, "key_dir", "key-dir", "FOLDER", None,
        "Connections may refer to API keys in files below it, such as mounted secrets [default: in no files]"),
    spec(Key::WorkerTokenFile, "worker_token_file", "worker-token-file", "FILE", None,
        "Holds the token by which workers are known: `openssl rand -base64 32 > FILE` makes one"),
    spec(Key::AdminTokenFile, "admin_token_file", "admin-token-file", "FILE", None,
        "Holds a token that lets an administrator in: `openssl rand -base64 32 > FILE` makes one"),
    spec(Key::OidcFile, "oidc_file", "oidc-file", "FILE.toml", None,
        "The identity provider that people come from, and which role they have: see docs/access.md"),
    spec(Key::ConsoleKeyFile, "console_key_file", "console-key-file", "FILE", None,
        "Holds the key that seals sign-ins to the console, so that they outlive it: `openssl rand -base64 32 > FILE`"),
    spec(Key::Listen, "listen", "listen", "ADDRESS:PORT", Some("127.0.0.1:7400"),
        "Where connections, exports and runs are served"),
    spec(Key::StatusListen, "status_listen", "status-listen", "ADDRESS:PORT", Some("127.0.0.1:7401"),
        "Where status is served"),
    spec(Key::WorkerListen, "worker_listen", "worker-listen", "ADDRESS:PORT", Some("127.0.0.1:7402"),
        "Where workers are served; beyond this machine only with TLS"),
    spec(Key::ConsoleListen, "console_listen", "console-listen", "ADDRESS:PORT|off", Some("127.0.0.1:7405"),
        "Where the web console is served; beyond this machine only behind a proxy with TLS"),
    spec(Key::MetricsListen, "metrics_listen", "metrics-listen", "ADDRESS:PORT", Some("127.0.0.1:7409"),
        "Where /metrics, /healthz and /readyz are served"),
    spec(Key::Server, "server", "server", "URL", Some("http://127.0.0.1:7400"),
        "Where `segue serve` or the control-plane is"),
    spec(Key::ControlPlaneUrl, "control_plane_url", "control-plane-url", "URL,...", Some("http://127.0.0.1:7402"),
        "The workers' listener of the control-plane; of several control-planes, all, with commas"),
    spec(Key::StatusUrl, "status_url", "status-url", "URL", None,
        "Where status is, if it is not where the server is"),
    spec(Key::TokenFile, "token_file", "token-file", "FILE", None,
        "Holds the token by which the server knows who asks"),
    spec(Key::TlsCertFile, "tls_cert_file", "tls-cert-file", "FILE.pem", None,
        "Certificate of the listener, with its chain"),
    spec(Key::TlsKeyFile, "tls_key_file", "tls-key-file", "FILE.pem", None,
        "Private key of that certificate"),
    spec(Key::TlsCaFile, "tls_ca_file", "tls-ca-file", "FILE.pem", None,
        "Whom to trust about the server [default: what the system trusts]"),
    spec(Key::InsecureHttp, "insecure_http", "insecure-http", "true|false", Some("false"),
        "Whether tokens may travel to other machines over http, where whoever is between can read them"),
    spec(Key::WorkerTlsCertFile, "worker_tls_cert_file", "worker-tls-cert-file", "FILE.pem", None,
        "Certificate of the workers' listener, with its chain"),
    spec(Key::WorkerTlsKeyFile, "worker_tls_key_file", "worker-tls-key-file", "FILE.pem", None,
        "Private key of that certificate"),
    spec(Key::WorkerTlsCaFile, "worker_tls_ca_file", "worker-tls-ca-file", "FILE.pem", None,
        "Whom to trust about the workers' listener [default: what the system trusts]"),
    spec(Key::Slots, "slots", "slots", "N", Some("10"),
        "Batches that are uploaded at a time; an account takes ten at once"),
    spec(Key::BatchProfiles, "batch_profiles", "batch-profiles", "N", Some("10000"),
        "Profiles in a batch, at most; smaller ones are confirmed sooner, and take more requests"),
    spec(Key::DedupeMemory, "dedupe_memory", "dedupe-memory", "SIZE", Some("64MiB"),
        "Memory for the addresses that were seen; beyond it they go to the scratch folder"),
    spec(Key::DrainTimeout, "drain_timeout", "drain-timeout", "TIME", Some("25s"),
        "How long what is under way may go on after SIGTERM"),
    spec(Key::Log, "log", "log", "FILTER", Some("info"),
        "What is logged: `warn`, or `info,segue_worker=debug`"),
    spec(Key::LogFormat, "log_format", "log-format", "text|json", Some("text"),
        "How it is logged, on standard error"),
];

impl Key {
    pub(crate) fn spec(self) -> &'static Spec {
        &SPECS[self as usize]
    }

    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// As it is typed, without the dashes.
    pub fn flag(self) -> &'static str {
        self.spec().flag
    }

    /// As it stands in the environment.
    pub fn variable(self) -> String {
        format!("SEGUE_{}", self.name().to_ascii_uppercase())
    }
}
