//! Runs that are cut short: `kill -9`, Ctrl-C, a process that stands still. `--resume` ends them as if
//! nothing had happened.

use std::{
    env,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use klaviyo_sim::{AccountConfig, Config, Endpoint, Faults, KeyConfig, ListConfig, Trigger};

use crate::harness::{
    Ended, Export, Fate, Judge, LIST, OTHER_LIST, People, Report, Running, Sim, account, free,
    limited, wait_for,
};

/// Two batches with everything in them that can happen to a row.
fn everything() -> People {
    People::good(10_400)
        .spoil(997, |n| format!("refuse{n}@example.com"), "refused_by_klaviyo")
        .spoil(499, |n| format!("importfail{n}@example.com"), "import_failed")
        .spoil(701, |n| format!("nobody{n}.example.com"), "email_invalid")
        .and("person1@example.com,Another,1", Fate::Duplicate)
}

/// All of a report that must not depend on when a run was cut short.
fn lasting(report: &Report) -> Report {
    Report {
        run_id: String::new(),
        requests: 0,
        repeated_sends: 0,
        started_at: None,
        first_request_at: None,
        last_accepted_at: None,
        ended_at: None,
        ..report.clone()
    }
}

/// The run that a process began, as it says itself before it sends anything.
fn run_of(stderr: &str) -> Option<String> {
    let line = stderr.lines().find(|line| line.starts_with("run  "))?;
    let named = line.rsplit_once("segue export --resume ")?.1;
    Some(named.to_owned())
}

#[track_caller]
fn run_that_was_begun(ended: &Ended) -> String {
    run_of(&ended.stderr).unwrap_or_else(|| panic!("it names no run to go on with: {ended}"))
}

/// So many batches were accepted.
fn wait_for_imports(sim: &Sim, count: usize) {
    wait_for("klaviyo accepts a batch", || (sim.state().imports().count() >= count).then_some(()));
}

fn slow(slow_ms: u64) -> Sim {
    let faults = Faults { slow_ms, ..Faults::default() };
    Sim::start(Config { faults, ..free() })
}

// ---- kill -9 -----------------------------------------------------------------------------------------

/// How many processes are killed while they live, over all rounds.
const KILLS: u32 = 24;
/// Rounds that run side by side: most of their time is Klaviyo's.
const LANES: u64 = 3;

#[test]
fn run_that_is_killed_at_any_moment_ends_as_if_undisturbed_once_resumed() {
    let seed = seed();
    let folder = tempfile::tempdir().unwrap();
    let (people, file) = (everything(), folder.path().join("people.csv"));
    people.write(&file);
    let begin = Instant::now();
    let sim = klaviyo(0);
    let undisturbed = Export::to(&sim).arg(&file).run().expect_code(3);
    let reference = lasting(&Judge::new(&sim, &people).verify(&undisturbed));
    let rejects = undisturbed.rejects();
    let took = begin.elapsed();
    let (kills, round) = (AtomicU32::new(0), AtomicU64::new(0));
    let cut_short = |seed: u64, drops: bool| {
        let sim = klaviyo(if drops { 3 } else { 0 });
        let mut chance = Chance(seed);
        let ended = until_it_ends(&sim, &file, &mut chance, took, &kills);
        let report = Judge::new(&sim, &people).verify(&ended.expect_code(3));
        (lasting(&report), report)
    };
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while kills.load(Ordering::Relaxed) < KILLS {
                    let nth = round.fetch_add(1, Ordering::Relaxed);
                    let seed = seed.wrapping_add(nth);
                    eprintln!("round {nth}: SEGUE_TEST_SEED={seed}"); // shown when the test fails
                    let (lasting, report) = cut_short(seed, nth % 3 == 2);
                    assert_eq!(lasting, reference, "SEGUE_TEST_SEED={seed}: {report:#?}");
                }
            });
        }
    });
    assert_eq!(rejects.len() as u64, reference.rejected);
}

/// A Klaviyo whose jobs take a while, and that keeps `drops` answers to imports for itself.
fn klaviyo(drops: u32) -> Sim {
    let drop = Trigger::next(drops).at(Endpoint::Import);
    let faults = Faults { slow_ms: 30, drop, ..Faults::default() };
    Sim::start(Config { no_limits: true, faults, ..limited() })
}

