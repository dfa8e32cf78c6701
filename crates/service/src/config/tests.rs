use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;

use super::{
    Client, Config, ConfigArgs, ConfigError, Console, ControlPlane, Key, LogFormat, Migrate, Role,
    Serve, Status, Worker, keys::SPECS,
};

#[derive(Debug, Parser)]
struct Line<R: Role> {
    #[command(flatten)]
    config: ConfigArgs<R>,
}

fn load<R: Role>(flags: &[&str], env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let line = Line::<R>::try_parse_from([&["segue"], flags].concat()).unwrap();
    line.config.load_from(env.iter().copied())
}

fn words<R: Role>(flags: &[&str], env: &[(&str, &str)]) -> String {
    crate::sentence(&load::<R>(flags, env).unwrap_err())
}

/// A folder with a configuration file of this content.
fn file(content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segue.toml");
    fs::write(&path, content).unwrap();
    (folder, path.display().to_string())
}

const DATABASE: (&str, &str) = ("SEGUE_DATABASE_URL", "postgres://segue:hunter2@db/segue");

#[test]
fn keys_stand_in_the_order_of_the_table_and_are_spelled_alike() {
    for (at, spec) in SPECS.iter().enumerate() {
        assert_eq!(spec.key as usize, at);
        assert_eq!(spec.key.flag().replace('-', "_"), spec.key.name());
    }
    let names: BTreeSet<_> = SPECS.iter().map(|spec| spec.key.name()).collect();
    assert_eq!(names.len(), SPECS.len());
}

#[test]
fn every_role_parses_without_anything_and_its_defaults_are_valid() {
    fn check<R: Role>() {
        let config = load::<R>(&["--print-config"], &[]).unwrap();
        assert_eq!(config.warnings, Vec::<String>::new());
        assert!(R::REQUIRED.iter().all(|key| R::KEYS.contains(key)));
        let keys: BTreeSet<_> = R::KEYS.iter().collect();
        assert_eq!(keys.len(), R::KEYS.len(), "{} has a key twice", R::NAME);
    }
    check::<Serve>();
    check::<ControlPlane>();
    check::<Worker>();
    check::<Status>();
    check::<Console>();
    check::<Migrate>();
    check::<Client>();
}

#[test]
fn flag_beats_variable_beats_file_beats_default() {
    let (_folder, path) =
        file("slots = 2\nlog_format = \"json\"\nlog = 'warn'\ndrain_timeout = \"1m\"\n");
    let env = [
        ("SEGUE_CONFIG", path.as_str()),
        ("SEGUE_SLOTS", "3"),
        ("SEGUE_LOG", "error"),
        ("SEGUE_DEDUPE_MEMORY", ""),
    ];
    let config = load::<Serve>(&["--slots", "4"], &env).unwrap();
    assert_eq!(config.slots, 4);
    assert_eq!(config.log, "error");
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.drain_timeout, Duration::from_mins(1));
    assert_eq!(config.dedupe_memory, 64 << 20, "an empty variable is not set");
    assert_eq!(config.listen, "127.0.0.1:7400".parse().unwrap());
}

#[test]
fn variables_with_keys_are_nobodys_settings_and_no_prefix_opens_those() {
    let key = ("SEGUE_KLAVIYO_KEY_SHOP", "pk_shop");
    let config = load::<Status>(&["--print-config"], &[DATABASE, key]).unwrap();
    assert_eq!(config.key_env_prefix, "SEGUE_KLAVIYO_KEY_");
    for (prefix, fits) in [
        ("KLAVIYO_", true),
        ("SEGUE_KLAVIYO_KEY_EU_", true),
        ("SEGUE_", false),
        ("SEGUE_DATABASE", false),
        ("KEY", false),
        ("A B C", false),
    ] {
        let loaded = load::<Serve>(&["--key-env-prefix", prefix], &[]);
        assert_eq!(loaded.is_ok(), fits, "{prefix}");
    }
}

#[test]
fn config_flag_beats_config_variable() {
    let (_one, first) = file("slots = 5");
    let (_two, second) = file("slots = 6");
    let config = load::<Serve>(&["--config", &first], &[("SEGUE_CONFIG", &second)]).unwrap();
    assert_eq!(config.slots, 5);
}

