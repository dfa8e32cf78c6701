//! Reads files of YAML.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use serde::de::DeserializeOwned;
use serde_saphyr::{MessageFormatter as _, Options, UserMessageFormatter};

/// Beyond it a file is no list of declarations. YAML can make much of little, so what may become of a file is
/// limited too.
const MOST_BYTES: u64 = 1 << 20;

/// The text of a file, as it is called in messages, and the folder where its paths start.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) text: String,
}

impl Source {
    /// `-` is standard input.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = if path == Path::new("-") {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        let text = text(path).with_context(|| format!("cannot read {name}"))?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { name, folder, text })
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        parse(&self.name, &self.text)
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MOST_BYTES {
        bail!("it has more than {MOST_BYTES} bytes");
    }
    String::from_utf8(bytes).context("it is not UTF-8")
}

/// What may become of a file: far more than anybody declares, and far less than what fills a memory.
fn limits() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 16,
            max_nodes: 200_000,
            max_events: 500_000,
            max_aliases: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 8,
        },
        // By the rules of YAML 1.2: NO is a country.
        strict_booleans: true,
        // Whoever has written a key into the file by mistake does not want to see it in a log.
        with_snippet: false,
    }
}

/// The error says where: `name`, line, and the path of the field.
fn parse<T: DeserializeOwned>(name: &str, text: &str) -> anyhow::Result<T> {
    let mut path = String::new();
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, limits(), |yaml| {
        serde_path_to_error::deserialize(yaml).map_err(|err| {
            path = err.path().to_string();
            err.into_inner()
        })
    });
    read.map_err(|err| anyhow!("{}", words(name, &path, &err)))
}

fn words(name: &str, path: &str, err: &serde_saphyr::Error) -> String {
    let line = err.location().map(|at| format!(":{}", at.line())).unwrap_or_default();
    let what = UserMessageFormatter.format_message(err);
    // A value with its place is a struct to serde, with a field of this name.
    let path = path.replace(".value", "");
    match path.as_str() {
        "." | "" | "?" => format!("{name}{line}: {what}"),
        path => format!("{name}{line}: {path}: {what}"),
    }
}
