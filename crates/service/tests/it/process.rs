//! A service as a process: how it starts and how it stops.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

/// What ends at all ends sooner, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// Killed when this goes: a test that fails leaves nobody behind.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and was waited for.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

struct Idle {
    child: Killed,
    stderr: BufReader<ChildStderr>,
}

impl Idle {
    fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        // Beside `deps`, where this test lies; `cargo test` builds examples.
        let here = std::env::current_exe().unwrap();
        let path = here.parent().unwrap().parent().unwrap().join("examples/idle");
        let mut child = Command::new(path)
            .args(args)
            .args(["--metrics-listen", "127.0.0.1:0"])
            .env_clear()
            .env("SEGUE_LOG", "warn")
            .envs(env.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child: Killed(child), stderr }
    }

    /// The line that says it.
    fn wait_for(&mut self, wanted: &str) -> String {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it never said {wanted}");
        }
        line
    }

    fn signal(&self, name: &str) {
        let pid = self.child.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Its exit code and what else it said.
    fn end(mut self) -> (i32, Vec<String>) {
        let asked = Instant::now();
        let status = loop {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                break status;
            }
            if asked.elapsed() > PATIENCE {
                self.child.0.kill().unwrap();
                panic!("it did not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let lines = self.stderr.lines().map(Result::unwrap).collect();
        (status.code().unwrap(), lines)
    }
}

#[test]
fn service_that_finishes_in_time_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let mut idle = Idle::start(&["short"], &[]);
        idle.wait_for("started");
        idle.signal(signal);
        assert_eq!(idle.end(), (0, vec!["stopping".to_owned()]));
    }
}

#[test]
fn service_is_not_ready_before_it_says_that_it_has_started() {
    for (work, ready) in [("endless", "503"), ("short", "200")] {
        let mut idle = Idle::start(&[work], &[("SEGUE_LOG", "info")]);
        let line = idle.wait_for("metrics and health");
        let address = line.trim().rsplit_once("address=").unwrap().1.to_owned();
        idle.wait_for("started");
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {ready}")), "{work}: {answer}");
        assert_eq!(answer.contains("start: not yet"), ready == "503", "{answer}");
    }
}

#[test]
fn second_signal_ends_at_once_with_its_code() {
    for (first, second, code) in [("TERM", "TERM", 143), ("TERM", "INT", 130), ("INT", "INT", 130)]
    {
        let mut idle = Idle::start(&["endless"], &[]);
        idle.wait_for("started");
        idle.signal(first);
        idle.wait_for("stopping");
        idle.signal(second);
        let asked = Instant::now();
        assert_eq!(idle.end().0, code);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
}

#[test]
fn service_that_cannot_be_dropped_is_ended_by_the_second_signal_all_the_same() {
    let mut idle = Idle::start(&["stuck"], &[]);
    idle.wait_for("started");
    idle.signal("TERM");
    idle.wait_for("stopping");
    idle.signal("TERM");
    assert_eq!(idle.end().0, 143);
}

#[test]
fn service_that_does_not_finish_in_time_exits_with_1() {
    let mut idle = Idle::start(&["endless", "--drain-timeout", "300ms"], &[]);
    idle.wait_for("started");
    idle.signal("TERM");
    idle.wait_for("stopping");
    assert_eq!(idle.end().0, 1);
}

#[test]
fn service_that_cannot_start_says_why_in_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (args, env, parts) in [
        (&["broken"][..], &[][..], &["cannot work: invalid digit"][..]),
        (&["short", "--drain-timeout", "soon"], &[], &["drain_timeout", "--drain-timeout", "25s"]),
        (&["short"], &[("SEGUE_LOGFORMAT", "json")], &["SEGUE_LOGFORMAT", "SEGUE_LOG_FORMAT"]),
        (
            &["short"],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "no url")],
            &["OTEL_EXPORTER_OTLP_ENDPOINT"],
        ),
    ] {
        let (code, lines) = Idle::start(args, env).end();
        let lines: Vec<_> = lines.iter().filter(|line| *line != "started").collect();
        assert_eq!((code, lines.len()), (1, 1), "{lines:?}");
        assert!(lines[0].starts_with("error: "), "{lines:?}");
        assert!(parts.iter().all(|part| lines[0].contains(part)), "{lines:?}");
    }
    let here = std::env::current_exe().unwrap();
    let path = here.parent().unwrap().parent().unwrap().join("examples/idle");
    let output = Command::new(path).args(["short", "--metrics-listen", &address]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.lines().count() == 1 && said.contains(&address) && said.contains("in use"),
        "{said}"
    );
}

#[test]
fn collector_that_is_away_harms_nothing_and_is_mentioned_once() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{closed}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
    ];
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let begun = Instant::now();
    let (code, lines) = Idle::start(&["spans"], &env).end();
    assert_eq!(code, 0);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let mentioned = lines.iter().filter(|line| line.contains("collector")).count();
    assert_eq!((mentioned, lines.len()), (1, 2), "{lines:?}");
}

#[test]
fn logs_need_no_collector() {
    let mut idle = Idle::start(&["short", "--log", "info"], &[]);
    idle.wait_for("started");
    idle.signal("TERM");
    let (_, lines) = idle.end();
    assert!(lines.iter().any(|line| line.contains("no new work")), "{lines:?}");
}

#[test]
fn logs_in_json_are_one_object_a_line() {
    let env =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let (_, lines) = Idle::start(&["spans", "--log-format", "json"], &env).end();
    let line = lines.iter().find(|line| line.contains("collector")).unwrap();
    let object: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(object["level"], "WARN");
    assert!(object["message"].as_str().unwrap().contains("collector"), "{object}");
}
