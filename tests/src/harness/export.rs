use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{Read, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Instant,
};

use tempfile::TempDir;

use super::{DEADLINE, LIST, Reject, Report, Sim, WarningLine, csv, wait_for};

/// The binary: `SEGUE_BIN`, or else the one that was built with this test.
pub fn segue() -> PathBuf {
    let built = || {
        // A program lies where `segue` does, a test in a folder below.
        let own = std::env::current_exe().unwrap();
        let mut near = own.ancestors().skip(1).take(2).map(|folder| folder.join("segue"));
        near.find(|path| path.is_file()).unwrap_or_else(|| "segue".into())
    };
    let path = std::env::var_os("SEGUE_BIN").map_or_else(built, PathBuf::from);
    assert!(path.is_file(), "{} is missing: cargo build --package segue", path.display());
    path
}

/// What `tests/mutate.py` breaks in binaries that it has built; nothing in all others.
pub(super) fn broken() -> Option<(&'static str, OsString)> {
    const NAME: &str = "BROKEN_ON_PURPOSE";
    std::env::var_os(NAME).map(|what| (NAME, what))
}

/// `segue export`, about to be started in a folder of its own.
///
/// It inherits nothing of this process's environment. Unless told otherwise it writes report, rejects
/// and warnings, keeps its data in that folder and has the key `pk_sim`.
pub struct Export {
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    folder: Arc<TempDir>,
    data: Option<PathBuf>,
    /// What a person types at the terminal; `None`: nobody sits there.
    typed: Option<String>,
}

impl Export {
    /// To the first list of `sim`.
    pub fn to(sim: &Sim) -> Self {
        Self::bare(sim).args(["--list", LIST])
    }

    /// Without `--list`.
    pub fn bare(sim: &Sim) -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            folder: Arc::new(tempfile::tempdir().unwrap()),
            data: None,
            typed: None,
        }
        .env("SEGUE_KLAVIYO_URL", sim.url())
        .env("KLAVIYO_API_KEY", "pk_sim")
    }

    /// The command that goes on with a run of `ended`, in the same data folder.
    pub fn resume(sim: &Sim, data: &Path, run: &str) -> Self {
        Self::bare(sim).data(data).args(["--resume", run])
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    pub fn without_env(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    /// Where runs are kept, for several exports with one folder.
    pub fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_owned());
        self
    }

    /// Writes `content` to a file in the export's folder and exports it.
    pub fn content(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        self.arg(path)
    }

    /// The path of a file in the export's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// At a terminal, where somebody types this. What it says on either output is in `stdout` then.
    pub fn typed(mut self, text: &str) -> Self {
        self.typed = Some(text.to_owned());
        self
    }

    /// Starts it and waits for its end.
    pub fn run(self) -> Ended {
        self.start().wait()
    }

    pub fn start(self) -> Running {
        let folder = self.folder.path();
        let data = self.data.clone().unwrap_or_else(|| folder.join("data"));
        let mut line = vec![segue().into_os_string(), "export".into()];
        line.extend(self.args.iter().cloned());
        line.extend(["--data".into(), data.clone().into_os_string()]);
        let given = |option: &str| self.args.iter().any(|arg| arg == option);
        for (option, file) in FILES.into_iter().filter(|(option, _)| !given(option)) {
            line.extend([option.into(), folder.join(file).into_os_string()]);
        }
        let mut command = match self.typed {
            None => Command::new(&line[0]),
            // It gives its command a terminal. Debian and its kin always have it.
            Some(_) => Command::new("/usr/bin/script"),
        };
        match self.typed {
            None => command.args(&line[1..]),
            Some(_) => command.args(["-qefc", &quoted(&line), "/dev/null"]),
        };
        command
            .current_dir(folder)
            .env_clear()
            .envs(broken())
            .env("HOME", folder)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("TERM", "xterm")
            .stdin(if self.typed.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().unwrap();
        if let Some(text) = &self.typed {
            child.stdin.take().expect("it is piped").write_all(text.as_bytes()).unwrap();
        }
        let stdout = Pipe::drain(child.stdout.take().expect("it is piped"));
        let stderr = Pipe::drain(child.stderr.take().expect("it is piped"));
        Running { child, stdout, stderr, data, folder: self.folder }
    }
}

/// A line for the shell.
pub(super) fn quoted(line: &[OsString]) -> String {
    let quote = |arg: &OsString| format!("'{}'", arg.to_str().unwrap().replace('\'', r"'\''"));
    line.iter().map(quote).collect::<Vec<_>>().join(" ")
}

const FILES: [(&str, &str); 3] =
    [("--report", "report.json"), ("--rejects", "rejects.csv"), ("--warnings", "warnings.csv")];

/// A process that is killed when this goes.
pub struct Running {
    child: Child,
    stdout: Pipe,
    stderr: Pipe,
    data: PathBuf,
    folder: Arc<TempDir>,
}

impl Running {
    /// Waits until it has said `words` on standard error.
    pub fn wait_until_it_says(&mut self, words: &str) {
        wait_for(words, || {
            if self.stderr.text().contains(words) {
                return Some(());
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended before it said {words:?}: {}", self.stderr.text());
            None
        });
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// For signals.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and what is left of it.
    pub fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.wait()
    }

    pub fn wait(mut self) -> Ended {
        let begin = Instant::now();
        let status = wait_for("the export ends", || {
            let ended = self.child.try_wait().unwrap();
            let late = begin.elapsed() > DEADLINE.mul_f64(0.9);
            assert!(ended.is_some() || !late, "it does not end: {}", self.stderr.text());
            ended
        });
        let (stdout, stderr) = (self.stdout.end(), self.stderr.end());
        let (data, folder) = (self.data.clone(), Arc::clone(&self.folder));
        Ended { status, stdout, stderr, data, folder }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and was waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a process has written to a pipe so far.
struct Pipe {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Pipe {
    fn drain(mut from: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                to.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    fn end(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.text()
    }
}

/// An export that has ended, and its files.
pub struct Ended {
    status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    data: PathBuf,
    folder: Arc<TempDir>,
}

impl Ended {
    /// `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Ends the test unless it ended with `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self}");
        self
    }

    /// Where its runs are kept; lives as long as this.
    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Parsed and checked. Ends the test if none was written.
    #[track_caller]
    pub fn report(&self) -> Report {
        let report = self.try_report();
        report.unwrap_or_else(|| panic!("there is no report\n{self}"))
    }

    pub fn try_report(&self) -> Option<Report> {
        let text = fs::read_to_string(self.path("report.json")).ok()?;
        let report: Report = serde_json::from_str(&text).unwrap_or_else(|err| {
            panic!("the report is not as documented: {err}\n{text}");
        });
        report.check();
        Some(report)
    }

    pub fn rejects(&self) -> Vec<Reject> {
        csv::rejects(&self.path("rejects.csv"))
    }

    pub fn warnings(&self) -> Vec<WarningLine> {
        csv::warnings(&self.path("warnings.csv"))
    }

    /// Whether it said `words`, on either of its outputs.
    pub fn says(&self, words: &str) -> bool {
        self.stdout.contains(words) || self.stderr.contains(words)
    }

    /// Ends the test unless it said all of these.
    #[track_caller]
    pub fn expect_words(self, words: &[&str]) -> Self {
        for words in words {
            assert!(self.says(words), "it does not say {words:?}\n{self}");
        }
        self
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, stdout, stderr, .. } = self;
        write!(f, "{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}