#[test]
fn unknown_key_in_the_file_is_named_with_its_line_and_the_nearest() {
    let (_folder, path) = file("# the database\n\ndatabse_url = \"sqlite://x\"\n");
    let words = words::<Serve>(&["--config", &path], &[]);
    assert_eq!(
        words,
        format!("unknown key `databse_url` in {path}, line 3: did you mean `database_url`?")
    );
    let (_folder, path) = file("[worker]\nslots = 1\n");
    assert!(self::words::<Serve>(&["--config", &path], &[]).contains("unknown key `worker`"));
    let (_folder, path) = file("worker-listen = \"x\"");
    assert!(self::words::<Serve>(&["--config", &path], &[]).contains("`worker_listen`?"));
}

#[test]
fn unknown_variable_is_named_with_the_nearest() {
    let words = words::<Status>(&[], &[("SEGUE_AMPQ_URL", "amqp://x"), ("PATH", "/bin")]);
    assert_eq!(
        words,
        "unknown variable SEGUE_AMPQ_URL in the environment: did you mean SEGUE_AMQP_URL?"
    );
}

#[test]
fn keys_of_other_services_and_variables_of_the_platform_are_no_errors() {
    let (_folder, path) = file("worker_token_file = \"/nowhere\"\nstatus_url = \"not for us\"");
    let env = [
        DATABASE,
        ("SEGUE_MASTER_KEY_FILE", "/nowhere/key"),
        ("SEGUE_TEST_SEED", "7"),
        ("SEGUE_STATUS_SERVICE_HOST", "10.0.0.1"),
        ("SEGUE_STATUS_SERVICE_PORT_GRPC", "7401"),
        ("SEGUE_STATUS_PORT_7401_TCP_ADDR", "10.0.0.1"),
        ("SEGUE_CONFIG", &path),
    ];
    load::<Migrate>(&[], &env).unwrap();
    // Without the host it is no link, but a mistake.
    assert!(
        words::<Migrate>(&[], &[DATABASE, ("SEGUE_STATUS_PORT", "1")])
            .contains("SEGUE_STATUS_PORT")
    );
}

#[test]
fn what_is_missing_is_named_with_all_ways_to_set_it() {
    let words = words::<Migrate>(&[], &[]);
    for part in ["database_url", "--database-url", "SEGUE_DATABASE_URL", "--config"] {
        assert!(words.contains(part), "{words}");
    }
    let config = load::<Serve>(&[], &[]).unwrap();
    assert!(config.data.get().is_none() && config.data.required().is_err());
}

#[test]
fn broken_toml_is_told_by_line_without_its_content() {
    let (_folder, path) = file("slots = 1\ndatabase_url = \"postgres://u:hunter2@db\n");
    let words = words::<Serve>(&["--config", &path], &[]);
    assert!(words.contains("line 2") && !words.contains("hunter2"), "{words}");
    let (_folder, path) = file("slots = [1]\n");
    assert!(self::words::<Serve>(&["--config", &path], &[]).contains("slots"));
    assert!(
        self::words::<Serve>(&["--config", "/nowhere/x.toml"], &[]).contains("/nowhere/x.toml")
    );
}

#[test]
fn printed_configuration_tells_origins_hides_passwords_and_can_be_read_again() {
    let (_folder, path) = file("log = \"warn\"\n");
    let env = [DATABASE, ("SEGUE_CONFIG", path.as_str())];
    let config =
        load::<Status>(&["--print-config", "--status-listen", "127.0.0.1:1"], &env).unwrap();
    let printed = config.to_toml();
    for line in [
        "# Configuration of `segue status`",
        "database_url = \"postgres://segue:***@db/segue\" # SEGUE_DATABASE_URL",
        "# amqp_url is not set",
        "status_listen = \"127.0.0.1:1\" # --status-listen",
        "drain_timeout = \"25s\" # default",
        &format!("log = \"warn\" # {path}, line 1"),
    ] {
        assert!(printed.lines().any(|it| it == line), "no line {line} in:\n{printed}");
    }
    assert!(!printed.contains("slots"), "a key of another service:\n{printed}");
    assert!(!format!("{config:?}").contains("hunter2"));
    let (_folder, again) = file(&printed);
    let config = load::<Status>(&["--print-config", "--config", &again], &[]).unwrap();
    assert_eq!(config.log, "warn");
}

