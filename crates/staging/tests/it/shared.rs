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
fn runs_that_were_not_written_to_for_long_are_forgotten_but_for_their_reports() {
    let folder = tempfile::tempdir().unwrap();
    let staging = open(folder.path());
    let rejects = Key::Rejects { run: run(1), name: "0-mapping".parse().unwrap() };
    staging.put(&rejects, Bytes::from_static(b"{}")).unwrap();
    for n in 1..=4 {
        staging.put(&index(n, 1), Bytes::from_static(b"old")).unwrap();
        staging.put(&index(n, 2), Bytes::from_static(b"late")).unwrap();
    }
    let place = |n: u128| folder.path().join("staging").join(run(n).to_string());
    for n in 1..=4 {
        grow_old(&folder.path().join(index(n, 1).to_string()), 3 * DAY);
        // The third still has a batch of today, the fourth only a folder of today.
        if n != 3 {
            grow_old(&folder.path().join(index(n, 2).to_string()), 3 * DAY);
        }
        if n != 4 {
            grow_old(&place(n), 3 * DAY);
        }
    }
    let mut purged = staging.purge(2 * DAY, |other| other == run(2)).unwrap();
    purged.sort();
    assert_eq!(purged, [run(1)]);
    assert!(!place(1).exists());
    let mut left = staging.runs().unwrap();
    left.sort();
    assert_eq!(left, [run(2), run(3), run(4)]);
    assert!(staging.get(&rejects).unwrap().is_some());
    assert_eq!(staging.purge(2 * DAY, |_| false).unwrap(), [run(2)]);
    assert_eq!(fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
}

#[test]
fn files_that_were_never_finished_are_removed_when_they_are_old() {
    let folder = tempfile::tempdir().unwrap();
    let staging = open(folder.path());
    let (old, new) = (folder.path().join("incoming/old"), folder.path().join("incoming/new"));
    fs::write(&old, "half").unwrap();
    fs::write(&new, "half").unwrap();
    grow_old(&old, DAY);
    staging.purge(DAY / 2, |_| false).unwrap();
    assert!(!old.exists() && new.exists());
    // An age from before the clock began purges nothing.
    assert_eq!(staging.purge(Duration::MAX, |_| false).unwrap(), []);
}
