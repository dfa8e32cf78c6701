//! The source changes, and its disk is full.

use std::{fs, io::Write as _, process::Command, thread, time::Duration};

use rand::{Rng as _, rngs::StdRng};
use tempfile::TempDir;

use super::Case;
use crate::{
    chaos::{
        verdict::{Expected, Verdict},
        world::{BATCH, Lane, Setup, World},
    },
    harness::{People, wait_for},
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        ("F20", "source-replaced"),
        "the file is replaced, appended to, cut short or deleted while it is read",
        replaced,
    ),
    Case::new(("F33", "staging-full"), "the disk of staging is full", staging_full),
];

/// A disk of its own, as long as this lives.
struct Disk(TempDir);

impl Disk {
    fn of(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        assert!(mount.status().unwrap().success(), "to make a small disk takes root");
        Self(folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg("--lazy").arg(self.0.path()).status().unwrap();
        assert!(gone.success() || thread::panicking());
    }
}

/// There is room for a few of the batches, and what is read comes faster than what is sent goes.
fn staging_full(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    let disk = Disk::of(&format!("{}k", rng.random_range(60..140)));
    let staging = format!("file://{}", disk.0.path().display());
    let mut setup = Setup { expected: Expected::Ends(&["staging_failed"]), ..Setup::default() };
    setup.environment.push(("SEGUE_STAGING_URL", staging));
    let mut world = World::new(lane, setup);
    let run = world.start();
    world.faulted();
    let mut verdict = world.judge(&run);
    verdict.recovery = None;
    // The reader meets it before or while batches are sent.
    verdict.fired = true;
    verdict
}

/// Of 120 batches the reader stays at most 64 ahead, so that it is still at work in the middle.
fn replaced(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    let setup = Setup {
        people: People::good(130 * BATCH),
        expected: Expected::Ends(&["source_changed", "source_unreadable"]),
        ..Setup::default()
    };
    let mut world = World::new(lane, setup);
    let run = world.start();
    wait_for("the run is under way", || (world.accepted() > 3).then_some(()));
    thread::sleep(Duration::from_millis(rng.random_range(0..300)));
    world.faulted();
    let file = world.services.source().join("people.csv");
    match rng.random_range(0..4) {
        0 => People::good(10).write(&file),
        1 => {
            let mut end = fs::File::options().append(true).open(&file).unwrap();
            writeln!(end, "late@example.com,Late,1").unwrap();
        }
        2 => fs::File::options().write(true).open(&file).unwrap().set_len(2_000).unwrap(),
        _ => {
            // Whoever has it open reads what it was, to its end.
            fs::remove_file(&file).unwrap();
            world.expected = Expected::Complete;
        }
    }
    let mut verdict = world.judge(&run);
    verdict.recovery = None;
    verdict.fired = verdict.acknowledged > 0;
    verdict
}
