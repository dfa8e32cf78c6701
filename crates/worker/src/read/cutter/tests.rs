use std::{collections::BTreeSet, fs, path::Path};

use proptest::prelude::*;
use segue_klaviyo::import;
use segue_profile::{MapOptions, Mapping, Sample, plan};
use segue_source::{ReadOptions, Segment};
use serde_json::{Value, json};

use super::{BOUNDS, Bounds, Cut, CutOptions, Cutter, ReadError, Sink};

/// A line of the segment.
#[derive(Debug, Clone)]
enum Line {
    Person { number: u8, name: String, phone: &'static str, unknown: bool },
    NoAddress,
    NotJson,
}

impl Line {
    fn to_json(&self) -> String {
        match self {
            Self::Person { number, name, phone, unknown } => {
                let email = format!("p{number}@example.com");
                let mut line = json!({"email": email, "name": name, "phone": phone});
                if *unknown {
                    line["shoe_size"] = json!(number);
                }
                line.to_string()
            }
            Self::NoAddress => json!({"email": "nobody", "name": "x"}).to_string(),
            Self::NotJson => "{".to_owned(),
        }
    }
}

fn line() -> impl Strategy<Value = Line> {
    let phone = prop_oneof![8 => Just(""), 8 => Just("+12025550123"), 1 => Just("555-0123")];
    let name = prop_oneof![6 => Just(1_usize), 2 => 0..90_usize, 1 => Just(400_usize)];
    let unknown = prop_oneof![12 => Just(false), 1 => Just(true)];
    let person = (0..60_u8, name, phone, unknown).prop_map(|(number, name, phone, unknown)| {
        Line::Person { number, name: "x".repeat(name), phone, unknown }
    });
    prop_oneof![20 => person, 1 => Just(Line::NoAddress), 1 => Just(Line::NotJson)]
}

/// A segment of these lines, behind one that shows which columns there are; and one more object, in which
/// the addresses are missing, if reading is to fail in the end.
fn segment(folder: &Path, lines: &[Line], fails: bool) -> Segment {
    let first = Line::Person { number: 0, name: "x".to_owned(), phone: "", unknown: false };
    let lines = std::iter::once(&first).chain(lines);
    let text: String = lines.map(|line| line.to_json() + "\n").collect();
    fs::write(folder.join("a.ndjson"), text).unwrap();
    if fails {
        fs::write(folder.join("b.ndjson"), "{\"name\":\"x\"}\n").unwrap();
    }
    let options = ReadOptions { sampled_rows: 1, ..ReadOptions::default() };
    Segment::open(&[folder.join("*.ndjson").to_str().unwrap()], &options).unwrap()
}

fn mapping() -> Mapping {
    let columns = ["email", "name", "phone"].map(str::to_owned);
    plan(&columns, &Sample::new(columns.len(), true), &MapOptions::default()).unwrap()
}

/// Remembers all that it was given, in its order.
#[derive(Debug, Default)]
struct All {
    heard: Vec<String>,
    cuts: Vec<Cut>,
}

impl Sink for All {
    fn take(&mut self, cut: Cut) -> Result<(), ReadError> {
        self.heard.push(format!("{cut:?}"));
        self.cuts.push(cut);
        Ok(())
    }

