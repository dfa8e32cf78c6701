//! Sources, and which one an export has.

use serde_json::json;

use super::{ALL, differences, outline, planned, present, refused};
use crate::client::apply::{
    plan::{Action, Kind},
    testing::desired,
};

#[test]
fn drift_of_a_source_is_noticed() {
    let mut present = present();
    present.sources[0].folder = "crm".to_owned();
    let changes = planned(&desired(ALL), &present, false);
    assert_eq!(outline(&changes)[2], (Kind::Source, "CRM", "src_1", Action::Update));
    assert_eq!(differences(&changes[2]), [("folder", json!("crm"), json!("crm/daily"))]);
    assert_eq!(changes[2].fields[0].path, "folder");
}

#[test]
fn export_needs_a_source_of_the_files_or_of_the_server_or_none() {
    let text = |source: &str| {
        format!(
            "apiVersion: segue/v1
exports:
- {{name: News, connection: Shop, list: LIST01, segments: [a.csv, b.csv],
   source: {source}}}"
        )
    };
    let words = refused(&text("Nowhere"), &present(), false);
    assert_eq!(
        words,
        "1.yaml:4: source: neither the files nor the server have one that is called \"Nowhere\""
    );
    let kept = planned(&desired(&text("CRM")), &present(), false);
    assert_eq!(outline(&kept), [(Kind::Export, "News", "exp_1", Action::Keep)]);
    let none = planned(&desired(&text("''")), &present(), false);
    assert_eq!(differences(&none[0]), [("source", json!("CRM"), json!(""))]);
}

#[test]
fn source_that_an_export_keeps_cannot_be_pruned() {
    let exports = "exports:
- {name: News, connection: Shop, list: LIST01, segments: [a.csv, b.csv]";
    for (exports, refuses) in [
        (String::new(), true),
        (format!("{exports}}}"), true),
        (format!("{exports}, source: ''}}"), false),
        ("exports: []".to_owned(), false),
    ] {
        let text = format!("apiVersion: segue/v1\nsources: []\n{exports}");
        if refuses {
            let words = refused(&text, &present(), true);
            assert!(words.contains("\"CRM\" (src_1)") && words.contains("\"News\""), "{words}");
        } else {
            let changes = planned(&desired(&text), &present(), true);
            let last = outline(&changes).pop().unwrap();
            assert_eq!(last, (Kind::Source, "CRM", "src_1", Action::Remove));
        }
    }
}
