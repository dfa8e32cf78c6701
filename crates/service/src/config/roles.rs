//! Which keys each command has.

use crate::config::Key;

/// A command, as far as its configuration goes.
pub trait Role: Send + Sync + 'static {
    /// The subcommand, such as `control-plane`.
    const NAME: &'static str;
    /// What it can be told.
    const KEYS: &'static [Key];
    /// What it cannot do without.
    const REQUIRED: &'static [Key];
}

macro_rules! role {
    ($(#[$doc:meta])* $role:ident, $name:literal, needs [$($required:ident),*], takes [$($key:ident),*]) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $role {}

        impl Role for $role {
            const NAME: &'static str = $name;
            const KEYS: &'static [Key] = &[$(Key::$required,)* $(Key::$key,)*];
            const REQUIRED: &'static [Key] = &[$(Key::$required),*];
        }
    };
}

role!(
    /// Everything in one process.
    Serve, "serve",
    needs [],
    takes [
        Data, SourceDir, ScratchDir, KlaviyoUrl, KlaviyoRevision, MasterKeyFile, OldMasterKeyFile, KeyEnvPrefix, KeyDir,
        AdminTokenFile, OidcFile, Listen, ConsoleListen, ConsoleKeyFile, MetricsListen, TlsCertFile, TlsKeyFile, Slots, BatchProfiles, DedupeMemory,
        DrainTimeout, Log, LogFormat
    ]
);
role!(
    /// Decides.
    ControlPlane, "control-plane",
    needs [DatabaseUrl, AmqpUrl, MasterKeyFile, WorkerTokenFile],
    takes [
        AmqpPrefix, KlaviyoUrl, KlaviyoRevision, OldMasterKeyFile, KeyEnvPrefix, KeyDir, AdminTokenFile, OidcFile, Listen,
        WorkerListen, MetricsListen,
        TlsCertFile, TlsKeyFile, WorkerTlsCertFile, WorkerTlsKeyFile, DrainTimeout, Log, LogFormat
    ]
);
role!(
    /// Works.
    Worker, "worker",
    needs [AmqpUrl, StagingUrl, SourceDir, WorkerTokenFile],
    takes [
        AmqpPrefix, ScratchDir, KlaviyoUrl, KlaviyoRevision, ControlPlaneUrl, WorkerTlsCaFile, MetricsListen, Slots, BatchProfiles,
        DedupeMemory, DrainTimeout, Log, LogFormat
    ]
);
role!(
    /// Tells.
    Status, "status",
    needs [DatabaseUrl, StagingUrl],
    takes [
        AmqpUrl, AmqpPrefix, AdminTokenFile, OidcFile, StatusListen, MetricsListen, TlsCertFile, TlsKeyFile, DrainTimeout, Log, LogFormat
    ]
);
role!(
    /// Shows it to people.
    Console, "console",
    needs [],
    takes [
        ConsoleListen, ConsoleKeyFile, Server, StatusUrl, TlsCaFile, InsecureHttp, MetricsListen, DrainTimeout, Log, LogFormat
    ]
);
role!(
    /// Brings the schema up to date.
    Migrate, "migrate",
    needs [DatabaseUrl],
    takes [Log, LogFormat]
);
role!(
    /// Asks a server.
    Client, "client",
    needs [],
    takes [Server, StatusUrl, TokenFile, TlsCaFile, InsecureHttp, Log, LogFormat]
);
