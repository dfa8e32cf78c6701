//! Files that change while they are read, and plans that outlive a process.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    time::{Duration, SystemTime},
};

use segue_source::{Difference, Manifest, ReadOptions, Segment, SourceError};

use crate::{Folder, drain};

fn numbers(rows: u64) -> Vec<u8> {
    (0..rows).fold(b"n,text\n".to_vec(), |mut text, n| {
        text.extend_from_slice(format!("{n},{n:08}\n").as_bytes());
        text
    })
}

/// Open, with a time of change long ago, so that a write now has another one.
fn segment_of_yesterday(folder: &Folder) -> Segment {
    let yesterday = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let file = OpenOptions::new().write(true).open(folder.path("a.csv")).unwrap();
    file.set_modified(yesterday).unwrap();
    let options = ReadOptions { buffer_bytes: 1024, ..ReadOptions::default() };
    folder.open_with(&["a.csv"], &options).unwrap()
}

#[test]
fn file_that_is_replaced_by_a_rename_is_read_as_it_was() {
    let folder = Folder::with(&[("a.csv", &numbers(1000)), ("new.csv", b"n,text\n1,x\n")]);
    let segment = segment_of_yesterday(&folder);
    let mut rows = segment.rows();
    rows.next().unwrap();
    fs::rename(folder.path("new.csv"), folder.path("a.csv")).unwrap();
    assert_eq!(drain(&mut rows).unwrap().0, 999);
    assert_eq!(drain(&mut segment.rows()).unwrap().0, 1000);
}

#[test]
fn file_that_is_deleted_is_read_to_its_end() {
    let folder = Folder::with(&[("a.csv", &numbers(1000))]);
    let segment = segment_of_yesterday(&folder);
    fs::remove_file(folder.path("a.csv")).unwrap();
    assert_eq!(drain(&mut segment.rows()).unwrap().0, 1000);
}

#[test]
fn file_that_is_changed_in_place_stops_the_read() {
    let append = |file: &mut File| {
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"new,row\n").unwrap();
    };
    let overwrite = |file: &mut File| {
        file.seek(SeekFrom::Start(5000)).unwrap();
        file.write_all(b"X").unwrap();
    };
    let truncate = |file: &mut File| file.set_len(5000).unwrap();
    for change in [&append as &dyn Fn(&mut File), &overwrite, &truncate] {
        let folder = Folder::with(&[("a.csv", &numbers(10_000))]);
        let segment = segment_of_yesterday(&folder);
        let mut rows = segment.rows();
        rows.next().unwrap();
        change(&mut OpenOptions::new().write(true).open(folder.path("a.csv")).unwrap());
        let err = drain(&mut rows).unwrap_err();
        assert!(matches!(err, SourceError::Changed { rows_read: 2.., .. }), "{err}");
        // A pass that begins after the change does not begin at all.
        let err = segment.rows().next().map(drop).unwrap_err();
        assert!(matches!(err, SourceError::Changed { rows_read: 0, .. }), "{err}");
    }
}

#[test]
fn change_of_a_large_file_is_noticed_before_its_end() {
    let folder = Folder::with(&[("a.csv", &numbers(2_000_000))]);
    let segment = segment_of_yesterday(&folder);
    let mut rows = segment.rows();
    rows.next().unwrap();
    let mut file = OpenOptions::new().append(true).open(folder.path("a.csv")).unwrap();
    file.write_all(b"new,row\n").unwrap();
    let err = drain(&mut rows).unwrap_err();
    assert!(matches!(err, SourceError::Changed { rows_read: 2..1_000_000, .. }), "{err}");
}

#[test]
fn archive_that_is_cut_short_while_it_is_read_has_changed_and_is_not_damaged() {
    let text: Vec<u8> = (0..200_000_u64)
        .flat_map(|n| format!("{},{}\n", n * 7919 % 10_007, n * 104_729 % 99_991).into_bytes())
        .collect();
    let zstd = zstd::encode_all(&*[b"a,b\n".to_vec(), text].concat(), 1).unwrap();
    let folder = Folder::with(&[("a.csv", &zstd)]);
    let segment = segment_of_yesterday(&folder);
    let mut rows = segment.rows();
    rows.next().unwrap();
    let file = OpenOptions::new().write(true).open(folder.path("a.csv")).unwrap();
    file.set_len(zstd.len() as u64 / 2).unwrap();
    let err = drain(&mut rows).unwrap_err();
    assert!(matches!(err, SourceError::Changed { .. }), "{err}");
}

#[test]
fn manifest_survives_a_restart() {
    let folder = Folder::with(&[("a.csv", &numbers(10)), ("b.csv", &numbers(20))]);
    let manifest = folder.open(&["a.csv", "b.csv"]).unwrap().manifest();
    let text = serde_json::to_string(&manifest).unwrap();
    let manifest: Manifest = serde_json::from_str(&text).unwrap();
    folder.open(&["a.csv", "b.csv"]).unwrap().check(&manifest).unwrap();
}

#[test]
fn check_names_the_first_object_that_differs() {
    let folder = Folder::with(&[("a.csv", &numbers(10)), ("b.csv", &numbers(20_000))]);
    let manifest = folder.open(&["a.csv", "b.csv"]).unwrap().manifest();
    let check = |patterns: &[&str]| match folder.open(patterns).unwrap().check(&manifest) {
        Err(SourceError::Differs { object, difference }) => {
            (object.rsplit('/').next().unwrap().to_owned(), difference)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(check(&["b.csv", "a.csv"]), ("b.csv".to_owned(), Difference::Object));
    assert_eq!(check(&["a.csv"]), ("b.csv".to_owned(), Difference::Object));

    let modified = fs::metadata(folder.path("b.csv")).unwrap().modified().unwrap();
    let file = OpenOptions::new().write(true).open(folder.path("b.csv")).unwrap();
    file.set_modified(modified + Duration::from_micros(1)).unwrap();
    assert_eq!(check(&["a.csv", "b.csv"]), ("b.csv".to_owned(), Difference::ModifiedAt));

    let text = fs::read(folder.path("b.csv")).unwrap();
    let last = text.len() - 2;
    for at in [10, last] {
        let mut changed = text.clone();
        changed[at] = b'x';
        fs::write(folder.path("b.csv"), changed).unwrap();
        assert_eq!(check(&["a.csv", "b.csv"]), ("b.csv".to_owned(), Difference::Content));
    }

    fs::write(folder.path("new.csv"), &text).unwrap();
    fs::rename(folder.path("new.csv"), folder.path("b.csv")).unwrap();
    assert_eq!(check(&["a.csv", "b.csv"]), ("b.csv".to_owned(), Difference::File));

    fs::write(folder.path("a.csv"), numbers(9)).unwrap();
    assert_eq!(check(&["a.csv", "b.csv"]), ("a.csv".to_owned(), Difference::Size));
}
