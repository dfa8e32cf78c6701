use bytes::Bytes;
use proptest::prelude::*;
use segue_model::Position;
use segue_staging::{Index, IndexBuilder, IndexEntry, InvalidIndex};

fn entries() -> impl Strategy<Value = Vec<IndexEntry>> {
    let fields = (any::<u32>(), any::<u64>(), 0..100_u32, 1..1000_u32, any::<u128>());
    proptest::collection::vec(fields, 0..50).prop_map(|rows| {
        let mut end = 0;
        let entry = |(object, row, gap, len, fingerprint)| {
            let offset = end + gap;
            end = offset + len;
            IndexEntry { position: Position { object, row }, offset, len, fingerprint }
        };
        rows.into_iter().map(entry).collect()
    })
}

fn build(entries: &[IndexEntry]) -> Bytes {
    let mut builder = IndexBuilder::new();
    for entry in entries {
        builder.push(*entry);
    }
    builder.finish()
}

proptest! {
    #[test]
    fn index_reads_back_as_it_was_built(entries in entries()) {
        let index = Index::parse(build(&entries))?;
        prop_assert_eq!(index.len(), entries.len());
        prop_assert!(index.iter().eq(entries.iter().copied()));
        for (at, entry) in entries.iter().enumerate() {
            prop_assert_eq!(index.entry(at), Some(*entry));
            let found = index.find(entry.fingerprint);
            prop_assert!(found.is_some_and(|found| found <= at));
        }
        prop_assert_eq!(index.entry(entries.len()), None);
    }

    #[test]
    fn damaged_index_is_an_error_or_entries_but_never_a_panic(
        entries in entries(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = build(&entries).to_vec();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        if let Ok(index) = Index::parse(bytes.into()) {
            prop_assert_eq!(index.iter().count(), index.len());
            for entry in index.iter() {
                entry.profile(&[0; 64]);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Index::parse(bytes.into()).is_err());
    }
}

fn entry(offset: u32, len: u32) -> IndexEntry {
    IndexEntry { position: Position { object: 0, row: 2 }, offset, len, fingerprint: 1 }
}

#[test]
fn index_cut_after_a_whole_entry_is_an_error() {
    let bytes = build(&[entry(0, 5), entry(6, 5)]);
    let cut = bytes.slice(..bytes.len() - 36);
    assert_eq!(Index::parse(cut), Err(InvalidIndex::NotAnIndex));
}

#[test]
fn profiles_that_overlap_are_an_error() {
    let bytes = build(&[entry(0, 5), entry(4, 5)]);
    assert_eq!(Index::parse(bytes), Err(InvalidIndex::OutOfOrder(1)));
}

#[test]
fn later_version_is_told_by_its_number() {
    let mut bytes = build(&[entry(0, 5)]).to_vec();
    bytes[4] = 2;
    assert_eq!(Index::parse(bytes.into()), Err(InvalidIndex::UnknownVersion(2)));
}

#[test]
fn entry_cuts_its_profile_out_of_the_body_and_nothing_out_of_a_shorter_one() {
    let body = br#"{"data":[{"a":1},{"b":2}]}"#;
    let first = entry(9, 7);
    assert_eq!(first.profile(body), Some(&br#"{"a":1}"#[..]));
    assert_eq!(first.profile(&body[..15]), None);
    assert_eq!(entry(u32::MAX, u32::MAX).profile(body), None);
}
