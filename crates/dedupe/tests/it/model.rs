use std::{collections::HashMap, path::Path};

use proptest::prelude::*;
use segue_dedupe::{Dedupe, Fingerprint, MIN_MEMORY, Seen, fingerprint};

/// What a map without any bound on its memory says.
#[derive(Default)]
struct Model(HashMap<u128, u64>);

impl Model {
    fn see(&mut self, fingerprint: Fingerprint, payload: u64) -> Seen {
        match self.0.get(&fingerprint.0) {
            None => {
                self.0.insert(fingerprint.0, payload);
                Seen::New
            }
            Some(&first) if first == payload => Seen::Same,
            Some(_) => Seen::Differs,
        }
    }
}

fn spilling(scratch: &Path) -> Dedupe {
    Dedupe::new(MIN_MEMORY, scratch.join("seen"))
}

/// A stretch of calls: identities `start..start + count`, whose fingerprints are spread or crowded.
#[derive(Debug, Clone)]
struct Stretch {
    start: u64,
    count: u64,
    payload: u64,
    crowd: Crowd,
}

#[derive(Debug, Clone, Copy)]
enum Crowd {
    /// As hashes are.
    Spread,
    /// All alike in the high 64 bits, with these.
    High(u64),
    /// In the high 112 bits, so that the filter cannot tell them apart either.
    Low,
}

impl Crowd {
    fn fingerprint(self, n: u64) -> Fingerprint {
        match self {
            Self::Spread => fingerprint(9, &n.to_le_bytes()),
            Self::High(high) => Fingerprint((u128::from(high) << 64) | u128::from(n)),
            Self::Low => Fingerprint(u128::from(n)),
        }
    }
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let crowd = prop_oneof![
        6 => Just(Crowd::Spread),
        1 => Just(Crowd::High(u64::MAX)),
        1 => Just(Crowd::High(1)),
        1 => Just(Crowd::Low),
    ];
    (0..100_000_u64, 1..40_000_u64, 0..2_u64, crowd).prop_map(|(start, count, payload, crowd)| {
        // Crowds are slow by nature; a few thousand overflow a group several times.
        let count = if matches!(crowd, Crowd::Spread) { count } else { count / 10 };
        Stretch { start, count, payload, crowd }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_those_of_an_unbounded_map(
        stretches in proptest::collection::vec(stretch(), 1..10),
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let (mut dedupe, mut model) = (spilling(scratch.path()), Model::default());
        for Stretch { start, count, payload, crowd } in stretches {
            for n in start..start + count {
                let fingerprint = crowd.fingerprint(n);
                prop_assert_eq!(dedupe.see(fingerprint, payload)?, model.see(fingerprint, payload));
            }
        }
        prop_assert_eq!(dedupe.stats().identities, model.0.len() as u64);
    }
}

#[test]
fn two_million_identities_get_the_same_answers_in_little_memory_as_in_much() {
    const IDENTITIES: u64 = 2_000_000;
    let scratch = tempfile::tempdir().unwrap();
    let mut little = Dedupe::new(8 << 20, scratch.path().join("little"));
    let mut much = Dedupe::new(1 << 30, scratch.path().join("much"));
    let mut duplicates = 0;
    for n in 0..IDENTITIES {
        // A third comes back, half of those with another payload.
        let identity = if n % 3 == 2 { n / 2 } else { n };
        let fingerprint = fingerprint(1, &identity.to_le_bytes());
        let answer = little.see(fingerprint, n % 2).unwrap();
        assert_eq!(answer, much.see(fingerprint, n % 2).unwrap());
        duplicates += u64::from(answer != Seen::New);
    }
    let (little, much) = (little.stats(), much.stats());
    assert_eq!(little.identities, IDENTITIES - duplicates);
    assert_eq!(little.identities, much.identities);
    assert!(little.files > 0 && much.files == 0, "{little:?} {much:?}");
}

#[test]
fn identities_that_were_merged_into_larger_files_are_found() {
    let scratch = tempfile::tempdir().unwrap();
    let mut dedupe = spilling(scratch.path());
    let seen = |n: u64| fingerprint(5, &n.to_le_bytes());
    for n in 0..200_000 {
        assert_eq!(dedupe.see(seen(n), n).unwrap(), Seen::New);
    }
    // 200,000 identities are ten full tables of 1 MiB, eight of them merged.
    assert!(dedupe.stats().files < 5, "{:?}", dedupe.stats());
    for n in 0..200_000 {
        assert_eq!(dedupe.see(seen(n), n).unwrap(), Seen::Same);
    }
    for n in (0..200_000).step_by(10) {
        assert_eq!(dedupe.see(seen(n), n + 1).unwrap(), Seen::Differs);
    }
}

#[test]
fn fingerprints_alike_in_their_high_half_are_told_apart() {
    let scratch = tempfile::tempdir().unwrap();
    for high in [0, 1, u64::MAX] {
        let mut dedupe = spilling(scratch.path());
        let crafted = |low: u64| Crowd::High(high).fingerprint(low);
        for low in 0..3_000 {
            assert_eq!(dedupe.see(crafted(low), low).unwrap(), Seen::New, "{high:x} {low}");
        }
        for low in 0..3_000 {
            assert_eq!(dedupe.see(crafted(low), low).unwrap(), Seen::Same, "{high:x} {low}");
        }
        assert_eq!(dedupe.see(crafted(3_000), 0).unwrap(), Seen::New);
    }
}

#[test]
fn zero_fingerprint_is_an_identity_like_any_other() {
    let scratch = tempfile::tempdir().unwrap();
    let mut dedupe = spilling(scratch.path());
    let zero = Fingerprint(0);
    assert_eq!(dedupe.see(zero, 1).unwrap(), Seen::New);
    assert_eq!(dedupe.see(zero, 1).unwrap(), Seen::Same);
    assert_eq!(dedupe.see(zero, 2).unwrap(), Seen::Differs);
    assert_eq!(dedupe.see(zero, 1).unwrap(), Seen::Same);
    assert_eq!(dedupe.stats().identities, 1);
}

#[test]
fn memory_never_exceeds_what_was_given() {
    let scratch = tempfile::tempdir().unwrap();
    for memory in [0, MIN_MEMORY, 3 << 20] {
        let mut dedupe = Dedupe::new(memory, scratch.path().join("seen"));
        for n in 0..200_000_u64 {
            dedupe.see(fingerprint(5, &n.to_le_bytes()), 0).unwrap();
            assert!(dedupe.stats().memory_bytes <= memory.max(MIN_MEMORY));
        }
        assert!(dedupe.stats().files > 0);
    }
}