/// Starts the export and kills it at a random moment, then resumes it and kills that, a few times over;
/// then leaves it alone.
fn until_it_ends(
    sim: &Sim,
    file: &Path,
    chance: &mut Chance,
    took: Duration,
    kills: &AtomicU32,
) -> Ended {
    let data = tempfile::tempdir().unwrap();
    let mut running = Export::to(sim).arg(file).data(data.path()).start();
    let mut run: Option<String> = None;
    for _ in 0..=chance.below(3) {
        wait_a_random_while(sim, &mut running, chance, took);
        let killed = running.kill();
        if killed.code().is_some() {
            return killed; // it was faster
        }
        kills.fetch_add(1, Ordering::Relaxed);
        run = run.or_else(|| run_of(&killed.stderr));
        let next = if let Some(run) = &run {
            Export::resume(sim, data.path(), run)
        } else {
            let sent = sim.state().imports().count();
            assert_eq!(sent, 0, "it sent something before it named the run: {killed}");
            Export::to(sim).arg(file).data(data.path())
        };
        running = next.start();
    }
    running.wait()
}

/// Either so many milliseconds, or until Klaviyo has seen so many more requests and a moment longer.
fn wait_a_random_while(sim: &Sim, running: &mut Running, chance: &mut Chance, took: Duration) {
    let seen = |sim: &Sim| sim.requests().len() as u64;
    let (begin, before) = (Instant::now(), seen(sim));
    let took = u64::try_from(took.as_millis()).unwrap();
    let (millis, requests) = match chance.below(2) {
        0 => (chance.below(took), 0),
        _ => (chance.below(40), 1 + chance.below(12)),
    };
    wait_for("the moment to kill", || {
        let due =
            begin.elapsed() >= Duration::from_millis(millis) && seen(sim) >= before + requests;
        (due || running.has_ended()).then_some(())
    });
}

fn seed() -> u64 {
    let any = |_| RandomState::new().build_hasher().finish();
    env::var("SEGUE_TEST_SEED").map_or_else(any, |seed| seed.parse().unwrap())
}

/// `SplitMix64`.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

// ---- signals -----------------------------------------------------------------------------------------

