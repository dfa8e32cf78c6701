//! Several accounts at once for as long as it takes, and one fault after the other.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use klaviyo_sim::{AccountConfig, Config, Endpoint, Faults, KeyConfig, ListConfig, Trigger};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;

use super::{
    backends::Server as _,
    ledger::Outcome,
    messages::Channel,
    verdict::Verdict,
    world::{Lane, Setup, World},
};
use crate::harness::{Client, People, Services, Shape, Sim};

const ACCOUNTS: usize = 4;
/// Rows of one run: ten batches.
const ROWS: usize = 100_000;

fn key(account: usize) -> String {
    format!("pk_soak{account}")
}

fn list(account: usize, run: usize) -> String {
    format!("S{account}{run:04}")
}

/// Accounts with a list for each run.
fn accounts(runs: usize) -> Vec<AccountConfig> {
    let account = |nth| AccountConfig {
        id: format!("SOAK0{nth}"),
        name: format!("Soak {nth}"),
        keys: vec![KeyConfig::all_scopes(key(nth))],
        lists: (0..runs).map(|run| ListConfig::new(list(nth, run), "Soak")).collect(),
        ..AccountConfig::default()
    };
    (0..ACCOUNTS).map(account).collect()
}

fn world(lane: &mut Lane, runs: usize) -> World<'_> {
    let mut klaviyo = Config { forget_payloads: true, ..crate::harness::limited() };
    klaviyo.accounts.extend(accounts(runs));
    let setup = Setup {
        people: People::good(1),
        shape: Shape { control_planes: 2, workers: 3, statuses: 1 },
        klaviyo,
        environment: Vec::new(),
        ..Setup::default()
    };
    World::new(lane, setup)
}

