use std::{fs, path::Path, sync::Barrier, thread};

use bytes::Bytes;
use segue_model::ContentHash;
use segue_staging::{Key, Staging, StagingError, Usage, content_hash};
use tempfile::TempDir;

use crate::run;

fn open(memory: usize) -> (TempDir, Staging) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let staging = Staging::open(folder.path().to_owned(), memory).expect("an empty folder opens");
    (folder, staging)
}

/// Objects whose name does not depend on what they hold.
fn index(batch: u128) -> Key {
    Key::Index { run: run(1), hash: ContentHash(batch) }
}

fn body(content: &[u8]) -> Key {
    Key::Body { run: run(1), hash: content_hash(content) }
}

fn rejects() -> Key {
    Key::Rejects { run: run(1), name: "read".parse().expect("a valid name") }
}

fn file(folder: &Path, key: &Key) -> std::path::PathBuf {
    folder.join(key.to_string())
}

#[test]
fn object_in_memory_is_the_very_bytes_that_were_put() {
    let (_folder, staging) = open(100);
    let bytes = Bytes::from(vec![7; 100]);
    staging.put(&index(0), bytes.clone()).unwrap();
    let got = staging.get(&index(0)).unwrap().unwrap();
    assert_eq!(got.as_ptr(), bytes.as_ptr());
    assert_eq!(staging.usage().unwrap(), Usage { memory: 100, disk: 0 });
}

#[test]
fn object_that_finds_no_room_in_memory_goes_to_a_file() {
    let (folder, staging) = open(100);
    staging.put(&index(0), Bytes::from(vec![1; 60])).unwrap();
    staging.put(&index(1), Bytes::from(vec![2; 41])).unwrap();
    assert!(file(folder.path(), &index(1)).exists());
    assert_eq!(staging.get(&index(1)).unwrap().unwrap(), vec![2; 41]);
    assert_eq!(staging.usage().unwrap().memory, 60);
}

#[test]
fn freed_memory_is_used_again() {
    let (folder, staging) = open(100);
    for batch in 0..10 {
        staging.put(&index(batch), Bytes::from(vec![1; 100])).unwrap();
        assert!(!file(folder.path(), &index(batch)).exists());
        staging.delete(&index(batch)).unwrap();
        assert_eq!(staging.get(&index(batch)).unwrap(), None);
    }
}

#[test]
fn report_is_a_file_even_when_there_is_room_in_memory() {
    let (folder, staging) = open(1000);
    staging.put(&rejects(), Bytes::from_static(b"line\n")).unwrap();
    assert!(file(folder.path(), &rejects()).exists());
    assert_eq!(staging.usage().unwrap().memory, 0);
    assert_eq!(staging.get(&rejects()).unwrap().unwrap(), "line\n");
}

#[test]
fn same_content_again_is_a_no_op_and_other_content_a_conflict() {
    for memory in [0, 1000] {
        let (_folder, staging) = open(memory);
        for key in [index(0), rejects()] {
            let first = staging.put(&key, Bytes::from_static(b"first")).unwrap();
            assert_eq!(staging.put(&key, Bytes::from_static(b"first")).unwrap(), first);
            let err = staging.put(&key, Bytes::from_static(b"other")).unwrap_err();
            let StagingError::Conflict { staged, offered, .. } = err else { panic!("{err}") };
            assert!(staged == first && offered != first);
            assert_eq!(staging.get(&key).unwrap().unwrap(), "first");
        }
        assert!(staging.usage().unwrap().memory <= 5);
    }
}

#[test]
fn body_is_kept_under_the_hash_of_its_content_and_no_other() {
    for memory in [0, 1000] {
        let (folder, staging) = open(memory);
        let key = body(b"sent");
        let first = staging.put(&key, Bytes::from_static(b"else"));
        assert!(matches!(first, Err(StagingError::Conflict { .. })));
        assert_eq!(staging.get(&key).unwrap(), None);
        assert_eq!(staging.put(&key, Bytes::from_static(b"sent")).unwrap(), content_hash(b"sent"));
        assert_eq!(staging.get(&key).unwrap().unwrap(), "sent");

        // A whole file under the name of another.
        let staging = Staging::open(folder.path().to_owned(), 0).unwrap();
        staging.put(&key, Bytes::from_static(b"sent")).unwrap();
        let wrong = body(b"else");
        fs::copy(file(folder.path(), &key), file(folder.path(), &wrong)).unwrap();
        assert!(matches!(staging.get(&wrong), Err(StagingError::Corrupt { .. })));
    }
}

#[test]
fn what_is_put_on_disk_is_there_after_a_restart_even_if_it_was_in_memory() {
    let (folder, staging) = open(1000);
    staging.put(&index(1), Bytes::from_static(b"half")).unwrap();
    for key in [index(0), index(1), index(0), index(1)] {
        staging.put_on_disk(&key, Bytes::from_static(b"half")).unwrap();
        let other = staging.put_on_disk(&key, Bytes::from_static(b"other"));
        assert!(matches!(other, Err(StagingError::Conflict { .. })));
    }
    drop(staging);
    let staging = Staging::open(folder.path().to_owned(), 1000).unwrap();
    for key in [index(0), index(1)] {
        assert_eq!(staging.get(&key).unwrap().unwrap(), "half");
    }
}

