use std::{fs, path::Path};

use segue_dedupe::{Dedupe, DedupeError, MIN_MEMORY, Seen, fingerprint};

fn fill(dedupe: &mut Dedupe) -> Result<(), DedupeError> {
    for n in 0..50_000_u64 {
        dedupe.see(fingerprint(5, &n.to_le_bytes()), 0)?;
    }
    Ok(())
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).expect("the folder exists").count()
}

#[test]
fn folder_is_made_with_the_first_file_and_removed_on_drop() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("a/b");
    let mut dedupe = Dedupe::new(MIN_MEMORY, folder.clone());
    dedupe.see(fingerprint(5, b"ann@example.com"), 0).unwrap();
    assert!(!folder.exists());
    fill(&mut dedupe).unwrap();
    assert_eq!(files(&folder), dedupe.stats().files);
    drop(dedupe);
    assert!(!folder.exists());
}

#[test]
fn files_of_others_stay_and_those_of_a_dead_process_go() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("letter.txt"), "mine").unwrap();
    fs::write(scratch.path().join("000000.seen"), "left behind").unwrap();
    let mut dedupe = Dedupe::new(MIN_MEMORY, scratch.path().to_owned());
    fill(&mut dedupe).unwrap();
    assert_eq!(files(scratch.path()), dedupe.stats().files + 1);
    drop(dedupe);
    assert_eq!(files(scratch.path()), 1);
}

#[test]
fn folder_that_cannot_be_made_is_an_error_and_nothing_is_forgotten() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("seen");
    fs::write(&folder, "a file where the folder should be").unwrap();
    let mut dedupe = Dedupe::new(MIN_MEMORY, folder.clone());
    let err = fill(&mut dedupe).unwrap_err();
    assert!(matches!(&err, DedupeError::Scratch { path, .. } if *path == folder), "{err:?}");
    let kept = dedupe.stats().identities;
    assert!(kept > 1000);

    fs::remove_file(&folder).unwrap();
    for n in 0..kept {
        assert_eq!(dedupe.see(fingerprint(5, &n.to_le_bytes()), 0).unwrap(), Seen::Same);
    }
    assert_eq!(dedupe.see(fingerprint(5, &kept.to_le_bytes()), 0).unwrap(), Seen::New);
}

#[test]
#[cfg(unix)]
fn file_that_lost_its_end_is_an_error_and_not_a_new_identity() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("seen");
    let mut dedupe = Dedupe::new(MIN_MEMORY, folder.clone());
    fill(&mut dedupe).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        fs::File::options().write(true).open(entry.unwrap().path()).unwrap().set_len(0).unwrap();
    }
    assert!(matches!(fill(&mut dedupe), Err(DedupeError::Scratch { .. })));
}
