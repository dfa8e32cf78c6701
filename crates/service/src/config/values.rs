//! What each key's text has to be.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, ToSocketAddrs as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tracing_subscriber::EnvFilter;
use url::{Host, Url};

use crate::config::{
    Config, ConfigError, Key, LogFormat, Origin, SecretUrl, Setting,
    load::{KEY_VARIABLES, Settled, Value},
};

/// Files that only their owner should be able to read.
const SECRET_FILES: [Key; 8] = [
    Key::MasterKeyFile,
    Key::OldMasterKeyFile,
    Key::WorkerTokenFile,
    Key::AdminTokenFile,
    Key::TokenFile,
    Key::ConsoleKeyFile,
    Key::TlsKeyFile,
    Key::WorkerTlsKeyFile,
];
const PAIRS: [(Key, Key); 2] =
    [(Key::TlsCertFile, Key::TlsKeyFile), (Key::WorkerTlsCertFile, Key::WorkerTlsKeyFile)];
const MAX_SLOTS: u32 = 1000;
/// RabbitMQ allows 255 bytes for a name, and what follows the prefix is short.
const MAX_PREFIX: usize = 100;

pub(crate) fn config(settled: Settled) -> Result<Config, ConfigError> {
    let values = Values(&settled.values);
    let mut config = Config {
        database_url: values.optional(Key::DatabaseUrl, database_url)?,
        amqp_url: values.optional(Key::AmqpUrl, amqp_url)?,
        amqp_prefix: values.given(Key::AmqpPrefix, prefix)?,
        staging_dir: values.optional(Key::StagingUrl, staging_dir)?,
        source_dir: values.optional(Key::SourceDir, folder)?,
        klaviyo_url: values.given(Key::KlaviyoUrl, web_url)?,
        klaviyo_revision: values.optional(Key::KlaviyoRevision, revision)?,
        master_key_file: values.optional(Key::MasterKeyFile, file)?,
        old_master_key_file: values.optional(Key::OldMasterKeyFile, file)?,
        key_env_prefix: values.given(Key::KeyEnvPrefix, key_env_prefix)?,
        key_dir: values.optional(Key::KeyDir, folder)?,
        worker_token_file: values.optional(Key::WorkerTokenFile, file)?,
        admin_token_file: values.optional(Key::AdminTokenFile, file)?,
        oidc_file: values.optional(Key::OidcFile, file)?,
        console_key_file: values.optional(Key::ConsoleKeyFile, file)?,
        listen: values.given(Key::Listen, address)?,
        status_listen: values.given(Key::StatusListen, address)?,
        worker_listen: values.given(Key::WorkerListen, address)?,
        console_listen: values.given(Key::ConsoleListen, address_or_off)?,
        metrics_listen: values.given(Key::MetricsListen, address)?,
        control_plane_url: values.given(Key::ControlPlaneUrl, web_urls)?,
        server: values.given(Key::Server, web_url)?,
        status_url: values.optional(Key::StatusUrl, web_url)?,
        token_file: values.optional(Key::TokenFile, file)?,
        slots: values.given(Key::Slots, slots)?,
        batch_profiles: values.given(Key::BatchProfiles, batch_profiles)?,
        dedupe_memory: values.given(Key::DedupeMemory, size)?,
        scratch_dir: values.given(Key::ScratchDir, folder)?,
        tls_cert_file: values.optional(Key::TlsCertFile, file)?,
        tls_key_file: values.optional(Key::TlsKeyFile, file)?,
        tls_ca_file: values.optional(Key::TlsCaFile, file)?,
        insecure_http: values.given(Key::InsecureHttp, switch)?,
        worker_tls_cert_file: values.optional(Key::WorkerTlsCertFile, file)?,
        worker_tls_key_file: values.optional(Key::WorkerTlsKeyFile, file)?,
        worker_tls_ca_file: values.optional(Key::WorkerTlsCaFile, file)?,
        data: values.optional(Key::Data, path)?,
        log_format: values.given(Key::LogFormat, log_format)?,
        log: values.given(Key::Log, log_filter)?,
        drain_timeout: values.given(Key::DrainTimeout, duration)?,
        warnings: Vec::new(),
        settled: Settled { role: settled.role, keys: settled.keys, values: BTreeMap::new() },
    };
    for (cert, key) in PAIRS {
        match (settled.values.get(&cert), settled.values.get(&key)) {
            (Some(_), None) => return Err(ConfigError::Half { is: cert, is_not: key }),
            (None, Some(_)) => return Err(ConfigError::Half { is: key, is_not: cert }),
            _ => {}
        }
    }
    let in_the_clear = plaintext_servers(&config, &settled);
    if let Some((key, url)) = in_the_clear.first().filter(|_| !config.insecure_http) {
        return Err(ConfigError::Plaintext { key: *key, url: Box::new((*url).clone()) });
    }
    config.warnings = warnings(&config, &settled);
    config.settled = settled;
    Ok(config)
}

