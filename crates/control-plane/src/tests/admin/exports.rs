use prost_types::FieldMask;
use segue_access::Role;
use segue_proto::v1::{self, export_schedule::Mode, properties::Select};
use tonic::{Code, Status};

use super::{World, connection, export, field_names, fields, missing, obstacles, tester};

async fn get(world: &World, id: &str) -> Result<v1::Export, Status> {
    let request = v1::GetExportRequest { id: id.to_owned() };
    Ok(world.exports().get_export(request).await?.into_inner().export.unwrap())
}

async fn delete(world: &World, id: &str) -> Result<(), Status> {
    let request = v1::DeleteExportRequest { id: id.to_owned() };
    world.exports().delete_export(request).await.map(|_| ())
}

async fn update(world: &World, export: v1::Export, paths: &[&str]) -> Result<v1::Export, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = Some(FieldMask { paths });
    let request = v1::UpdateExportRequest { export: Some(export), update_mask };
    Ok(world.exports().update_export(request).await?.into_inner().export.unwrap())
}

async fn list(
    world: &World,
    page_size: i32,
    page_token: &str,
    connection_id: &str,
) -> Result<v1::ListExportsResponse, Status> {
    let (page_token, connection_id) = (page_token.to_owned(), connection_id.to_owned());
    let request = v1::ListExportsRequest { page_size, page_token, connection_id };
    Ok(world.exports().list_exports(request).await?.into_inner())
}

fn mapping() -> v1::Mapping {
    let attributes = [("location.city", "town"), ("properties.tier:text", "loyalty")];
    v1::Mapping {
        email: "mail".to_owned(),
        attributes: attributes.map(|(to, from)| (to.to_owned(), from.to_owned())).into(),
        properties: Some(v1::Properties {
            select: Select::Only.into(),
            columns: vec!["orders".to_owned()],
        }),
        default_country: "DE".to_owned(),
    }
}

#[tokio::test]
async fn export_comes_back_as_it_was_given() {
    let world = World::new().await;
    let made = world.connection().await;
    let guards = v1::Guards {
        allow_live_flows: true,
        allow_empty: true,
        max_profiles: 7,
        max_growth_percent: Some(7),
        max_shrinkage_percent: None,
        max_rejects_percent: Some(0),
    };
    let given = v1::Export {
        mapping: Some(mapping()),
        guards: Some(guards),
        schedule: Some(v1::ExportSchedule { mode: Mode::Off.into(), own: None }),
        ..export(&made.id)
    };
    let saved = world.create_export(given.clone(), "").await.unwrap();
    let (id, created_at, updated_at) = (saved.id.clone(), saved.created_at, saved.updated_at);
    assert!(created_at.is_some() && updated_at == created_at);
    let owner = Some(v1::Owner {
        subject: tester(Role::Administrator).subject.to_string(),
        display_name: "Tester".to_owned(),
    });
    assert_eq!(saved, v1::Export { id, created_at, updated_at, owner, ..given });
    assert_eq!(get(&world, &saved.id).await.unwrap(), saved);
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let world = World::new().await;
    let attributes = [("town", "x"), ("location.city", ""), ("a=b", "x"), ("properties.$x", "y")];
    let bad = v1::Export {
        display_name: String::new(),
        connection_id: "nobody".to_owned(),
        list_id: "a list".to_owned(),
        segments: ["/etc/passwd", "a/../../b", "fine.csv", "", "C:\\x", "file:///x"]
            .map(str::to_owned)
            .into(),
        mapping: Some(v1::Mapping {
            attributes: attributes.map(|(to, from)| (to.to_owned(), from.to_owned())).into(),
            properties: Some(v1::Properties {
                select: Select::None.into(),
                columns: vec!["x".to_owned()],
            }),
            default_country: "Germany".to_owned(),
            ..v1::Mapping::default()
        }),
        guards: Some(v1::Guards { max_profiles: u64::MAX, ..v1::Guards::default() }),
        ..v1::Export::default()
    };
    let mut found = field_names(world.create_export(bad, "\u{7}").await);
    found.sort();
    assert_eq!(
        found,
        [
            "export.connection_id",
            "export.display_name",
            "export.guards.max_profiles",
            "export.list_id",
            "export.mapping.attributes[\"a=b\"]",
            "export.mapping.attributes[\"location.city\"]",
            "export.mapping.attributes[\"properties.$x\"]",
            "export.mapping.attributes[\"town\"]",
            "export.mapping.default_country",
            "export.mapping.properties.columns",
            "export.segments[0]",
            "export.segments[1]",
            "export.segments[3]",
            "export.segments[4]",
            "export.segments[5]",
            "request_id",
        ]
    );
    let none = v1::Export { segments: Vec::new(), ..export("con_x") };
    assert!(field_names(world.create_export(none, "").await).contains(&"export.segments".into()));
    let nothing = v1::CreateExportRequest { export: None, request_id: String::new() };
    assert_eq!(field_names(world.exports().create_export(nothing).await), ["export"]);
}