fn signal(running: &Running, name: &str) {
    let pid = running.pid().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

#[test]
fn interrupted_export_names_the_command_that_goes_on_and_that_command_ends_it() {
    for name in ["-INT", "-TERM"] {
        let sim = slow(200);
        let people = People::good(45_000);
        let export = Export::to(&sim);
        let file = export.path("people.csv");
        people.write(&file);
        // The reader waits most of the time: not even that may hold up the end.
        let running = export.arg(file).args(["--staging-memory", "1MiB"]).start();
        wait_for_imports(&sim, 1);
        signal(&running, name);
        let stopped = running.wait().expect_code(130);
        assert!(stopped.try_report().is_none(), "an unfinished run has no report");
        let run = run_that_was_begun(&stopped);
        let words = format!(
            "interrupted. The run is not finished; go on with: segue export --resume {run}"
        );
        let stopped = stopped.expect_words(&[&words]);
        assert!(sim.members(LIST).len() < people.len(), "it was cut short");
        let ended = Export::resume(&sim, stopped.data(), &run).run().expect_code(0);
        let report = Judge::new(&sim, &people).verify(&ended);
        assert_eq!((report.run_id, report.repeated_sends), (run, 0), "what was accepted is known");
    }
}

#[test]
fn process_that_stood_still_for_longer_than_its_claims_live_loses_and_misdirects_nobody() {
    let sim = slow(400);
    let people = People::good(45_000);
    let export = Export::to(&sim);
    let file = export.path("people.csv");
    people.write(&file);
    let running = export.arg(file).start();
    wait_for_imports(&sim, 1);
    signal(&running, "-STOP");
    let begin = Instant::now();
    wait_for("all claims run out", || (begin.elapsed() > Duration::from_secs(7)).then_some(()));
    signal(&running, "-CONT");
    let ended = running.wait().expect_code(0);
    Judge::new(&sim, &people).verify(&ended);
}

// ---- what --resume refuses ---------------------------------------------------------------------------

/// An export to `sim` that was killed after Klaviyo had accepted something, and its run.
fn killed(sim: &Sim, people: &People) -> (Ended, String) {
    let export = Export::to(sim);
    let file = export.path("people.csv");
    people.write(&file);
    let running = export.arg(file).start();
    wait_for_imports(sim, 1);
    let killed = running.kill();
    assert_eq!(killed.code(), None, "it was still running");
    let run = run_that_was_begun(&killed);
    (killed, run)
}

#[test]
fn run_whose_source_was_changed_meanwhile_is_not_resumed() {
    let sim = slow(200);
    let people = People::good(25_000);
    let (killed, run) = killed(&sim, &people);
    people.and_good(1).write(&killed.path("people.csv"));
    let sent = sim.calls(Endpoint::Import);
    Export::resume(&sim, killed.data(), &run)
        .run()
        .expect_code(1)
        .expect_words(&["the run cannot go on; start a new one", "people.csv"]);
    assert_eq!(sim.calls(Endpoint::Import), sent, "nothing more was sent");
}

#[test]
fn run_is_not_resumed_with_the_key_of_another_account() {
    // The other account has a list of the same id.
    let other = AccountConfig {
        id: "OTHERS".to_owned(),
        keys: vec![KeyConfig::all_scopes("pk_other")],
        lists: vec![ListConfig::new(LIST, "A namesake"), ListConfig::new(OTHER_LIST, "Others")],
        ..AccountConfig::default()
    };
    let faults = Faults { slow_ms: 200, ..Faults::default() };
    let sim = Sim::start(Config { accounts: vec![account(), other], faults, ..free() });
    let people = People::good(25_000);
    let (killed, run) = killed(&sim, &people);
    let sent = sim.calls(Endpoint::Import);
    Export::resume(&sim, killed.data(), &run)
        .env("KLAVIYO_API_KEY", "pk_other")
        .run()
        .expect_code(1)
        .expect_words(&["started for the Klaviyo account SIMULA", "the key belongs to OTHERS"]);
    assert_eq!(sim.calls(Endpoint::Import), sent);
    let ended = Export::resume(&sim, killed.data(), &run).run().expect_code(0);
    Judge::new(&sim, &people).verify(&ended);
}

#[test]
fn run_that_has_ended_says_so_and_reports_again() {
    let sim = Sim::free();
    let people =
        People::good(30).spoil(10, |n| format!("importfail{n}@example.com"), "import_failed");
    let ended = Export::to(&sim).content("people.csv", people.csv()).run().expect_code(3);
    let first = ended.report();
    let again = Export::resume(&sim, ended.data(), &first.run_id)
        .run()
        .expect_code(3)
        .expect_words(&["has ended already: completed_with_rejects"]);
    assert_eq!(Judge::new(&sim, &people).verify(&again), first);
    assert_eq!(sim.calls(Endpoint::Import), 1);
}

#[test]
fn run_that_nobody_knows_cannot_be_resumed() {
    let sim = Sim::free();
    let folder = tempfile::tempdir().unwrap();
    let run = "run_0198f000-0000-7000-8000-000000000000";
    Export::resume(&sim, folder.path(), run)
        .run()
        .expect_code(1)
        .expect_words(&[run, "is not in this data folder"]);
}

#[test]
fn export_leaves_an_unfinished_run_in_its_folder_alone() {
    let sim = Sim::free();
    let unavailable = Trigger::probability(1.0).at(Endpoint::Import);
    sim.set_faults(Faults { unavailable, ..Faults::default() });
    let people = People::good(10_040);
    let export = Export::to(&sim);
    let file = export.path("people.csv");
    people.write(&file);
    let running = export.arg(file).start();
    wait_for("both batches were tried", || (sim.calls(Endpoint::Import) >= 3).then_some(()));
    let killed = running.kill();
    let run = run_that_was_begun(&killed);
    sim.set_faults(Faults::default());
    let words = format!("unfinished run in this folder: segue export --resume {run}");
    let other = Export::bare(&sim)
        .args(["--list", OTHER_LIST])
        .content("others.csv", "email\nsomebody.else@example.com\n")
        .data(killed.data())
        .run()
        .expect_code(0)
        .expect_words(&[&words]);
    assert_eq!(other.report().delivered, 1);
    assert_eq!(sim.members(LIST), [""; 0], "nobody asked to go on with the other run");
    let ended = Export::resume(&sim, killed.data(), &run).run().expect_code(0);
    let judge = Judge::new(&sim, &people);
    judge.counts_are_right(&ended.report());
    judge.members_are_exactly_the_delivered();
    assert_eq!(sim.members(OTHER_LIST), ["somebody.else@example.com"]);
}