/// Delivers at least so many profiles while everything goes wrong at random.
pub fn run(seed: u64, deliveries: u64) -> Outcome {
    let begin = Instant::now();
    let mut lane = Lane::new();
    let wanted = usize::try_from(deliveries).unwrap_or(usize::MAX);
    let runs = wanted.div_ceil(ROWS * ACCOUNTS).max(1);
    let mut world = world(&mut lane, runs);
    let (course, source) = (Course::default(), world.services.source());
    let clients: Vec<Client> = (0..ACCOUNTS).map(|nth| world.services.client(&key(nth))).collect();
    let mut rng = StdRng::seed_from_u64(seed);
    let made = thread::scope(|scope| {
        let asking: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(nth, client)| {
                let (source, course) = (&source, &course);
                scope.spawn(move || {
                    let made = runs_of(nth, runs, &client, source, course);
                    course.done.fetch_add(1, Ordering::Relaxed);
                    made
                })
            })
            .collect();
        while course.done.load(Ordering::Relaxed) < ACCOUNTS {
            if course.calm.load(Ordering::Relaxed) == 0 {
                one_fault(&mut world, &mut rng);
            }
            world.away(&mut rng, 500..2_500);
            world.raise_the_dead();
        }
        asking.into_iter().flat_map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    let mut total = Verdict { fired: true, ..Verdict::default() };
    for run in made {
        let verdict = run.judge(&world.sim);
        if !verdict.is_clean() {
            world.keep(run.told["id"].as_str().unwrap());
        }
        total.add(&verdict);
    }
    look_elsewhere(&world.sim, &mut total);
    Outcome { case: "soak".to_owned(), seed, seconds: begin.elapsed().as_secs(), verdict: total }
}

/// What those who ask for runs and whoever makes faults know of each other.
#[derive(Default)]
struct Course {
    /// Accounts that have had all of their runs.
    done: AtomicUsize,
    /// Those that want no more faults until their run has ended.
    calm: AtomicUsize,
}

/// Faults may keep a run from its end for as long as there are any.
const PATIENCE: Duration = Duration::from_mins(3);
/// Without faults it has to end within this time: a job that has failed often waits a minute before its next attempt.
const IN_CALM: Duration = Duration::from_mins(3);

/// One run, and the people who belong into its list.
struct OneRun {
    account: usize,
    nth: usize,
    /// As status told of it last.
    told: Value,
    /// How long it took without faults, if it had not ended before.
    calm: Option<Duration>,
    rejects: Vec<(String, u64, String)>,
}

/// Every 5,000th row is spoiled.
fn is_bad(row: usize) -> bool {
    row % 5_000 == 4_999
}

fn write(path: &Path, account: usize, run: usize) {
    let mut text = String::from("email,name\n");
    for row in 0..ROWS {
        if is_bad(row) {
            writeln!(text, "nobody,Nobody").unwrap();
        } else {
            writeln!(text, "a{account}r{run}p{row}@example.com,Person {row}").unwrap();
        }
    }
    fs::write(path, text).unwrap();
}

/// One run after the other, each with its own export, list and people.
fn runs_of(
    account: usize,
    runs: usize,
    client: &Client,
    source: &Path,
    course: &Course,
) -> Vec<OneRun> {
    let name = format!("soak {account}");
    let request = format!("connection-{account}");
    let connection = client.ask_at_last(&[
        "connections",
        "create",
        "--display-name",
        &name,
        "--accept-consent",
        "--request-id",
        &request,
    ]);
    let connection = connection["id"].as_str().unwrap();
    let mut all = Vec::new();
    for nth in 0..runs {
        let (file, list) = (format!("soak-{account}-{nth}.csv"), list(account, nth));
        write(&source.join(&file), account, nth);
        let request = format!("export-{account}-{nth}");
        let export = client.ask_at_last(&[
            "exports",
            "create",
            "--display-name",
            &file,
            "--connection",
            connection,
            "--list",
            &list,
            "--segment",
            &file,
            "--request-id",
            &request,
        ]);
        let export = export["id"].as_str().unwrap();
        let request = format!("run-{account}-{nth}");
        let run = client.ask_at_last(&["runs", "start", export, "--request-id", &request]);
        let id = run["id"].as_str().unwrap().to_owned();
        let (told, calm) = ended(client, &id, course);
        let rejects = client.rows(&id, &[]);
        all.push(OneRun { account, nth, told, calm, rejects });
    }
    all
}

/// The run as it was told at its end, and how long it took without faults; or as it is when it has no end.
fn ended(client: &Client, id: &str, course: &Course) -> (Value, Option<Duration>) {
    let mut begin = Instant::now();
    let mut calm = false;
    loop {
        let told = client.ask_at_last(&["runs", "get", id]);
        let over = !told["ended_at"].is_null();
        if over || (calm && begin.elapsed() > IN_CALM) {
            if calm {
                course.calm.fetch_sub(1, Ordering::Relaxed);
            }
            return (told, calm.then(|| begin.elapsed()));
        }
        if !calm && begin.elapsed() > PATIENCE {
            course.calm.fetch_add(1, Ordering::Relaxed);
            (begin, calm) = (Instant::now(), true);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

impl OneRun {
    fn judge(&self, sim: &Sim) -> Verdict {
        let (attempted, recovery) = (ROWS as u64, self.calm);
        let mut verdict = Verdict { attempted, recovery, fired: true, ..Verdict::default() };
        if self.told["ended_at"].is_null() {
            verdict
                .problems
                .push(format!("{} does not end although nothing is wrong", self.told["id"]));
            return verdict;
        }
        let report = Services::report(&self.told);
        verdict.delivered = report.delivered;
        verdict.rejected = report.rejected;
        verdict.repeated_sends = report.repeated_sends;
        let bad: BTreeSet<u64> =
            (0..ROWS).filter(|row| is_bad(*row)).map(|row| row as u64 + 2).collect();
        let rows: BTreeSet<u64> = self.rejects.iter().map(|(_, row, _)| *row).collect();
        verdict.rejected_twice = (self.rejects.len() - rows.len()) as u64;
        verdict.unexpected = rows.difference(&bad).count() as u64;
        verdict.lost = bad.difference(&rows).count() as u64;
        let (account, nth) = (self.account, self.nth);
        let mut there = vec![false; ROWS];
        let start = format!("a{account}r{nth}p");
        for member in sim.members(&list(account, nth)) {
            let row =
                member.strip_prefix(&start).and_then(|rest| rest.strip_suffix("@example.com"));
            let row: Option<usize> = row.and_then(|row| row.parse().ok());
            match row.and_then(|row| there.get_mut(row)) {
                Some(seen) if !*seen => *seen = true,
                _ => verdict.unexpected += 1,
            }
        }
        verdict.lost +=
            there.iter().enumerate().filter(|(row, seen)| **seen == is_bad(*row)).count() as u64;
        if report.state != "completed_with_rejects" {
            let reason = self.told["failure"]["reason"].as_str().unwrap_or_default();
            verdict.problems.push(format!("{} {reason}", report.state));
        }
        verdict
    }
}

/// Nobody is anywhere but in the list of their run.
fn look_elsewhere(sim: &Sim, verdict: &mut Verdict) {
    for (id, account) in &sim.state().accounts {
        let soaked = id.starts_with("SOAK");
        let in_lists: usize = account.members.values().sum();
        let elsewhere = if soaked { account.profiles.abs_diff(in_lists) } else { account.profiles };
        verdict.misdirected += elsewhere as u64;
        if soaked {
            verdict.acknowledged +=
                account.imports.iter().map(|it| it.profiles as u64).sum::<u64>();
        }
    }
}

/// Any of them.
fn one_fault(world: &mut World<'_>, rng: &mut StdRng) {
    match rng.random_range(0..12) {
        0..=3 => {
            let name = world.one_of("", rng);
            world.services.kill_and_restart(&name);
        }
        4 => {
            let name = world.one_of("worker", rng);
            world.services.signal(&name, "-STOP");
            world.away(rng, 3_000..7_000);
            world.services.signal(&name, "-CONT");
        }
        5 => Channel::of(&world.services).purge(),
        6 => world.lane.to_broker.cut(),
        7 => world.lane.to_database.cut(),
        8 => {
            world.lane.database.kill();
            world.lane.database.start();
        }
        9 => world.lane.broker.kill_and_restart(),
        10 => world.to_klaviyo.cut_after(rng.random_range(0..800_000)),
        _ => {
            let strikes = rng.random_range(1..5);
            world.sim.set_faults(Faults {
                drop: Trigger::next(strikes).at(Endpoint::Import),
                fail: Trigger::next(strikes),
                reset: Trigger::next(strikes),
                throttle: Trigger::next(1).at(Endpoint::Import),
                ..Faults::default()
            });
        }
    }
}