#[tokio::test]
async fn export_needs_a_connection_that_is_there() {
    let world = World::new().await;
    let nobody = "con_00000000-0000-0000-0000-000000000001";
    let found = fields(world.create_export(export(nobody), "").await);
    assert!(found[0].0 == "export.connection_id" && found[0].1.contains(nobody), "{found:?}");
    let saved = world.export().await;
    let moved = v1::Export { connection_id: nobody.to_owned(), ..saved.clone() };
    assert_eq!(
        field_names(update(&world, moved, &["connection_id"]).await),
        ["export.connection_id"]
    );
    assert_eq!(get(&world, &saved.id).await.unwrap(), saved);
}

#[tokio::test]
async fn the_same_request_makes_one_export() {
    let world = World::new().await;
    let made = world.connection().await;
    let saved = world.create_export(export(&made.id), "once").await.unwrap();
    assert_eq!(world.create_export(export(&made.id), "once").await.unwrap(), saved);
    let other = v1::Export { display_name: "Other".to_owned(), ..export(&made.id) };
    let resource = missing(world.create_export(other, "once").await, Code::AlreadyExists);
    assert_eq!(resource, ("segue.v1.Export".to_owned(), saved.id));
    assert_eq!(list(&world, 0, "", "").await.unwrap().exports.len(), 1);
}

#[tokio::test]
async fn only_what_the_mask_names_changes() {
    let world = World::new().await;
    let saved = world.export().await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let guards = v1::Guards {
        allow_empty: true,
        max_profiles: 9,
        allow_live_flows: true,
        max_growth_percent: Some(1),
        max_shrinkage_percent: None,
        max_rejects_percent: Some(3),
    };
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let wish = v1::Export {
        id: saved.id.clone(),
        display_name: "New".to_owned(),
        list_id: "LIST02".to_owned(),
        segments: vec!["b.csv".to_owned()],
        mapping: Some(mapping()),
        guards: Some(guards),
        schedule: Some(v1::ExportSchedule { mode: Mode::Off.into(), own: None }),
        freshness: Some(v1::Freshness { max_source_age: seconds(60), wait: seconds(30) }),
        ..v1::Export::default()
    };
    let paths = ["display_name", "mapping.email", "guards.max_profiles"];
    let changed = update(&world, wish.clone(), &paths).await.unwrap();
    let mut expected = saved.clone();
    expected.display_name = "New".to_owned();
    expected.mapping.as_mut().unwrap().email = "mail".to_owned();
    expected.guards.as_mut().unwrap().max_profiles = 9;
    expected.updated_at = changed.updated_at;
    assert_eq!(changed, expected);
    assert_ne!(changed.updated_at, saved.updated_at);
    assert_eq!(get(&world, &saved.id).await.unwrap(), changed);

    let paths = [
        "list_id",
        "segments",
        "mapping.attributes",
        "mapping.properties",
        "mapping.default_country",
        "guards.allow_empty",
        "guards.allow_live_flows",
        "guards.max_growth_percent",
        "guards.max_shrinkage_percent",
        "guards.max_rejects_percent",
        "freshness",
    ];
    let changed = update(&world, wish.clone(), &paths).await.unwrap();
    assert_eq!(changed.freshness, wish.freshness);
    assert_eq!((changed.mapping, changed.guards), (wish.mapping.clone(), wish.guards));
    assert_eq!((changed.list_id, changed.segments), (wish.list_id.clone(), wish.segments.clone()));

    let all = v1::Export { connection_id: saved.connection_id.clone(), ..wish };
    let changed = update(&world, all.clone(), &["*"]).await.unwrap();
    let (created_at, updated_at) = (saved.created_at, changed.updated_at);
    // All that people decide about it, but for whose it is.
    let owner = saved.owner.clone();
    assert_eq!(changed, v1::Export { created_at, updated_at, owner, ..all });
}

