//! What files are read as, and what is wrong with them.

use std::{fmt::Write as _, path::PathBuf};

use segue_proto::v1::{self, export_schedule::Mode, properties::Select};
use serde_json::json;

use super::{
    desired::KeySource,
    field::{Field, Names},
    source::Source,
    testing::{desired, read},
};

/// A file with one export, of which `more` says more.
fn with(more: &str) -> String {
    format!(
        "apiVersion: segue/v1
exports:
- name: News
  connection: Shop
  list: LIST01
  segments: [a.csv]
{more}"
    )
}

#[track_caller]
fn export(more: &str) -> v1::Export {
    desired(&with(more)).exports.unwrap().remove(0).fields
}

#[track_caller]
fn wrong(text: &str) -> String {
    match read(&[text]) {
        Ok(_) => panic!("nothing is wrong with {text}"),
        Err(words) => words,
    }
}

#[test]
fn export_with_the_least_that_can_be_said() {
    let read = desired(&with("")).exports.unwrap().remove(0);
    assert_eq!((read.name.as_str(), read.connection.as_str()), ("News", "Shop"));
    assert_eq!(read.place.to_string(), "1.yaml:3");
    assert_eq!(read.connection_place.to_string(), "1.yaml:4");
    let said: Vec<Field> = read.said.into_iter().collect();
    assert_eq!(said, [Field::Connection, Field::List, Field::Segments]);
    assert_eq!(read.fields.schedule.unwrap().mode(), Mode::System);
}

#[test]
fn each_field_that_is_said_is_known_to_be_said() {
    for (more, field) in [
        ("  mapping: {email: mail}", Field::Email),
        ("  mapping: {attributes: {}}", Field::Attributes),
        ("  mapping: {properties: all}", Field::Properties),
        ("  mapping: {defaultCountry: ''}", Field::DefaultCountry),
        ("  guards: {allowLiveFlows: false}", Field::AllowLiveFlows),
        ("  guards: {allowEmpty: false}", Field::AllowEmpty),
        ("  guards: {maxProfiles: 0}", Field::MaxProfiles),
        ("  guards: {maxGrowthPercent: 50}", Field::MaxGrowth),
        ("  guards: {maxShrinkagePercent: 50}", Field::MaxShrinkage),
        ("  guards: {maxRejectsPercent: 20}", Field::MaxRejects),
        ("  freshness: any", Field::Freshness),
        ("  schedule: system", Field::Schedule),
        ("  disabled: false", Field::Disabled),
        ("  owner: token:1", Field::Owner),
    ] {
        let said = desired(&with(more)).exports.unwrap().remove(0).said;
        assert_eq!(said.len(), 4, "{more}");
        assert!(said.contains(&field), "{more}");
    }
}

#[test]
fn words_that_old_yaml_takes_for_something_else_are_words() {
    let norway = export("  mapping: {defaultCountry: NO, properties: [on, y, 12]}");
    let mapping = norway.mapping.unwrap();
    assert_eq!(mapping.default_country, "NO");
    let properties = mapping.properties.unwrap();
    assert_eq!(
        (properties.select(), properties.columns),
        (Select::Only, ["on", "y", "12"].map(str::to_owned).into())
    );
    let schedule = export("  schedule: {at: [03:00], timeZone: Europe/Oslo}").schedule;
    let export = v1::Export { schedule, ..v1::Export::default() };
    let value = Field::Schedule.value(&export, Names::default());
    assert_eq!(value, json!({"at": ["03:00"], "timeZone": "Europe/Oslo"}));
}

