mod sources;

use segue_proto::v1::{
    self, export_schedule::Mode, key_reference::Place, properties::Select, schedule::Recurrence,
};
use serde_json::{Value, json};

use super::{Action, Change, Kind, plan};
use crate::client::apply::{desired::Desired, field::Field, present::Present, testing::desired};

const CONSENT: &str = "2026-11";

/// A file that says everything of one export, and no more.
const ALL: &str = r#"
apiVersion: segue/v1
systemSchedule: {at: ["15:00", "03:00"], timeZone: Europe/Berlin}
connections:
- name: Shop
  apiKey: {env: SHOP_KEY}
  consent: {version: "2026-11", acceptedBy: Ada Example}
  sharing: {contributors: true, lists: [LIST01]}
sources:
- {name: CRM, folder: crm/daily}
exports:
- name: News
  connection: Shop
  list: LIST01
  source: CRM
  segments: [a.csv, b.csv]
  mapping:
    email: mail
    attributes: {location.city: town, first_name: vorname}
    properties: [tier, points]
    defaultCountry: DE
  guards:
    allowLiveFlows: true
    allowEmpty: true
    maxProfiles: 7
    maxGrowthPercent: 10
    maxShrinkagePercent: 0
    maxRejectsPercent: 3
  freshness: {maxSourceAge: 26h, wait: 90m}
  schedule: {cron: "0 6 * * *", timeZone: UTC}
  disabled: true
  owner: token:1
"#;

fn connection(id: &str, name: &str) -> v1::Connection {
    let consent = v1::Consent {
        text_version: CONSENT.to_owned(),
        accepted_by: "Ada Example".to_owned(),
        accepted_at: None,
    };
    v1::Connection {
        id: id.to_owned(),
        display_name: name.to_owned(),
        consent: Some(consent),
        sharing: Some(v1::Sharing { contributors: true, list_ids: vec!["LIST01".to_owned()] }),
        ..v1::Connection::default()
    }
}

fn source(id: &str, name: &str) -> v1::Source {
    v1::Source {
        id: id.to_owned(),
        display_name: name.to_owned(),
        folder: "crm/daily".to_owned(),
        ..v1::Source::default()
    }
}

fn owner(subject: &str) -> v1::Owner {
    v1::Owner { subject: subject.to_owned(), display_name: "Ada".to_owned() }
}

/// What the server has once [`ALL`] is applied.
fn export() -> v1::Export {
    let text = |text: &str| text.to_owned();
    let own = v1::Schedule {
        recurrence: Some(Recurrence::Cron(text("0 6 * * *"))),
        time_zone: text("UTC"),
    };
    v1::Export {
        id: text("exp_1"),
        display_name: text("News"),
        connection_id: text("con_1"),
        list_id: text("LIST01"),
        source_id: text("src_1"),
        segments: vec![text("a.csv"), text("b.csv")],
        mapping: Some(v1::Mapping {
            email: text("mail"),
            attributes: [("first_name", "vorname"), ("location.city", "town")]
                .map(|(attribute, column)| (text(attribute), text(column)))
                .into(),
            properties: Some(v1::Properties {
                select: Select::Only.into(),
                columns: vec![text("tier"), text("points")],
            }),
            default_country: text("DE"),
        }),
        guards: Some(v1::Guards {
            allow_live_flows: true,
            allow_empty: true,
            max_profiles: 7,
            max_growth_percent: Some(10),
            max_shrinkage_percent: Some(0),
            max_rejects_percent: Some(3),
        }),
        freshness: Some(v1::Freshness {
            max_source_age: Some(prost_types::Duration { seconds: 26 * 3600, nanos: 0 }),
            wait: Some(prost_types::Duration { seconds: 90 * 60, nanos: 0 }),
        }),
        schedule: Some(v1::ExportSchedule { mode: Mode::Own.into(), own: Some(own) }),
        disabled: true,
        owner: Some(owner("token:1")),
        ..v1::Export::default()
    }
}

