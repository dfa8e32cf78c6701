//! Services, broker, database and Klaviyo of one case, and the ways between them.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use klaviyo_sim::Config;
use rand::{Rng as _, rngs::StdRng};
use serde_json::Value;

use super::{
    backends::{Broker, Database, Server as _},
    proxy::Proxy,
    verdict::{Expected, Target, Told, Verdict, judge},
};
use crate::harness::{People, Report, Services, Shape, Sim, limited, wait_for};

/// What cases that run one after the other share, because it takes long to start.
pub struct Lane {
    pub broker: Broker,
    pub database: Database,
    pub to_broker: Proxy,
    pub to_database: Proxy,
}

impl Lane {
    pub fn new() -> Self {
        let (broker, database) = (Broker::new(), Database::new());
        let to_broker = Proxy::to(broker.address());
        let to_database = Proxy::to(database.address());
        Self { broker, database, to_broker, to_database }
    }

    /// Whatever the last case did, the next finds all well.
    fn mend(&mut self) {
        self.to_broker.heal();
        self.to_database.heal();
        self.broker.signal("-CONT");
        self.database.signal("-CONT");
    }
}

impl Default for Lane {
    fn default() -> Self {
        Self::new()
    }
}

/// How a world is made.
pub struct Setup {
    pub people: People,
    pub shape: Shape,
    pub klaviyo: Config,
    /// Of every service.
    pub environment: Vec<(&'static str, String)>,
    pub expected: Expected,
    /// The export has guards, so its run has read everything before anything is sent. Without them it is still read
    /// when the fault comes.
    pub guarded: bool,
    /// What the services run, if it is not what was built with the tests.
    pub binary: Option<PathBuf>,
}

/// Profiles in a batch of a [`Setup`].
pub const BATCH: usize = 125;

impl Default for Setup {
    /// Forty batches with some rejects of each kind, over two control-planes, two workers and one status.
    fn default() -> Self {
        let people = People::good(4_990)
            .spoil(500, |n| format!("nobody{n}"), "email_invalid")
            .duplicate(77)
            .and_rejected("refuse1@example.com", "refused_by_klaviyo")
            .and_rejected("importfail1@example.com", "import_failed")
            .and_rejected("importfail2@example.com", "import_failed");
        Self {
            people,
            shape: Shape { control_planes: 2, workers: 2, statuses: 1 },
            klaviyo: limited(),
            environment: vec![("SEGUE_BATCH_PROFILES", BATCH.to_string())],
            expected: Expected::Complete,
            guarded: false,
            binary: None,
        }
    }
}

/// Everything of one case.
pub struct World<'l> {
    pub lane: &'l mut Lane,
    pub services: Services,
    pub sim: Sim,
    pub to_klaviyo: Proxy,
    pub people: People,
    pub expected: Expected,
    pub export: String,
    /// Its name at the server of the lane.
    database: Option<String>,
    /// When the fault came, in milliseconds since the Unix epoch.
    fault_ms: Option<u64>,
}