#[test]
fn files_outlive_the_process_and_what_was_half_written_does_not() {
    let (folder, staging) = open(0);
    let hash = staging.put(&index(0), Bytes::from_static(b"kept")).unwrap();
    drop(staging);
    fs::write(folder.path().join("incoming/1"), "hal").unwrap();

    let staging = Staging::open(folder.path().to_owned(), 1000).unwrap();
    assert_eq!(fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
    assert_eq!(staging.get(&index(0)).unwrap().unwrap(), "kept");
    assert_eq!(staging.put(&index(0), Bytes::from_static(b"kept")).unwrap(), hash);
    let other = staging.put(&index(0), Bytes::from_static(b"else"));
    assert!(matches!(other, Err(StagingError::Conflict { .. })));
}

#[test]
fn any_damage_to_a_file_is_noticed_and_mended_by_putting_it_again() {
    let (folder, staging) = open(0);
    let content = Bytes::from_static(b"thirty profiles");
    staging.put(&index(0), content.clone()).unwrap();
    let path = file(folder.path(), &index(0));
    let whole = fs::read(&path).unwrap();
    let flipped = (0..whole.len()).map(|at| {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        damaged
    });
    let cut = (0..whole.len()).map(|end| whole[..end].to_vec());
    for damaged in flipped.chain(cut) {
        fs::write(&path, damaged).unwrap();
        let got = staging.get(&index(0));
        assert!(matches!(got, Err(StagingError::Corrupt { .. })), "{got:?}");
    }
    staging.put(&index(0), content.clone()).unwrap();
    assert_eq!(staging.get(&index(0)).unwrap().unwrap(), content);
}

#[test]
fn deleting_a_run_leaves_its_reports_and_other_runs() {
    for memory in [0, 10_000] {
        let (folder, staging) = open(memory);
        let other = Key::Index { run: run(2), hash: ContentHash(0) };
        let body = body(b"x");
        for key in [&index(0), &index(1), &body, &other, &rejects()] {
            staging.put(key, Bytes::from_static(b"x")).unwrap();
        }
        staging.delete_run(run(1)).unwrap();
        for key in [&index(0), &index(1), &body] {
            assert_eq!(staging.get(key).unwrap(), None, "{key}");
        }
        assert!(staging.get(&other).unwrap().is_some());
        assert!(staging.get(&rejects()).unwrap().is_some());

        staging.delete_reports(run(1)).unwrap();
        assert_eq!(staging.get(&rejects()).unwrap(), None);
        staging.delete_run(run(2)).unwrap();
        assert_eq!(staging.usage().unwrap(), Usage { memory: 0, disk: 0 });
        assert_eq!(fs::read_dir(folder.path().join("staging")).unwrap().count(), 0);
    }
}

#[test]
fn deleting_what_is_not_there_is_fine() {
    let (_folder, staging) = open(0);
    staging.delete(&index(0)).unwrap();
    staging.delete_run(run(9)).unwrap();
    staging.delete_reports(run(9)).unwrap();
}

#[test]
fn of_many_who_put_the_same_key_at_once_one_content_wins() {
    for memory in [0, 10_000] {
        for key in [index(0), rejects()] {
            let (_folder, staging) = open(memory);
            let barrier = Barrier::new(8);
            let put = |n: u8| {
                barrier.wait();
                staging.put(&key, Bytes::from(vec![n % 2; 1000]))
            };
            let results: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || put(n))).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
            });
            let winner = staging.get(&key).unwrap().unwrap()[0];
            for (n, result) in (0..8).zip(results) {
                assert_eq!(result.is_ok(), n % 2 == winner, "{n} {result:?}");
            }
            assert!(staging.usage().unwrap().memory <= 1000);
        }
    }
}

#[test]
fn place_that_cannot_be_written_is_an_error_that_names_it() {
    let (folder, staging) = open(0);
    fs::remove_dir_all(folder.path().join("incoming")).unwrap();
    let err = staging.put(&index(0), Bytes::from_static(b"x")).unwrap_err();
    assert!(matches!(err, StagingError::Io { .. }), "{err:?}");
    assert_eq!(staging.get(&index(0)).unwrap(), None);

    fs::create_dir(folder.path().join("incoming")).unwrap();
    staging.put(&index(0), Bytes::from_static(b"x")).unwrap();
}

#[test]
#[cfg(unix)]
fn files_and_folders_are_for_this_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, staging) = open(0);
    staging.put(&index(0), Bytes::from_static(b"x")).unwrap();
    let path = file(folder.path(), &index(0));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn work_off_the_thread_gives_its_result() {
    let (_folder, staging) = open(0);
    let key = index(0);
    let put = key.clone();
    staging.off_thread(move |s| s.put(&put, Bytes::from_static(b"x"))).await.unwrap();
    assert_eq!(staging.off_thread(move |s| s.get(&key)).await.unwrap().unwrap(), "x");
}