#[test]
fn keys_are_where_the_file_says_and_paths_start_in_its_folder() {
    let key = |key: &str| {
        let text = format!(
            "apiVersion: segue/v1
connections:
- name: Shop
  apiKey: {key}
  consent: {{version: '2026-11', acceptedBy: Ada Example}}"
        );
        desired(&text).connections.unwrap().remove(0).key
    };
    assert_eq!(key("{env: SHOP_KEY}"), KeySource::Variable("SHOP_KEY".to_owned()));
    assert_eq!(key("{file: keys/shop}"), KeySource::File(PathBuf::from("folder/keys/shop")));
    assert_eq!(
        key("{file: /run/secrets/shop}"),
        KeySource::File(PathBuf::from("/run/secrets/shop"))
    );
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_field() {
    for (text, told) in [
        (with("  lists: [b]"), ["1.yaml:7", "lists"]),
        (with("  guards: {maxProfiles: -1}"), ["1.yaml:7", "maxProfiles"]),
        (with("  guards: {maxRejectsPercent: 101}"), ["1.yaml:7: guards.maxRejectsPercent", "100"]),
        (with("  freshness: old"), ["1.yaml:7: freshness", "maxSourceAge"]),
        (with("  freshness: {maxSourceAge: 2}"), ["1.yaml:7: freshness.maxSourceAge", "2h"]),
        (with("  freshness: {maxSourceAge: 2h, wait: 13h}"), ["1.yaml:7: freshness.wait", "12"]),
        (with("  guards:\n    allowEmpty: perhaps"), ["1.yaml:8", "allowEmpty"]),
        (with("  mapping: [a]"), ["1.yaml:7", "mapping"]),
        (with("  mapping: {properties: some}"), ["1.yaml:7: mapping.properties", "\"some\""]),
        (
            with("  mapping:\n    attributes: {no.such.place: a}"),
            ["1.yaml:8: mapping.attributes", "no.such.place"],
        ),
        (
            with("  mapping: {defaultCountry: Germany}"),
            ["1.yaml:7: mapping.defaultCountry", "Germany"],
        ),
        (with("  owner: ''"), ["1.yaml:7: owner", "whoami"]),
        (with("  schedule: 7"), ["1.yaml:7: exports[0].schedule", "a word or named fields"]),
        (with("  schedule: {timeZone: UTC}"), ["1.yaml:7: schedule: give at", "cron"]),
        (with("  schedule: {at: ['03:00']}"), ["1.yaml:7: schedule.timeZone", "Europe/Berlin"]),
        (
            with("  schedule: {at: ['03:00'], days: [someday], timeZone: UTC}"),
            ["1.yaml:7: schedule.days", "\"someday\""],
        ),
        (
            with("  schedule: {cron: daily, timeZone: UTC}"),
            ["1.yaml:7: schedule.cron", "\"daily\""],
        ),
        (with("").replace("LIST01", "a list"), ["1.yaml:5: list:", "not a Klaviyo list id"]),
        (with("").replace("[a.csv]", "[../a.csv]"), ["1.yaml:6: segments[0]", "leads out"]),
        (with("").replace("[a.csv]", "[]"), ["1.yaml:6: segments", "at least one"]),
        (with("").replace("  list: LIST01\n", ""), ["1.yaml:", "list"]),
        (with("").replace("News", "' '"), ["1.yaml:3: name: is blank", ""]),
        (with("  list: LIST02"), ["1.yaml:7", "list"]),
        (
            "apiVersion: segue/v1\nsources:\n- name: CRM\n  folder: crm/*".to_owned(),
            ["1.yaml:4: folder: holds *", "globs"],
        ),
        (
            "apiVersion: segue/v1\nsources:\n- name: ''\n  folder: crm".to_owned(),
            ["1.yaml:3: name: is empty", ""],
        ),
        (
            "apiVersion: segue/v1\nsources: [{name: A, folder: a}, {name: A, folder: b}]"
                .to_owned(),
            ["1.yaml:2: name: 1.yaml:2 has the source \"A\" already", ""],
        ),
        ("apiVersion: segue/v0".to_owned(), ["1.yaml:1: apiVersion", "segue/v1"]),
        ("exports: []".to_owned(), ["1.yaml:1", "apiVersion"]),
        (String::new(), ["1.yaml", ""]),
        ("apiVersion: segue/v1\n---\napiVersion: segue/v1".to_owned(), ["1.yaml", "document"]),
        (
            "apiVersion: segue/v1\nsystemSchedule: system".to_owned(),
            ["1.yaml:2: systemSchedule", "never"],
        ),
        ("apiVersion: [".to_owned(), ["1.yaml:1", ""]),
    ] {
        let words = wrong(&text);
        for told in told {
            assert!(words.contains(told), "{told:?} is not in {words:?} about\n{text}");
        }
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let words = wrong(&with("  schedule: sometimes").replace("LIST01", "a list"));
    assert!(words.starts_with("2 things are wrong\n  1.yaml:7: schedule"), "{words}");
    assert!(words.contains("\n  1.yaml:5: list"), "{words}");
}

#[test]
fn names_are_there_once_over_all_files() {
    let words = read(&[&with(""), &with("")]).unwrap_err();
    assert_eq!(words, "2.yaml:3: name: 1.yaml:3 has the export \"News\" already");
    let schedule = "apiVersion: segue/v1\nsystemSchedule: never";
    let words = read(&[schedule, schedule]).unwrap_err();
    assert_eq!(words, "2.yaml:2: systemSchedule: 1.yaml:2 has one already");
}

#[test]
fn key_in_the_file_is_refused_and_not_shown() {
    for key in ["pk_secret", "[pk_secret]", "{key: pk_secret}", "{env: [pk_secret]}"] {
        let text = format!(
            "apiVersion: segue/v1
connections:
- name: Shop
  apiKey: {key}
  consent: {{version: '2026-11', acceptedBy: Ada Example}}"
        );
        let words = wrong(&text);
        assert!(words.contains("1.yaml:4"), "{words}");
        assert!(!words.contains("pk_secret"), "{words}");
    }
}

#[test]
fn aliases_share_and_do_not_explode() {
    let shared = with(
        "  guards: &careful {maxProfiles: 5}\n- name: More\n  connection: Shop\n  list: LIST01\n  segments: [b.csv]\n  guards: *careful\n",
    );
    let exports = desired(&shared).exports.unwrap();
    assert!(exports.iter().all(|it| it.fields.guards.unwrap().max_profiles == 5));

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for nth in 1..12 {
        let many = vec![format!("*a{}", nth - 1); 10].join(", ");
        writeln!(bomb, "a{nth}: &a{nth} [{many}]").unwrap();
    }
    let source = Source { name: "1.yaml".to_owned(), folder: PathBuf::new(), text: bomb };
    let words = source.parse::<serde_json::Value>().unwrap_err().to_string();
    assert!(words.starts_with("1.yaml"), "{words}");
}

#[test]
fn depth_is_limited() {
    for deep in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        let source = Source { name: "1.yaml".to_owned(), folder: PathBuf::new(), text: deep };
        assert!(source.parse::<serde_json::Value>().is_err());
    }
}

#[test]
fn file_of_more_than_a_mebibyte_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.yaml");
    std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    let words = format!("{:#}", Source::read(&path).err().unwrap());
    assert!(words.contains("large.yaml") && words.contains("1048576 bytes"), "{words}");
    std::fs::write(&path, "#".repeat(1 << 20)).unwrap();
    assert_eq!(Source::read(&path).unwrap().folder, folder.path());
}
