//! An export that runs by itself.

use crate::harness::{LIST, People, Services, Sim, wait_for};

#[test]
fn export_runs_by_the_schedule_of_the_system() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    People::good(20).write(&services.source().join("people.csv"));
    let export = services.export("people.csv");
    let shown = services.ask(&["exports", "get", &export]);
    assert_eq!((&shown["schedule"], &shown["next_run_at"]), (&"as the system".into(), &().into()));
    let every_minute = ["--cron", "* * * * *", "--time-zone", "Europe/Berlin"];
    let set = [&["schedule", "set"], every_minute.as_slice()].concat();
    assert_eq!(services.ask(&set)["schedule"], "cron * * * * *, Europe/Berlin");
    assert!(services.ask(&["exports", "get", &export])["next_run_at"].is_string());

    // Once a minute is as often as a schedule goes.
    let run = wait_for("a run by the schedule", || {
        let runs = services.ask(&["runs", "list", "--export", &export]);
        runs.as_array().unwrap().last().cloned()
    });
    assert_eq!(run["trigger"], "schedule");
    let due = run["due_at"].as_str().unwrap();
    assert!(due.ends_with(":00.000Z"), "{due} is no full minute");
    let (code, _, stderr) = services.ask_for(&["schedule", "off"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, _, stderr) = services.ask_for(&["runs", "watch", run["id"].as_str().unwrap()]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(sim.members(LIST).len(), 20);
    assert!(services.ask(&["exports", "get", &export])["next_run_at"].is_null());
}

#[test]
fn command_line_says_what_is_wrong_with_a_schedule() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    for (arguments, words) in [
        (vec!["set"], "say when"),
        (vec!["set", "--at", "03:00"], "--time-zone Europe/Berlin"),
        (vec!["set", "--at", "3 o'clock", "--time-zone", "UTC"], "is not a time of day"),
        (vec!["set", "--at", "03:00", "--time-zone", "Berlin"], "Europe/Berlin"),
        (vec!["set", "--at", "03:00", "--on", "noday", "--time-zone", "UTC"], "no day of the week"),
        (vec!["set", "--cron", "0 0 30 2 *", "--time-zone", "UTC"], "never"),
    ] {
        let arguments = [vec!["schedule"], arguments].concat();
        let (code, _, stderr) = services.ask_for(&arguments);
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
    let preview = ["--at", "03:00", "--on", "monday", "--time-zone", "UTC", "--count", "3"];
    let (code, stdout, stderr) =
        services.ask_for(&[&["schedule", "preview"], preview.as_slice()].concat());
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout.lines().filter(|line| line.ends_with("T03:00:00+00:00")).count(), 3);
}
