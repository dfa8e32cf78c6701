//! Binaries of released versions.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The binary of version 0.1.0: `CHAOS_V0_1_0`, or else built, once, from the commit that its corpus names.
pub fn first() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let given = std::env::var_os("CHAOS_V0_1_0").map(PathBuf::from);
        given.unwrap_or_else(|| build("v0.1.0"))
    };
    BUILT.get_or_init(build).clone()
}

fn build(version: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let corpus = workspace.join("tests/corpus").join(version);
    let read = |name: &str| fs::read_to_string(corpus.join(name)).unwrap().trim().to_owned();
    let (commit, tree) = (read("COMMIT"), read("TREE"));
    let target = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join(version);
    let code = target.join("code");
    if !code.join("Cargo.toml").is_file() {
        fs::create_dir_all(&code).unwrap();
        let git = |arguments: &[&str]| {
            let output =
                Command::new("git").current_dir(workspace).args(arguments).output().unwrap();
            output.status.success().then_some(output.stdout)
        };
        // Where the history was written anew, the tree is still the same.
        let archive = git(&["archive", &commit]).or_else(|| git(&["archive", &tree]));
        let archive = archive.unwrap_or_else(|| {
            panic!("neither commit {commit} nor tree {tree} is here: fetch the whole history")
        });
        let packed = target.join("code.tar");
        fs::write(&packed, archive).unwrap();
        let unpacked = Command::new("tar").arg("-xf").arg(&packed).arg("-C").arg(&code).status();
        assert!(unpacked.unwrap().success());
    }
    // As it is found on the path: where rustup chooses the toolchain, that of this build says nothing to it.
    let built = Command::new("cargo")
        .current_dir(&code)
        .args([
            "build",
            "--locked",
            "--quiet",
            "--profile",
            "demo",
            "--package",
            "segue",
            "--target-dir",
        ])
        .arg(&target)
        .status();
    assert!(built.unwrap().success(), "version {version} does not build");
    target.join("demo/segue")
}
