//! One folder for several processes, and what nobody comes for any more.

use std::{
    fs::{self, File},
    path::Path,
    thread,
    time::Duration,
};

use bytes::Bytes;
use segue_model::ContentHash;
use segue_staging::{Key, Staging, content_hash};

use crate::run;

const DAY: Duration = Duration::from_hours(24);

fn open(folder: &Path) -> Staging {
    Staging::open_shared(folder.to_owned()).expect("a folder opens")
}

fn index(run_no: u128, batch: u128) -> Key {
    Key::Index { run: run(run_no), hash: ContentHash(batch) }
}

/// As if it had last been written to so long ago.
fn grow_old(path: &Path, age: Duration) {
    let now = fs::metadata(path).unwrap().modified().unwrap();
    File::open(path).unwrap().set_modified(now - age).unwrap();
}

#[test]
fn what_one_has_put_another_finds_and_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(folder.path()), open(folder.path()));
    let content = Bytes::from_static(b"a body");
    let body = Key::Body { run: run(1), hash: content_hash(&content) };
    one.put_on_disk(&body, content.clone()).unwrap();
    one.put(&index(1, 1), Bytes::from_static(b"an index")).unwrap();
    assert_eq!(one.usage().unwrap().memory, 0, "nobody else could see it");
    assert_eq!(other.get(&body).unwrap(), Some(content));
    assert_eq!(other.get(&index(1, 1)).unwrap().unwrap(), "an index");
    other.delete(&body).unwrap();
    assert_eq!(one.get(&body).unwrap(), None);
}

#[test]
fn opening_takes_nothing_from_those_who_are_writing() {
    let folder = tempfile::tempdir().unwrap();
    let half = folder.path().join("incoming/of-another");
    drop(open(folder.path()));
    fs::write(&half, "half an object").unwrap();
    drop(open(folder.path()));
    assert!(half.exists());
    drop(Staging::open(folder.path().to_owned(), 0).unwrap());
    assert!(!half.exists(), "who is alone knows that nobody is writing");
}

#[test]
fn many_may_put_the_same_object_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let content = Bytes::from(vec![7; 1 << 16]);
    thread::scope(|scope| {
        for _ in 0..8 {
            let (staging, content) = (open(folder.path()), content.clone());
            scope.spawn(move || {
                for batch in 0..20 {
                    staging.put(&index(1, batch), content.clone()).unwrap();
                    assert_eq!(staging.get(&index(1, batch)).unwrap().unwrap(), content);
                }
            });
        }
    });
    assert_eq!(fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
}

#[test]
fn what_is_there_of_a_run_is_found_in_both_places_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let staging = open(folder.path());
    let rejects = Key::Rejects { run: run(1), name: "0-mapping".parse().unwrap() };
    staging.put(&rejects, Bytes::from_static(b"{}")).unwrap();
    staging.put(&index(1, 1), Bytes::from_static(b"an index")).unwrap();
    staging.put(&index(2, 1), Bytes::from_static(b"of another")).unwrap();
    let place = folder.path().join("staging");
    fs::write(place.join("notes"), "of somebody else").unwrap();
    fs::write(place.join(run(1).to_string()).join("notes"), "of somebody else").unwrap();
    assert_eq!(staging.runs().unwrap(), [run(1), run(2)]);
    let found = staging.found(run(1)).unwrap().unwrap();
    assert_eq!(found.keys, [index(1, 1), rejects]);
    assert!(staging.found(run(3)).unwrap().is_none());
}

#[test]
fn run_is_as_old_as_what_was_last_written_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let staging = open(folder.path());
    let rejects = Key::Rejects { run: run(1), name: "0-mapping".parse().unwrap() };
    staging.put(&index(1, 1), Bytes::from_static(b"old")).unwrap();
    staging.put(&rejects, Bytes::from_static(b"{}")).unwrap();
    let age = || {
        let found = staging.found(run(1)).unwrap().unwrap();
        staging.now().unwrap().duration_since(found.written).unwrap()
    };
    let reports = folder.path().join("reports").join(run(1).to_string());
    for path in [reports.clone(), folder.path().join("staging").join(run(1).to_string())] {
        grow_old(&path, 3 * DAY);
    }
    grow_old(&folder.path().join(index(1, 1).to_string()), 3 * DAY);
    assert!(age() < DAY, "the report is of today");
    grow_old(&folder.path().join(rejects.to_string()), 2 * DAY);
    assert!(age() > DAY && age() < 3 * DAY);
    assert_eq!(fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
}

#[test]
fn folders_of_a_run_are_removed_only_once_nothing_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let staging = open(folder.path());
    let rejects = Key::Rejects { run: run(1), name: "0-mapping".parse().unwrap() };
    staging.put(&rejects, Bytes::from_static(b"{}")).unwrap();
    staging.put(&index(1, 1), Bytes::from_static(b"an index")).unwrap();
    staging.delete(&index(1, 1)).unwrap();
    staging.remove_empty(run(1)).unwrap();
    assert!(!folder.path().join("staging").join(run(1).to_string()).exists());
    assert!(staging.get(&rejects).unwrap().is_some());
    staging.delete(&rejects).unwrap();
    for _ in 0..2 {
        staging.remove_empty(run(1)).unwrap();
    }
    assert_eq!(staging.runs().unwrap(), []);
}

#[test]
fn files_that_were_never_finished_are_removed_when_they_are_old() {
    let folder = tempfile::tempdir().unwrap();
    let staging = open(folder.path());
    let (old, new) = (folder.path().join("incoming/old"), folder.path().join("incoming/new"));
    fs::write(&old, "half").unwrap();
    fs::write(&new, "half").unwrap();
    grow_old(&old, DAY);
    staging.remove_unfinished(staging.now().unwrap() - DAY / 2).unwrap();
    assert!(!old.exists() && new.exists());
}
