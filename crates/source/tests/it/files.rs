//! Which files are a segment, and in which order.

use std::process::Command;

use segue_model::Position;
use segue_source::{ReadOptions, Rows, Segment, SourceError};

use crate::{Folder, cells, names};

const ONE: &[u8] = b"email\nann@example.com\n";

#[test]
fn files_come_in_the_order_of_arguments_then_of_bytes() {
    let folder = Folder::with(&[
        ("z.csv", ONE),
        ("b10.csv", ONE),
        ("b2.csv", ONE),
        ("ba.csv", ONE),
        ("bB.csv", ONE),
        ("b\u{e9}.csv", ONE),
        (".b2.csv", ONE),
        ("deep/b3.csv", ONE),
    ]);
    let segment = folder.open(&["z.csv", "b*.csv"]).unwrap();
    assert_eq!(names(&segment), ["z.csv", "b10.csv", "b2.csv", "bB.csv", "ba.csv", "b\u{e9}.csv"]);
    let rows: Vec<Position> = cells(&segment).into_iter().map(|(position, _)| position).collect();
    assert_eq!(rows, (0..6).map(|object| Position { object, row: 2 }).collect::<Vec<_>>());
    assert_eq!(names(&folder.open(&["*2.csv"]).unwrap()), ["b2.csv"], "hidden files stay hidden");
    assert_eq!(names(&folder.open(&["**/b3.csv"]).unwrap()), ["b3.csv"]);
}

#[test]
fn file_whose_name_looks_like_a_pattern_is_found() {
    let folder = Folder::with(&[("a[1].csv", ONE), ("a1.csv", ONE)]);
    assert_eq!(names(&folder.open(&["a[1].csv"]).unwrap()), ["a[1].csv"]);
}

#[test]
fn same_file_under_two_names_is_an_error_that_names_both() {
    let folder = Folder::with(&[("a.csv", ONE), ("b.csv", ONE)]);
    std::os::unix::fs::symlink(folder.path("a.csv"), folder.path("c.csv")).unwrap();
    std::fs::hard_link(folder.path("a.csv"), folder.path("d.csv")).unwrap();
    for second in ["a.csv", "./a.csv", "c.csv", "d.csv", "a*.csv"] {
        let result = folder.open(&["b.csv", "a.csv", second]);
        assert!(matches!(result, Err(SourceError::NamedTwice { .. })), "{second}");
    }
    assert_eq!(
        folder.words(folder.open(&["a.csv", "c.csv"])),
        "c.csv is named twice (first as a.csv): name each file once"
    );
}

#[test]
fn what_cannot_be_opened_is_named_with_a_way_out() {
    let folder = Folder::with(&[("a.csv", ONE), ("folder/b.csv", ONE)]);
    let fifo = folder.path("fifo.csv");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (pattern, words) in [
        ("none.csv", "none.csv: there is no such file: check the folder and the spelling"),
        ("none*.csv", "`none*.csv` matches no file: check the folder and the spelling"),
        ("folder", "folder is a folder, not a file: name the files in it, for example with /*.csv"),
        ("fol*", "folder is a folder, not a file: name the files in it, for example with /*.csv"),
        ("fifo.csv", "fifo.csv is a pipe, not a file: write its content to a file first"),
        ("a.csv/b.csv", "a.csv/b.csv cannot be opened: check that you may read it"),
    ] {
        assert_eq!(folder.words(folder.open(&[pattern])), words);
    }
    assert!(matches!(folder.open(&["a[.csv"]), Err(SourceError::BadPattern { .. })));
    assert!(matches!(folder.open(&[]), Err(SourceError::NothingGiven)));
}

#[test]
fn every_object_has_its_own_columns() {
    let folder =
        Folder::with(&[("1.csv", b"email,city\nann,Ulm\n"), ("2.csv", b"city;email\nEly;bob\n")]);
    let segment = folder.open(&["*.csv"]).unwrap();
    let columns: Vec<_> = segment.objects().iter().map(segue_source::Object::columns).collect();
    assert_eq!(columns, [["email", "city"], ["city", "email"]]);
    let rows: Vec<_> = cells(&segment).into_iter().map(|(_, cells)| cells).collect();
    assert_eq!(rows, [["ann", "Ulm"], ["Ely", "bob"]]);
}

#[test]
fn two_passes_do_not_disturb_each_other() {
    let text: String =
        std::iter::once("n\n".to_owned()).chain((0..1000).map(|n| format!("{n}\n"))).collect();
    let folder = Folder::with(&[("a.csv", text.as_bytes())]);
    let options = ReadOptions { buffer_bytes: 64, ..ReadOptions::default() };
    let segment = folder.open_with(&["a.csv"], &options).unwrap();
    let (mut first, mut second) = (segment.rows(), segment.rows());
    for _ in 0..500 {
        first.next().unwrap();
    }
    let place = |rows: &mut Rows| rows.next().unwrap().map(|item| item.position().row);
    for row in 2..1002 {
        assert_eq!(place(&mut second), Some(row));
        assert_eq!(place(&mut first), (row + 500 < 1002).then_some(row + 500));
    }
    assert_eq!(place(&mut second), None);
    assert_eq!(second.bytes_read(), segment.size_bytes());
}

#[test]
fn a_pass_can_move_to_another_thread() {
    fn is_send<T: Send + 'static>() {}
    is_send::<Rows>();
    is_send::<Segment>();
}
