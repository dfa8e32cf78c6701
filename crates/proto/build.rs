use std::{env, error::Error, path::PathBuf};

use prost::Message as _;

const FILES: &[&str] = &[
    "segue/v1/audit.proto",
    "segue/v1/connection.proto",
    "segue/v1/export.proto",
    "segue/v1/job.proto",
    "segue/v1/list.proto",
    "segue/v1/queue.proto",
    "segue/v1/run.proto",
    "segue/v1/schedule.proto",
    "segue/v1/source.proto",
    "segue/v1/status.proto",
    "segue/v1/token.proto",
    "segue/v1/worker.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", folder.display());
    let descriptors = protox::compile(FILES, [&folder])?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("segue.descriptors");
    std::fs::write(out, descriptors.encode_to_vec())?;
    // They carry a key: `secret.rs` prints a marker in its place.
    tonic_prost_build::configure()
        .skip_debug(["segue.v1.Credentials", "segue.v1.Connection", "segue.v1.CreateTokenResponse"])
        .compile_fds(descriptors)?;
    Ok(())
}
