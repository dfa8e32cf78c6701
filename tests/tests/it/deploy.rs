//! What `deploy/` says about the services is what they understand.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::harness::{python, segue};

fn deploy() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy"))
}

#[test]
fn every_container_is_told_what_its_service_understands() {
    let rendered = Command::new("kubectl")
        .arg("kustomize")
        .arg(deploy().join("kubernetes/base"))
        .output()
        .expect("kubectl, which `make test` installs");
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rendered.yaml");
    fs::write(&file, rendered.stdout).unwrap();
    let compose = deploy().join("compose/compose.yaml");
    let told = python("deploy.py", &[compose.to_str().unwrap(), file.to_str().unwrap()]);
    let mut services = 0;
    for container in
        told["compose"].as_array().unwrap().iter().chain(told["kubernetes"].as_array().unwrap())
    {
        let name = container["name"].as_str().unwrap();
        let arguments: Vec<&str> =
            container["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        if arguments[0] == "simulator" {
            continue;
        }
        services += 1;
        let mut command = Command::new(segue());
        command.args(&arguments).arg("--print-config").env_clear();
        for (variable, value) in container["environment"].as_object().unwrap() {
            command.env(variable, plausible(variable, value, folder.path()));
        }
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{name}: {said}");
    }
    assert_eq!(services, 10, "of compose and of Kubernetes five each");
}

/// What stands in a secret, or where a file would be, is not on this machine.
fn plausible(variable: &str, value: &Value, folder: &Path) -> String {
    let value = value.as_str().unwrap();
    let shown = folder.display();
    match variable {
        "SEGUE_DATABASE_URL" => "postgres://segue@postgres/segue".to_owned(),
        "SEGUE_AMQP_URL" => "amqp://segue@rabbitmq/segue".to_owned(),
        "SEGUE_STAGING_URL" => format!("file://{shown}"),
        "SEGUE_SOURCE_DIR" => shown.to_string(),
        file if file.ends_with("_FILE") => {
            let path = folder.join(file);
            fs::write(&path, "0123456789abcdef0123456789abcdef").unwrap();
            path.display().to_string()
        }
        _ => value.to_owned(),
    }
}
