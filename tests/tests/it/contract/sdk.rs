//! Klaviyo's own Python SDK as a client of the simulator: it brings the models, the retries and
//! the headers that Klaviyo gave it, and none of our opinions.

use std::{
    path::Path,
    process::{Command, Output},
};

use klaviyo_sim::{Config, Endpoint, Simulator};

/// Runs a command and gives its standard output, or says why it failed with all it wrote.
fn output(command: &mut Command) -> Result<String, String> {
    let ran = command.output();
    let Output { status, stdout, stderr } =
        ran.map_err(|error| format!("{command:?} does not run: {error}"))?;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if !status.success() {
        return Err(format!("{command:?} failed with {status}\n{stdout}\n{stderr}"));
    }
    Ok(stdout.into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn klaviyos_python_sdk_imports_polls_and_reads_errors() {
    let sim = Simulator::start(Config::default()).await.unwrap();
    let url = sim.url();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let drive = move || {
        let python = output(Command::new("sh").arg(scripts.join("setup.sh")))?;
        output(Command::new(python.trim()).arg(scripts.join("drive_sdk.py")).arg(url))
    };
    let ran = tokio::task::spawn_blocking(drive).await.unwrap();
    let said = ran.unwrap_or_else(|why| panic!("{why}"));
    assert!(said.ends_with("all done\n"), "{said}");

    let state = sim.state();
    assert_eq!(sim.members("LIST01").len(), 25);
    assert_eq!(
        state.imports().map(|import| (import.profiles, import.failed)).collect::<Vec<_>>(),
        [(26, 1)]
    );
    assert_eq!(state.requests_to(Endpoint::Unsubscribe), 0);
    assert!(state.throttled > 0, "the SDK was never made to wait and retry");
}
