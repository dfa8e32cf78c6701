//! Clients that have none of our code: Python with gRPC reflection, Python with AMQP.

use serde_json::Value;

use crate::harness::{LIST, People, Services, Shape, Sim, python};

const SHAPE: Shape = Shape { control_planes: 1, workers: 1, statuses: 1 };

#[test]
fn client_that_knows_nothing_but_reflection_starts_watches_and_lists_rejects() {
    let sim = Sim::free();
    let services = Services::apart(&sim, SHAPE);
    let people = People::good(50).and_rejected("nobody", "email_invalid").duplicate(3);
    people.write(&services.source().join("people.csv"));
    let (control_plane, status) = (services.control_plane(), services.status());
    let (control_plane, status) = (control_plane.to_string(), status.to_string());
    let token = services.admin_token();
    let told = python(
        "grpc_client.py",
        &[&control_plane, &status, token.to_str().unwrap(), "pk_sim", LIST, "people.csv"],
    );
    let told_states: Vec<&str> =
        told["states"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(told_states.last(), Some(&"RUN_STATE_COMPLETED_WITH_REJECTS"), "{told:#}");
    assert_eq!(told["run"]["trigger"], "TRIGGER_ON_DEMAND");
    // 64-bit numbers are text in the JSON of protobuf.
    assert_eq!(told["run"]["counts"]["delivered"], "50", "{told:#}");
    let rejects = told["rejects"].as_array().unwrap();
    assert_eq!(rejects.len(), 1, "{told:#}");
    assert_eq!(
        (&rejects[0]["row"], &rejects[0]["reason"]),
        (&"52".into(), &"email_invalid".into())
    );
    assert_eq!(sim.members(LIST).len(), 50);
}

#[test]
fn client_with_nothing_but_json_and_a_broker_starts_a_run_and_follows_it() {
    let sim = Sim::free();
    let services = Services::apart(&sim, SHAPE);
    People::good(10_001).write(&services.source().join("people.csv"));
    let export = services.export("people.csv");
    let (url, prefix) = services.broker();
    let told = python("amqp_client.py", &[&url, prefix, &export]);
    let keys: Vec<&str> =
        told["keys"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(keys.first(), Some(&"run.queued"), "{keys:?}");
    assert_eq!(keys.last(), Some(&"run.succeeded"), "{keys:?}");
    for (key, times) in [("run.running", 1), ("batch.accepted", 2), ("batch.confirmed", 2)] {
        assert_eq!(keys.iter().filter(|it| **it == key).count(), times, "{key} in {keys:?}");
    }
    assert_eq!(told["last"]["counts"]["delivered"], 10_001, "{told:#}");
    assert_eq!(told["last"]["trigger"], "TRIGGER_COMMAND", "{told:#}");
    let words = told["rejected"]["failure"]["detail"].as_str().unwrap();
    assert!(words.contains("export"), "{told:#}");
    // Asked for twice by the same id, it ran once.
    let runs = services.ask(&["runs", "list", "--export", &export]);
    assert_eq!(runs.as_array().unwrap().len(), 1);
}
