//! Jobs whose messages die, with services that are apart, and `segue jobs dead`.

use segue_model::work::JobKind;
use segue_queue::testing;
use serde_json::Value;

use crate::harness::{People, Services, Shape, Sim, wait_for};

const SHAPE: Shape = Shape { control_planes: 1, workers: 1, statuses: 1 };

/// What is no job, and personal data of somebody who writes to the wrong queue.
const GARBAGE: &[u8] = b"\xff\xffann.smith@example.com";

fn dead(services: &Services) -> Vec<Value> {
    services.ask(&["jobs", "dead", "list"]).as_array().unwrap().clone()
}

/// The first that is listed.
pub(crate) fn one_dead(services: &Services) -> Value {
    wait_for("a dead job is listed", || dead(services).into_iter().next())
}

fn on_the_broker<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

/// Starts a run whose first job is announced to a worker that has just been killed; its message dies.
pub(crate) fn run_whose_job_dies(services: &mut Services, export: &str) -> String {
    services.signal("worker-1", "-KILL");
    services.wait("worker-1");
    let run = services.start_run(export);
    let prefix = services.broker().1.to_owned();
    wait_for("the message of its job dies", || {
        on_the_broker(testing::kill_job(&prefix, JobKind::Read)).then_some(())
    });
    run
}

#[test]
fn dead_job_is_shown_and_requeued_or_dropped_and_the_run_ends_as_it_is_said() {
    let sim = Sim::free();
    let mut services = Services::apart(&sim, SHAPE);
    let people = People::good(20);
    people.write(&services.source().join("people.csv"));
    let export = services.export("people.csv");

    let run = run_whose_job_dies(&mut services, &export);
    let listed = one_dead(&services);
    assert_eq!((&listed["run_id"], &listed["kind"]), (&Value::from(run.as_str()), &"read".into()));
    assert_eq!((&listed["cause"], &listed["state"]), (&"deliveries".into(), &"waiting".into()));
    let of_run = services.ask(&["jobs", "dead", "list", "--run", &run]);
    assert_eq!(of_run[0]["id"], listed["id"]);
    let (code, table, _) = services.ask_for(&["jobs", "dead", "list"]);
    assert_eq!(code, Some(0));
    assert!(table.contains(&run) && table.contains("delivered too often"), "{table}");
    assert_ne!(services.run(&run)["state"], "succeeded");

    let id = listed["id"].as_str().unwrap();
    // Only a worker takes a job off this list, and none is there yet.
    let (code, _, said) = services.ask_for(&["jobs", "dead", "requeue", id]);
    assert_eq!(code, Some(0), "{said}");
    services.kill_and_restart("worker-1");
    services.await_ready();
    let report = Services::report(&services.ended(&run));
    assert_eq!((report.state.as_str(), report.delivered), ("succeeded", 20));
    assert_eq!(dead(&services), [Value::Null; 0]);

    let run = run_whose_job_dies(&mut services, &export);
    let id = one_dead(&services)["id"].as_str().unwrap().to_owned();
    let (code, _, said) = services.ask_for(&["jobs", "dead", "drop", &id]);
    assert_eq!(code, Some(0), "{said}");
    let ended = services.ended(&run);
    assert_eq!(
        (&ended["state"], &ended["failure"]["reason"]),
        (&"failed".into(), &"job_dropped".into())
    );
    assert_eq!(dead(&services), [Value::Null; 0]);
}

#[test]
fn message_that_nobody_can_read_is_shown_without_what_it_says() {
    let sim = Sim::free();
    let services = Services::apart(&sim, SHAPE);
    let prefix = services.broker().1.to_owned();
    on_the_broker(testing::publish_garbage(&prefix, JobKind::Upload, GARBAGE));
    let listed = one_dead(&services);
    assert_eq!((&listed["cause"], &listed["state"]), (&"unreadable".into(), &"no_job".into()));
    assert_eq!((&listed["run_id"], &listed["message_bytes"]), (&"".into(), &GARBAGE.len().into()));
    assert_eq!(listed["message_sha256"].as_str().unwrap().len(), 64);
    let (_, table, _) = services.ask_for(&["jobs", "dead", "list"]);
    for said in [listed.to_string(), table, services.all_said()] {
        assert!(!said.contains("ann.smith"), "{said}");
    }
    let id = listed["id"].as_str().unwrap();
    let (code, _, said) = services.ask_for(&["jobs", "dead", "requeue", id]);
    assert!(code == Some(1) && said.contains("belongs to no job"), "{code:?} {said}");
    let (code, _, said) = services.ask_for(&["jobs", "dead", "drop", id]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(dead(&services), [Value::Null; 0]);
}