#[test]
fn wrong_values_are_told_with_key_origin_and_an_example_and_without_passwords() {
    for (variable, value, expected) in [
        ("SEGUE_DATABASE_URL", "mysql://u:hunter2@db/x", "postgres://"),
        ("SEGUE_DATABASE_URL", "postgres://u:hunter2#@db", "percent-encoded"),
        ("SEGUE_AMQP_URL", "http://u:hunter2@mq", "amqp://"),
        ("SEGUE_AMQP_PREFIX", "a b", "letters"),
        ("SEGUE_STAGING_URL", "s3://bucket", "file:///"),
        ("SEGUE_STAGING_URL", "file://host/folder", "file:///"),
        ("SEGUE_SOURCE_DIR", "/nowhere", "cannot find the folder"),
        ("SEGUE_WORKER_TOKEN_FILE", "/nowhere", "cannot find the file"),
        ("SEGUE_MASTER_KEY_FILE", "/tmp", "is a folder"),
        ("SEGUE_LISTEN", "7400", "127.0.0.1:7400"),
        ("SEGUE_KLAVIYO_URL", "ftp://x", "https://"),
        ("SEGUE_KLAVIYO_URL", "https://u:hunter2@x", "no place"),
        ("SEGUE_KLAVIYO_REVISION", "latest", "2026-07-15"),
        ("SEGUE_LOG", "segue=loud", "warn"),
        ("SEGUE_LOG_FORMAT", "xml", "json"),
        ("SEGUE_DRAIN_TIMEOUT", "25", "25s"),
    ] {
        let of_workers = ["SEGUE_STAGING_URL", "SEGUE_SOURCE_DIR"].contains(&variable);
        let words = if of_workers { words::<Worker> } else { words::<ControlPlane> };
        let words = words(&["--print-config"], &[(variable, value)]);
        assert!(words.contains(variable) && words.contains(expected), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
    for (flag, value) in [("--slots", "0"), ("--slots", "1001"), ("--dedupe-memory", "much")] {
        let words = words::<Worker>(&["--print-config", flag, value], &[]);
        assert!(words.contains(flag), "{words}");
    }
}

#[test]
fn certificate_and_key_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cert.pem");
    fs::write(&path, "").unwrap();
    let words = words::<Serve>(&["--tls-cert-file", path.to_str().unwrap()], &[]);
    assert!(words.contains("tls_cert_file") && words.contains("tls_key_file is not"), "{words}");
}

#[test]
fn files_with_secrets_that_others_may_read_are_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, path) = file("database_url = \"postgres://u:hunter2@db\"");
    let key = folder.path().join("key");
    fs::write(&key, "k").unwrap();
    let check = |mode| {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let env = [("SEGUE_MASTER_KEY_FILE", key.to_str().unwrap()), ("SEGUE_CONFIG", &path)];
        load::<ControlPlane>(&["--print-config"], &env).unwrap().warnings
    };
    let warnings = check(0o644);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("master_key_file") && warnings[1].contains("database_url"));
    assert_eq!(check(0o640), Vec::<String>::new(), "a group is how Kubernetes lends secrets");
}

#[test]
fn klaviyo_without_tls_on_another_machine_is_warned_of() {
    let warnings = |url| load::<Serve>(&["--klaviyo-url", url], &[]).unwrap().warnings;
    assert_eq!(warnings("http://127.0.0.1:7410").len(), 0);
    assert_eq!(warnings("http://localhost:7410").len(), 0);
    assert_eq!(warnings("http://klaviyo:7410").len(), 1);
}

#[test]
fn console_beyond_this_machine_and_tokens_in_the_clear_are_warned_of() {
    let of_console = |flags: &[&str]| load::<Console>(flags, &[]).unwrap().warnings;
    assert_eq!(of_console(&["--console-listen", "[::1]:7405"]).len(), 0);
    let warnings = of_console(&["--console-listen", "0.0.0.0:7405"]);
    assert!(warnings.len() == 1 && warnings[0].contains("TLS"), "{warnings:?}");
    let away = [
        "--server",
        "http://segue:7400",
        "--status-url",
        "https://segue:7401",
        "--insecure-http",
        "true",
    ];
    let warnings = of_console(&away);
    assert!(warnings.len() == 1 && warnings[0].starts_with("server is"), "{warnings:?}");
    assert_eq!(load::<Serve>(&["--console-listen", "0.0.0.0:1"], &[]).unwrap().warnings.len(), 1);
    // Whoever has no console is not told about one.
    assert_eq!(load::<Client>(&away, &[]).unwrap().warnings.len(), 0);
}

