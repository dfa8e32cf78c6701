//! Sources, and what their exports read.

use prost_types::FieldMask;
use segue_proto::v1;
use segue_store::test_util::Engine;
use serde_json::json;
use tonic::{Code, Status};

use super::{World, export, field_names, fields, missing, obstacles, source};

segue_store::on_both_engines! {
    of_two_that_take_one_name_at_once_one_gets_it,
    source_that_goes_at_once_with_an_export_that_takes_it_leaves_none_without,
}

const NOWHERE: &str = "src_00000000-0000-0000-0000-000000000001";

async fn get(world: &World, id: &str) -> Result<v1::Source, Status> {
    let request = v1::GetSourceRequest { id: id.to_owned() };
    Ok(world.sources().get_source(request).await?.into_inner().source.unwrap())
}

async fn update(world: &World, source: v1::Source, paths: &[&str]) -> Result<v1::Source, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = Some(FieldMask { paths });
    let request = v1::UpdateSourceRequest { source: Some(source), update_mask };
    Ok(world.sources().update_source(request).await?.into_inner().source.unwrap())
}

async fn delete(world: &World, id: &str) -> Result<(), Status> {
    let request = v1::DeleteSourceRequest { id: id.to_owned() };
    world.sources().delete_source(request).await.map(|_| ())
}

async fn set_source(world: &World, export: &str, source: &str) -> Result<v1::Export, Status> {
    let (id, source_id) = (export.to_owned(), source.to_owned());
    let export = v1::Export { id, source_id, ..v1::Export::default() };
    let update_mask = Some(FieldMask { paths: vec!["source_id".to_owned()] });
    let request = v1::UpdateExportRequest { export: Some(export), update_mask };
    Ok(world.exports().update_export(request).await?.into_inner().export.unwrap())
}

/// An export of a source.
async fn of_source(world: &World, source: &str) -> v1::Export {
    let connection = world.connection().await;
    let export = v1::Export { source_id: source.to_owned(), ..export(&connection.id) };
    world.create_export(export, "").await.unwrap()
}

#[tokio::test]
async fn source_comes_back_as_it_was_given_and_changed() {
    let world = World::new().await;
    let made = world.source("CRM", "crm/daily").await;
    assert!(made.id.starts_with("src_") && made.created_at.is_some(), "{made:?}");
    let given = v1::Source {
        id: made.id.clone(),
        created_at: made.created_at,
        updated_at: made.created_at,
        ..source("CRM", "crm/daily")
    };
    assert_eq!(made, given);
    assert_eq!(get(&world, &made.id).await.unwrap(), made);

    world.clock.advance(std::time::Duration::from_secs(1));
    let wanted = v1::Source { id: made.id.clone(), ..source("Other", "") };
    let moved = update(&world, wanted.clone(), &["folder"]).await.unwrap();
    assert_eq!((moved.display_name.as_str(), moved.folder.as_str()), ("CRM", ""));
    assert_ne!(moved.updated_at, made.updated_at);
    let renamed = update(&world, wanted.clone(), &["display_name"]).await.unwrap();
    assert_eq!(renamed.display_name, "Other");
    update(&world, wanted, &["display_name", "folder"]).await.unwrap();
    delete(&world, &made.id).await.unwrap();
    let gone = ("segue.v1.Source".to_owned(), made.id.clone());
    assert_eq!(missing(get(&world, &made.id).await, Code::NotFound), gone);
    assert_eq!(missing(delete(&world, &made.id).await, Code::NotFound), gone);

    let deeds = world.deeds(&made.id).await;
    let actions: Vec<&str> = deeds.iter().map(|(action, _)| action.as_str()).collect();
    let update = "source.update";
    assert_eq!(actions, ["source.create", update, update, "source.delete"]);
    assert_eq!(deeds[0].1, json!({"after": {"display_name": "CRM", "folder": "crm/daily"}}));
    assert_eq!(deeds[1].1, json!({"before": {"folder": "crm/daily"}, "after": {"folder": ""}}));
    assert_eq!(deeds[3].1, json!({"before": {"display_name": "Other", "folder": ""}}));
}

#[tokio::test]
async fn what_is_wrong_with_a_source_is_named_at_once() {
    let world = World::new().await;
    let create = async |name: &str, folder: &str, request_id: &str| {
        field_names(world.create_source(source(name, folder), request_id).await)
    };
    let all = ["request_id", "source.display_name", "source.folder"];
    assert_eq!(create("", "crm/*", "\u{7}").await, all);
    let long = "x".repeat(101);
    assert_eq!(create(&long, "../crm", "").await, all[1..]);
    let request = v1::CreateSourceRequest::default();
    assert_eq!(field_names(world.sources().create_source(request).await), ["source"]);

    let made = world.source("CRM", "crm").await;
    let wanted = v1::Source { id: made.id.clone(), ..source("CRM", "[crm]") };
    for (paths, wrong) in [
        (&["folder"][..], &["source.folder"][..]),
        (&[], &["update_mask"]),
        (&["id", "name"], &["update_mask", "update_mask"]),
    ] {
        assert_eq!(field_names(update(&world, wanted.clone(), paths).await), wrong, "{paths:?}");
    }
    assert_eq!(get(&world, &made.id).await.unwrap(), made);
    assert_eq!(field_names(get(&world, "exp_1").await), ["id"]);
}

