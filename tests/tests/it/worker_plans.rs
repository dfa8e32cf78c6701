//! Workers that plan, read and send again by themselves, and share nothing but a folder.

use std::{fs, os::unix::fs::symlink, sync::Mutex, time::Duration};

use klaviyo_sim::{AccountConfig, Endpoint, Faults, FlowConfig, KeyConfig};
use segue_control_plane::Settings;
use segue_model::{FailReason, Freshness, Id, RejectReason, RunId, RunState};
use segue_staging::{Index, Key, Record, read as read_records};
use segue_store::read::Report;
use serde_json::{Value, json};

use crate::harness::{
    LIST, OTHER_LIST, People, Sim, free, wait_for,
    workers::{Workers, wanted},
};

/// One batch, and one more.
const TWO_BATCHES: usize = 10_001;

/// What two services would be, but for the network. A lost lease is noticed soon.
fn settings() -> Settings {
    Settings { poll: Duration::from_millis(50), ..Settings::default() }
}

fn workers(sim: &Sim) -> Workers {
    Workers::new(sim, settings())
}

fn with_account(change: impl FnOnce(&mut AccountConfig)) -> Sim {
    let mut config = free();
    change(&mut config.accounts[0]);
    Sim::start(config)
}

fn live_flow(account: &mut AccountConfig) {
    account.flows.push(FlowConfig {
        id: "FLOW01".to_owned(),
        name: "Welcome".to_owned(),
        status: "live".to_owned(),
        archived: false,
        list: LIST.to_owned(),
    });
}

/// The run has failed for this reason, and nothing was written to Klaviyo.
#[track_caller]
fn refused(sim: &Sim, report: &Report, reason: FailReason, words: &[&str]) {
    assert_eq!(report.state, RunState::Failed, "{report:?}");
    let (found, detail) = report.failure.as_ref().expect("a failed run says why");
    assert_eq!(*found, reason, "{detail}");
    for words in words {
        assert!(detail.contains(words), "{words:?} is not in {detail:?}");
    }
    assert_eq!(sim.writes(), []);
}

#[test]
fn one_worker_reads_what_it_plans_and_another_sends_what_it_staged() {
    let sim = Sim::free();
    let workers = workers(&sim);
    let people = People::good(TWO_BATCHES).and_rejected("nobody", "email_invalid").duplicate(3);
    workers.source("people.csv", people.csv());
    let reader = workers.worker(|settings| settings.upload_slots = 0);
    let run = workers.start(&wanted(&["people.csv"]));
    workers.wait_until(run, "all is read", |progress| progress.read_done);
    assert_eq!(sim.writes(), [], "nobody uploads yet");
    assert_eq!(workers.staged(run).len(), 4, "two bodies and two indexes are in files");
    let sender = workers.worker(|settings| settings.read_slots = 0);
    let report = workers.ended(run);
    assert_eq!(report.state, RunState::CompletedWithRejects, "{report:?}");
    let counts = report.counts;
    assert_eq!((counts.delivered, counts.rejected, counts.duplicates), (10_001, 1, 1));
    assert_eq!(sim.state().members(LIST), TWO_BATCHES);
    assert_eq!(sim.state().members(OTHER_LIST), 0);

    let plan = workers.plan(run);
    assert_eq!(plan["kind"], "frozen");
    assert_eq!(plan["manifest"]["objects"][0]["name"], "people.csv", "{plan}");
    assert_eq!(
        sim.calls(Endpoint::List),
        1,
        "the list is asked for once, before anything is staged"
    );
    assert_eq!(sim.calls(Endpoint::FlowTriggers), 1);
    // Whoever confirms the last batch deletes its index after the run has ended.
    wait_for("what was delivered is deleted", || workers.staged(run).is_empty().then_some(()));
    assert_eq!(report.reject_reports.len(), 1, "{report:?}");
    let rejects: Key = report.reject_reports[0].parse().unwrap();
    assert!(workers.staging().get(&rejects).unwrap().is_some(), "reports stay");
    for worker in [reader, sender] {
        worker.stop.soft.cancel();
        workers.wait_for_end(worker);
    }
}

