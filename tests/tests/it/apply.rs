//! What there should be, as a file says it, on real services.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{LIST, OTHER_LIST, People, Services, Sim};

/// The file that the documentation shows.
fn sample() -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    workspace.join("deploy/demo/segue.yaml").display().to_string()
}

/// Writes a file where no other test does.
fn file(services: &Services, name: &str, text: &str) -> String {
    let path: PathBuf = services.source().parent().unwrap().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A file with one connection and one export.
fn small(list: &str, more: &str) -> String {
    format!(
        "apiVersion: segue/v1
connections:
- name: Shop
  apiKey: {{env: KLAVIYO_API_KEY}}
  consent: {{version: \"2026-11\", acceptedBy: Ada Example}}
exports:
- name: News
  connection: Shop
  list: {list}
  segments: [people.csv]
{more}"
    )
}

#[track_caller]
fn applied(services: &Services, arguments: &[&str]) -> String {
    let arguments = [&["apply"], arguments].concat();
    let (code, stdout, stderr) = services.ask_for(&arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stdout}{stderr}");
    stdout
}

#[track_caller]
fn refused(services: &Services, arguments: &[&str]) -> String {
    let arguments = [&["apply"], arguments].concat();
    let (code, stdout, stderr) = services.ask_for(&arguments);
    assert_eq!(code, Some(1), "{arguments:?}: {stdout}{stderr}");
    stderr
}

fn names(listed: &Value) -> Vec<&str> {
    let listed = listed.as_array().unwrap().iter();
    let mut names: Vec<&str> = listed.map(|it| it["display_name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

/// All that there is.
fn state(services: &Services) -> [Value; 3] {
    [["connections", "list"], ["exports", "list"], ["schedule", "get"]].map(|it| services.ask(&it))
}

#[test]
fn sample_is_planned_then_applied_and_applied_again_changes_nothing() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    let sample = sample();
    let before = state(&services);
    let (code, plan, stderr) = services.ask_for(&["apply", "-f", &sample, "--plan"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        plan.contains("+ connection Demo shop") && plan.contains("+ export Win back"),
        "{plan}"
    );
    assert_eq!(state(&services), before, "a plan changes nothing");

    let done = applied(&services, &["-f", &sample]);
    assert!(!format!("{plan}{stderr}{done}").contains("pk_sim"), "{plan}{stderr}{done}");
    let [connections, exports, schedule] = state(&services);
    assert_eq!(names(&connections), ["Demo shop"]);
    assert_eq!(connections[0]["consent"]["accepted_by"], "Ada Example");
    assert_eq!(connections[0]["sharing"]["contributors"], true);
    assert_eq!(names(&exports), ["Newsletter", "Trial", "Win back"]);
    assert_eq!(schedule["schedule"], "daily at 03:00, 15:00, Europe/Berlin");
    let export = |name: &str| {
        let mut all = exports.as_array().unwrap().iter();
        all.find(|it| it["display_name"] == name).unwrap().clone()
    };
    let newsletter = export("Newsletter");
    assert_eq!(newsletter["mapping"]["attributes"]["properties.tier:text"], "loyalty");
    assert_eq!(newsletter["guards"]["max_profiles"], 50_000);
    assert_eq!(newsletter["schedule"], "as the system");
    assert_eq!(export("Win back")["schedule"], "monday, friday at 06:30, America/New_York");
    assert_eq!(export("Trial")["schedule"], "off");
    let win_back = export("Win back")["id"].as_str().unwrap().to_owned();

    let again = applied(&services, &["-f", &sample]);
    assert!(again.contains("0 to make, 0 to change, 0 to remove; 5 as the file says"), "{again}");
    applied(&services, &["-f", &sample, "--plan"]);
    assert_eq!(state(&services), [connections, exports, schedule]);

    People::good(5).write(&services.source().join("lapsed.csv"));
    let run = services.start_run(&win_back);
    assert_eq!(services.ended(&run)["state"], "succeeded");
    assert_eq!(sim.members(OTHER_LIST).len(), 5);
}

#[test]
fn drift_is_told_field_by_field_and_mended_alone() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    let path = file(&services, "small.yaml", &small(LIST, ""));
    applied(&services, &["-f", &path]);
    let id = services.ask(&["exports", "list"])[0]["id"].as_str().unwrap().to_owned();
    let elsewhere = ["--list", OTHER_LIST, "--unscheduled"];
    services.ask(&[&["exports", "update", &id], elsewhere.as_slice()].concat());

    let plan = ["apply", "-f", &path, "--plan", "--output", "json"];
    let (code, stdout, stderr) = services.ask_for(&plan);
    assert_eq!(code, Some(2), "{stderr}");
    let plan: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&plan["applied"], &plan["summary"]["update"]), (&false.into(), &1.into()));
    let change = &plan["changes"][1];
    assert_eq!((&change["name"], &change["action"]), (&"News".into(), &"update".into()));
    let difference = serde_json::json!({"field": "list", "server": OTHER_LIST, "file": LIST});
    assert_eq!(change["fields"], Value::from(vec![difference]));

    let told = applied(&services, &["-f", &path]);
    assert!(told.contains("list  server has LIST02, file has LIST01"), "{told}");
    let export = services.ask(&["exports", "get", &id]);
    assert_eq!((&export["list_id"], &export["schedule"]), (&LIST.into(), &"off".into()));
}

#[test]
fn what_no_file_names_is_told_and_goes_only_with_prune_and_yes() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    services.export("people.csv");
    let path = file(&services, "small.yaml", &small(LIST, ""));
    let told = applied(&services, &["-f", &path]);
    assert!(
        told.contains("? export Everyone (exp_") && told.contains("not in this file"),
        "{told}"
    );
    let [connections, exports, _] = state(&services);
    assert_eq!(
        (names(&connections), names(&exports)),
        (vec!["Sample", "Shop"], vec!["Everyone", "News"])
    );

    let words = refused(&services, &["-f", &path, "--prune"]);
    assert!(words.contains("--prune removes 2") && words.contains("--yes"), "{words}");
    assert_eq!(names(&services.ask(&["exports", "list"])).len(), 2);

    let done: Value = services.ask(&["apply", "-f", &path, "--prune", "--yes"]);
    assert_eq!((&done["applied"], &done["summary"]["remove"]), (&true.into(), &2.into()));
    let [connections, exports, _] = state(&services);
    assert_eq!((names(&connections), names(&exports)), (vec!["Shop"], vec!["News"]));
}

#[test]
fn owner_consent_and_sharing_become_what_the_file_says() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    let create = ["tokens", "create", "--display-name", "Bo", "--role", "contributor"];
    let token = services.ask(&create)["token"]["id"].as_str().unwrap().to_owned();
    let owner = format!("token:{token}");
    let given = small(LIST, &format!("  disabled: true\n  owner: {owner}\n"));
    let path = file(&services, "given.yaml", &given);
    applied(&services, &["-f", &path]);
    let export = services.ask(&["exports", "list"])[0].clone();
    assert_eq!((&export["owner"]["subject"], &export["disabled"]), (&owner.into(), &true.into()));

    let sharing = "  sharing: {contributors: true, lists: [LIST01]}\nexports:";
    let shared = given.replace("exports:", sharing).replace("Ada Example", "Bo Example");
    let path = file(&services, "shared.yaml", &shared);
    let told = applied(&services, &["-f", &path]);
    assert!(told.contains("server has Ada Example, file has Bo Example"), "{told}");
    let connection = services.ask(&["connections", "list"])[0].clone();
    assert_eq!(connection["consent"]["accepted_by"], "Bo Example");
    assert_eq!(connection["sharing"]["list_ids"], Value::from(vec![LIST]));
    applied(&services, &["-f", &path, "--plan"]);
    assert_eq!(services.ask(&["exports", "list"])[0], export);
}

#[test]
fn sources_come_before_their_exports_and_go_after_them() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    let sourced = small(LIST, "  source: CRM\n");
    let sourced = sourced.replace("exports:", "sources:\n- {name: CRM, folder: crm}\nexports:");
    let path = file(&services, "sourced.yaml", &sourced);
    let told = applied(&services, &["-f", &path]);
    assert!(told.contains("+ source CRM") && told.contains("source      CRM"), "{told}");
    let source = services.ask(&["sources", "list"])[0].clone();
    assert_eq!(source["folder"], "crm");
    assert_eq!(services.ask(&["exports", "list"])[0]["source_id"], source["id"]);
    applied(&services, &["-f", &path, "--plan"]);

    let id = source["id"].as_str().unwrap();
    services.ask(&["sources", "update", id, "--folder", "elsewhere"]);
    let told = applied(&services, &["-f", &path]);
    assert!(told.contains("folder  server has elsewhere, file has crm"), "{told}");
    let others = "apiVersion: segue/v1\nsources: [{name: Shop, folder: ''}]\nexports: []\n";
    let path = file(&services, "others.yaml", others);
    let done = services.ask(&["apply", "-f", &path, "--prune", "--yes"]);
    assert_eq!((&done["applied"], &done["summary"]["remove"]), (&true.into(), &2.into()));
    assert_eq!(names(&services.ask(&["sources", "list"])), ["Shop"]);
}