fn present() -> Present {
    let at = vec!["03:00".to_owned(), "15:00".to_owned()];
    Present {
        system_schedule: Some(v1::Schedule {
            recurrence: Some(Recurrence::Daily(v1::Daily { at })),
            time_zone: "Europe/Berlin".to_owned(),
        }),
        connections: vec![connection("con_1", "Shop")],
        sources: vec![source("src_1", "CRM")],
        exports: vec![export()],
    }
}

#[track_caller]
fn planned(desired: &Desired, present: &Present, prune: bool) -> Vec<Change> {
    plan(desired, present, CONSENT, prune).unwrap()
}

#[track_caller]
fn refused(text: &str, present: &Present, prune: bool) -> String {
    let refused = plan(&desired(text), present, CONSENT, prune);
    refused.expect_err("it is planned").to_string()
}

/// Kind, name, id and action of each.
fn outline(changes: &[Change]) -> Vec<(Kind, &str, &str, Action)> {
    let all = changes.iter();
    all.map(|it| (it.kind, it.name.as_str(), it.id.as_deref().unwrap_or("-"), it.action)).collect()
}

fn differences(change: &Change) -> Vec<(&'static str, Value, Value)> {
    change.fields.iter().map(|it| (it.field, it.server.clone(), it.file.clone())).collect()
}

#[test]
fn what_is_as_the_file_says_is_kept() {
    let changes = planned(&desired(ALL), &present(), true);
    assert_eq!(
        outline(&changes),
        [
            (Kind::SystemSchedule, "", "-", Action::Keep),
            (Kind::Connection, "Shop", "con_1", Action::Keep),
            (Kind::Source, "CRM", "src_1", Action::Keep),
            (Kind::Export, "News", "exp_1", Action::Keep),
        ]
    );
    assert!(changes.iter().all(|it| it.fields.is_empty()), "{changes:?}");
}

#[test]
fn what_the_server_lacks_is_made_connections_and_sources_before_exports() {
    let changes = planned(&desired(ALL), &Present::default(), false);
    assert_eq!(
        outline(&changes),
        [
            (Kind::SystemSchedule, "", "-", Action::Update),
            (Kind::Connection, "Shop", "-", Action::Create),
            (Kind::Source, "CRM", "-", Action::Create),
            (Kind::Export, "News", "-", Action::Create),
        ]
    );
    let schedule = json!({"at": ["03:00", "15:00"], "timeZone": "Europe/Berlin"});
    assert_eq!(differences(&changes[0]), [("schedule", json!("never"), schedule)]);
    assert_eq!(
        differences(&changes[1]),
        [
            ("apiKey", Value::Null, json!({"env": "SHOP_KEY"})),
            ("consent.version", Value::Null, json!("2026-11")),
            ("consent.acceptedBy", Value::Null, json!("Ada Example")),
            ("sharing", Value::Null, json!({"contributors": true, "lists": ["LIST01"]})),
        ]
    );
    assert_eq!(differences(&changes[2]), [("folder", Value::Null, json!("crm/daily"))]);
    let said: Vec<_> = changes[3].fields.iter().map(|it| it.field).collect();
    assert_eq!(said, Field::ALL.map(Field::name));
    assert!(changes[3].fields.iter().all(|it| it.server.is_null()));
}

