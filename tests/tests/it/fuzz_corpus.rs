//! What the fuzzer has kept, and changes of it, against the same oracles: `make fuzz` looks for more.

use std::{fs, path::Path, thread};

use crate::oracles;

/// Changed inputs for each way in; `SEGUE_FUZZ_ROUNDS` asks for more.
const ROUNDS: u32 = 1_000;
const LONGEST: usize = 4096;

/// Pieces that matter to some reader.
const WORDS: [&[u8]; 32] = [
    b"\"",
    b"\"\"",
    b",",
    b";",
    b"\t",
    b"|",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xEF\xBB\xBF",
    b"\xC3",
    b"\xFF\xFE",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"\\",
    b"\\u0000",
    b"\\ud83d",
    b"null",
    b"1e999",
    b"-0",
    b"email",
    b"ann@example.com",
    b"data",
    b"attributes",
    b"schema",
    b"request_id",
    b"\x1F\x8B\x08",
    b"\x28\xB5\x2F\xFD",
];

/// The kept inputs of a way in.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![tests.join("fuzz/corpus").join(target)];
    match target {
        "csv" | "ndjson" | "archives" => folders.push(tests.join("golden")),
        "messages" => {
            let versions = fs::read_dir(tests.join("corpus")).unwrap();
            folders.extend(versions.map(|version| version.unwrap().path().join("queue")));
        }
        _ => {}
    }
    let mut paths: Vec<_> = folders
        .iter()
        .filter(|folder| folder.is_dir())
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort(); // or a seed would not mean the same everywhere
    let inputs = paths.into_iter().map(|path| fs::read(path).unwrap());
    inputs.filter(|input| input.len() <= 64 << 10).collect()
}

fn replay_and_change(target: &'static str) {
    let (_, oracle) = oracles::ALL.iter().find(|(name, _)| *name == target).unwrap();
    let kept = kept(target);
    assert!(!kept.is_empty(), "{target} has no corpus");
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seed = number("SEGUE_FUZZ_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let rounds = number("SEGUE_FUZZ_ROUNDS").unwrap_or(ROUNDS.into());
    eprintln!(
        "{target}: {} kept inputs, {rounds} changed ones of SEGUE_FUZZ_SEED={seed}",
        kept.len()
    );
    for input in &kept {
        call(*oracle, input);
    }
    let mut dice = Dice(seed);
    for _ in 0..rounds {
        call(*oracle, &changed(&kept, &mut dice));
    }
}

/// Says what the input was if the oracle panics.
fn call(oracle: oracles::Oracle, input: &[u8]) {
    struct Saying<'a>(&'a [u8]);
    impl Drop for Saying<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                eprintln!("the input was b\"{}\"", self.0.escape_ascii());
            }
        }
    }
    let _saying = Saying(input);
    oracle(input);
}

/// The same numbers for the same seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    /// Below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

/// One of the kept inputs with a few changes.
fn changed(kept: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = kept[dice.below(kept.len())].clone();
    input.truncate(LONGEST);
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        let end = (at + dice.below(17)).min(input.len());
        match dice.below(6) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => drop(input.splice(at..end, WORDS[dice.below(WORDS.len())].iter().copied())),
            3 => input.insert(at, u8::try_from(dice.below(256)).unwrap()),
            4 => {
                let other = &kept[dice.below(kept.len())];
                let from = dice.below(other.len() + 1);
                let piece = &other[from..other.len().min(from + 64)];
                drop(input.splice(at..at, piece.iter().copied()));
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    input
}

#[test]
fn any_csv_has_one_fate_for_each_row() {
    replay_and_change("csv");
}

#[test]
fn any_ndjson_has_one_fate_for_each_row() {
    replay_and_change("ndjson");
}

#[test]
fn any_row_becomes_a_valid_profile_or_a_reject() {
    replay_and_change("mapping");
}

#[test]
fn any_message_means_what_it_says_or_is_an_error() {
    replay_and_change("messages");
}

#[test]
fn any_answer_of_klaviyo_means_what_it_says_or_is_an_error() {
    replay_and_change("answers");
}

#[test]
fn any_archive_is_what_it_holds_or_an_error() {
    replay_and_change("archives");
}