struct Values<'a>(&'a BTreeMap<Key, Value>);

impl Values<'_> {
    fn optional<T>(
        &self,
        key: Key,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Setting<T>, ConfigError> {
        let value = match self.0.get(&key) {
            None => None,
            Some(Value { text, origin }) => {
                Some(parse(text).map_err(|words| ConfigError::Value {
                    key,
                    origin: origin.clone(),
                    words,
                })?)
            }
        };
        Ok(Setting { key, value })
    }

    /// For keys with a default.
    fn given<T>(&self, key: Key, parse: fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        let Setting { value, .. } = self.optional(key, parse)?;
        value.ok_or(ConfigError::Missing { key })
    }
}

fn warnings(config: &Config, settled: &Settled) -> Vec<String> {
    let mut warnings = Vec::new();
    let open = |path: &Path| {
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0)
    };
    for key in SECRET_FILES {
        if let Some(value) = settled.values.get(&key)
            && open(Path::new(&value.text))
        {
            warnings.push(format!(
                "{} names {}, which everybody on this machine may read or write: chmod 600 it",
                key.name(),
                value.text,
            ));
        }
    }
    for (key, url) in [(Key::DatabaseUrl, &config.database_url), (Key::AmqpUrl, &config.amqp_url)] {
        if let Some(Value { origin: Origin::File { path, .. }, .. }) = settled.values.get(&key)
            && url.get().is_some_and(|url| url.to_string().contains("***"))
            && open(path)
        {
            warnings.push(format!(
                "{} holds the password of {}, and everybody on this machine may read or write it: chmod 600 it",
                path.display(),
                key.name(),
            ));
        }
    }
    let klaviyo = &config.klaviyo_url;
    if klaviyo.scheme() == "http" && !is_loopback(klaviyo) {
        warnings.push(format!(
            "klaviyo_url is {klaviyo}: API keys and profiles travel unencrypted, which only a simulator may get"
        ));
    }
    warnings.extend(listener_warnings(config, settled));
    warnings.extend(console_warnings(config, settled));
    warnings
}

/// The console has no TLS of its own, and hands on the tokens of people.
fn console_warnings(config: &Config, settled: &Settled) -> Vec<String> {
    let mut warnings = Vec::new();
    let listens = settled.keys.contains(&Key::ConsoleListen);
    if let Some(address) = config.console_listen.filter(|_| listens)
        && !address.ip().to_canonical().is_loopback()
    {
        warnings.push(format!(
            "console_listen is {address}, which other machines reach: put a proxy with TLS in front of it; without \
             one browsers keep no sign-in"
        ));
    }
    for (key, url) in plaintext_servers(config, settled) {
        let name = key.name();
        warnings.push(format!(
            "{name} is {url}: the tokens of people travel unencrypted, which only a network of one's own may see; use \
             https"
        ));
    }
    warnings
}

/// Where the console would hand on the tokens of people for everybody between to read.
fn plaintext_servers<'a>(config: &'a Config, settled: &Settled) -> Vec<(Key, &'a Url)> {
    if ![Key::ConsoleListen, Key::Server].iter().all(|key| settled.keys.contains(key)) {
        return Vec::new();
    }
    let urls = [(Key::Server, Some(&config.server)), (Key::StatusUrl, config.status_url.get())];
    let given = urls.into_iter().filter_map(|(key, url)| Some((key, url?)));
    given.filter(|(_, url)| url.scheme() == "http" && !is_loopback(url)).collect()
}

/// Whoever calls the people's listeners sends a token, and these may stand behind a proxy that has the TLS.
fn listener_warnings(config: &Config, settled: &Settled) -> Vec<String> {
    let listeners =
        [(Key::Listen, config.listen), (Key::StatusListen, config.status_listen)].into_iter();
    let open = listeners.filter(|(key, address)| {
        settled.keys.contains(key)
            && config.tls_cert_file.get().is_none()
            && !address.ip().to_canonical().is_loopback()
    });
    open.map(|(key, address)| {
        format!(
            "{} is {address}, which other machines reach, without TLS: the tokens of people travel unencrypted; set \
             tls_cert_file and tls_key_file, or put a proxy with TLS in front of it",
            key.name()
        )
    })
    .collect()
}

/// Whether the URL leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn secret_url(text: &str, schemes: &[&str], example: &str) -> Result<SecretUrl, String> {
    let url = SecretUrl::parse(text).map_err(|err| {
        format!(
            "this is no URL ({err}): write one such as {example}, with the special characters of a password \
             percent-encoded"
        )
    })?;
    if schemes.contains(&url.scheme()) {
        return Ok(url);
    }
    Err(format!("`{}` is no scheme for this: write a URL such as {example}", url.scheme()))
}

fn database_url(text: &str) -> Result<SecretUrl, String> {
    let schemes = ["postgres", "postgresql", "sqlite"];
    secret_url(text, &schemes, "postgres://user:password@host/segue or sqlite:///folder/segue.db")
}

