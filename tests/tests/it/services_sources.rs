//! Sources over the command line: what people learn of their files from a worker that looks, and what runs read there.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{LIST, People, Services, Shape, Sim, wait_for};

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

    let top = services.ask(&["sources", "segments"]);
    assert_eq!(of(&top, "path"), ["crm", "names.csv"]);
    assert_eq!(of(&top, "is_folder"), [true, false]);
    assert_eq!(of(&top, "rows"), [Value::Null, json!(1)]);
    let crm = services.ask(&["sources", "segments", "crm"]);
    assert_eq!(of(&crm, "path"), ["crm/a.csv", "crm/b.csv"]);
    assert_eq!(of(&crm, "rows"), [2, 1]);
    assert_eq!(crm[1]["size_bytes"], 35);
    assert!(crm[0]["modified_at"].is_string(), "{crm}");
    let (_, table, _) = services.ask_for(&["sources", "segments"]);
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
    let missing = refused(services, &["sources", "segments", "nowhere"]);
    assert!(missing.contains("nowhere"), "{missing}");
    let missing = refused(services, &["sources", "describe", "nowhere.csv"]);
    assert!(missing.contains("nowhere.csv"), "{missing}");
    for arguments in [["sources", "segments", "../etc"], ["sources", "describe", "crm/../../x.csv"]]
    {
        let words = refused(services, &arguments);
        assert!(words.contains("leads out of the source folder"), "{words}");
    }
    std::os::unix::fs::symlink("/etc", services.source().join("link")).unwrap();
    let words = refused(services, &["sources", "segments", "link"]);
    assert!(words.contains("outside of the source folder"), "{words}");
}

fn named_source_is_looked_into_and_read(sim: &Sim, services: &Services) {
    let folder = services.source().join("shop/daily");
    fs::create_dir_all(&folder).unwrap();
    let people = People::good(7);
    people.write(&folder.join("people-1.csv"));
    // Beside the folder: nobody is to see it by this source.
    People::good(9).write(&services.source().join("shop/people-2.csv"));
    std::os::unix::fs::symlink("../people-2.csv", folder.join("link.csv")).unwrap();
    let create = ["sources", "create", "--display-name", "Shop", "--folder", "shop"];
    let source = services.ask(&create)["id"].as_str().unwrap().to_owned();
    let taken = refused(services, &create);
    assert!(taken.contains(&source) && taken.contains("take another"), "{taken}");
    let moved = services.ask(&["sources", "update", &source, "--folder", "shop/daily"]);
    assert_eq!(services.ask(&["sources", "list"]), Value::from(vec![moved.clone()]));
    assert_eq!(services.ask(&["sources", "get", &source]), moved);
    assert_eq!((&moved["display_name"], &moved["folder"]), (&"Shop".into(), &"shop/daily".into()));

    let there = services.ask(&["sources", "segments", "--source", &source]);
    assert_eq!(of(&there, "path"), ["people-1.csv"]);
    let told = services.ask(&["sources", "describe", "--source", &source, "people-*.csv"]);
    assert_eq!(
        (of(&told["files"], "path"), &told["sampled_rows"]),
        (vec!["people-1.csv".into()], &json!(7))
    );
    let words = refused(services, &["sources", "describe", "--source", &source, "link.csv"]);
    assert!(words.contains("outside of the source folder"), "{words}");

    let export = services.export("people-*.csv");
    let saved = services.ask(&["exports", "update", &export, "--source", &source]);
    assert_eq!(saved["source_id"], *source);
    let run = services.ended(&services.start_run(&export));
    assert_eq!(run["state"], "succeeded", "{run}");
    assert_eq!(sim.members(LIST).len(), 7);
    let used = refused(services, &["sources", "delete", &source]);
    assert!(used.contains(&export), "{used}");
    services.ask(&["exports", "update", &export, "--source", "", "--segment", "shop/*.csv"]);
    assert_eq!(services.ask(&["sources", "remove", &source])["deleted"], true);
    assert_eq!(services.ask(&["sources", "list"]), json!([]));
}

#[test]
fn named_source_is_looked_into_and_read_by_all_in_one() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    named_source_is_looked_into_and_read(&sim, &services);
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
    let services = Services::apart(&sim, Shape { statuses: 1, ..SHAPE });
    // A worker is ready before the control-plane has heard what it takes.
    wait_for("a worker looks at files", || {
        services.ask_for(&["sources", "segments", "--output", "json"]).0.filter(|code| *code == 0)
    });
    segments_are_listed_and_described(&services);
    what_is_not_there_or_leads_out_is_refused_in_words(&services);
    named_source_is_looked_into_and_read(&sim, &services);
}

#[test]
fn without_a_worker_nobody_waits() {
    let sim = Sim::free();
    let services = Services::apart(&sim, Shape { workers: 0, ..SHAPE });
    for arguments in [&["sources", "segments"][..], &["sources", "describe", "a.csv"]] {
        let words = refused(&services, arguments);
        assert!(words.contains("no worker is there that looks at files"), "{words}");
    }
}
