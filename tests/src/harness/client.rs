use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{segue, wait_for};

/// The command line as a client of services.
#[derive(Debug, Clone)]
pub struct Client {
    server: String,
    status: String,
    home: PathBuf,
    api_key: String,
    token: Option<PathBuf>,
}

impl Client {
    /// Its settings are those of nobody: `home` is a folder of the test.
    pub fn new(control_plane: SocketAddr, status: SocketAddr, home: &Path, api_key: &str) -> Self {
        Self {
            server: format!("http://{control_plane}"),
            status: format!("http://{status}"),
            home: home.to_owned(),
            api_key: api_key.to_owned(),
            token: None,
        }
    }

    /// Known by the token in this file.
    #[must_use]
    pub fn with_token(self, file: &Path) -> Self {
        Self { token: Some(file.to_owned()), ..self }
    }

    /// What it prints, and how it ended.
    pub fn ask_for(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--server", &self.server, "--status-url", &self.status]);
        let mut command = Command::new(segue());
        let token = self.token.iter().map(|file| ("SEGUE_TOKEN_FILE", file));
        let ended = command
            .args(&arguments)
            .env_clear()
            .envs(token)
            .env("HOME", &self.home)
            .env("KLAVIYO_API_KEY", &self.api_key)
            .env("USER", "tester")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (ended.status.code(), text(ended.stdout), text(ended.stderr))
    }

    /// As JSON, from whoever answers at last.
    pub fn ask_at_last(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--output", "json"]].concat();
        wait_for(&format!("somebody answers {arguments:?}"), || {
            let (code, stdout, _) = self.ask_for(&arguments);
            (code == Some(0)).then(|| serde_json::from_str(&stdout).unwrap())
        })
    }

    /// Saves an export of a segment to a list, over a new connection; returns its id. Without guards that need the
    /// whole segment before the first request: whatever happens, happens while it is still read.
    pub fn export(&self, segment: &str, list: &str) -> String {
        let off = ["--max-growth", "0", "--max-shrinkage", "0", "--max-rejects", "0"];
        self.export_with(segment, list, &off)
    }

    /// With the guards that everybody has who says nothing else.
    pub fn guarded_export(&self, segment: &str, list: &str) -> String {
        self.export_with(segment, list, &[])
    }

    fn export_with(&self, segment: &str, list: &str, guards: &[&str]) -> String {
        let id = |made: Value| made["id"].as_str().unwrap().to_owned();
        let connect = ["connections", "create", "--display-name", "Sample", "--accept-consent"];
        let connection = id(self.ask_at_last(&connect));
        let export = ["exports", "create", "--display-name", "Everyone"];
        let what = ["--connection", &connection, "--list", list, "--segment", segment];
        id(self.ask_at_last(&[&export[..], &what[..], guards].concat()))
    }

    /// The rejected rows of a run in order: source, row, reason.
    pub fn rows(&self, run: &str, kind: &[&str]) -> Vec<(String, u64, String)> {
        let mut arguments = vec!["runs", "rejects", run, "--output", "json"];
        arguments.extend(kind);
        let stdout = wait_for("the rejects are told", || {
            let (code, stdout, _) = self.ask_for(&arguments);
            (code == Some(0)).then_some(stdout)
        });
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            let source =
                Path::new(&text("source")).file_name().unwrap().to_str().unwrap().to_owned();
            (source, row["row"].as_u64().unwrap(), text("reason"))
        };
        stdout.lines().map(row).collect()
    }
}