#[test]
fn several_files_are_one() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    let one = file(&services, "one.yaml", &small(LIST, ""));
    let two = "apiVersion: segue/v1
exports:
- {name: Others, connection: Shop, list: LIST02, segments: [others.csv]}
";
    let two = file(&services, "two.yaml", two);
    applied(&services, &["-f", &two, "-f", &one]);
    assert_eq!(names(&services.ask(&["exports", "list"])), ["News", "Others"]);
    let words = refused(&services, &["-f", &one, "-f", &one]);
    assert!(words.contains("one.yaml:3 has the connection \"Shop\" already"), "{words}");
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_nothing_is_changed() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    let before = state(&services);
    let secret = "pk_0123456789abcdef0123456789abcdef";
    for (text, words) in [
        (small("not a list", ""), vec!["wrong.yaml:9: list: "]),
        (small(LIST, "  lists: [a]\n"), vec!["wrong.yaml:11", "lists", "segments"]),
        (small(LIST, "  guards: {maxProfiles: many}\n"), vec!["wrong.yaml:11", "maxProfiles"]),
        (small(LIST, "  schedule: sometimes\n"), vec!["wrong.yaml:11: schedule: \"sometimes\""]),
        (
            small(LIST, "  schedule: {at: [\"3:00\"], timeZone: UTC}\n"),
            vec!["wrong.yaml:11: schedule.at: \"3:00\""],
        ),
        (
            small(LIST, "").replace("{env: KLAVIYO_API_KEY}", secret),
            vec!["wrong.yaml:4: apiKey: a key does not stand in this file", "{env: VARIABLE}"],
        ),
        (
            small(LIST, "").replace("KLAVIYO_API_KEY", "NOT_SET"),
            vec!["wrong.yaml:3: the key of the connection \"Shop\"", "NOT_SET is not set"],
        ),
        (small(LIST, "").replace("- name: Shop", "- name: &a [*a]"), vec!["wrong.yaml:3"]),
        (small(LIST, "").replace("segue/v1", "segue/v9"), vec!["wrong.yaml:1: apiVersion"]),
    ] {
        let path = file(&services, "wrong.yaml", &text);
        let told = refused(&services, &["-f", &path]);
        for words in words {
            assert!(told.contains(words), "{words} is not in: {told}");
        }
        assert!(!told.contains(secret), "{told}");
    }
    let none = refused(&services, &["-f", "nowhere.yaml"]);
    assert!(none.contains("cannot read nowhere.yaml"), "{none}");
    assert_eq!(state(&services), before);
}

#[test]
fn schema_is_the_one_that_is_kept_for_editors() {
    let sim = Sim::free();
    let services = Services::together(&sim);
    let kept =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/segue.schema.json");
    assert_eq!(applied(&services, &["--schema"]), fs::read_to_string(kept).unwrap());
}
