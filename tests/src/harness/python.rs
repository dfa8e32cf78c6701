use std::{path::Path, process::Command};

use serde_json::Value;

/// Runs a script of `tests/python` with the packages that it needs; what it prints, as JSON.
#[track_caller]
pub fn python(script: &str, arguments: &[&str]) -> Value {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let output = |command: &mut Command| {
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{command:?}: {said}");
        String::from_utf8(ended.stdout).unwrap()
    };
    let python = output(Command::new("sh").arg(scripts.join("setup.sh")));
    let told = output(Command::new(python.trim()).arg(scripts.join(script)).args(arguments));
    serde_json::from_str(&told).unwrap_or_else(|err| panic!("{err}: {told}"))
}
