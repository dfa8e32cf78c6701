mod start;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use segue_store::test_util::{Engine, TestDatabase};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    Client, LIST, Report, Sim,
    export::{broken, quoted},
    segue, wait_for,
};

/// How many of each.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub control_planes: usize,
    pub workers: usize,
    pub statuses: usize,
}

/// The services as processes: apart, over RabbitMQ and PostgreSQL under names that nobody else has, or all in
/// one. What was started is killed when this goes, and what it left with broker and database is removed.
pub struct Services {
    environment: BTreeMap<String, String>,
    /// By their names, such as `worker-2`.
    running: BTreeMap<String, Service>,
    /// What services run: the binary that was built with the tests, or that of another version.
    binary: PathBuf,
    /// By the names of services: what they run instead.
    binaries: BTreeMap<String, PathBuf>,
    control_plane: SocketAddr,
    status: SocketAddr,
    prefix: Option<String>,
    database: Option<TestDatabase>,
    folder: TempDir,
    runtime: Runtime,
}

struct Service {
    child: Child,
    command: Vec<String>,
    metrics: SocketAddr,
    log: PathBuf,
}

/// On loopback, where nobody listens at the moment.
pub fn free_address() -> SocketAddr {
    // Below those that the system gives to whoever connects: it might give one away before it is listened on.
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 22_000;
    // One after the other: between the look and the listener of a service nobody else here is given the same one.
    static NEXT: LazyLock<AtomicU32> =
        LazyLock::new(|| AtomicU32::new(rand::random_range(0..PORTS)));
    wait_for("a free port", || {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap()));
        TcpListener::bind(address).is_ok().then_some(address)
    })
}