#[test]
fn one_worker_works_for_several_runs_at_a_time() {
    let sim = Sim::free();
    let workers = workers(&sim);
    for (file, people) in [("a.csv", 3), ("b.csv", 5)] {
        workers.source(file, People::good(people).csv());
    }
    let _worker = workers.worker(|_| {});
    let to_other = |new: &mut segue_control_plane::NewRun| OTHER_LIST.clone_into(&mut new.list_id);
    let first = workers.start(&wanted(&["a.csv"]));
    let second = workers.start_with(&wanted(&["b.csv"]), to_other);
    assert_eq!(workers.ended(first).counts.delivered, 3);
    assert_eq!(workers.ended(second).counts.delivered, 5);
    assert_eq!((sim.state().members(LIST), sim.state().members(OTHER_LIST)), (3, 5));
}

#[test]
fn options_of_the_plan_decide_over_the_mapping() {
    let sim = Sim::free();
    let workers = workers(&sim);
    workers.source("a.csv", "mail,other,town\nann@example.com,x,Aarhus\n");
    let _worker = workers.worker(|_| {});
    let mut plan = wanted(&["*.csv"]);
    plan["options"] = json!({"email": "mail", "map": ["location.city=town"], "properties": "none"});
    assert_eq!(workers.ended(workers.start(&plan)).state, RunState::Succeeded);
    let ann = sim.profile("ann@example.com").unwrap();
    assert_eq!(ann["attributes"]["location"]["city"], "Aarhus", "{ann}");
    assert!(ann["attributes"]["properties"].get("other").is_none(), "{ann}");
}

#[test]
fn list_that_does_not_exist_fails_the_run_before_anything_is_staged() {
    let sim = Sim::free();
    let workers = workers(&sim);
    workers.source("a.csv", People::good(2).csv());
    let _worker = workers.worker(|_| {});
    let nowhere = |new: &mut segue_control_plane::NewRun| "NOLIST".clone_into(&mut new.list_id);
    let run = workers.start_with(&wanted(&["a.csv"]), nowhere);
    let report = workers.ended(run);
    refused(&sim, &report, FailReason::ListNotFound, &["NOLIST", "SIMULA"]);
    assert_eq!(workers.staged(run), [""; 0]);
    assert_eq!(workers.plan(run)["kind"], "wanted");
}

#[test]
fn live_flow_fails_the_run_unless_it_is_wanted() {
    let sim = with_account(live_flow);
    let workers = workers(&sim);
    workers.source("a.csv", People::good(2).csv());
    let _worker = workers.worker(|_| {});
    let mut plan = wanted(&["a.csv"]);
    let report = workers.ended(workers.start(&plan));
    refused(&sim, &report, FailReason::LiveFlows, &["Welcome", "FLOW01", LIST]);
    plan["allow_live_flows"] = true.into();
    assert_eq!(workers.ended(workers.start(&plan)).state, RunState::Succeeded);
    assert_eq!(sim.state().members(LIST), 2);
}

#[test]
fn key_that_may_not_read_flows_goes_on() {
    let scopes = ["accounts:read", "lists:read", "lists:write", "profiles:read", "profiles:write"];
    let sim = with_account(|account| {
        live_flow(account);
        account.keys = vec![KeyConfig::with_scopes("pk_sim", &scopes)];
    });
    let workers = workers(&sim);
    workers.source("a.csv", People::good(2).csv());
    let _worker = workers.worker(|_| {});
    assert_eq!(workers.ended(workers.start(&wanted(&["a.csv"]))).state, RunState::Succeeded);
}

