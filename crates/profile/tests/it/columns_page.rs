//! `docs/columns.md` is what people read of the table; it must say what the table does.

use std::{fs, path::Path};

#[test]
fn the_published_table_is_the_one_in_use() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/columns.md");
    let page = segue_profile::columns_page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == page,
        "docs/columns.md is out of date: \
         UPDATE_DOCS=1 cargo test -p segue-profile --test it"
    );
}
