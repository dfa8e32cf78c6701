//! Nothing lost: the invariants under every fault that one machine can make.
//!
//! A case starts real processes on loopback, on a RabbitMQ and a PostgreSQL of its own, lets a run begin, makes its
//! fault in the middle, and lets a [judge](verdict) that is no part of Segue say what became of each row. `make
//! chaos` runs all of them under many seeds; the tests include a short form.

pub mod backends;
pub mod cases;
pub mod ledger;
pub mod messages;
pub mod proxy;
pub mod soak;
pub mod verdict;
pub mod versions;
pub mod world;

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    time::Instant,
};

use rand::{SeedableRng as _, rngs::StdRng};

use cases::Case;
use ledger::Outcome;
use verdict::Verdict;
use world::Lane;

/// Runs cases, each under each seed, so many at a time, and those that want to be alone behind the others. `done` sees
/// each outcome as soon as there is one.
pub fn run(cases: &[Case], seeds: &[u64], lanes: usize, done: &(dyn Fn(&Outcome) + Sync)) {
    let (alone, others): (Vec<Case>, Vec<Case>) = cases.iter().partition(|case| case.alone);
    run_beside(&others, seeds, lanes, done);
    run_beside(&alone, seeds, 1, done);
}

fn run_beside(cases: &[Case], seeds: &[u64], lanes: usize, done: &(dyn Fn(&Outcome) + Sync)) {
    let work: VecDeque<(Case, u64)> =
        seeds.iter().flat_map(|seed| cases.iter().map(|case| (*case, *seed))).collect();
    let work = Mutex::new(work);
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                let mut lane = None;
                loop {
                    let Some((case, seed)) = work.lock().unwrap().pop_front() else { return };
                    done(&run_one(&case, seed, &mut lane));
                }
            });
        }
    });
}

fn run_one(case: &Case, seed: u64, lane: &mut Option<Lane>) -> Outcome {
    let begin = Instant::now();
    let judged = catch_unwind(AssertUnwindSafe(|| {
        // The same seed draws other numbers for another case.
        let mut hash = DefaultHasher::new();
        (case.name, seed).hash(&mut hash);
        let mut rng = StdRng::seed_from_u64(hash.finish());
        case.run(lane.get_or_insert_default(), &mut rng)
    }));
    let verdict = judged.unwrap_or_else(|panic| {
        // Whatever it left behind, the next case starts with another broker and another database.
        *lane = None;
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        Verdict { problems: vec![words.unwrap_or_default()], ..Verdict::default() }
    });
    Outcome { case: case.name.to_owned(), seed, seconds: begin.elapsed().as_secs(), verdict }
}