/// An export that differs from [`export`] in nothing but this field.
fn drifted(field: Field) -> (v1::Export, Value) {
    let mut export = export();
    let mut mapping = export.mapping.take().unwrap();
    let mut guards = export.guards.take().unwrap();
    match field {
        Field::Connection => export.connection_id = "con_2".to_owned(),
        Field::List => export.list_id = "LIST02".to_owned(),
        Field::Segments => export.segments.reverse(),
        Field::Source => export.source_id = "src_2".to_owned(),
        Field::Email => mapping.email.clear(),
        Field::Attributes => drop(mapping.attributes.remove("first_name")),
        Field::Properties => mapping.properties = None,
        Field::DefaultCountry => mapping.default_country = "FR".to_owned(),
        Field::AllowLiveFlows => guards.allow_live_flows = false,
        Field::AllowEmpty => guards.allow_empty = false,
        Field::MaxProfiles => guards.max_profiles = 0,
        Field::MaxGrowth => guards.max_growth_percent = None,
        Field::MaxShrinkage => guards.max_shrinkage_percent = None,
        Field::MaxRejects => guards.max_rejects_percent = Some(4),
        Field::Freshness => export.freshness = None,
        Field::Schedule => export.schedule = None,
        Field::Disabled => export.disabled = false,
        Field::Owner => export.owner = Some(owner("token:2")),
    }
    (export.mapping, export.guards) = (Some(mapping), Some(guards));
    let value = match field {
        Field::Connection => json!("Other shop"),
        Field::List => json!("LIST02"),
        Field::Segments => json!(["b.csv", "a.csv"]),
        Field::Source => json!("Other source"),
        Field::Email => json!(""),
        Field::Attributes => json!({"location.city": "town"}),
        Field::Properties => json!("all"),
        Field::DefaultCountry => json!("FR"),
        Field::AllowLiveFlows | Field::AllowEmpty | Field::Disabled => json!(false),
        Field::MaxProfiles => json!(0),
        Field::MaxGrowth | Field::MaxShrinkage => json!(50),
        Field::MaxRejects => json!(4),
        Field::Freshness => json!("any"),
        Field::Schedule => json!("system"),
        Field::Owner => json!("token:2"),
    };
    (export, value)
}

#[test]
fn drift_of_each_field_is_noticed_and_only_that_field_is_changed() {
    let file = desired(ALL);
    for field in Field::ALL {
        let (export, server) = drifted(field);
        let mut present = present();
        present.connections.push(connection("con_2", "Other shop"));
        present.sources.push(source("src_2", "Other source"));
        present.exports = vec![export];
        let changes = planned(&file, &present, false);
        let change = changes.iter().find(|it| it.kind == Kind::Export).unwrap();
        assert_eq!((change.action, change.id.as_deref()), (Action::Update, Some("exp_1")));
        let [difference] = change.fields.as_slice() else { panic!("{field:?}: {change:?}") };
        assert_eq!((difference.field, difference.path), (field.name(), field.path()));
        assert_eq!(difference.server, server, "{field:?}");
    }
}

#[test]
fn fields_that_the_file_does_not_say_are_left_as_they_are() {
    let short = r"
apiVersion: segue/v1
exports:
- {name: News, connection: Shop, list: LIST01, segments: [a.csv, b.csv]}
";
    let unsaid = Field::ALL.into_iter().skip(3);
    for field in unsaid {
        let present = Present { exports: vec![drifted(field).0], ..present() };
        let changes = planned(&desired(short), &present, false);
        assert_eq!(outline(&changes), [(Kind::Export, "News", "exp_1", Action::Keep)], "{field:?}");
    }
}

