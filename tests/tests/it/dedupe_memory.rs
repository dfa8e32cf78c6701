//! The memory for identities decides where they lie, and nothing else.

use std::{
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{BufWriter, Write as _},
    path::Path,
};

use segue_profile::{MapOptions, Mapping, Sample, plan};
use segue_source::{ReadOptions, Segment};
use segue_worker::read::{Cut, CutOptions, Cutter, ReadError, Sink};

const PEOPLE: u32 = 2_000_000;

/// Two million identities, and one in sixteen again, far behind its first row.
fn write(path: &Path) {
    let mut out = BufWriter::new(File::create(path).unwrap());
    out.write_all(b"email\n").unwrap();
    for n in 0..PEOPLE {
        writeln!(out, "p{n}@example.com").unwrap();
        if n % 16 == 0 {
            writeln!(out, "p{}@example.com", n / 2).unwrap();
        }
    }
    out.flush().unwrap();
}

/// What was cut: a hash of each body in its order, and the counts of all.
#[derive(Debug, Default, PartialEq, Eq)]
struct Batches {
    bodies: Vec<u64>,
    profiles: u64,
    duplicates: u64,
}

/// Takes batches, and looks where the identities lie meanwhile.
struct Watch<'a> {
    batches: Batches,
    scratch: &'a Path,
    spilled: bool,
}

impl Sink for Watch<'_> {
    fn take(&mut self, cut: Cut) -> Result<(), ReadError> {
        self.spilled |= self.scratch.exists();
        self.batches.take(&cut);
        Ok(())
    }
}

impl Batches {
    fn take(&mut self, cut: &Cut) {
        let mut hash = DefaultHasher::new();
        (cut.batch.0, &cut.body).hash(&mut hash);
        self.bodies.push(hash.finish());
        self.profiles += cut.profiles;
        self.duplicates += cut.duplicates;
    }
}

/// The batches, and whether identities were spilled to disk.
fn cut(segment: &Segment, mapping: &Mapping, memory: usize, scratch: &Path) -> (Batches, bool) {
    let options = CutOptions {
        list: "LIST01".parse().unwrap(),
        seed: 7,
        dedupe_memory: memory,
        scratch: scratch.to_owned(),
        batch_profiles: segue_model::MAX_BATCH_PROFILES,
        limit: None,
    };
    let mut watch = Watch { batches: Batches::default(), scratch, spilled: false };
    Cutter::new(segment, mapping, &options).run(&mut watch).unwrap();
    (watch.batches, watch.spilled)
}

#[test]
fn two_million_identities_in_8_mib_give_the_same_batches_as_in_1_gib() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("people.csv");
    write(&file);
    let segment = Segment::open(&[file.to_str().unwrap()], &ReadOptions::default()).unwrap();
    let sample = Sample::new(1, false);
    let mapping = plan(segment.columns(), &sample, &MapOptions::default()).unwrap();
    let run = |memory, scratch: &str| cut(&segment, &mapping, memory, &folder.path().join(scratch));
    let (little, plenty) = std::thread::scope(|scope| {
        let little = scope.spawn(|| run(8 << 20, "little"));
        let plenty = run(1 << 30, "plenty");
        (little.join().unwrap(), plenty)
    });
    let ((little, little_spilled), (plenty, plenty_spilled)) = (little, plenty);
    assert!(little_spilled && !plenty_spilled, "the memory made no difference to where they lie");
    assert_eq!(plenty.profiles, u64::from(PEOPLE));
    assert_eq!(plenty.duplicates, u64::from(PEOPLE / 16));
    assert_eq!(plenty.bodies.len(), 200);
    assert_eq!(little, plenty);
}