#[tokio::test]
async fn mask_that_names_what_cannot_change_is_refused() {
    let world = World::new().await;
    let saved = world.export().await;
    for path in ["id", "created_at", "updated_at", "consent", "mapping.town", "segments[0]", ""] {
        let found = fields(update(&world, saved.clone(), &[path]).await);
        assert_eq!(found[0].0, "update_mask");
        assert!(found[0].1.contains(path), "{found:?}");
    }
    assert_eq!(field_names(update(&world, saved.clone(), &[]).await), ["update_mask"]);
    let found = fields(update(&world, saved.clone(), &["*", "list_id"]).await);
    assert!(found[0].1.contains("alone"), "{found:?}");
    let bad = v1::Export { list_id: "a list".to_owned(), ..saved.clone() };
    assert_eq!(field_names(update(&world, bad, &["list_id"]).await), ["export.list_id"]);
    let nobody = "exp_00000000-0000-0000-0000-000000000001";
    let other = v1::Export { id: nobody.to_owned(), ..saved.clone() };
    let resource = missing(update(&world, other, &["list_id"]).await, Code::NotFound);
    assert_eq!(resource, ("segue.v1.Export".to_owned(), nobody.to_owned()));
    assert_eq!(get(&world, &saved.id).await.unwrap(), saved);
}

#[tokio::test]
async fn pages_can_be_those_of_one_connection() {
    let world = World::new().await;
    let mine = world.connection().await;
    world.clock.advance(std::time::Duration::from_mins(1));
    let other = world.create_connection(connection(super::OTHER_KEY), "").await.unwrap();
    let mut made = Vec::new();
    for n in 0..6 {
        let connection = if n % 2 == 0 { &mine } else { &other };
        let named = v1::Export { display_name: format!("{n}"), ..export(&connection.id) };
        made.push(world.create_export(named, "").await.unwrap());
    }
    let first = list(&world, 2, "", &mine.id).await.unwrap();
    let second = list(&world, 2, &first.next_page_token, &mine.id).await.unwrap();
    assert_eq!(second.next_page_token, "");
    let seen: Vec<_> = first.exports.into_iter().chain(second.exports).collect();
    assert_eq!(seen, [made[0].clone(), made[2].clone(), made[4].clone()]);
    assert_eq!(list(&world, 0, "", "").await.unwrap().exports, made);
    assert_eq!(field_names(list(&world, 0, "!", "").await), ["page_token"]);
    assert_eq!(field_names(list(&world, 0, "", "nobody").await), ["connection_id"]);
}

#[tokio::test]
async fn export_whose_run_goes_on_is_not_deleted() {
    let world = World::new().await;
    let saved = world.export().await;
    let run = world.start(&saved.id, "r").await.unwrap();
    let under_way = ("RUN_UNDER_WAY".to_owned(), run.id.clone());
    assert_eq!(obstacles(delete(&world, &saved.id).await), [under_way]);
    world.cancel(&run.id).await.unwrap();
    delete(&world, &saved.id).await.unwrap();
    assert_eq!(missing(get(&world, &saved.id).await, Code::NotFound).1, saved.id);
    assert_eq!(missing(delete(&world, &saved.id).await, Code::NotFound).1, saved.id);
    assert_eq!(field_names(delete(&world, "x").await), ["id"]);
    // Its ended runs stay.
    assert_eq!(world.cancel(&run.id).await.unwrap().state(), v1::RunState::Cancelled);
}

#[tokio::test]
async fn guards_and_freshness_have_limits() {
    let world = World::new().await;
    let saved = world.export().await;
    let guards = v1::Guards {
        max_growth_percent: Some(1_000_001),
        max_shrinkage_percent: Some(101),
        max_rejects_percent: Some(101),
        ..v1::Guards::default()
    };
    let wrong = v1::Export { guards: Some(guards), ..saved.clone() };
    let found = fields(update(&world, wrong, &["guards"]).await);
    let named: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
    let percent = ["growth", "shrinkage", "rejects"];
    assert_eq!(named, percent.map(|it| format!("export.guards.max_{it}_percent")));
    let duration = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    for (max_source_age, wait, wrong) in [
        (None, None, "max_source_age"),
        (duration(0), None, "max_source_age"),
        (duration(-1), None, "max_source_age"),
        (duration(366 * 86_400 + 1), None, "max_source_age"),
        (duration(60), duration(12 * 3600 + 1), "wait"),
        (duration(60), duration(-1), "wait"),
    ] {
        let freshness = Some(v1::Freshness { max_source_age, wait });
        let export = v1::Export { freshness, ..saved.clone() };
        let found = fields(update(&world, export, &["freshness"]).await);
        assert_eq!(found[0].0, format!("export.freshness.{wrong}"));
    }
}