#[test]
fn schedules_that_are_written_in_another_way_are_the_same() {
    for (schedule, same) in [
        (r#"{at: ["15:00", "03:00"], timeZone: Europe/Berlin}"#, true),
        (r#"{at: ["03:00"], timeZone: Europe/Berlin}"#, false),
        (r#"{at: ["03:00", "15:00"], days: [monday], timeZone: Europe/Berlin}"#, false),
        (r#"{at: ["03:00", "15:00"], timeZone: Europe/Paris}"#, false),
        (r#"{cron: "0 3,15 * * *", timeZone: Europe/Berlin}"#, false),
        ("never", false),
    ] {
        let text = format!("apiVersion: segue/v1\nsystemSchedule: {schedule}");
        let changes = planned(&desired(&text), &present(), true);
        let action = if same { Action::Keep } else { Action::Update };
        assert_eq!(outline(&changes), [(Kind::SystemSchedule, "", "-", action)], "{schedule}");
    }
}

#[test]
fn what_no_file_names_stays_and_goes_only_with_prune() {
    let mut present = present();
    present.connections.push(connection("con_2", "Old shop"));
    let other = v1::Export { id: "exp_2".to_owned(), display_name: "Old".to_owned(), ..export() };
    present.exports.push(other);
    present.sources.push(source("src_2", "Old source"));
    let file = desired(ALL);
    for (prune, action) in [(false, Action::NotInFile), (true, Action::Remove)] {
        let changes = planned(&file, &present, prune);
        assert_eq!(
            outline(&changes)[4..],
            [
                (Kind::Export, "Old", "exp_2", action),
                (Kind::Connection, "Old shop", "con_2", action),
                (Kind::Source, "Old source", "src_2", action),
            ]
        );
    }
}

#[test]
fn part_that_no_file_has_is_not_looked_at_even_with_prune() {
    for text in ["", "systemSchedule: never", "connections: []", "sources: []", "exports: []"] {
        let text = format!("apiVersion: segue/v1\n{text}");
        let without_exports = Present { exports: Vec::new(), ..present() };
        let changes = planned(&desired(&text), &without_exports, true);
        let kinds: Vec<_> = changes.iter().map(|it| (it.kind, it.action)).collect();
        let expected = match text.rsplit('\n').next().unwrap() {
            "systemSchedule: never" => vec![(Kind::SystemSchedule, Action::Update)],
            "connections: []" => vec![(Kind::Connection, Action::Remove)],
            "sources: []" => vec![(Kind::Source, Action::Remove)],
            _ => vec![],
        };
        assert_eq!(kinds, expected, "{text}");
    }
    let changes = planned(&desired("apiVersion: segue/v1\nexports: []"), &present(), true);
    assert_eq!(outline(&changes), [(Kind::Export, "News", "exp_1", Action::Remove)]);
}

#[test]
fn connection_that_an_export_of_the_file_uses_is_not_in_nobodys_file() {
    let text = r"
apiVersion: segue/v1
connections: []
exports:
- {name: News, connection: Shop, list: LIST01, segments: [a.csv, b.csv]}
";
    let changes = planned(&desired(text), &present(), true);
    assert_eq!(outline(&changes), [(Kind::Export, "News", "exp_1", Action::Keep)]);
}

#[test]
fn connection_that_an_export_holds_cannot_be_pruned_without_a_word_about_exports() {
    let words = refused("apiVersion: segue/v1\nconnections: []", &present(), true);
    assert!(words.contains("\"Shop\" (con_1)") && words.contains("\"News\""), "{words}");
}

#[test]
fn two_of_one_name_on_the_server_are_an_error_only_if_the_file_means_one() {
    let mut twice = present();
    twice.exports.push(v1::Export { id: "exp_9".to_owned(), ..export() });
    let words = refused(ALL, &twice, false);
    assert!(words.starts_with("1.yaml:12: the server has 2 exports"), "{words}");
    assert!(words.contains("exp_1, exp_9"), "{words}");

    let mut twice = present();
    twice.connections.push(connection("con_9", "Shop"));
    let words = refused(ALL, &twice, false);
    assert!(words.starts_with("1.yaml:5: the server has 2 connections"), "{words}");
    assert!(words.contains("con_1, con_9"), "{words}");

    let silent = "apiVersion: segue/v1\nconnections: []\nexports: []";
    assert_eq!(planned(&desired(silent), &twice, false).len(), 3);
}

#[test]
fn export_needs_a_connection_of_the_files_or_of_the_server() {
    let text = r"
apiVersion: segue/v1
exports:
- name: News
  connection: Nowhere
  list: LIST01
  segments: [a.csv]
";
    let words = refused(text, &present(), false);
    assert_eq!(
        words,
        "1.yaml:5: connection: neither the files nor the server have one that is called \"Nowhere\""
    );
}

#[test]
fn drift_of_a_connection_is_noticed_field_by_field() {
    let file = desired(ALL);
    let consent = |it: &mut v1::Connection, change: fn(&mut v1::Consent)| {
        change(it.consent.as_mut().unwrap());
    };
    let changed = |change: &dyn Fn(&mut v1::Connection)| {
        let mut present = present();
        change(&mut present.connections[0]);
        let changes = planned(&file, &present, false);
        let Change { action, id, fields, .. } = changes[1].clone();
        assert_eq!((action, id.as_deref()), (Action::Update, Some("con_1")));
        let paths: Vec<_> = fields.iter().map(|it| it.path).collect();
        (paths, differences(&changes[1]))
    };
    assert_eq!(
        changed(&|it| consent(it, |given| given.text_version = "2025-01".to_owned())),
        (vec!["consent"], vec![("consent.version", json!("2025-01"), json!("2026-11"))])
    );
    assert_eq!(
        changed(&|it| consent(it, |given| given.accepted_by = "Bo Example".to_owned())),
        (vec!["consent"], vec![("consent.acceptedBy", json!("Bo Example"), json!("Ada Example"))])
    );
    let shared = json!({"contributors": true, "lists": ["LIST01"]});
    let nobody = json!({"contributors": false, "lists": []});
    assert_eq!(
        changed(&|it| it.sharing = None),
        (vec!["sharing"], vec![("sharing", nobody, shared)])
    );
}

#[test]
fn key_that_is_kept_elsewhere_than_the_file_says_is_drift() {
    let reference = |place| Some(v1::KeyReference { place: Some(place) });
    let elsewhere = reference(Place::Env("OTHER".to_owned()));
    let file = "{serverFile: shop}";
    for (says, kept, path, server) in [
        ("{env: SHOP_KEY}", elsewhere.clone(), Some("api_key"), json!({"serverEnv": "OTHER"})),
        (file, elsewhere, Some("key_reference"), json!({"serverEnv": "OTHER"})),
        (file, None, Some("key_reference"), json!("sealed")),
        (file, reference(Place::File("shop".to_owned())), None, json!(null)),
        ("{env: SHOP_KEY}", None, None, json!(null)),
    ] {
        let mut present = present();
        present.connections[0].key_reference = kept;
        let text = ALL.replace("{env: SHOP_KEY}", says);
        let changes = planned(&desired(&text), &present, false);
        let fields = &changes[1].fields;
        let found = fields.iter().map(|it| (it.field, it.path, &it.server)).collect::<Vec<_>>();
        let wanted: Vec<_> = path.iter().map(|path| ("apiKey", *path, &server)).collect();
        assert_eq!(found, wanted, "{says}");
    }
}

#[test]
fn what_is_not_shown_to_whoever_asks_is_not_compared() {
    let mut shown = present();
    shown.connections[0].consent = None;
    let unsaid = ALL.replace("  sharing: {contributors: true, lists: [LIST01]}\n", "");
    for text in [ALL, unsaid.as_str()] {
        let changes = planned(&desired(text), &shown, false);
        assert_eq!(outline(&changes)[1], (Kind::Connection, "Shop", "con_1", Action::Keep));
    }
}

#[test]
fn nobody_agrees_to_a_text_that_nobody_can_have_read() {
    let text = ALL.replace("\"2026-11\"", "\"2031-01\"");
    for present in [Present::default(), present()] {
        let words = refused(&text, &present, false);
        assert!(words.contains("\"2031-01\"") && words.contains("\"2026-11\""), "{words}");
    }
    // What was agreed to before there was another text stays agreed to.
    let kept = plan(&desired(ALL), &present(), "2031-01", false).unwrap();
    assert_eq!(kept[1].action, Action::Keep);
}
