//! The short form of `make chaos`: some faults of each kind, once.

use std::{collections::BTreeSet, sync::Mutex};

use segue_tests::chaos::{self, cases};

/// A kill point that no case knows guards nothing, and neither does one that is in no code.
#[test]
fn every_kill_point_of_the_code_has_a_case() {
    let cases: BTreeSet<String> = cases::POINTS.iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(cases::points_in_the_source(), cases);
}

#[test]
fn nothing_is_lost_under_some_faults_of_each_kind() {
    let mut short = cases::all();
    short.retain(|case| case.short);
    let failed = Mutex::new(Vec::new());
    chaos::run(&short, &[seed()], 2, &|outcome| {
        println!("{}", outcome.line());
        if !outcome.verdict.is_clean() || !outcome.verdict.fired {
            failed.lock().unwrap().push(outcome.line());
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "with CHAOS_SEED={}:\n{}", seed(), failed.join("\n"));
}

/// Another one each day, unless `CHAOS_SEED` says which.
fn seed() -> u64 {
    let given = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let day = jiff::Timestamp::now().as_second() / 86_400;
    given.unwrap_or_else(|| day.unsigned_abs())
}
