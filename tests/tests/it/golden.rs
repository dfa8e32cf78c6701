//! The nasty files of `tests/golden`, each with what has to become of it, and those too large to be kept.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{Ended, Export, LIST, Running, Sim, wait_for};

/// What `<name>.want` says: tests/golden/README.md tells how it is written.
#[derive(Debug, Default)]
struct Want {
    exit: i32,
    rows: u64,
    duplicates: u64,
    rejects: Vec<(u64, String)>,
    members: BTreeSet<String>,
    profiles: Vec<(String, Value)>,
    words: Vec<String>,
}

impl Want {
    fn read(text: &str) -> Self {
        let mut want = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (what, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            let pair = || rest.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            match what {
                "exit" => want.exit = rest.parse().unwrap(),
                "rows" => want.rows = rest.parse().unwrap(),
                "duplicates" => want.duplicates = rest.parse().unwrap(),
                "reject" => want.rejects.push((pair().0.parse().unwrap(), pair().1.to_owned())),
                "member" => drop(want.members.insert(rest.to_owned())),
                "profile" => {
                    let (email, properties) = pair();
                    want.members.insert(email.to_owned());
                    want.profiles.push((email.to_owned(), properties.parse().unwrap()));
                }
                "says" => want.words.push(rest.to_owned()),
                _ => panic!("{what:?} is no word of a .want file"),
            }
        }
        want
    }

    /// The file as it is exported, and what a dry run says of it before. Nothing else happens.
    fn verify(&self, name: &str, content: &[u8]) {
        let sim = Sim::free();
        let dry = Export::to(&sim).content(name, content).arg("--dry-run").run();
        assert_eq!(sim.writes(), [], "{name}: a dry run");
        self.ends(name, &dry);
        if self.exit != 1 {
            let rejected = format!("  {} rows would be rejected", self.rejects.len());
            assert!(dry.says(&rejected), "{name}: {rejected:?}\n{dry}");
        }
        let ended = Export::to(&sim).content(name, content).run();
        self.ends(name, &ended);
        if self.exit == 1 {
            assert_eq!(sim.writes(), [], "{name}");
            assert!(!ended.says("@example"), "{name}: an error shows somebody\n{ended}");
        } else {
            self.every_row_has_its_fate(name, &ended, &sim);
        }
    }

    fn ends(&self, name: &str, ended: &Ended) {
        assert_eq!(ended.code(), Some(self.exit), "{name}\n{ended}");
        assert!(!ended.says("panicked"), "{name}\n{ended}");
        for words in &self.words {
            assert!(ended.says(words), "{name} does not say {words:?}\n{ended}");
        }
    }

    fn every_row_has_its_fate(&self, name: &str, ended: &Ended, sim: &Sim) {
        let report = ended.report();
        let counts = (report.rows_read, report.delivered, report.duplicates);
        assert_eq!(counts, (self.rows, self.members.len() as u64, self.duplicates), "{name}");
        let rejects = ended.rejects();
        let found: Vec<_> = rejects.iter().map(|it| (it.row, it.reason.clone())).collect();
        assert_eq!(found, self.rejects, "{name}");
        for reject in &rejects {
            let source = Path::new(&reject.source).file_name();
            assert_eq!(source, Some(name.as_ref()), "{reject:?}");
            assert!(!reject.detail.is_empty(), "{name}: {reject:?}");
        }
        let members: BTreeSet<String> = sim.members(LIST).into_iter().collect();
        assert_eq!(members, self.members, "{name}");
        for (email, properties) in &self.profiles {
            let profile = sim.profile(email).unwrap();
            assert_eq!(&profile["attributes"]["properties"], properties, "{name}: {email}");
        }
    }
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Those whose names end so; each has to have a `.want` beside it.
fn verify_all(wanted: impl Fn(&str) -> bool) {
    let mut names: Vec<String> = fs::read_dir(golden())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| wanted(name) && ending(name) != "want")
        .collect();
    names.sort();
    assert!(!names.is_empty());
    for name in names {
        let path = golden().join(&name);
        let want = fs::read_to_string(path.with_file_name(format!("{name}.want")));
        let want = want.unwrap_or_else(|err| panic!("{name}.want: {err}"));
        Want::read(&want).verify(&name, &fs::read(path).unwrap());
    }
}

// Apart, so that they run side by side.
#[test]
fn nasty_csv_of_the_first_half_of_the_alphabet_has_the_wanted_fates() {
    verify_all(|name| ending(name) == "csv" && name < "l");
}

#[test]
fn nasty_csv_of_the_second_half_of_the_alphabet_has_the_wanted_fates() {
    verify_all(|name| ending(name) == "csv" && name >= "l");
}

#[test]
fn nasty_json_has_the_wanted_fates() {
    verify_all(|name| name.ends_with("json"));
}

#[test]
fn nasty_archives_have_the_wanted_fates() {
    verify_all(|name| ["gz", "zst"].contains(&ending(name)));
}

/// The reader reads so many bytes at a time.
const BUFFER: usize = 256 << 10;

