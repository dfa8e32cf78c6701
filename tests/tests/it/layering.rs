//! The arrows between the crates: what may know what.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;

/// The words and pure rules that everybody shares.
const BASE: [&str; 1] = ["segue-model"];
/// The contract, for whoever sends or takes a message.
const CONTRACT: [&str; 1] = ["segue-proto"];
/// What services stand on. They do not know each other.
const PORTS: [&str; 9] = [
    "segue-queue",
    "segue-store",
    "segue-staging",
    "segue-source",
    "segue-klaviyo",
    "segue-profile",
    "segue-dedupe",
    "segue-schedule",
    "segue-access",
];
/// They do not know each other either; only the binary knows them all.
const SERVICES: [&str; 3] = ["segue-control-plane", "segue-worker", "segue-status"];
/// Where tests may kill whoever comes by; nothing in any other build.
const KILL_POINTS: [&str; 1] = ["kill-points"];
/// A client of the services: of what they stand on it knows who may do what, and how a cell is made harmless.
const CONSOLE: [&str; 1] = ["segue-console"];
const OF_CONSOLE: [&str; 2] = ["segue-access", "segue-staging"];
/// Around every service; knows nothing of Segue.
const MAINS: [&str; 1] = ["segue-service"];

/// For each crate of the workspace, the names of what it depends on outside of tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(workspace)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        // `kind` is null for those that are no build or development dependencies.
        let dependencies = dependencies.filter(|it| it["kind"] != "dev");
        (text(&package["name"]), dependencies.map(|it| text(&it["name"])).collect())
    });
    packages.collect()
}

fn ours(dependencies: &BTreeSet<String>) -> BTreeSet<&str> {
    let ours =
        |name: &&str| name.starts_with("segue") || ["klaviyo-sim", "kill-points"].contains(name);
    dependencies.iter().map(String::as_str).filter(ours).collect()
}

fn set<'a>(groups: &[&[&'a str]]) -> BTreeSet<&'a str> {
    groups.iter().flat_map(|group| group.iter().copied()).collect()
}

#[test]
fn crates_depend_only_on_what_lies_below_them() {
    let all = dependencies();
    let mut seen = BTreeSet::from(["segue", "segue-tests", "klaviyo-sim"]);
    let mut check = |name: &'static str, allowed: &BTreeSet<&str>| {
        seen.insert(name);
        let found = ours(&all[name]);
        let forbidden: Vec<_> = found.difference(allowed).collect();
        assert!(forbidden.is_empty(), "{name} must not depend on {forbidden:?}");
    };
    for alone in BASE.into_iter().chain(MAINS).chain(KILL_POINTS) {
        check(alone, &BTreeSet::new());
    }
    for contract in CONTRACT {
        check(contract, &set(&[&BASE]));
    }
    for port in PORTS {
        // Only the queue sends messages.
        let contract: &[&str] = if port == "segue-queue" { &CONTRACT } else { &[] };
        check(port, &set(&[&BASE, &KILL_POINTS, contract]));
    }
    for service in SERVICES {
        check(service, &set(&[&BASE, &KILL_POINTS, &CONTRACT, &PORTS]));
    }
    for console in CONSOLE {
        check(console, &set(&[&BASE, &CONTRACT, &MAINS, &OF_CONSOLE]));
    }
    let unknown: Vec<_> = all.keys().filter(|name| !seen.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "say where these belong: {unknown:?}");
}

#[test]
fn worker_never_sees_the_database() {
    assert!(!dependencies()["segue-worker"].contains("segue-store"));
}

#[test]
fn simulator_shares_nothing_with_what_it_tests() {
    let all = dependencies();
    assert_eq!(ours(&all["klaviyo-sim"]), BTreeSet::new());
    let users = all.iter().filter(|(_, needs)| needs.contains("klaviyo-sim"));
    let users: Vec<&str> = users.map(|(name, _)| name.as_str()).collect();
    assert_eq!(users, ["segue", "segue-tests"]);
}

#[test]
fn each_outside_world_is_named_by_one_crate() {
    let all = dependencies();
    // Klaviyo, and whoever vouches for people.
    let web: &[&str] = &["segue-access", "segue-klaviyo"];
    for (library, owners) in
        [("sqlx", ["segue-store"].as_slice()), ("reqwest", web), ("rustls", web)]
    {
        let users = all.iter().filter(|(_, needs)| needs.contains(library));
        let users: Vec<&str> = users.map(|(name, _)| name.as_str()).collect();
        assert_eq!(users, owners, "{library}");
    }
}

#[test]
fn words_and_mapping_do_no_input_or_output() {
    let all = dependencies();
    for name in ["segue-model", "segue-profile"] {
        for library in ["tokio", "tracing", "sqlx", "reqwest", "futures-util"] {
            assert!(!all[name].contains(library), "{name} must stay pure, without {library}");
        }
    }
}

#[test]
fn there_is_one_tls_provider() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    for other in ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{other}\"")), "{other} is in the tree");
    }
    assert!(lock.contains("name = \"ring\""));
}
