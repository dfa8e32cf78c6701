//! What contributors learn of the files in the source folder over the command line, from a worker that looks.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Services, Shape, Sim, wait_for};

const SHAPE: Shape = Shape { control_planes: 1, workers: 1, statuses: 0 };

/// How a command that does not succeed explains itself.
#[track_caller]
fn refused(services: &Services, arguments: &[&str]) -> String {
    let (code, _, stderr) = services.ask_for(arguments);
    assert_eq!(code, Some(1), "{arguments:?}: {stderr}");
    stderr
}

fn of(all: &Value, name: &str) -> Vec<Value> {
    all.as_array().unwrap().iter().map(|it| it[name].clone()).collect()
}

fn segments_are_listed_and_described(services: &Services) {
    let source = services.source();
    fs::create_dir(source.join("crm")).unwrap();
    fs::write(
        source.join("crm/a.csv"),
        "email,tier,visits\na@example.com,gold,1\nb@example.com,,2\n",
    )
    .unwrap();
    fs::write(source.join("crm/b.csv"), "email,tier,visits\nc@example.com,,3\n").unwrap();
    fs::write(source.join("names.csv"), "name\nAnn\n").unwrap();

    let top = services.ask(&["sources", "list"]);
    assert_eq!(of(&top, "path"), ["crm", "names.csv"]);
    assert_eq!(of(&top, "is_folder"), [true, false]);
    assert_eq!(of(&top, "rows"), [Value::Null, json!(1)]);
    let crm = services.ask(&["sources", "list", "crm"]);
    assert_eq!(of(&crm, "path"), ["crm/a.csv", "crm/b.csv"]);
    assert_eq!(of(&crm, "rows"), [2, 1]);
    assert_eq!(crm[1]["size_bytes"], 35);
    assert!(crm[0]["modified_at"].is_string(), "{crm}");
    let (_, table, _) = services.ask_for(&["sources", "list"]);
    assert!(table.starts_with("PATH") && table.contains("crm/"), "{table}");

    let told = services.ask(&["sources", "describe", "crm/*.csv"]);
    assert_eq!(of(&told["files"], "path"), ["crm/a.csv", "crm/b.csv"]);
    assert_eq!(of(&told["columns"], "name"), ["email", "tier", "visits"]);
    assert_eq!(of(&told["columns"], "type"), ["text", "text", "number"]);
    assert_eq!(of(&told["columns"], "filled_rows"), [3, 1, 3]);
    let becomes = ["email", "properties.tier", "properties.visits"];
    assert_eq!(of(&told["columns"], "attribute"), becomes);
    assert_eq!((&told["sampled_rows"], &told["problem"]), (&json!(3), &json!("")));
    assert!(!told.to_string().contains("example.com"), "{told}");
    let (_, table, said) = services.ask_for(&["sources", "describe", "crm/*.csv"]);
    assert!(table.contains("properties.tier") && table.contains("33 %"), "{table}");
    assert!(said.contains("the first 3 rows of 2 files"), "{said}");
    let names = services.ask(&["sources", "describe", "names.csv"]);
    assert!(names["problem"].as_str().unwrap().contains("the columns are: name"), "{names}");
}

fn what_is_not_there_or_leads_out_is_refused_in_words(services: &Services) {
    let missing = refused(services, &["sources", "list", "nowhere"]);
    assert!(missing.contains("nowhere"), "{missing}");
    let missing = refused(services, &["sources", "describe", "nowhere.csv"]);
    assert!(missing.contains("nowhere.csv"), "{missing}");
    for arguments in [["sources", "list", "../etc"], ["sources", "describe", "crm/../../x.csv"]] {
        let words = refused(services, &arguments);
        assert!(words.contains("leads out of the source folder"), "{words}");
    }
    std::os::unix::fs::symlink("/etc", services.source().join("link")).unwrap();
    let words = refused(services, &["sources", "list", "link"]);
    assert!(words.contains("outside of the source folder"), "{words}");
}

#[test]
fn segments_are_listed_and_described_by_all_in_one() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    segments_are_listed_and_described(&services);
    what_is_not_there_or_leads_out_is_refused_in_words(&services);
}

#[test]
fn segments_are_listed_and_described_by_services_apart() {
    let sim = Sim::free();
    let services = Services::apart(&sim, SHAPE);
    // A worker is ready before the control-plane has heard what it takes.
    wait_for("a worker looks at files", || {
        services.ask_for(&["sources", "list", "--output", "json"]).0.filter(|code| *code == 0)
    });
    segments_are_listed_and_described(&services);
    what_is_not_there_or_leads_out_is_refused_in_words(&services);
}

#[test]
fn without_a_worker_nobody_waits() {
    let sim = Sim::free();
    let services = Services::apart(&sim, Shape { workers: 0, ..SHAPE });
    for arguments in [&["sources", "list"][..], &["sources", "describe", "a.csv"]] {
        let words = refused(&services, arguments);
        assert!(words.contains("no worker is there that looks at files"), "{words}");
    }
}
