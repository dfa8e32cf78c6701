//! Keys that the operator keeps: in a mounted file, or in a variable of the control-plane.

use std::{fs, path::Path};

use klaviyo_sim::{AccountConfig, Config, Faults, KeyConfig};
use serde_json::json;

use crate::harness::{LIST, People, Services, Shape, Sim, account, free};

const SHAPE: Shape = Shape { control_planes: 1, workers: 1, statuses: 1 };
const NEW_KEY: &str = "pk_rotated_and_never_shown";

fn sim() -> Sim {
    let keys = vec![KeyConfig::all_scopes("pk_sim"), KeyConfig::all_scopes(NEW_KEY)];
    Sim::start(Config { accounts: vec![AccountConfig { keys, ..account() }], ..free() })
}

fn put(folder: &Path, key: &str) {
    // As a mounted secret is replaced: at once.
    fs::write(folder.join("new"), format!("{key}\n")).unwrap();
    fs::rename(folder.join("new"), folder.join("shop")).unwrap();
}

fn create(services: &Services, place: &[&str]) -> (Option<i32>, String, String) {
    let rest = ["--accept-consent", "--accepted-by", "somebody", "--output", "json"];
    let create = ["connections", "create", "--display-name", "Shop"];
    services.ask_for(&[&create, place, &rest].concat())
}

#[test]
fn mounted_key_is_rotated_while_services_run_and_named_when_it_is_gone() {
    let sim = sim();
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "pk_sim");
    let key_dir = folder.path().to_str().unwrap();
    let services = Services::apart_with(&sim, SHAPE, &[("SEGUE_KEY_DIR", key_dir)]);
    People::good(10).write(&services.source().join("people.csv"));

    let (code, stdout, stderr) = create(&services, &["--key-file", "shop"]);
    assert_eq!(code, Some(0), "{stderr}");
    let connection: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(connection["key_reference"], json!({"file": "shop"}));
    let id = connection["id"].as_str().unwrap();
    let export =
        ["exports", "create", "--display-name", "News", "--connection", id, "--list", LIST];
    let export = services.ask(&[&export[..], &["--segment", "people.csv"]].concat());
    let export = export["id"].as_str().unwrap().to_owned();

    let revoked_keys = ["pk_sim".to_owned()].into();
    sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    put(folder.path(), NEW_KEY);
    let (code, _, stderr) = services.ask_for(&["runs", "start", &export, "--watch"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(sim.members(LIST).len(), 10);

    fs::remove_file(folder.path().join("shop")).unwrap();
    let (code, _, stderr) = services.ask_for(&["runs", "start", &export]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("the file shop of the control-plane on"), "{stderr}");
    let shown = services.ask(&["exports", "get", &export]);
    assert!(shown["connection_problem"].as_str().unwrap().contains("not there"), "{shown}");
    let outside = create(&services, &["--key-file", "/etc/hostname"]).2;
    assert!(outside.contains("key_dir"), "{outside}");
    assert!(!services.all_said().contains(NEW_KEY));
}

#[test]
fn file_says_where_the_server_finds_a_key_and_drift_is_mended() {
    let sim = sim();
    let variable = ("SEGUE_KLAVIYO_KEY_SHOP", NEW_KEY);
    let services = Services::together_with(&sim, &[variable]);
    let path = services.source().parent().unwrap().join("keys.yaml");
    let applied = |place: &str| {
        let text = format!(
            "apiVersion: segue/v1\nconnections:\n- name: Shop\n  apiKey: {place}\n  \
             consent: {{version: \"2026-11\", acceptedBy: Ada Example}}\n"
        );
        fs::write(&path, text).unwrap();
        let (code, _, stderr) = services.ask_for(&["apply", "-f", path.to_str().unwrap(), "--yes"]);
        assert_eq!(code, Some(0), "{stderr}");
        services.ask(&["connections", "list"])[0].clone()
    };
    let sealed = applied("{env: KLAVIYO_API_KEY}");
    assert_eq!(sealed["key_reference"], json!(null));
    let elsewhere = applied("{serverEnv: SEGUE_KLAVIYO_KEY_SHOP}");
    assert_eq!(elsewhere["id"], sealed["id"]);
    assert_eq!(elsewhere["key_reference"], json!({"env": "SEGUE_KLAVIYO_KEY_SHOP"}));
    let rotated = services.ask(&["keys", "rotate"]);
    assert_eq!((&rotated["current"], &rotated["elsewhere"]), (&0.into(), &1.into()));
    assert_eq!(applied("{env: KLAVIYO_API_KEY}")["key_reference"], json!(null));
    let (code, _, stderr) = create(&services, &["--key-env", "HOME"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("key_env_prefix"), "{stderr}");
}
