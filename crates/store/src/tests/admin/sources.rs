//! Sources, and the exports that use them.

use std::time::Duration;

use segue_model::{Id, SourceId};
use uuid::Uuid;

use super::{NOW, World, export, export_id};
use crate::{
    read_admin,
    test_util::Engine,
    write::{
        exports::{self, Export},
        settings,
        sources::{self, Source},
    },
};

crate::on_both_engines! {
    source_comes_back_as_it_was_written_and_changed,
    pages_of_sources_are_in_the_order_of_ids,
    whoever_uses_a_source_is_named,
    two_sources_do_not_have_one_name,
    deletion_waits_for_whoever_holds_the_source,
}

fn source_id(n: u128) -> SourceId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn source(n: u128) -> Source {
    Source {
        id: source_id(n),
        display_name: format!("Source {n}"),
        folder: "crm/daily".to_owned(),
        created: NOW,
        updated: NOW,
    }
}

fn using(n: u128, source: u128) -> Export {
    Export { source: Some(source_id(source)), ..export(n, 1) }
}

async fn source_comes_back_as_it_was_written_and_changed(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    assert_eq!(sources::lock(&mut tx, source_id(1)).await.unwrap(), None);
    sources::create(&mut tx, &source(1)).await.unwrap();
    assert_eq!(sources::lock(&mut tx, source_id(1)).await.unwrap(), Some(source(1)));
    let updated = NOW + Duration::from_secs(1);
    let changed =
        Source { display_name: "Other".to_owned(), folder: String::new(), updated, ..source(1) };
    sources::update(&mut tx, &changed).await.unwrap();
    assert_eq!(sources::find(&mut tx, source_id(1)).await.unwrap().as_ref(), Some(&changed));
    assert_eq!(sources::named(&mut tx, "Other").await.unwrap(), Some(source_id(1)));
    assert_eq!(sources::named(&mut tx, "Source 1").await.unwrap(), None);
    tx.commit().await.unwrap();
    assert_eq!(read_admin::source(&world.store, source_id(1)).await.unwrap(), Some(changed));
    let mut tx = world.tx().await;
    assert!(sources::delete(&mut tx, source_id(1)).await.unwrap());
    assert!(!sources::delete(&mut tx, source_id(1)).await.unwrap());
    assert_eq!(sources::find(&mut tx, source_id(1)).await.unwrap(), None);
}

async fn pages_of_sources_are_in_the_order_of_ids(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    for n in [0x1f, 0x9, 0xa, 0x10] {
        sources::create(&mut tx, &source(n)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let page = async |after| {
        let page = read_admin::sources(&world.store, after, 3).await.unwrap();
        page.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None).await, [0x9, 0xa, 0x10].map(source_id));
    assert_eq!(page(Some(source_id(0x10))).await, [source_id(0x1f)]);
}

async fn whoever_uses_a_source_is_named(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    for export in [using(1, 1), using(2, 2), export(3, 1), using(4, 1)] {
        exports::create(&mut tx, &export).await.unwrap();
    }
    let users = sources::users(&mut tx, source_id(1), 9).await.unwrap();
    assert_eq!(users, [1, 4].map(export_id));
    assert_eq!(sources::users(&mut tx, source_id(1), 1).await.unwrap(), [export_id(1)]);
    assert_eq!(exports::lock(&mut tx, export_id(1)).await.unwrap(), Some(using(1, 1)));
    exports::update(&mut tx, &export(1, 1)).await.unwrap();
    assert_eq!(sources::users(&mut tx, source_id(1), 9).await.unwrap(), [export_id(4)]);
}

async fn two_sources_do_not_have_one_name(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    settings::lock(&mut tx, settings::SOURCES).await.unwrap();
    sources::create(&mut tx, &source(1)).await.unwrap();
    let same = Source { display_name: source(1).display_name, ..source(2) };
    assert!(sources::create(&mut tx, &same).await.is_err());
}

async fn deletion_waits_for_whoever_holds_the_source(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    sources::create(&mut tx, &source(1)).await.unwrap();
    tx.commit().await.unwrap();
    let mut holder = world.tx().await;
    sources::lock(&mut holder, source_id(1)).await.unwrap().unwrap();
    exports::create(&mut holder, &using(1, 1)).await.unwrap();
    let delete = async {
        let mut tx = world.tx().await;
        sources::lock(&mut tx, source_id(1)).await.unwrap().unwrap();
        sources::users(&mut tx, source_id(1), 9).await.unwrap()
    };
    let mut delete = std::pin::pin!(delete);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut delete).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    holder.commit().await.unwrap();
    assert_eq!(delete.await, [export_id(1)]);
}