#[test]
fn key_of_another_account_or_of_none_fails_the_run() {
    let sim = Sim::free();
    let workers = workers(&sim);
    workers.source("a.csv", People::good(2).csv());
    let _worker = workers.worker(|_| {});
    for (key, reason) in
        [("pk_other", FailReason::AccountChanged), ("pk_none", FailReason::KeyRefused)]
    {
        workers.keys.insert("SIMULA".to_owned(), key.to_owned().into());
        let report = workers.ended(workers.start(&wanted(&["a.csv"])));
        refused(&sim, &report, reason, &[]);
        let (_, detail) = report.failure.unwrap();
        assert!(!detail.contains("pk_"), "{detail}");
    }
}

#[test]
fn source_outside_of_the_folder_is_never_opened() {
    let sim = Sim::free();
    let workers = workers(&sim);
    // Its header would be quoted by an error of whoever opened it.
    let secret = workers.folder.path().join("secret.csv");
    fs::write(&secret, "secret,secret\n1,2\n").unwrap();
    symlink(&secret, workers.folder.path().join("in/link.csv")).unwrap();
    let _worker = workers.worker(|_| {});
    for source in ["../secret.csv", secret.to_str().unwrap(), "link.csv", "*.csv"] {
        let report = workers.ended(workers.start(&wanted(&[source])));
        refused(&sim, &report, FailReason::SourceUnreadable, &["outside of the source folder"]);
        assert!(!report.failure.unwrap().1.contains("secret,"));
    }
}

#[test]
fn source_that_cannot_be_used_fails_the_run_in_words() {
    let sim = Sim::free();
    let workers = workers(&sim);
    workers.source("nobody.csv", "name\nAnn\n");
    workers.source("a.csv", People::good(1).csv());
    workers.source("b.ndjson", "{\"email\": \"ann@example.com\"}\n");
    let _worker = workers.worker(|_| {});
    for (sources, words) in [
        (&["none.csv"][..], "no such file"),
        (&["nobody.csv"], "no column holds the email address"),
        (&["a.csv", "b.ndjson"], "of different kinds"),
    ] {
        let report = workers.ended(workers.start(&wanted(sources)));
        refused(&sim, &report, FailReason::SourceUnreadable, &[words]);
    }
}

#[test]
fn plan_of_another_version_fails_the_run() {
    let sim = Sim::free();
    let workers = workers(&sim);
    let _worker = workers.worker(|_| {});
    let plan = json!({"kind": "mirror", "sources": ["a.csv"]});
    let report = workers.ended(workers.start(&plan));
    refused(&sim, &report, FailReason::SourceUnreadable, &["another version"]);
}

/// A run that was cancelled with all its batches staged and none sent, and the plan that sends them.
fn left_behind(sim: &Sim, workers: &Workers, people: &People) -> (RunId, Value) {
    left_behind_with(sim, workers, people, |_| {})
}

fn left_behind_with(
    sim: &Sim,
    workers: &Workers,
    people: &People,
    change: impl FnOnce(&mut segue_control_plane::NewRun),
) -> (RunId, Value) {
    workers.source("a.csv", people.csv());
    let reader = workers.worker(|settings| settings.upload_slots = 0);
    let run = workers.start_with(&wanted(&["a.csv"]), change);
    workers.wait_until(run, "all is read", |progress| progress.read_done);
    workers.cancel(run);
    let report = workers.ended(run);
    assert_eq!((report.state, report.counts.delivered), (RunState::Cancelled, 0));
    assert_eq!(sim.writes(), []);
    reader.stop.soft.cancel();
    workers.wait_for_end(reader);
    let staging = workers.staging();
    let batches: Vec<Value> = workers
        .staged(run)
        .iter()
        .filter_map(|name| name.strip_suffix(".body"))
        .enumerate()
        .map(|(batch, hash)| {
            let index = Key::Index { run, hash: hash.parse().unwrap() };
            let index = Index::parse(staging.get(&index).unwrap().unwrap()).unwrap();
            let body = Key::Body { run, hash: hash.parse().unwrap() };
            let bytes = staging.get(&body).unwrap().unwrap().len();
            json!({"batch": batch, "hash": hash, "profiles": index.len(), "bytes": bytes})
        })
        .collect();
    let manifest = workers.plan(run)["manifest"].clone();
    (run, json!({"kind": "retry", "of": run, "batches": batches, "manifest": manifest}))
}