#[tokio::test]
async fn name_of_another_source_is_refused_with_its_id() {
    let world = World::new().await;
    let first = world.source("CRM", "crm").await;
    let second = world.source("Shop", "crm").await;
    let taken = |found: Vec<(String, String)>| {
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "source.display_name");
        assert!(found[0].1.contains(&first.id), "{found:?}");
    };
    taken(fields(world.create_source(source("CRM", "other"), "").await));
    let renamed = v1::Source { id: second.id.clone(), ..source("CRM", "") };
    taken(fields(update(&world, renamed, &["display_name"]).await));
    // Its own name it may keep.
    let same = v1::Source { id: first.id.clone(), ..source("CRM", "new") };
    update(&world, same, &["display_name", "folder"]).await.unwrap();
}

async fn of_two_that_take_one_name_at_once_one_gets_it(engine: Engine) {
    let world = World::on(engine).await;
    let create = || world.create_source(source("CRM", "crm"), "");
    let (one, two) = tokio::join!(create(), create());
    let refused = if one.is_ok() { two } else { one };
    assert_eq!(field_names(refused), ["source.display_name"]);
}

#[tokio::test]
async fn the_same_request_makes_one_source() {
    let world = World::new().await;
    let first = world.create_source(source("CRM", "crm"), "r").await.unwrap();
    assert_eq!(world.create_source(source("CRM", "crm"), "r").await.unwrap(), first);
    let other = world.create_source(source("CRM", "elsewhere"), "r").await;
    assert_eq!(other.unwrap_err().code(), Code::AlreadyExists);
}

#[tokio::test]
async fn sources_come_page_by_page() {
    let world = World::new().await;
    for n in 0..3 {
        world.source(&format!("Source {n}"), "").await;
    }
    let list = async |page_token: String| {
        let request = v1::ListSourcesRequest { page_size: 2, page_token };
        let page = world.sources().list_sources(request).await.unwrap().into_inner();
        let names: Vec<_> = page.sources.into_iter().map(|it| it.display_name).collect();
        (names, page.next_page_token)
    };
    let (names, next) = list(String::new()).await;
    assert_eq!(names, ["Source 0", "Source 1"]);
    assert_eq!(list(next).await, (vec!["Source 2".to_owned()], String::new()));
}

#[tokio::test]
async fn export_of_a_source_that_is_not_there_is_refused() {
    let world = World::new().await;
    let connection = world.connection().await;
    for nowhere in [NOWHERE, "con_1"] {
        let source_id = nowhere.to_owned();
        let wanted = v1::Export { source_id, ..export(&connection.id) };
        let refused = world.create_export(wanted, "").await;
        assert_eq!(field_names(refused), ["export.source_id"], "{nowhere}");
    }
    let saved = world.create_export(export(&connection.id), "").await.unwrap();
    for nowhere in [NOWHERE, "con_1"] {
        let refused = set_source(&world, &saved.id, nowhere).await;
        assert_eq!(field_names(refused), ["export.source_id"], "{nowhere}");
    }
    for looked in [NOWHERE, "con_1"] {
        let source_id = looked.to_owned();
        let request = v1::ListSegmentsRequest { folder: String::new(), source_id };
        let code = world.sources().list_segments(request).await.unwrap_err().code();
        assert_eq!(code, if looked == NOWHERE { Code::NotFound } else { Code::InvalidArgument });
    }
}

#[tokio::test]
async fn source_that_exports_use_stays_and_they_are_named() {
    let world = World::new().await;
    let crm = world.source("CRM", "crm").await;
    let saved = of_source(&world, &crm.id).await;
    assert_eq!(saved.source_id, crm.id);
    let users = vec![("USED_BY_EXPORT".to_owned(), saved.id.clone())];
    assert_eq!(obstacles(delete(&world, &crm.id).await), users);
    assert_eq!(set_source(&world, &saved.id, "").await.unwrap().source_id, "");
    delete(&world, &crm.id).await.unwrap();
}

async fn source_that_goes_at_once_with_an_export_that_takes_it_leaves_none_without(engine: Engine) {
    let world = World::on(engine).await;
    let saved = of_source(&world, "").await;
    for n in 0..4 {
        let crm = world.source(&format!("CRM {n}"), "crm").await;
        let taken = set_source(&world, &saved.id, &crm.id);
        let (taken, gone) = tokio::join!(taken, delete(&world, &crm.id));
        assert_ne!(taken.is_ok(), gone.is_ok(), "{taken:?} {gone:?}");
        set_source(&world, &saved.id, "").await.unwrap();
    }
}

#[tokio::test]
async fn run_reads_below_the_folder_of_the_source_as_it_was_at_its_start() {
    let world = World::new().await;
    let crm = world.source("CRM", "crm/daily").await;
    let connection = world.connection().await;
    let segments = vec!["people/*.csv".to_owned(), "more.csv".to_owned()];
    let wanted = v1::Export { source_id: crm.id.clone(), segments, ..export(&connection.id) };
    let saved = world.create_export(wanted, "").await.unwrap();
    let run = world.start(&saved.id, "1").await.unwrap();
    let read = json!(["crm/daily/people/*.csv", "crm/daily/more.csv"]);
    assert_eq!(world.plan(&run).await["sources"], read);

    let moved = v1::Source { id: crm.id.clone(), ..source("", "") };
    update(&world, moved, &["folder"]).await.unwrap();
    assert_eq!(world.plan(&run).await["sources"], read);
    world.cancel(&run.id).await.unwrap();
    let run = world.start(&saved.id, "2").await.unwrap();
    assert_eq!(world.plan(&run).await["sources"], json!(["people/*.csv", "more.csv"]));
}
