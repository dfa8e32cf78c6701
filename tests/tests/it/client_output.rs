//! What the command line tells programs, and how it lets people watch.

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
};

use klaviyo_sim::Config;
use serde_json::Value;

use crate::harness::{LIST, People, Services, Sim, limited, rate, segue};

#[test]
fn token_is_not_sent_in_the_clear_to_another_machine_unless_it_is_allowed() {
    // What is kept for documentation, where nobody is.
    let asked = |environment: &[(&str, &str)], url: &str| {
        let mut command = Command::new(segue());
        command.args(["exports", "list", url, "http://192.0.2.1:9"]);
        command
            .env_clear()
            .env("SEGUE_TOKEN", "segue_a_b")
            .env("SEGUE_SERVER", "http://127.0.0.1:9");
        command.envs(environment.iter().copied());
        let ended = command.output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        String::from_utf8(ended.stderr).unwrap()
    };
    for url in ["--server", "--status-url"] {
        let said = asked(&[], url);
        assert!(said.contains("http://192.0.2.1:9 is another machine"), "{said}");
        assert!(said.contains("SEGUE_INSECURE_HTTP=true") && !said.contains("segue_a_b"), "{said}");
    }
    let said = asked(&[("SEGUE_INSECURE_HTTP", "true")], "--server");
    assert!(said.contains("cannot be reached"), "{said}");
}

#[test]
fn every_command_answers_in_json_if_asked() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    People::good(3).write(&services.source().join("people.csv"));
    let export = services.export("people.csv");
    let connection = services.ask(&["connections", "list"])[0]["id"].as_str().unwrap().to_owned();

    let verified = services.ask(&["connections", "verify", &connection]);
    assert_eq!((&verified["id"], &verified["problem"]), (&connection.as_str().into(), &"".into()));
    assert!(!verified["revision"].as_str().unwrap().is_empty(), "{verified}");
    let at = ["--at", "03:00", "--time-zone", "UTC"];
    let preview = services.ask(&[&["schedule", "preview"], at.as_slice()].concat());
    assert_eq!(preview["times"].as_array().unwrap().len(), 10);
    let scheduled = services.ask(&["exports", "schedule", &export, "--unscheduled"]);
    assert_eq!(scheduled["export_ids"], Value::from(vec![export.as_str()]));
    for settled in [["schedule", "get"], ["schedule", "off"], ["tokens", "whoami"]] {
        assert!(services.ask(&settled).is_object(), "{settled:?}");
    }

    let create = ["tokens", "create", "--display-name", "job", "--role", "viewer"];
    let made = services.ask(&create);
    assert!(made["secret"].as_str().unwrap().starts_with("segue_"));
    let token = made["token"]["id"].as_str().unwrap();
    let revoked = services.ask(&["tokens", "revoke", token]);
    assert_eq!(revoked["id"], token);
    assert!(revoked["revoked_at"].is_string(), "{revoked}");

    let run = services.start_run(&export);
    services.ended(&run);
    let (code, stdout, _) = services.ask_for(&["runs", "watch", &run, "--output", "json"]);
    assert_eq!(code, Some(0));
    let last: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["id"], &last["state"]), (&run.as_str().into(), &"succeeded".into()));
    for lists in [&["runs", "list"][..], &["tokens", "list"], &["jobs", "dead", "list"]] {
        assert!(services.ask(lists).is_array(), "{lists:?}");
    }
    for (thing, id) in [("exports", &export), ("connections", &connection)] {
        let gone = services.ask(&[thing, "delete", id]);
        assert_eq!((&gone["id"], &gone["deleted"]), (&id.as_str().into(), &true.into()));
    }
}

/// A Klaviyo that takes some seconds for five thousand people.
fn slow() -> Sim {
    Sim::start(Config { process_rate: rate(1_000), ..limited() })
}

/// `segue runs watch`, with what a client of these services needs.
fn watching(services: &Services, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("HOME", services.source())
        .env("TERM", "xterm")
        .env("SEGUE_SERVER", format!("http://{}", services.control_plane()))
        .env("SEGUE_TOKEN_FILE", services.admin_token())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A run of five thousand people, and who watches it and has told something.
fn watched(services: &Services) -> (String, Child) {
    People::good(5_000).write(&services.source().join("people.csv"));
    let run = services.start_run(&services.export("people.csv"));
    let program = segue().display().to_string();
    let mut command = watching(services, &program, &["runs", "watch", &run]);
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    // It listens for signals before it asks, so whoever has read a line can interrupt it.
    let mut first = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    (run, child)
}

#[test]
fn on_a_terminal_a_run_has_a_bar_until_it_ends() {
    let sim = slow();
    let services = Services::together(&sim);
    People::good(5_000)
        .and_rejected("nobody", "email_invalid")
        .write(&services.source().join("a.csv"));
    let run = services.start_run(&services.export("a.csv"));
    let line = format!("{} runs watch {run}", segue().display());
    let mut command = watching(&services, "/usr/bin/script", &["-qefc", &line, "/dev/null"]);
    // Somebody who types nothing: a pipe that stays open.
    let child = command.stdin(Stdio::piped()).spawn().unwrap();
    let ended = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(3), "{shown}");
    for words in ["rows", "delivered", "rejected 1", "completed_with_rejects: 5,000 of 5,001 rows"]
    {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
}

#[test]
fn interrupted_watching_leaves_the_run_alone() {
    let sim = slow();
    let services = Services::together(&sim);
    let (run, child) = watched(&services);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("the run goes on") && said.contains("segue runs cancel"), "{said}");
    assert_eq!(services.ended(&run)["state"], "succeeded");
    assert_eq!(sim.members(LIST).len(), 5_000);
}

#[test]
fn watching_goes_on_when_a_server_that_went_away_comes_back() {
    let sim = slow();
    let mut services = Services::together(&sim);
    let (_, child) = watched(&services);
    services.kill_and_restart("serve");
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(said.contains("asking again in 1 s"), "{said}");
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(told.lines().last().unwrap().contains("succeeded: 5,000 of 5,000 rows"), "{told}");
}

#[test]
fn bash_completes_after_reading_the_script() {
    let script = Command::new(segue()).args(["completion", "bash"]).output().unwrap();
    assert!(script.status.success());
    for shell in ["zsh", "fish"] {
        let other = Command::new(segue()).args(["completion", shell]).output().unwrap();
        let text = String::from_utf8(other.stdout).unwrap();
        assert!(other.status.success() && text.contains("connections"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("segue");
    std::fs::write(&file, &script.stdout).unwrap();
    // What bash does when somebody types `segue conn` and a tab.
    let typed = format!(
        "source {}; COMP_WORDS=(segue conn); COMP_CWORD=1; _segue segue conn segue; echo ${{COMPREPLY[@]}}",
        file.display()
    );
    let bash = Command::new("bash").args(["--norc", "-c", &typed]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&bash.stdout).trim(), "connections", "{bash:?}");
}