fn amqp_url(text: &str) -> Result<SecretUrl, String> {
    secret_url(text, &["amqp", "amqps"], "amqp://user:password@host:5672/%2f")
}

fn web_url(text: &str) -> Result<Url, String> {
    let example = "write a URL such as https://host:7400";
    let url = Url::parse(text).map_err(|err| format!("this is no URL ({err}): {example}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}` is no scheme for this: {example}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("a user or password has no place in this URL: {example}"));
    }
    Ok(url)
}

fn web_urls(text: &str) -> Result<Vec<Url>, String> {
    text.split(',').map(|url| web_url(url.trim())).collect()
}

fn staging_dir(text: &str) -> Result<PathBuf, String> {
    let example = "write a URL such as file:///var/lib/segue/staging";
    let url = Url::parse(text).map_err(|err| format!("this is no URL ({err}): {example}"))?;
    if url.scheme() != "file" {
        return Err(format!("`{}` is no scheme that staging knows yet: {example}", url.scheme()));
    }
    url.to_file_path().map_err(|()| format!("this names another machine: {example}"))
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > MAX_PREFIX || !text.chars().all(fits) {
        return Err(format!(
            "write 1 to {MAX_PREFIX} letters, digits, dots, dashes or underscores"
        ));
    }
    Ok(text.to_owned())
}

/// With a short one, or one of Segue's own settings, connections could refer to what was not meant for them.
fn key_env_prefix(text: &str) -> Result<String, String> {
    const LEAST: usize = 4;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.len() < LEAST || text.len() > MAX_PREFIX || !text.chars().all(fits) {
        return Err(format!("write {LEAST} to {MAX_PREFIX} letters, digits or underscores"));
    }
    if text.starts_with("SEGUE_") && !text.starts_with(KEY_VARIABLES) {
        return Err(format!(
            "of what begins with SEGUE_ only {KEY_VARIABLES} is for keys: begin with that, or with something else"
        ));
    }
    Ok(text.to_owned())
}

fn revision(text: &str) -> Result<String, String> {
    let digits = |at: std::ops::Range<usize>| {
        text.get(at).is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let dashes = text.bytes().filter(|byte| *byte == b'-').count() == 2;
    if text.len() == 10 && dashes && digits(0..4) && digits(5..7) && digits(8..10) {
        return Ok(text.to_owned());
    }
    Err("write a date such as 2026-07-15".to_owned())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let words = "write an address and a port, such as 127.0.0.1:7400 or 0.0.0.0:7400";
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    // Names are looked up once, here: what is listened on must not depend on who answers later.
    let first = text.to_socket_addrs().ok().and_then(|mut found| found.next());
    first.ok_or_else(|| words.to_owned())
}

fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    address(text).map(Some).map_err(|words| format!("{words}, or off"))
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

fn file(text: &str) -> Result<PathBuf, String> {
    match fs::metadata(text) {
        Err(err) => Err(format!("cannot find the file {text}: {err}")),
        Ok(metadata) if metadata.is_dir() => Err(format!("{text} is a folder, not a file")),
        Ok(_) => path(text),
    }
}

fn folder(text: &str) -> Result<PathBuf, String> {
    match fs::metadata(text) {
        Err(err) => Err(format!("cannot find the folder {text}: {err}")),
        Ok(metadata) if !metadata.is_dir() => Err(format!("{text} is no folder")),
        Ok(_) => path(text),
    }
}

fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "write true or false".to_owned())
}

fn slots(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_SLOTS).contains(number));
    number.ok_or_else(|| format!("write a number from 1 to {MAX_SLOTS}"))
}

/// Klaviyo takes no more in one import.
const MAX_BATCH_PROFILES: usize = 10_000;

fn batch_profiles(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_BATCH_PROFILES).contains(number));
    number.ok_or_else(|| format!("write a number from 1 to {MAX_BATCH_PROFILES}"))
}

/// `64MiB`, `1GiB`, `500kB` or a number of bytes.
fn size(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, usize); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let unit = UNITS.iter().find_map(|(name, factor)| Some((text.strip_suffix(name)?, *factor)));
    let (digits, factor) = unit.unwrap_or((text, 1));
    let number = digits.trim().parse::<usize>().ok();
    let bytes = number.and_then(|number| number.checked_mul(factor));
    bytes.ok_or_else(|| "write a size such as 64MiB".to_owned())
}

/// `500ms`, `90s`, `10m`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let unit = UNITS.iter().find_map(|(name, factor)| Some((text.strip_suffix(name)?, *factor)));
    let number = unit.and_then(|(digits, factor)| {
        digits.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(factor))
    });
    number.map(Duration::from_millis).ok_or_else(|| "write a time such as 25s or 2m".to_owned())
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("write `text` or `json`".to_owned()),
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(err) => {
            Err(format!("{err}: write a filter such as `info` or `warn,segue_worker=debug`"))
        }
    }
}
