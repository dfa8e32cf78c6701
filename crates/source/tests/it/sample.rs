//! The made-up segments are what they say, and stay as they are.

use std::collections::{BTreeMap, HashMap, HashSet};

use segue_model::RejectReason;
use segue_source::{
    Item, Segment,
    sample::{COLUMNS, SampleFormat, write},
};
use xxhash_rust::xxh3::xxh3_128;

use crate::{Folder, cells, drain};

const ROWS: u64 = 20_000;

fn sample(rows: u64, seed: u64, dirty: bool, format: SampleFormat) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, rows, seed, dirty, format).unwrap();
    out
}

fn segment(dirty: bool, format: SampleFormat) -> (Folder, Segment) {
    let name = if format == SampleFormat::Csv { "a.csv" } else { "a.ndjson" };
    let folder = Folder::with(&[(name, &sample(ROWS, 1, dirty, format))]);
    let segment = folder.open(&[name]).unwrap();
    (folder, segment)
}

/// If this fails, every published number and every test that counts rejects means something else now.
#[test]
fn samples_never_change() {
    let hash = |dirty, format| format!("{:032x}", xxh3_128(&sample(ROWS, 7, dirty, format)));
    assert_eq!(hash(false, SampleFormat::Csv), "2f84acd44446913eb235f5dc5be5b803");
    assert_eq!(hash(true, SampleFormat::Csv), "2d39a69766e819d4139676882a380e3d");
    assert_eq!(hash(false, SampleFormat::Ndjson), "5b0b6c390cbb3b68149ddd0b311f9bdd");
    assert_eq!(hash(true, SampleFormat::Ndjson), "d8b2d15edcc174e2e51893f3ccf810f9");
}

#[test]
fn smaller_sample_is_the_beginning_of_a_larger_one() {
    let (small, large) =
        (sample(100, 3, true, SampleFormat::Csv), sample(200, 3, true, SampleFormat::Csv));
    assert!(large.starts_with(&small));
    assert_ne!(small, sample(100, 4, true, SampleFormat::Csv));
}

#[test]
fn both_formats_hold_the_same_people() {
    let (_csv_folder, csv) = segment(false, SampleFormat::Csv);
    let (_json_folder, json) = segment(false, SampleFormat::Ndjson);
    assert_eq!(csv.objects()[0].columns(), COLUMNS);
    assert_eq!(json.objects()[0].columns(), COLUMNS);
    let people = |segment: &Segment| -> Vec<Vec<String>> {
        cells(segment).into_iter().map(|(_, cells)| cells).collect()
    };
    let people_in_csv = people(&csv);
    assert_eq!(people_in_csv.len() as u64, ROWS);
    assert_eq!(people_in_csv, people(&json));
}

#[test]
fn people_of_a_clean_sample_are_as_promised() {
    let (_folder, segment) = segment(false, SampleFormat::Csv);
    let (mut foreign_names, mut foreign_cities, mut international, mut national) = (0, 0, 0, 0);
    let mut owners: HashMap<String, String> = HashMap::new();
    let mut phones: HashMap<String, String> = HashMap::new();
    let mut people: HashMap<String, Vec<String>> = HashMap::new();
    let (mut same, mut differing, mut bytes) = (0, 0, 0);
    for (_, row) in cells(&segment) {
        bytes += row.iter().map(String::len).sum::<usize>() + row.len();
        let (id, email, phone) = (&row[0], &row[1], &row[4]);
        let (_, domain) = email.split_once('@').unwrap();
        assert!(
            ["example.com", "example.org", "example.net"]
                .iter()
                .any(|safe| domain == *safe || domain.ends_with(&format!(".{safe}"))),
            "{domain}"
        );
        let american = phone.starts_with('(') && phone[5..].starts_with(" 555-01");
        let british = phone.starts_with("07700 900");
        assert!(phone.starts_with("+999") || american || british, "{phone}");
        if phone.starts_with('+')
            && let Some(owner) = phones.insert(phone.clone(), email.clone())
        {
            assert_eq!(owner, *email, "a number belongs to one address");
        }
        foreign_names += u32::from(!row[2].is_ascii() && !row[3].is_ascii());
        foreign_cities += u32::from(!row[5].is_ascii());
        international += u32::from(!domain.is_ascii());
        national += u32::from(!phone.starts_with('+'));
        match people.get(email) {
            Some(earlier) if *earlier == row => same += 1,
            Some(_) => differing += 1,
            None => drop(people.insert(email.clone(), row.clone())),
        }
        if let Some(owner) = owners.insert(id.clone(), email.clone()) {
            assert_eq!(owner, *email, "an id belongs to one address");
        }
    }
    for (what, count, expected) in [
        ("names outside ASCII", foreign_names, 4000),
        ("cities outside ASCII", foreign_cities, 4000),
        ("internationalised domains", international, 200),
        ("national numbers", national, 200),
        ("identical duplicates", same, 50),
        ("differing duplicates", differing, 50),
    ] {
        let near = expected * 7 / 10..expected * 13 / 10;
        assert!(near.contains(&count), "{count} {what} and not about {expected}");
    }
    let average = bytes as u64 / ROWS;
    assert!((105..125).contains(&average), "{average} bytes a row");
}

#[test]
fn dirty_sample_has_every_fault_that_a_reader_can_see() {
    for (format, expected) in [
        (
            SampleFormat::Csv,
            vec![RejectReason::RowRagged, RejectReason::RowNotUtf8, RejectReason::RowHasNul],
        ),
        (
            SampleFormat::Ndjson,
            vec![RejectReason::JsonInvalid, RejectReason::RowNotUtf8, RejectReason::RowHasNul],
        ),
    ] {
        let (_folder, segment) = segment(true, format);
        let (good, bad) = drain(&mut segment.rows()).unwrap();
        assert_eq!(good + bad.len() as u64, ROWS);
        let mut counts = BTreeMap::new();
        for reason in bad {
            *counts.entry(reason).or_insert(0) += 1;
        }
        assert_eq!(counts.keys().copied().collect::<HashSet<_>>(), expected.into_iter().collect());
        assert!(counts.values().all(|count| (20..70).contains(count)), "{counts:?}");
    }
}

fn is_bad(address: &str) -> bool {
    !address.is_empty() && (!address.contains('.') || address.contains("@@"))
}

#[test]
fn dirty_sample_has_every_fault_that_only_a_mapping_can_see() {
    for format in [SampleFormat::Csv, SampleFormat::Ndjson] {
        let (_folder, segment) = segment(true, format);
        let mut seen = BTreeMap::new();
        let mut rows = segment.rows();
        while let Some(item) = rows.next().unwrap() {
            let Item::Row(row) = item else { continue };
            let cells = row.to_cells();
            for (what, is_so) in [
                ("missing address", cells[1].is_empty()),
                ("bad address", is_bad(&cells[1])),
                ("long id", cells[0].len() > 255),
                (
                    "bad phone",
                    cells[4].len() != 13 && !cells[4].is_empty() && !cells[4].contains(' '),
                ),
                ("formula", cells[2].starts_with(['=', '+', '-', '@'])),
                ("line break", cells[5].contains('\n')),
                ("word for a number", cells[9] == "several"),
            ] {
                if is_so {
                    let first = seen.entry(what).or_insert((row.position().row, 0));
                    first.1 += 1;
                }
            }
        }
        assert_eq!(seen.len(), 7, "{seen:?}");
        assert!(seen.values().all(|(_, count)| *count >= 10), "{seen:?}");
        assert!(seen["word for a number"].0 > 10_000);
    }
}
