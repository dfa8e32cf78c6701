//! What becomes of the columns of an export and what a run would send, over the command line.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{LIST, Services, Shape, Sim, wait_for};

const SHAPE: Shape = Shape { control_planes: 2, workers: 1, statuses: 1 };

const PEOPLE: &str = "email,tier,visits\na@example.com,gold,1\nb@example.com,,2\n\
     A@example.com,silver,3\nnobody,gold,4\n";

fn of(all: &Value, name: &str) -> Vec<Value> {
    all.as_array().unwrap().iter().map(|it| it[name].clone()).collect()
}

fn columns_are_kept(sim: &Sim, services: &Services) -> String {
    let file = services.source().join("people.csv");
    fs::write(&file, PEOPLE).unwrap();
    let export = services.export("people.csv");
    let columns = services.ask(&["exports", "columns", &export]);
    assert_eq!(
        of(&columns["sent"], "attribute"),
        ["email", "properties.tier", "properties.visits"]
    );
    assert_eq!(of(&columns["sent"], "type"), ["email address", "text", "number"]);
    assert!(columns["settled_at"].is_string() && columns["problem"] == "", "{columns}");

    // What would be text by these rows is still sent as a number, and what is new is not sent.
    fs::write(&file, "email,tier,visits,town\na@example.com,gold,many,Ulm\nb@example.com,x,2,\n")
        .unwrap();
    let run = services.ended(&services.start_run(&export));
    assert_eq!(run["state"], "succeeded", "{run}");
    let sent = |email| sim.profile(email).unwrap()["attributes"]["properties"].clone();
    assert_eq!(sent("b@example.com"), json!({ "tier": "x", "visits": 2 }));
    assert_eq!(sent("a@example.com"), json!({ "tier": "gold" }));
    let columns = services.ask(&["exports", "columns", &export]);
    assert_eq!(columns["new_columns"], json!(["town"]));

    let columns = services.ask(&["exports", "columns", &export, "--again"]);
    assert_eq!(of(&columns["sent"], "type"), ["email address", "text", "text", "text"]);
    assert_eq!(columns["new_columns"], json!([]));
    fs::write(&file, "email,tier,visits\na@example.com,gold,1\n").unwrap();
    let run = services.ended(&services.start_run(&export));
    assert_eq!(run["failure"]["reason"], "source_unreadable", "{run}");
    let words = run["failure"]["detail"].as_str().unwrap();
    assert!(words.contains("\"town\"") && words.contains("settle the columns"), "{words}");
    export
}

fn preview_tells_what_a_run_would_send(sim: &Sim, services: &Services, export: &str) {
    fs::write(services.source().join("some.csv"), PEOPLE).unwrap();
    let change = ["exports", "update", export, "--segment", "some.csv", "--max-rejects", "20"];
    services.ask(&change);
    let columns = services.ask(&["exports", "columns", export]);
    assert_eq!(of(&columns["sent"], "name"), ["email", "tier", "visits"]);
    let before = (sim.members(LIST).len(), sim.writes().len());
    let told = services.ask(&["exports", "preview", export]);
    let numbers = ["rows", "profiles", "duplicates", "batches", "least_seconds"];
    let numbers = numbers.map(|name| told[name].as_u64().unwrap());
    assert_eq!(numbers, [4, 2, 1, 1, 0], "{told}");
    assert_eq!(told["rejects_by_reason"], json!({ "email_invalid": 1 }));
    assert_eq!(told["complete"], true);
    let first = &told["first_profiles"][0]["attributes"];
    assert_eq!(first["email"], "a@example.com");
    let reject = &told["first_rejects"][0];
    assert_eq!(
        (&reject["file"], &reject["identifier"], &reject["reason"]),
        (&"some.csv".into(), &"nobody".into(), &"email_invalid".into())
    );
    // Of four rows one is rejected: more than a fifth.
    assert!(told["stopped_by"].as_str().unwrap().contains("max_rejects"), "{told}");
    let new = &told["new_profiles"];
    assert_eq!((&new["problem"], &new["asked"]), (&"".into(), &2.into()), "{told}");
    assert_eq!((sim.members(LIST).len(), sim.writes().len()), before);
    let (code, table, _) = services.ask_for(&["exports", "preview", export]);
    assert_eq!(code, Some(0));
    for words in
        ["4 rows: 2 profiles, 1 duplicates, 1 rejected", "nothing was sent", "some.csv row "]
    {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[test]
fn columns_are_kept_and_previewed_by_all_in_one() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    let export = columns_are_kept(&sim, &services);
    preview_tells_what_a_run_would_send(&sim, &services, &export);
}

#[test]
fn columns_are_kept_and_previewed_by_services_apart() {
    let sim = Sim::free();
    let services = Services::apart(&sim, SHAPE);
    wait_for("a worker looks at files", || {
        services.ask_for(&["sources", "segments", "--output", "json"]).0.filter(|code| *code == 0)
    });
    let export = columns_are_kept(&sim, &services);
    preview_tells_what_a_run_would_send(&sim, &services, &export);
}
