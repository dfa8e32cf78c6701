//! A RabbitMQ and a PostgreSQL of our own, on ports and in folders of their own, which may be killed.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::harness::{free_address, wait_for};

/// What a test does to a server.
pub trait Server {
    /// The pids of everything that makes it up.
    fn pids(&self) -> Vec<u32>;
    fn start(&mut self);

    fn signal(&self, signal: &str) {
        for pid in self.pids() {
            // One of them may be gone before the others: that is what is wanted.
            Command::new("kill")
                .args([signal, &pid.to_string()])
                .stderr(Stdio::null())
                .status()
                .unwrap();
        }
    }

    /// `kill -9` of all of it.
    fn kill(&mut self);

    fn kill_and_restart(&mut self) {
        self.kill();
        self.start();
    }
}

fn is_root() -> bool {
    // The owner of what this process has just made is who it runs as.
    let made = tempfile::tempdir().unwrap();
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(made.path()).unwrap()) == 0
}

fn answers(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

/// The children of a process, and theirs.
fn below(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let children = format!("/proc/{parent}/task/{parent}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|it| it.parse::<u32>().ok()));
    }
    found
}

/// A broker, as Debian packages it.
pub struct Broker {
    folder: TempDir,
    address: SocketAddr,
    node: String,
    child: Option<Child>,
}

impl Broker {
    pub fn new() -> Self {
        let node = format!("segue-{}@localhost", uuid::Uuid::new_v4().simple());
        let folder = tempfile::tempdir().unwrap();
        let mut broker = Self { folder, address: free_address(), node, child: None };
        broker.start();
        broker
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn command(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(Path::new("/usr/lib/rabbitmq/bin").join(program));
        command
            .env("HOME", folder)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", &self.node)
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.address.port().to_string())
            .env("RABBITMQ_DIST_PORT", free_address().port().to_string())
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
            )
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder)
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("none"))
            .stdin(Stdio::null());
        command
    }

    /// `rabbitmqctl`.
    pub fn control(&self, arguments: &[&str]) {
        let output = self.command("rabbitmqctl").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "rabbitmqctl {arguments:?}: {said}");
    }

    /// Kills it, and takes all that it knew away before it starts again.
    pub fn wipe_and_restart(&mut self) {
        self.kill();
        fs::remove_dir_all(self.folder.path().join("mnesia")).unwrap();
        self.start();
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}

impl Server for Broker {
    fn pids(&self) -> Vec<u32> {
        self.child.as_ref().map(|child| below(child.id())).unwrap_or_default()
    }

    fn start(&mut self) {
        let out = fs::File::create(self.folder.path().join("out")).unwrap();
        let child = self
            .command("rabbitmq-server")
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .process_group(0)
            .spawn()
            .expect("RabbitMQ is installed: make test does it");
        self.child = Some(child);
        wait_for("RabbitMQ answers", || {
            let ended = self.child.as_mut()?.try_wait().unwrap();
            let said = || fs::read_to_string(self.folder.path().join("out")).unwrap_or_default();
            assert!(ended.is_none(), "RabbitMQ ended: {}", said());
            answers(self.address).then_some(())
        });
    }

    fn kill(&mut self) {
        self.signal("-KILL");
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
        wait_for("RabbitMQ is gone", || (!answers(self.address)).then_some(()));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.signal("-CONT");
            self.kill();
        }
    }
}

/// A database server, as Debian packages it.
pub struct Database {
    folder: TempDir,
    bin: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
}

impl Database {
    pub fn new() -> Self {
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .expect("PostgreSQL is installed: make test does it")
            .map(|version| version.unwrap().path().join("bin"))
            .collect();
        versions.sort();
        let bin = versions.pop().expect("a version of PostgreSQL");
        let folder = tempfile::tempdir().unwrap();
        let mut database = Self { folder, bin, address: free_address(), child: None };
        if is_root() {
            let folder = database.folder.path();
            let given = Command::new("chown").arg("postgres").arg(folder).status().unwrap();
            assert!(given.success());
        }
        let data = database.data();
        let made = database
            .command("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        database.start();
        database
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server refuses to run as root, so root lends it its own user.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    /// The address of one of its databases, by way of `address`.
    pub fn url(address: SocketAddr, database: &str) -> String {
        format!("postgres://postgres@{address}/{database}?sslmode=disable")
    }

    /// What a person asks with `psql`.
    pub fn ask(&self, statement: &str) -> String {
        self.ask_in("postgres", statement)
    }

    /// As [`Database::ask`], in one of its databases.
    pub fn ask_in(&self, database: &str, statement: &str) -> String {
        let psql = Command::new("psql")
            .args([
                "--no-psqlrc",
                "-qtA",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                &Self::url(self.address, database),
                "-c",
                statement,
            ])
            .output()
            .expect("psql is installed: make test does it");
        let said = String::from_utf8_lossy(&psql.stderr);
        assert!(psql.status.success(), "{statement}: {said}");
        String::from_utf8(psql.stdout).unwrap()
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Server for Database {
    fn pids(&self) -> Vec<u32> {
        self.child.as_ref().map(|child| below(child.id())).unwrap_or_default()
    }

    fn start(&mut self) {
        let out = fs::File::create(self.folder.path().join("out")).unwrap();
        let data = self.data();
        let (port, sockets) = (
            format!("port={}", self.address.port()),
            format!("unix_socket_directories={}", data.display()),
        );
        wait_for("PostgreSQL answers", || {
            if let Some(child) = &mut self.child {
                // What an earlier life left in shared memory is refused until its last backend is gone.
                if child.try_wait().unwrap().is_none() {
                    let ready = Command::new(self.bin.join("pg_isready"))
                        .args(["-q", "-h", "127.0.0.1", "-p", &self.address.port().to_string()])
                        .status();
                    return ready.unwrap().success().then_some(());
                }
            }
            let mut command = self.command("postgres");
            command.arg("-D").arg(&data);
            for setting in ["listen_addresses=127.0.0.1", &port, &sockets, "max_connections=200"] {
                command.args(["-c", setting]);
            }
            let (stdout, stderr) = (out.try_clone().unwrap(), out.try_clone().unwrap());
            self.child = Some(command.stdout(stdout).stderr(stderr).spawn().unwrap());
            None
        });
    }

    fn kill(&mut self) {
        self.signal("-KILL");
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.signal("-CONT");
            self.kill();
        }
    }
}