#[test]
fn console_sends_no_token_in_the_clear_to_another_machine_unless_it_is_allowed() {
    for (flag, name) in [("--server", "server"), ("--status-url", "status_url")] {
        for here in
            ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://segue:1"]
        {
            assert!(load::<Console>(&[flag, here], &[]).is_ok(), "{flag} {here}");
        }
        for away in ["http://segue:1", "http://10.0.0.1:1", "http://[2001:db8::1]:1"] {
            let said = words::<Console>(&[flag, away], &[]);
            assert!(said.starts_with(&format!("{name} is {away}/")), "{said}");
            assert!(said.contains("SEGUE_INSECURE_HTTP=true"), "{said}");
            assert!(load::<Console>(&[flag, away], &[("SEGUE_INSECURE_HTTP", "true")]).is_ok());
        }
    }
    assert!(words::<Console>(&["--insecure-http", "yes"], &[]).contains("true or false"));
    // Services share their environment, and only the console calls those.
    assert!(load::<Serve>(&[], &[("SEGUE_SERVER", "http://segue:1")]).is_ok());
}

#[test]
fn listeners_of_people_without_tls_beyond_this_machine_are_warned_of() {
    let cert = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let tls = ["--tls-cert-file", cert, "--tls-key-file", cert];
    let count =
        |found: Vec<String>| found.iter().filter(|it| it.contains("in front of it")).count();
    let serve = |flags: &[&str]| count(load::<Serve>(flags, &[]).unwrap().warnings);
    assert_eq!(serve(&["--listen", "127.0.0.1:1"]), 0);
    assert_eq!(serve(&["--listen", "[::1]:1"]), 0);
    assert_eq!(serve(&["--listen", "0.0.0.0:1"]), 1);
    assert_eq!(serve(&[["--listen", "0.0.0.0:1"].as_slice(), &tls].concat()), 0);
    let status = |address| {
        let flags = ["--print-config", "--status-listen", address];
        count(load::<Status>(&flags, &[]).unwrap().warnings)
    };
    assert_eq!(status("0.0.0.0:1"), 1);
    assert_eq!(status("127.0.0.1:1"), 0);
}

#[test]
fn console_can_be_off() {
    let listen = |text| load::<Serve>(&["--console-listen", text], &[]).map(|it| it.console_listen);
    assert_eq!(listen("off").unwrap(), None);
    assert_eq!(listen("127.0.0.1:1").unwrap(), Some("127.0.0.1:1".parse().unwrap()));
    assert!(words::<Serve>(&["--console-listen", "7405"], &[]).contains("or off"));
}

/// Every file below, without what is built or not ours.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap_or_default().to_owned();
        let skipped = ["target", "node_modules", ".git", ".venv", "__pycache__"];
        if path.is_dir() && !skipped.contains(&name.as_str()) {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

/// `segue worker` must start wherever scripts and tests of this tree have set their variables.
#[test]
fn every_variable_that_the_tree_sets_is_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = vec![root.join("Makefile"), root.join("README.md")];
    for folder in ["crates", "tests/src", "tests/bench", "tests/python", "deploy", "docs"] {
        files(&root.join(folder), &mut paths);
    }
    // Tests misspell some on purpose.
    let misspells =
        |path: &Path| path.ends_with("config/tests.rs") || path.ends_with("it/process.rs");
    paths.retain(|path| !misspells(path));
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for part in text.split("SEGUE_").skip(1) {
            let end =
                part.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
            let name = &part[..end.unwrap_or(part.len())];
            if !name.is_empty() && !name.ends_with('_') {
                found.insert(format!("SEGUE_{name}"), path.clone());
            }
        }
    }
    assert!(found.contains_key(&Key::KlaviyoUrl.variable()), "nothing was found");
    for (name, path) in found {
        let env = [DATABASE, (name.as_str(), "")];
        let result = load::<Migrate>(&[], &env);
        let known = matches!(result, Ok(_) | Err(ConfigError::Missing { .. }));
        assert!(known, "{name} in {}: {result:?}", path.display());
    }
}
