//! How services start, and how they say that they cannot.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::harness::{Services, Shape, Sim};

/// Longer than any service takes to see that it cannot start.
const PATIENCE: Duration = Duration::from_secs(30);

fn failed(services: &Services, arguments: &[&str]) -> String {
    let mut command = services.command(arguments);
    let mut service = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while service.try_wait().unwrap().is_none() && begin.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    // One that has started after all would never end.
    drop(service.kill());
    let ended = service.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code().is_some_and(|code| code != 0), "{arguments:?} started: {said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    let [sentence] = errors[..] else { panic!("{arguments:?} said: {said}") };
    sentence.to_owned()
}

#[test]
fn service_that_cannot_start_says_why_in_one_sentence() {
    let sim = Sim::free();
    let mut services = Services::apart(&sim, Shape { control_planes: 1, workers: 0, statuses: 0 });
    let free = ["--metrics-listen", "127.0.0.1:0"];
    let start = |services: &Services, arguments: &[&str]| {
        failed(services, &[arguments, &free[..]].concat())
    };
    let taken = services.control_plane().to_string();
    let listen = ["control-plane", "--worker-listen", "127.0.0.1:0", "--listen"];
    let words = start(&services, &[&listen[..], &[&taken]].concat());
    assert!(words.contains(&taken), "{words}");
    let words = start(
        &services,
        &["control-plane", "--listen", "127.0.0.1:0", "--worker-listen", "0.0.0.0:0"],
    );
    assert!(words.contains("TLS") || words.contains("certificate"), "{words}");
    let words = start(&services, &["worker", "--amqp-url", "amqp://guest:hunter2@127.0.0.1:1/x"]);
    assert!(words.contains("127.0.0.1:1") && !words.contains("hunter2"), "{words}");
    let words =
        start(&services, &["status", "--database-url", "postgres://a:hunter2@127.0.0.1:1/x"]);
    assert!(words.contains("127.0.0.1:1") && !words.contains("hunter2"), "{words}");
    services.set("SEGUE_WORKER_TOKN_FILE", "x");
    let words = start(&services, &["worker"]);
    assert!(
        words.contains("SEGUE_WORKER_TOKN_FILE") && words.contains("SEGUE_WORKER_TOKEN_FILE"),
        "{words}"
    );
}

#[test]
fn worker_without_the_right_token_ends_and_says_why() {
    let sim = Sim::free();
    let services = Services::apart(&sim, Shape { control_planes: 1, workers: 0, statuses: 0 });
    let wrong = services.source().join("wrong-token");
    std::fs::write(&wrong, "0123456789abcdef0123456789abcdef").unwrap();
    let wrong = wrong.to_str().unwrap();
    let worker = ["worker", "--metrics-listen", "127.0.0.1:0", "--worker-token-file", wrong];
    let words = failed(&services, &worker);
    assert!(words.contains("worker_token_file") && !words.contains("0123"), "{words}");
}

#[test]
fn printed_configuration_shows_no_secret() {
    let sim = Sim::free();
    let services = Services::apart(&sim, Shape { control_planes: 0, workers: 0, statuses: 0 });
    let said = services.command(&["worker", "--print-config"]).output().unwrap();
    let printed = String::from_utf8(said.stdout).unwrap();
    assert!(printed.contains("amqp_url") && !printed.contains("guest:guest"), "{printed}");
}