    fn look(&mut self, profile: &[u8], identity: &[u8]) {
        self.heard.push(format!("{} {}", profile.escape_ascii(), identity.escape_ascii()));
    }
}

/// What the sink is given, and the result in words.
fn cut(
    segment: &Segment,
    scratch: &Path,
    bounds: Bounds,
    limit: Option<u64>,
) -> (All, Result<Value, String>) {
    let options = CutOptions {
        list: "LIST01".parse().unwrap(),
        seed: 7,
        dedupe_memory: 0,
        batch_profiles: 7,
        scratch: scratch.to_owned(),
        limit,
    };
    let mapping = mapping();
    let mut all = All::default();
    let mut cutter = Cutter::new(segment, &mapping, &options);
    cutter.bounds = bounds;
    let stats = cutter.run(&mut all);
    (all, stats.map(|stats| json!(stats)).map_err(|err| err.to_string()))
}

fn bounds() -> impl Strategy<Value = Bounds> {
    (1..20_usize, 400..3_000_usize, 0..2_000_usize, 2..40_usize).prop_map(
        |(profiles, bytes, reports, pending)| Bounds { profiles, bytes, reports, pending },
    )
}

proptest! {
    #[test]
    fn how_many_are_pending_changes_nothing_of_what_is_handed_over(
        lines in proptest::collection::vec(line(), 0..150),
        bounds in bounds(),
        limit in proptest::option::weighted(0.2, 0..150_u64),
        fails in proptest::bool::weighted(0.2),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let segment = segment(folder.path(), &lines, fails);
        let scratch = folder.path().join("scratch");
        let (many, many_end) = cut(&segment, &scratch, bounds, limit);
        let one_by_one = Bounds { pending: 1, ..bounds };
        let (one, one_end) = cut(&segment, &scratch, one_by_one, limit);
        prop_assert_eq!(&many.heard, &one.heard);
        prop_assert_eq!(&many_end, &one_end);
    }

    #[test]
    fn every_row_is_in_one_cut_and_every_identity_once_within_the_bounds(
        lines in proptest::collection::vec(line(), 0..150),
        bounds in bounds(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let segment = segment(folder.path(), &lines, false);
        let (all, end) = cut(&segment, &folder.path().join("scratch"), bounds, None);
        prop_assert!(end.is_ok());
        let mut sent = Vec::new();
        for cut in &all.cuts {
            let profiles = usize::try_from(cut.profiles).unwrap();
            prop_assert!(profiles <= bounds.profiles);
            prop_assert!(profiles <= 1 || cut.body.len() <= bounds.bytes);
            prop_assert_eq!(profiles == 0, cut.body.is_empty());
            let rejects = cut.rejects.values().sum::<u64>();
            prop_assert_eq!(cut.rows, cut.profiles + cut.duplicates + rejects);
            let in_body = emails(&cut.body);
            prop_assert_eq!(in_body.len(), profiles);
            prop_assert_eq!(indexed(cut), in_body.clone());
            sent.extend(in_body);
        }
        let rows: u64 = all.cuts.iter().map(|cut| cut.rows).sum();
        prop_assert_eq!(rows, lines.len() as u64 + 1);
        prop_assert_eq!(sent, first_seen(&lines));
    }
}

/// The addresses of a body, which has to be JSON.
fn emails(body: &[u8]) -> Vec<String> {
    if body.is_empty() {
        return Vec::new();
    }
    let body: Value = serde_json::from_slice(body).unwrap();
    let profiles = body["data"]["attributes"]["profiles"]["data"].as_array().unwrap();
    let email = |profile: &Value| profile["attributes"]["email"].as_str().unwrap().to_owned();
    profiles.iter().map(email).collect()
}

/// The same, by the index.
fn indexed(cut: &Cut) -> Vec<String> {
    if cut.index.is_empty() {
        return Vec::new();
    }
    let index = segue_staging::Index::parse(cut.index.clone()).unwrap();
    let email = |entry: segue_staging::IndexEntry| {
        let profile: Value = serde_json::from_slice(entry.profile(&cut.body).unwrap()).unwrap();
        profile["attributes"]["email"].as_str().unwrap().to_owned()
    };
    index.iter().map(email).collect()
}

/// The addresses in the order in which they occur first.
fn first_seen(lines: &[Line]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let numbers = lines.iter().filter_map(|line| match line {
        Line::Person { number, .. } => Some(*number),
        Line::NoAddress | Line::NotJson => None,
    });
    let numbers = std::iter::once(0).chain(numbers).filter(|number| seen.insert(*number));
    numbers.map(|number| format!("p{number}@example.com")).collect()
}

#[test]
fn a_whole_batch_has_ten_thousand_profiles_and_the_rest_goes_into_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = vec!["email".to_owned()];
    lines.extend((0..10_005).map(|n| format!("p{n}@example.com")));
    let file = folder.path().join("people.csv");
    fs::write(&file, lines.join("\n")).unwrap();
    let segment = Segment::open(&[file.to_str().unwrap()], &ReadOptions::default()).unwrap();
    let (all, _) = cut(&segment, &folder.path().join("scratch"), BOUNDS, None);
    assert_eq!(all.cuts.iter().map(|cut| cut.profiles).collect::<Vec<_>>(), [10_000, 5]);
    assert_eq!(emails(&all.cuts[1].body)[0], "p10000@example.com");
    assert!(all.cuts[0].body.ends_with(&{
        let mut end = Vec::new();
        import::end(&mut end);
        end
    }));
}
