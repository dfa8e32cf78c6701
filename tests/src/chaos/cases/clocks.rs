//! The clocks of the services jump. That of the database, which decides, does not.
//!
//! Every process has its own idea of the time of day, by the library of `faketime`. Its monotonic clock goes on as ever,
//! as it does when a machine is set to another time.

use std::{fs, path::PathBuf};

use rand::{Rng as _, rngs::StdRng};
use tempfile::TempDir;

use super::{Case, in_the_middle};
use crate::chaos::{
    verdict::Verdict,
    world::{Lane, Setup},
};

pub(super) const CASES: &[Case] = &[Case::new(
    ("F24", "clocks-jump"),
    "the clocks of all services jump by up to an hour, forth and back, six times",
    jump,
)];

/// A time of day that is not the true one, for processes that are started with its environment.
struct Clock {
    folder: TempDir,
    preloaded: PathBuf,
}

impl Clock {
    fn new() -> Self {
        let preloaded = fs::read_dir("/usr/lib")
            .unwrap()
            .map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"))
            .find(|path| path.exists())
            .expect("Debian's package libfaketime is needed");
        let clock = Self { folder: tempfile::tempdir().unwrap(), preloaded };
        clock.set(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// In one step: nobody reads half of a number.
    fn set(&self, seconds: i32) {
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{seconds:+}\n")).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.preloaded.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            // So many seconds pass before a process looks again.
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

fn jump(lane: &mut Lane, rng: &mut StdRng) -> Verdict {
    let clock = Clock::new();
    let mut setup = Setup::default();
    setup.environment.extend(clock.environment());
    in_the_middle(lane, rng, setup, |world, rng| {
        // The last stays until the run has ended.
        for _ in 0..6 {
            clock.set(rng.random_range(-3600..=3600));
            world.away(rng, 300..1200);
        }
    })
}