fn broker() -> String {
    std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

const ADMIN_TOKEN: &str = "admin-token";
const ADMIN_TOKEN_FILE: &str = "SEGUE_ADMIN_TOKEN_FILE";
/// Many of `segue serve` run at a time, and one only can have the port that it has by itself.
const CONSOLE_LISTEN: &str = "SEGUE_CONSOLE_LISTEN";

impl Services {
    /// `segue serve`.
    pub fn together(sim: &Sim) -> Self {
        Self::together_with(sim, &[])
    }

    /// As [`Self::together`], with more in its environment.
    pub fn together_with(sim: &Sim, environment: &[(&str, &str)]) -> Self {
        let mut services = Self::prepare(sim);
        for (name, value) in environment {
            services.set(name, value);
        }
        let data = services.folder.path().join("data").display().to_string();
        services.set("SEGUE_DATA", &data);
        let listen = services.control_plane.to_string();
        services.status = services.control_plane;
        services.start("serve", &["serve", "--listen", &listen]);
        services.await_ready();
        services
    }

    pub fn apart(sim: &Sim, shape: Shape) -> Self {
        Self::apart_with(sim, shape, &[])
    }

    /// As [`Self::apart`], with more in the environment of every service.
    pub fn apart_with(sim: &Sim, shape: Shape, environment: &[(&str, &str)]) -> Self {
        let mut services = Self::prepare(sim);
        let database = services.runtime.block_on(TestDatabase::new(Engine::Postgres));
        let url = database.url().to_owned();
        services.database = Some(database);
        services.start_apart(shape, &broker(), &url, environment);
        services
    }

    /// As [`Self::apart_with`], on a broker and a database of the caller's, and of another version if that is
    /// wanted.
    pub fn apart_on(
        sim: &Sim,
        shape: Shape,
        (amqp, database): (&str, &str),
        environment: &[(&str, &str)],
        binary: Option<&Path>,
    ) -> Self {
        let mut services = Self::prepare(sim);
        if let Some(binary) = binary {
            binary.clone_into(&mut services.binary);
        }
        services.start_apart(shape, amqp, database, environment);
        services
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Where segments lie.
    pub fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    /// Where `segue serve` keeps everything.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn control_plane(&self) -> SocketAddr {
        self.control_plane
    }

    pub fn status(&self) -> SocketAddr {
        self.status
    }

    /// The broker and the prefix of all names there.
    pub fn broker(&self) -> (String, &str) {
        let url = self.environment["SEGUE_AMQP_URL"].clone();
        (url, self.prefix.as_deref().expect("services that are apart"))
    }

    pub fn names(&self) -> Vec<String> {
        self.running.keys().cloned().collect()
    }

    /// The binary with the services' environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&self.binary, arguments)
    }

    fn command_of(&self, binary: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .env_clear()
            .envs(broken())
            .envs(&self.environment)
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .process_group(0);
        if binary != segue() {
            // The first version knows neither tokens of people nor a console, and refuses what it does not know.
            command.env_remove(ADMIN_TOKEN_FILE).env_remove(CONSOLE_LISTEN);
        }
        command
    }

    fn start(&mut self, name: &str, command: &[&str]) {
        let command = command.iter().map(|&part| part.to_owned()).collect();
        self.start_again(name, command, free_address());
    }

    fn start_again(&mut self, name: &str, command: Vec<String>, metrics: SocketAddr) {
        let log = self.folder.path().join(format!("{name}.log"));
        let out = fs::File::options().create(true).append(true).open(&log).unwrap();
        let listen = metrics.to_string();
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.extend(["--metrics-listen", &listen]);
        let binary = self.binaries.get(name).unwrap_or(&self.binary).clone();
        let mut starting = self.command_of(&binary, &arguments);
        let child = starting.stdout(Stdio::null()).stderr(out).spawn().unwrap();
        self.running.insert(name.to_owned(), Service { child, command, metrics, log });
    }

    /// A console apart from the services that are running, and where it is.
    pub fn console(&mut self) -> SocketAddr {
        let console = free_address();
        let [listen, server, status] = [
            console.to_string(),
            format!("http://{}", self.control_plane),
            format!("http://{}", self.status),
        ];
        let arguments =
            ["console", "--console-listen", &listen, "--server", &server, "--status-url", &status];
        self.start("console", &arguments);
        self.await_ready();
        console
    }

    /// Waits until every service says that it is ready.
    pub fn await_ready(&mut self) {
        for (name, service) in &mut self.running {
            wait_for(&format!("{name} is ready"), || {
                let ended = service.child.try_wait().unwrap();
                assert!(ended.is_none(), "{name} ended: {}", service.said());
                get(service.metrics, "/readyz").filter(|(status, _)| *status == 200)
            });
        }
    }

    pub fn said(&self, name: &str) -> String {
        self.running[name].said()
    }

    /// What all services have said, for those who look for what nobody may say.
    pub fn all_said(&self) -> String {
        self.running.values().map(Service::said).collect()
    }

    /// Copies what services have said, for people to read.
    pub fn keep_logs(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for service in self.running.values() {
            fs::copy(&service.log, folder.join(service.log.file_name().unwrap())).unwrap();
        }
    }

    pub fn signal(&self, name: &str, signal: &str) {
        let pid = self.running[name].child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn wait(&mut self, name: &str) -> ExitStatus {
        let service = self.running.get_mut(name).expect("a running service");
        wait_for(&format!("{name} ends"), || service.child.try_wait().unwrap())
    }

    /// `kill -9`, and at once another in its place.
    pub fn kill_and_restart(&mut self, name: &str) {
        let mut service = self.running.remove(name).expect("a running service");
        service.child.kill().unwrap();
        service.child.wait().unwrap();
        self.start_again(name, service.command, service.metrics);
    }

    /// As [`Self::kill_and_restart`], but the other is of another version.
    pub fn restart_as(&mut self, name: &str, binary: &Path) {
        self.binaries.insert(name.to_owned(), binary.to_owned());
        self.kill_and_restart(name);
    }

    /// As [`Self::kill_and_restart`], with more in the environment of the other.
    pub fn restart_with(&mut self, name: &str, environment: &[(&str, &str)]) {
        let before = self.environment.clone();
        for (name, value) in environment {
            self.set(name, value);
        }
        self.kill_and_restart(name);
        self.environment = before;
    }

    /// Those that have ended by themselves.
    pub fn ended_services(&mut self) -> Vec<String> {
        let ended = self
            .running
            .iter_mut()
            .filter_map(|(name, service)| service.child.try_wait().unwrap().map(|_| name.clone()));
        ended.collect()
    }

    /// Somebody who asks on and on, whatever becomes of the services.
    pub fn client(&self, api_key: &str) -> Client {
        Client::new(self.control_plane, self.status, self.folder.path(), api_key)
            .with_token(&self.admin_token())
    }

    /// The file of a token that may do everything.
    pub fn admin_token(&self) -> PathBuf {
        self.folder.path().join(ADMIN_TOKEN)
    }

    /// Runs the command line as a client; what it prints, and how it ended.
    pub fn ask_for(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        self.client("pk_sim").ask_for(arguments)
    }

    /// Runs the command line on a terminal, where somebody types `text`; how it ended, and what was shown.
    pub fn typed(&self, arguments: &[&str], text: &str) -> (Option<i32>, String) {
        let server = format!("http://{}", self.control_plane);
        let mut line = vec![self.binary.clone().into_os_string()];
        line.extend(arguments.iter().map(Into::into));
        line.extend(["--server".into(), server.into(), "--token-file".into()]);
        line.push(self.admin_token().into_os_string());
        let script = ["-qefc", &quoted(&line), "/dev/null"];
        let mut command = self.command_of(Path::new("/usr/bin/script"), &script);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().expect("it is piped").write_all(text.as_bytes()).unwrap();
        let ended = child.wait_with_output().unwrap();
        (ended.status.code(), String::from_utf8_lossy(&ended.stdout).into_owned())
    }

    /// As [`Self::ask_for`], as JSON, and it has to succeed.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--output", "json"]);
        let (code, stdout, stderr) = self.ask_for(&arguments);
        assert!(code == Some(0), "{arguments:?}: {code:?} {stderr}");
        serde_json::from_str(&stdout).unwrap_or_else(|err| panic!("{err}: {stdout}"))
    }

    /// Saves an export of a segment to the first list, over a new connection and without guards that hold it
    /// back; returns its id.
    pub fn export(&self, segment: &str) -> String {
        self.client("pk_sim").export(segment, LIST)
    }

    /// As [`Self::export`], with the guards that everybody has who says nothing else.
    pub fn guarded_export(&self, segment: &str) -> String {
        self.client("pk_sim").guarded_export(segment, LIST)
    }

    pub fn start_run(&self, export: &str) -> String {
        self.ask(&["runs", "start", export])["id"].as_str().unwrap().to_owned()
    }

    pub fn run(&self, run: &str) -> Value {
        self.ask(&["runs", "get", run])
    }

    /// Waits for the end of a run.
    pub fn ended(&self, run: &str) -> Value {
        wait_for(&format!("{run} ends"), || {
            let run = self.run(run);
            (!run["ended_at"].is_null()).then_some(run)
        })
    }

    /// What the run tells, as the report of `segue export` would have it.
    pub fn report(run: &Value) -> Report {
        let mut report = run["counts"].clone();
        let fields = report.as_object_mut().unwrap();
        fields.insert("run_id".into(), run["id"].clone());
        for name in ["state", "started_at", "first_request_at", "last_accepted_at", "ended_at"] {
            fields.insert(name.into(), run[name].clone());
        }
        let report: Report = serde_json::from_value(report).unwrap();
        report.check();
        report
    }

    /// The rejected rows, or the warnings, in order: source, row, reason.
    pub fn rows(&self, run: &str, kind: &[&str]) -> Vec<(String, u64, String)> {
        self.client("pk_sim").rows(run, kind)
    }
}

impl Service {
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for service in self.running.values_mut() {
            // Both fail only for a process that has ended and was waited for.
            service.child.kill().ok();
            service.child.wait().ok();
        }
        if std::thread::panicking() {
            for (name, service) in &self.running {
                let said = service.said();
                let lines: Vec<&str> = said.lines().collect();
                eprintln!("{name} said:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
            }
        }
        // A broker of the caller's goes as a whole.
        if let (Some(prefix), Some(_)) = (&self.prefix, &self.database) {
            self.runtime.block_on(segue_queue::testing::delete(prefix));
        }
    }
}

/// Status and body of a page; `None` if nobody answers.
fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    use std::io::{Read as _, Write as _};
    let mut socket = std::net::TcpStream::connect(address).ok()?;
    write!(socket, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body.to_owned()))
}
