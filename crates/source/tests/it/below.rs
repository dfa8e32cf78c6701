//! Files below one folder, and nothing else.

use std::{fs, os::unix::fs::symlink};

use segue_source::{ReadOptions, Segment, SourceError};

use crate::{Folder, cells, names};

const ANN: &[u8] = b"email,name\nann@example.com,Ann\n";
/// Its header would be an error that quotes it.
const SECRET: &[u8] = b"secret,secret\n1,2\n";

fn open(folder: &Folder, patterns: &[&str]) -> Result<Segment, SourceError> {
    Segment::open_below(&folder.path("in"), patterns, &ReadOptions::default())
}

#[test]
fn objects_are_named_as_they_lie_below_the_folder() {
    let folder = Folder::with(&[("in/b/2.csv", ANN), ("in/b/1.csv", ANN), ("in/a.csv", ANN)]);
    let segment = open(&folder, &["./a.csv", "b/*.csv"]).unwrap();
    assert_eq!(segment.objects()[1].name(), "b/1.csv");
    assert_eq!(names(&segment), ["a.csv", "1.csv", "2.csv"]);
    assert_eq!(cells(&segment).len(), 3);
    segment.check(&open(&folder, &["a.csv", "b/?.csv"]).unwrap().manifest()).unwrap();
}

#[test]
fn folder_whose_name_looks_like_a_pattern_is_one_folder() {
    let folder = Folder::with(&[("in/[x]/a.csv", ANN), ("in/x/b.csv", ANN)]);
    let segment =
        Segment::open_below(&folder.path("in/[x]"), &["*.csv"], &ReadOptions::default()).unwrap();
    assert_eq!(names(&segment), ["a.csv"]);
}

#[test]
fn nothing_outside_is_opened_whatever_leads_there() {
    let folder = Folder::with(&[("in/a.csv", ANN), ("out/secret.csv", SECRET)]);
    let absolute = folder.path("out/secret.csv").display().to_string();
    symlink("../out/secret.csv", folder.path("in/link.csv")).unwrap();
    symlink("../out", folder.path("in/folder")).unwrap();
    for pattern in [
        "../out/secret.csv",
        "../out/*.csv",
        "x/../../out/secret.csv",
        &absolute,
        "link.csv",
        "l*.csv",
        "folder/secret.csv",
        "folder/*.csv",
    ] {
        let err = open(&folder, &[pattern]).unwrap_err();
        assert!(matches!(err, SourceError::Outside { .. }), "{pattern}: {err}");
    }
}

#[test]
fn link_that_stays_inside_is_followed() {
    let folder = Folder::with(&[("in/2026-01.csv", ANN)]);
    symlink("2026-01.csv", folder.path("in/latest.csv")).unwrap();
    let segment = open(&folder, &["latest.csv"]).unwrap();
    assert_eq!(segment.objects()[0].name(), "latest.csv");
    assert_eq!(cells(&segment).len(), 1);
}

#[test]
fn errors_do_not_say_where_the_folder_is() {
    let folder = Folder::with(&[("in/a.csv", ANN), ("in/empty.csv", b"")]);
    fs::create_dir(folder.path("in/sub")).unwrap();
    symlink("nowhere.csv", folder.path("in/dangling.csv")).unwrap();
    let root = folder.path("in").display().to_string();
    for pattern in ["none.csv", "*.nothing", "[", "sub", "empty.csv", "dangling.csv", "a\0b"] {
        let err = open(&folder, &[pattern]).unwrap_err();
        assert!(!err.to_string().contains(&root), "{pattern}: {err}");
    }
    let nowhere = folder.path("in/none");
    let err = Segment::open_below(&nowhere, &["a.csv"], &ReadOptions::default()).unwrap_err();
    assert_eq!(err.to_string(), "the source folder cannot be opened: check that you may read it");
}