#[test]
fn retry_sends_exactly_what_was_left_and_still_knows_the_rows() {
    let sim = Sim::free();
    let workers = workers(&sim);
    let people = People::good(TWO_BATCHES).and(
        "importfail@example.com,Nobody,1",
        crate::harness::Fate::Rejected { reason: "import_failed" },
    );
    let (old, plan) = left_behind(&sim, &workers, &people);
    fs::remove_file(workers.folder.path().join("in/a.csv")).unwrap();
    let _worker = workers.worker(|_| {});
    let run = workers.start(&plan);
    let report = workers.ended(run);
    assert_eq!(report.state, RunState::CompletedWithRejects, "{report:?}");
    let counts = report.counts;
    assert_eq!((counts.delivered, counts.rejected), (TWO_BATCHES as u64, 1));
    assert_eq!(report.rejects_by_reason[&RejectReason::ImportFailed], 1);
    assert_eq!(sim.state().members(LIST), TWO_BATCHES);

    let key: Key = report.reject_reports[0].parse().unwrap();
    let records = workers.staging().get(&key).unwrap().unwrap();
    let records = read_records::<RejectReason>(&records[..]).map(Result::unwrap);
    let found: Vec<_> = records.map(|Record { object, row, .. }| (object, row)).collect();
    let row = 2 + TWO_BATCHES as u64;
    assert_eq!(found, [(0, row)], "the row of the file that was read by the earlier run");
    assert_eq!(workers.staged(old), [""; 0], "they are the new run's now");
}

#[test]
fn retry_of_what_is_gone_or_of_another_list_sends_nothing() {
    let sim = Sim::free();
    let workers = workers(&sim);
    let (old, plan) = left_behind(&sim, &workers, &People::good(2));
    let _worker = workers.worker(|_| {});
    let to_other = |new: &mut segue_control_plane::NewRun| OTHER_LIST.clone_into(&mut new.list_id);
    let report = workers.ended(workers.start_with(&plan, to_other));
    refused(&sim, &report, FailReason::StagingFailed, &["another list"]);
    let mut other = plan.clone();
    other["batches"][0]["hash"] = format!("{:032x}", 7).into();
    let report = workers.ended(workers.start(&other));
    refused(&sim, &report, FailReason::RetryExpired, &["not in staging", &old.to_string()]);
    assert_eq!(workers.ended(workers.start(&plan)).counts.delivered, 2);
}

#[test]
fn stopped_worker_finishes_its_uploads_and_another_reads_on() {
    let sim = Sim::free();
    sim.set_faults(Faults { slow_ms: 500, ..Faults::default() });
    // The reader has to wait while a batch is on its way.
    let workers = Workers::new(&sim, Settings { batches_ahead: 1, ..settings() });
    workers.source("a.csv", People::good(2 * TWO_BATCHES).csv());
    let first = workers.worker(|_| {});
    let run = workers.start(&wanted(&["a.csv"]));
    workers.wait_until(run, "the first batch is staged", |progress| progress.staged > 0);
    first.stop.soft.cancel();
    workers.wait_for_end(first);
    let then = workers.progress(run);
    assert!(!then.read_done, "it would have read to the end");
    let taken: usize = sim.state().imports().map(|import| import.profiles).sum();
    assert_eq!(then.accepted, taken as u64, "every answer was recorded");
    let _second = workers.worker(|_| {});
    let report = workers.ended(run);
    assert_eq!((report.state, report.repeated_sends), (RunState::Succeeded, 0), "{report:?}");
    assert_eq!(report.requests, 3);
    assert_eq!(sim.state().members(LIST), 2 * TWO_BATCHES);
}

