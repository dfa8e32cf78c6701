//! What happens to a file, and to the disk, while a segment is read.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
};

use klaviyo_sim::{Config, Faults};

use crate::harness::{Ended, Export, Judge, LIST, People, Running, Sim, free, wait_for};

/// Five batches of some megabytes. With so little memory for staging the reader waits for each to be
/// accepted, with two more in hand, so that at the first acceptance much of the file is still to be read.
const ROWS: usize = 45_000;
const LITTLE_MEMORY: [&str; 2] = ["--staging-memory", "1MiB"];

fn slow() -> Sim {
    Sim::start(Config { faults: Faults { slow_ms: 200, ..Faults::default() }, ..free() })
}

/// Starts an export, and returns once Klaviyo has accepted the first batch.
fn in_mid_read(sim: &Sim, export: Export, people: &People) -> Running {
    let padding = "x".repeat(300);
    let padded = |(n, line)| format!("{line},{}\n", if n == 0 { "padding" } else { &padding });
    let csv: String = people.csv().lines().enumerate().map(padded).collect();
    let running = export.content("people.csv", csv).args(LITTLE_MEMORY).start();
    wait_for("klaviyo accepts the first batch", || sim.state().imports().next().map(drop));
    running
}

#[track_caller]
fn failed_as_source_changed(sim: &Sim, ended: &Ended) {
    let report = ended.report();
    assert_eq!(report.state, "failed", "{ended}");
    assert!(ended.says("failed: source_changed"), "{ended}");
    assert!(0 < report.delivered && report.rows_read < ROWS as u64, "{report:#?}");
    assert_eq!(report.delivered, sim.members(LIST).len() as u64, "it says how many arrived");
    Judge::new(sim, &People::default()).nobody_is_elsewhere();
}

#[test]
fn source_that_is_appended_to_while_it_is_read_fails_the_run() {
    let sim = slow();
    let export = Export::to(&sim);
    let file = export.path("people.csv");
    let running = in_mid_read(&sim, export, &People::good(ROWS));
    File::options().append(true).open(file).unwrap().write_all(b"late@example.com,L,1\n").unwrap();
    failed_as_source_changed(&sim, &running.wait().expect_code(1));
}

#[test]
fn source_that_is_cut_off_while_it_is_read_fails_the_run() {
    let sim = slow();
    let export = Export::to(&sim);
    let file = export.path("people.csv");
    let running = in_mid_read(&sim, export, &People::good(ROWS));
    let file = File::options().write(true).open(file).unwrap();
    file.set_len(file.metadata().unwrap().len() - 100).unwrap();
    failed_as_source_changed(&sim, &running.wait().expect_code(1));
}

#[test]
fn source_that_is_replaced_while_it_is_read_is_read_to_its_end() {
    let sim = slow();
    let export = Export::to(&sim);
    let (file, newer) = (export.path("people.csv"), export.path("newer.csv"));
    let failing = |n| format!("importfail{n}@example.com");
    let people = People::good(ROWS).spoil(9_000, failing, "import_failed");
    let running = in_mid_read(&sim, export, &people);
    People::good(3).write(&newer);
    fs::rename(newer, file).unwrap();
    let ended = running.wait().expect_code(3);
    Judge::new(&sim, &people).verify(&ended);
    for reject in ended.rejects() {
        let name = format!("Spoiled {}", reject.row - 2);
        assert_eq!(reject.original["name"], name, "the columns are those of the file as it was");
    }
}

#[test]
fn no_memory_for_staging_only_means_that_batches_go_through_the_disk() {
    let sim = Sim::free();
    let people = People::good(10_040);
    let ended = Export::to(&sim)
        .content("people.csv", people.csv())
        .args(["--staging-memory", "0B"])
        .run()
        .expect_code(0);
    Judge::new(&sim, &people).verify(&ended);
}

#[test]
fn full_disk_fails_in_words_and_nobody_who_arrived_is_denied() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_small) = SmallDisk::mount(folder.path()) else {
        eprintln!("SKIPPED: a full disk needs root and a tmpfs");
        return;
    };
    let sim = Sim::free();
    let ended = Export::to(&sim)
        .content("people.csv", People::good(25_000).csv())
        .args(["--staging-memory", "0B"])
        .data(folder.path())
        .run()
        .expect_code(1);
    assert!(ended.says("staging_failed") || ended.says("database"), "{ended}");
    assert!(!ended.says("panicked"), "{ended}");
    if let Some(report) = ended.try_report() {
        assert_eq!(report.delivered, sim.members(LIST).len() as u64, "{report:#?}");
    }
}

/// A disk of a megabyte, which a batch does not fit on.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where that is not allowed.
    fn mount(folder: &'a Path) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder)
            .output()
            .ok()?;
        mount.status.success().then_some(Self(folder))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays", self.0.display());
    }
}
