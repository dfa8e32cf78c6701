//! Guards, trials and segments, as people meet them.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::harness::{LIST, Services, Sim};

/// One column, and so many people whose names begin so.
fn people(name: &str, n: usize) -> String {
    let rows = (0..n).map(|n| format!("{name}{n}@example.com"));
    let lines: Vec<String> = std::iter::once("email".to_owned()).chain(rows).collect();
    lines.join("\n") + "\n"
}

fn write(folder: &Path, name: &str, content: &str) {
    fs::write(folder.join(name), content).unwrap();
}

/// An export of a file and a glob, guarded as everybody is who says nothing else.
fn export(services: &Services) -> String {
    let create = ["connections", "create", "--display-name", "Shop", "--accept-consent"];
    let connection = services.ask(&create)["id"].as_str().unwrap().to_owned();
    let create = ["exports", "create", "--display-name", "E", "--connection", &connection];
    let what = ["--list", LIST, "--segment", "a.csv", "--segment", "b-*.csv"];
    services.ask(&[create, what].concat())["id"].as_str().unwrap().to_owned()
}

fn run(services: &Services, arguments: &[&str]) -> Value {
    let started = services.ask(&[&["runs", "start"], arguments].concat());
    services.ended(started["id"].as_str().unwrap())
}

/// Name, rows, duplicates, rejects, delivered.
fn segments(run: &Value) -> Vec<Value> {
    let all = run["segments"].as_array().unwrap().iter();
    let fields = ["name", "rows_read", "duplicates", "rejected", "delivered"];
    all.map(|segment| fields.map(|field| segment[field].clone()).into_iter().collect()).collect()
}

#[test]
fn each_segment_is_accounted_for_and_what_is_out_of_the_ordinary_is_stopped() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    let source = services.source();
    write(&source, "a.csv", &format!("{}nobody\nrefuse1@example.com\n", people("a", 20)));
    write(&source, "b-1.csv", &format!("{}a0@example.com\na1@example.com\n", people("b", 10)));
    write(
        &source,
        "b-2.csv",
        &format!("{}importfail1@example.com\nb0@example.com\n", people("c", 5)),
    );
    let export = export(&services);
    let shown = services.ask(&["exports", "get", &export])["guards"].clone();
    assert_eq!(shown["max_growth_percent"], 50);

    let first = run(&services, &[&export]);
    assert_eq!(first["state"], "completed_with_rejects", "{first}");
    // Who is in two segments is sent once, from the first; Klaviyo's own rejects are where their rows are.
    let told = [json!(["a.csv", 22, 0, 2, 20]), json!(["b-*.csv", 19, 3, 1, 15])];
    assert_eq!(segments(&first), told);
    assert_eq!((&first["not_by_segment"], &first["same_source"]), (&Value::Null, &json!(false)));
    let counts = &first["counts"];
    assert_eq!((&counts["rows_read"], &counts["rejected"]), (&json!(41), &json!(3)));
    assert!(first["source_age"].is_string() && first["source_modified_at"].is_string());
    let (_, stdout, _) = services.ask_for(&["runs", "get", first["id"].as_str().unwrap()]);
    assert!(
        stdout.contains("b-*.csv: 19 rows, 1 rejected, 3 duplicates, 15 delivered"),
        "{stdout}"
    );

    let again = run(&services, &[&export]);
    assert_eq!((&again["same_source"], &segments(&again)[..]), (&json!(true), &told[..]));

    write(&source, "b-3.csv", &people("d", 100));
    let requests = sim.writes().len();
    let grown = run(&services, &[&export]);
    assert_eq!((&grown["state"], &grown["same_source"]), (&json!("failed"), &json!(false)));
    assert_eq!(grown["failure"]["reason"], "grew_too_much");
    let words = grown["failure"]["detail"].as_str().unwrap();
    assert!(words.contains("max_growth") && words.contains("--override-guards"), "{words}");
    assert_eq!(sim.writes().len(), requests, "nothing was sent");

    let trial = run(&services, &[&export, "--trial-rows", "3"]);
    assert_eq!((&trial["state"], &trial["trial_rows"]), (&json!("succeeded"), &json!(3)));
    assert_eq!(segments(&trial), [json!(["a.csv", 3, 0, 0, 3]), json!(["b-*.csv", 0, 0, 0, 0])]);

    let once = run(&services, &[&export, "--override-guards"]);
    assert_eq!(once["state"], "completed_with_rejects", "{once}");
    assert_eq!(once["guards_overridden"], true);
    assert_eq!(run(&services, &[&export])["state"], "completed_with_rejects");

    // What it may refuse is changed one by one.
    let changed = services.ask(&[
        "exports",
        "update",
        &export,
        "--max-rejects",
        "1",
        "--max-source-age",
        "26h",
        "--source-wait",
        "90m",
    ]);
    assert_eq!(changed["guards"]["max_rejects_percent"], 1);
    assert_eq!(changed["guards"]["max_growth_percent"], 50);
    assert_eq!(changed["freshness"], json!({"max_source_age": "26h", "wait": "90m"}));
    assert_eq!(run(&services, &[&export])["state"], "completed_with_rejects", "1 of 141 rows");
    write(&source, "a.csv", &format!("{}nobody\nnor me\n", people("a", 20)));
    assert_eq!(run(&services, &[&export])["failure"]["reason"], "too_many_rejects");
    let any = services.ask(&["exports", "update", &export, "--any-source-age"]);
    assert_eq!(any["freshness"], Value::Null);
}