#[test]
fn what_a_killed_worker_had_in_hand_is_done_by_another() {
    let sim = Sim::free();
    sim.set_faults(Faults { slow_ms: 300, ..Faults::default() });
    let lease = Duration::from_secs(1);
    let workers = Workers::new(&sim, Settings { lease, ..settings() });
    workers.source("a.csv", People::good(2 * TWO_BATCHES).csv());
    let first = workers.worker(|_| {});
    let run = workers.start(&wanted(&["a.csv"]));
    workers.wait_until(run, "the first batch is staged", |progress| progress.staged > 0);
    first.stop.hard.cancel();
    workers.wait_for_end(first);
    let _second = workers.worker(|_| {});
    let report = workers.ended(run);
    assert_eq!(report.state, RunState::Succeeded, "{report:?}");
    assert_eq!(report.counts.delivered, 2 * TWO_BATCHES as u64);
    assert_eq!(sim.state().members(LIST), 2 * TWO_BATCHES);
}

#[test]
fn batch_that_is_gone_from_staging_fails_the_run() {
    let sim = Sim::free();
    let workers = workers(&sim);
    workers.source("a.csv", People::good(2).csv());
    let reader = workers.worker(|settings| settings.upload_slots = 0);
    let run = workers.start(&wanted(&["a.csv"]));
    workers.wait_until(run, "all is read", |progress| progress.read_done);
    reader.stop.soft.cancel();
    for name in workers.staged(run).iter().filter(|name| name.strip_suffix(".body").is_some()) {
        fs::remove_file(workers.folder.path().join(format!("shared/staging/{run}/{name}")))
            .unwrap();
    }
    let _worker = workers.worker(|_| {});
    let report = workers.ended(run);
    refused(&sim, &report, FailReason::StagingFailed, &["gone from staging"]);
}

/// What jobs were asked to continue.
static TRACES: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn every_job_of_a_run_continues_the_trace_that_began_it() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let sim = Sim::free();
    let workers = workers(&sim);
    workers.source("a.csv", People::good(2).csv());
    let _worker = workers.worker(|settings| {
        settings.continue_trace =
            Some(|_span, trace| TRACES.lock().unwrap().push(trace.to_owned()));
    });
    let begun_by =
        |new: &mut segue_control_plane::NewRun| new.origin.trace = Some(TRACE.to_owned());
    let run = workers.start_with(&wanted(&["a.csv"]), begun_by);
    assert_eq!(workers.ended(run).state, RunState::Succeeded);
    let traces = TRACES.lock().unwrap();
    // One that reads, one that uploads, and at least one that confirms.
    assert!(traces.len() >= 3 && traces.iter().all(|trace| trace == TRACE), "{traces:?}");
}

const HOUR: Duration = Duration::from_hours(1);

/// A worker that looks all the time for what nobody needs any more.
fn sweeping(settings: &mut segue_worker::Settings) {
    settings.sweep_each = Some(Duration::from_millis(20));
}

/// Whoever sweeps has looked once more, and left this there.
fn stays(workers: &Workers, is: impl Fn() -> bool, what: &str) {
    let probe = workers.folder.path().join("shared/incoming/old");
    fs::write(&probe, "half").unwrap();
    let file = fs::File::open(&probe).unwrap();
    let written = file.metadata().unwrap().modified().unwrap();
    file.set_modified(written - 2 * HOUR).unwrap();
    wait_for("a file that was never finished is removed", || (!probe.exists()).then_some(()));
    assert!(is(), "{what}");
}

#[test]
fn what_a_run_left_undelivered_is_removed_a_day_after_its_end() {
    let sim = Sim::free();
    let workers = workers(&sim);
    let of_export = |new: &mut segue_control_plane::NewRun| {
        new.origin.export = Some(Id::from_uuid(uuid::Uuid::from_u128(1)));
    };
    let (old, _) = left_behind_with(&sim, &workers, &People::good(2), of_export);
    let place = workers.folder.path().join("shared/staging").join(old.to_string());
    let lost = Key::Index { run: old, hash: segue_model::ContentHash(7) };
    workers.staging().put(&lost, bytes::Bytes::from_static(b"of a claim that was lost")).unwrap();
    let _sweeps = workers.worker(sweeping);
    stays(&workers, || workers.staged(old).len() == 3, "it has only just ended");
    workers.clock.advance(2 * HOUR);
    wait_for("what nobody named is removed", || (workers.staged(old).len() == 2).then_some(()));
    workers.clock.advance(21 * HOUR);
    stays(&workers, || workers.staged(old).len() == 2, "it can be sent again");
    workers.clock.advance(2 * HOUR);
    wait_for("the batches are removed", || (!place.exists()).then_some(()));
}