fn export_of(services: &Services, guarded: bool) -> String {
    if guarded { services.guarded_export("people.csv") } else { services.export("people.csv") }
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

impl<'l> World<'l> {
    pub fn new(lane: &'l mut Lane, setup: Setup) -> Self {
        lane.mend();
        let sim = Sim::start(setup.klaviyo);
        let to_klaviyo = Proxy::to(sim.address());
        let name = format!("case_{}", uuid::Uuid::new_v4().simple());
        lane.database.ask(&format!("CREATE DATABASE {name}"));
        let database = Database::url(lane.to_database.address(), &name);
        let amqp = format!("amqp://guest:guest@{}/%2f?heartbeat=5", lane.to_broker.address());
        let klaviyo = format!("http://{}", to_klaviyo.address());
        let mut environment = vec![("SEGUE_KLAVIYO_URL", klaviyo.as_str())];
        environment.extend(setup.environment.iter().map(|(name, value)| (*name, value.as_str())));
        let (ways, binary) = ((amqp.as_str(), database.as_str()), setup.binary.as_deref());
        let services = Services::apart_on(&sim, setup.shape, ways, &environment, binary);
        setup.people.write(&services.source().join("people.csv"));
        let export = export_of(&services, setup.guarded);
        let (people, expected, database) = (setup.people, setup.expected, Some(name));
        Self { lane, services, sim, to_klaviyo, people, expected, export, database, fault_ms: None }
    }

    /// `segue serve` alone: of the lane it needs nothing.
    pub fn embedded(lane: &'l mut Lane, setup: Setup) -> Self {
        let sim = Sim::start(setup.klaviyo);
        let to_klaviyo = Proxy::to(sim.address());
        let klaviyo = format!("http://{}", to_klaviyo.address());
        let mut environment = vec![("SEGUE_KLAVIYO_URL", klaviyo.as_str())];
        environment.extend(setup.environment.iter().map(|(name, value)| (*name, value.as_str())));
        let services = Services::together_with(&sim, &environment);
        setup.people.write(&services.source().join("people.csv"));
        let export = export_of(&services, setup.guarded);
        let (people, expected, database) = (setup.people, setup.expected, None);
        Self { lane, services, sim, to_klaviyo, people, expected, export, database, fault_ms: None }
    }

    pub fn start(&self) -> String {
        self.services.start_run(&self.export)
    }

    /// As [`World::start`], by a client that asks again, by the same request, until it is answered.
    pub fn start_at_last(&mut self) -> String {
        let export = self.export.clone();
        let run = self.ask_at_last(&["runs", "start", &export, "--request-id", "once"]);
        run["id"].as_str().unwrap().to_owned()
    }

    pub fn cancel_at_last(&mut self, run: &str) {
        self.ask_at_last(&["runs", "cancel", run]);
    }

    /// The one run of the export, once there is one.
    pub fn run_of_export(&mut self) -> String {
        let export = self.export.clone();
        wait_for("a run was started", || {
            let runs = self.ask_at_last(&["runs", "list", "--export", &export]);
            Some(runs.as_array()?.first()?["id"].as_str()?.to_owned())
        })
    }

    /// Asks until there is an answer, and starts again what has died.
    fn ask_at_last(&mut self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--output", "json"]].concat();
        wait_for("somebody answers", || {
            self.raise_the_dead();
            let (code, stdout, _) = self.services.ask_for(&arguments);
            (code == Some(0)).then(|| serde_json::from_str(&stdout).unwrap())
        })
    }

    /// Starts services again that have ended by themselves.
    pub fn raise_the_dead(&mut self) {
        for name in self.services.ended_services() {
            self.faulted();
            self.services.kill_and_restart(&name);
        }
    }

    /// Another program sends something to the account, which takes a place of its limits and is refused.
    pub fn foreign_request(&self) {
        use std::io::{Read as _, Write as _};
        let (mut socket, body) = (std::net::TcpStream::connect(self.sim.address()).unwrap(), "{}");
        write!(
            socket,
            "POST /api/profile-bulk-import-jobs HTTP/1.1\r\nhost: klaviyo\r\nconnection: close\r\n\
             authorization: Klaviyo-API-Key pk_sim\r\nrevision: 2026-07-15\r\n\
             content-type: application/vnd.api+json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        socket.read_to_end(&mut Vec::new()).unwrap();
    }

    /// Imports that Klaviyo has accepted.
    pub fn accepted(&self) -> usize {
        self.sim.state().imports().count()
    }

    /// Waits until something was accepted and much is not: a moment in the middle, drawn at random.
    pub fn in_the_middle(&mut self, rng: &mut StdRng) {
        let batches = self.people.len().div_ceil(BATCH);
        let at = rng.random_range(1..batches.max(3) / 2);
        wait_for("the run is under way", || (self.accepted() >= at).then_some(()));
        std::thread::sleep(Duration::from_millis(rng.random_range(0..150)));
        self.faulted();
    }

    /// The fault comes now.
    pub fn faulted(&mut self) {
        self.fault_ms.get_or_insert_with(now_ms);
    }

    /// One of the services whose names begin so.
    pub fn one_of(&self, kind: &str, rng: &mut StdRng) -> String {
        let names = self.services.names();
        let names: Vec<&String> = names.iter().filter(|name| name.starts_with(kind)).collect();
        names[rng.random_range(0..names.len())].clone()
    }

    /// Sleeps as part of a fault: how long something is away is the fault itself.
    pub fn away(&self, rng: &mut StdRng, millis: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(rng.random_range(millis)));
    }

    /// Waits for the end of a run, and starts again what has died meanwhile.
    pub fn end(&mut self, run: &str) -> Value {
        let begin = Instant::now();
        loop {
            self.raise_the_dead();
            let (code, stdout, said) =
                self.services.ask_for(&["runs", "get", run, "--output", "json"]);
            if code == Some(0) {
                let run: Value = serde_json::from_str(&stdout).unwrap();
                if !run["ended_at"].is_null() {
                    return run;
                }
            }
            assert!(
                begin.elapsed() < Duration::from_secs(150),
                "{run} does not end: {said} {stdout}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for the end of a run and judges it.
    pub fn judge(mut self, run: &str) -> Verdict {
        let run = self.end(run);
        self.judge_ended(&run, &Target::default())
    }

    pub fn judge_ended(&mut self, run: &Value, target: &Target<'_>) -> Verdict {
        self.raise_the_dead();
        self.services.await_ready();
        let id = run["id"].as_str().unwrap();
        self.keep(id);
        let rejects = self.services.rows(id, &[]);
        let report: Report = Services::report(run);
        let told = Told {
            reason: run["failure"]["reason"].as_str().unwrap_or_default().to_owned(),
            rejects: rejects.into_iter().map(|(_, row, reason)| (row, reason)).collect(),
            report,
        };
        let mut verdict = judge(&self.sim, &self.people, &told, self.expected, target);
        self.time(&mut verdict, &told.report);
        for secret in ["pk_sim", "person1@", "nobody999", "importfail1"] {
            if self.services.all_said().contains(secret) {
                verdict.problems.push(format!("{secret} is in a log"));
            }
        }
        verdict
    }

    /// What people want to see of a run that went wrong: logs and rows, in the folder `CHAOS_LOGS` if it is set.
    pub fn keep(&self, run: &str) {
        let Some(folder) = std::env::var_os("CHAOS_LOGS") else { return };
        let folder = PathBuf::from(folder).join(run);
        self.services.keep_logs(&folder);
        let Some(database) = &self.database else { return };
        for (table, which) in [
            ("runs", format!("run_id = '{run}'")),
            ("batches", format!("run_id = '{run}'")),
            ("jobs", format!("run_id = '{run}' OR kind = 'confirm'")),
            ("sends", format!("run_id = '{run}' OR answered_us IS NULL")),
            ("lanes", "true".to_owned()),
            ("workers", "true".to_owned()),
            ("leaders", "true".to_owned()),
        ] {
            let copy =
                format!("COPY (SELECT * FROM {table} WHERE {which}) TO STDOUT WITH CSV HEADER");
            let rows = self.lane.database.ask_in(database, &copy);
            fs::write(folder.join(format!("{table}.csv")), rows).unwrap();
        }
    }

    /// Whether the fault came in the middle, and how long nothing went on after it.
    fn time(&self, verdict: &mut Verdict, report: &Report) {
        let Some(fault) = self.fault_ms else { return };
        let state = self.sim.state();
        let mut moments: Vec<u64> = state.imports().map(|import| import.accepted_at_ms).collect();
        moments.sort_unstable();
        verdict.fired = moments.first().is_some_and(|first| *first <= fault)
            && moments.last().is_some_and(|last| *last >= fault);
        let ended: Option<jiff::Timestamp> =
            report.ended_at.as_ref().and_then(|at| at.parse().ok());
        moments.extend(ended.and_then(|at| u64::try_from(at.as_millisecond()).ok()));
        moments.retain(|at| *at > fault);
        let mut longest = 0;
        let mut before = fault;
        for at in moments {
            longest = longest.max(at.saturating_sub(before));
            before = at;
        }
        verdict.recovery = Some(Duration::from_millis(longest));
    }
}