#[test]
fn character_at_the_edge_of_a_buffer_is_whole_or_a_reject() {
    let line =
        |n: usize, note: &[u8]| [format!("p{n}@example.com,").as_bytes(), note, b"\n"].concat();
    // The last character begins on the last byte of the buffer, or on the one before.
    for (nth, (note, bad)) in [
        ("é".as_bytes(), false),
        ("€".as_bytes(), false),
        ("😀".as_bytes(), false),
        (b"\xC3", true),
        (b"\xE2\x82", true),
        (b"\xF0\x9F\x98", true),
    ]
    .into_iter()
    .enumerate()
    {
        let mut text = b"email,note\n".to_vec();
        let mut rows = 0;
        while text.len() + 100 < BUFFER {
            text.extend(line(rows, b"x"));
            rows += 1;
        }
        let padding = BUFFER - 1 - nth % 2 - text.len() - line(rows, b"").len() + 1;
        let note = [&b"x".repeat(padding)[..], note].concat();
        text.extend(line(rows, &note));
        text.extend(line(rows + 1, b"last"));
        let row = rows as u64 + 2;
        let want = Want {
            exit: if bad { 3 } else { 0 },
            rows: rows as u64 + 2,
            rejects: bad.then(|| (row, "row_not_utf8".to_owned())).into_iter().collect(),
            members: (0..rows + 2)
                .filter(|n| !bad || *n != rows)
                .map(|n| format!("p{n}@example.com"))
                .collect(),
            profiles: match String::from_utf8(note) {
                Ok(note) => {
                    vec![(format!("p{rows}@example.com"), serde_json::json!({"note": note}))]
                }
                Err(_) => vec![],
            },
            ..Want::default()
        };
        want.verify("edge.csv", &text);
    }
}

/// Ended, and the most memory that it was seen to hold, in KiB.
fn with_peak(mut running: Running) -> (Ended, u64) {
    let path = format!("/proc/{}/status", running.pid());
    let mut peak = 0;
    wait_for("it ends", || {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let held = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let held = held.and_then(|held| held.trim().strip_suffix(" kB")?.trim().parse().ok());
        peak = peak.max(held.unwrap_or(0));
        running.has_ended().then_some(())
    });
    (running.wait(), peak)
}

/// A line that would make a name of megabytes for each of its hundred thousands of values.
fn line_of_long_names() -> String {
    let mut line = format!("{{\"email\":\"bomb@example.com\",\"{}\":{{", "x".repeat(4 << 20));
    for n in 0..300_000 {
        write!(line, "\"{n}\":1,").unwrap();
    }
    line + "\"last\":1}}\n"
}

/// A line of as many keys as have room in it.
fn line_of_many_keys() -> String {
    let keys = (0..500_000).map(|n| format!(",\"k{n}\":1")).collect::<Vec<_>>().concat();
    format!("{{\"email\":\"bomb@example.com\"{keys}}}\n")
}

/// Rows before them decide the columns.
fn people(count: usize) -> String {
    let lines = (0..count).map(|n| format!("{{\"email\":\"p{n}@example.com\"}}\n"));
    lines.collect::<Vec<_>>().concat()
}

#[test]
fn one_row_that_would_fill_the_memory_is_a_reject() {
    const MOST: u64 = 300 << 10;
    let late = people(10_000);
    for (name, content, row) in [
        ("early.ndjson", line_of_long_names() + "{\"email\":\"p0@example.com\"}\n", 1),
        ("late.ndjson", late.clone() + &line_of_long_names(), 10_001),
        ("keys.ndjson", late + &line_of_many_keys(), 10_001),
        ("commas.csv", format!("email,note\n{}\np0@example.com,x\n", ",".repeat(8_000_000)), 2),
    ] {
        let reason = if row == 2 { "row_ragged" } else { "row_too_large" };
        let sim = Sim::free();
        let (ended, peak) = with_peak(Export::to(&sim).content(name, content).start());
        let ended = ended.expect_code(3);
        let rejects: Vec<_> = ended.rejects().into_iter().map(|it| (it.row, it.reason)).collect();
        assert_eq!(rejects, [(row, reason.to_owned())], "{name}");
        assert!(peak > 0 && peak < MOST, "{name}: {peak} KiB");
    }
}

#[test]
fn header_of_a_million_columns_is_an_error_of_a_few_words() {
    let sim = Sim::free();
    let keys = line_of_many_keys();
    let names = (0..1_000_000).map(|n| format!("c{n},")).collect::<Vec<_>>().concat();
    for (name, content) in [
        ("commas.csv", ",".repeat(8_000_000) + "\nann@example.com\n"),
        ("names.csv", names + "email\n"),
        ("keys.ndjson", keys),
    ] {
        let (ended, peak) = with_peak(Export::to(&sim).content(name, content).start());
        let ended = ended.expect_code(1).expect_words(&["more than 4096 columns"]);
        assert!(ended.stderr.len() < 2_000, "{ended}");
        assert!(peak < 400 << 10, "{name}: {peak} KiB");
    }
    assert_eq!(sim.writes(), []);
}
