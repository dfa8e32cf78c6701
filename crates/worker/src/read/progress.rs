use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use segue_model::RunId;

/// How far the reader of one run is: it knows before the store does.
#[derive(Debug, Default)]
pub struct ReadProgress {
    pub bytes: AtomicU64,
    pub rows: AtomicU64,
}

/// How far the readers of one worker are.
#[derive(Debug, Default)]
pub struct Readers {
    runs: Mutex<HashMap<RunId, Arc<ReadProgress>>>,
}

impl Readers {
    /// That of a run, which need not have begun to be read.
    pub fn of(&self, run: RunId) -> Arc<ReadProgress> {
        Arc::clone(self.runs().entry(run).or_default())
    }

    /// A run is read no more. Whoever watches it keeps what was seen last.
    pub(crate) fn ended(&self, run: RunId) {
        let mut runs = self.runs();
        if runs.get(&run).is_some_and(|progress| Arc::strong_count(progress) == 1) {
            runs.remove(&run);
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Arc<ReadProgress>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadProgress {
    pub(super) fn note(&self, bytes: u64, rows: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.rows.store(rows, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::Ordering};

    use segue_model::Id;
    use uuid::Uuid;

    use super::Readers;

    #[test]
    fn run_that_is_read_again_is_watched_on_and_one_that_nobody_watches_is_forgotten() {
        let readers = Readers::default();
        let run = |n| Id::from_uuid(Uuid::from_u128(n));
        let watched = readers.of(run(1));
        readers.of(run(2)).note(1, 1);
        readers.ended(run(1));
        readers.ended(run(2));
        readers.of(run(1)).note(7, 3);
        assert_eq!(watched.rows.load(Ordering::Relaxed), 3);
        assert_eq!(readers.of(run(2)).rows.load(Ordering::Relaxed), 0);
        assert!(Arc::ptr_eq(&watched, &readers.of(run(1))));
    }
}