#[test]
fn reports_are_removed_30_days_after_the_end_and_a_crash_leaves_nothing_for_longer() {
    let sim = Sim::free();
    let workers = workers(&sim);
    workers.source("a.csv", "email\nnobody\nann@example.com\n");
    let first = workers.worker(sweeping);
    let run = workers.start(&wanted(&["a.csv"]));
    let report = workers.ended(run);
    assert_eq!(report.state, RunState::CompletedWithRejects);
    let named: Key = report.reject_reports[0].parse().unwrap();
    let of_lost_claim = Key::Rejects { run, name: "0-refused-lost".parse().unwrap() };
    let unknown = Key::Index {
        run: Id::from_uuid(uuid::Uuid::from_u128(7)),
        hash: segue_model::ContentHash(7),
    };
    let staging = workers.staging();
    for key in [&of_lost_claim, &unknown] {
        staging.put(key, bytes::Bytes::from_static(b"left by a crash")).unwrap();
    }
    let is_there = |key: &Key| staging.get(key).unwrap().is_some();
    let all = || [&named, &of_lost_claim, &unknown].into_iter().all(is_there);
    stays(&workers, all, "it has only just ended");
    workers.clock.advance(2 * HOUR);
    wait_for("what nobody named is removed", || (!is_there(&of_lost_claim)).then_some(()));
    workers.clock.advance(29 * 24 * HOUR);
    stays(&workers, || is_there(&named), "they can be told still");
    workers.clock.advance(24 * HOUR);
    wait_for("the reports are removed", || (!is_there(&named)).then_some(()));
    let after = workers.report(run);
    assert_eq!((after.counts, after.reject_reports.len()), (report.counts, 0));

    // Nobody knows by the store's clock how old it is.
    assert!(is_there(&unknown));
    let folder = workers.folder.path().join("shared/staging").join(unknown.run().to_string());
    for path in [workers.folder.path().join("shared").join(unknown.to_string()), folder.clone()] {
        let file = fs::File::open(path).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - 25 * HOUR).unwrap();
    }
    wait_for("what is of no run is removed", || (!folder.exists()).then_some(()));
    first.stop.soft.cancel();
    workers.wait_for_end(first);
}

#[test]
fn source_that_is_too_old_is_told_before_anything_is_asked_of_klaviyo() {
    let sim = Sim::free();
    let workers = workers(&sim);
    let hour = Duration::from_hours(1);
    // A glob that finds an old file beside a young one is young; of two segments the older one counts.
    for (file, age) in [("a-1.csv", 50), ("a-2.csv", 1), ("b.csv", 3)] {
        let people = People::good(5).csv().replace("person", &file[..3]);
        let file = fs::File::open(workers.source(file, people)).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - hour * age).unwrap();
    }
    let _worker = workers.worker(|_| {});
    let start = |max_source_age| {
        workers.start_with(&wanted(&["a-*.csv", "b.csv"]), |new| {
            new.freshness = Some(Freshness { max_source_age, wait: Duration::ZERO });
        })
    };
    let stale = workers.ended(start(2 * hour));
    refused(&sim, &stale, FailReason::SourceStale, &["b.csv", "3 h 0 min ago", "2 h 0 min"]);
    assert_eq!((sim.calls(Endpoint::List), sim.calls(Endpoint::FlowTriggers)), (0, 0));
    assert_eq!(workers.ended(start(4 * hour)).counts.delivered, 15);
}
