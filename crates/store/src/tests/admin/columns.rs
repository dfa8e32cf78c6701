//! What an export keeps of its columns, and what a run of it began with.

use segue_model::Micros;

use super::{NOW, World, export_id, of_export};
use crate::{
    read_admin,
    test_util::Engine,
    tests::run_id,
    write::{
        columns::{self, ExportColumns, RunColumns},
        runs::{self, NewRun},
    },
};

crate::on_both_engines! {
    columns_come_back_as_they_were_kept_last,
    run_keeps_the_columns_that_it_began_with,
}

fn kept(mapping: Option<&str>) -> ExportColumns {
    ExportColumns {
        settled_for: "{\"segments\":[]}".to_owned(),
        mapping: mapping.map(str::to_owned),
        problem: "no such file".to_owned(),
        new_columns: "[\"town\"]".to_owned(),
        settled: Micros(NOW.0 + 7),
    }
}

async fn columns_come_back_as_they_were_kept_last(engine: Engine) {
    let world = World::with_an_export(engine).await;
    let id = export_id(1);
    assert_eq!(read_admin::columns(&world.store, id).await.unwrap(), None);
    for columns in [kept(None), kept(Some("{\"entries\":[]}"))] {
        let mut tx = world.tx().await;
        columns::keep(&mut tx, id, &columns).await.unwrap();
        assert_eq!(columns::of(&mut tx, id).await.unwrap(), Some(columns.clone()));
        assert_eq!(columns::of(&mut tx, export_id(2)).await.unwrap(), None);
        tx.commit().await.unwrap();
        assert_eq!(read_admin::columns(&world.store, id).await.unwrap(), Some(columns));
    }
    let mut tx = world.tx().await;
    columns::forget(&mut tx, id).await.unwrap();
    assert_eq!(columns::of(&mut tx, id).await.unwrap(), None);
}

async fn run_keeps_the_columns_that_it_began_with(engine: Engine) {
    let world = World::with_an_export(engine).await;
    let mut tx = world.tx().await;
    let columns =
        RunColumns { mapping: Some("{}".to_owned()), settled_for: "{\"a\":1}".to_owned() };
    let new = NewRun { columns: columns.clone(), ..of_export(1, 1) };
    assert!(runs::create(&mut tx, &new).await.unwrap());
    assert_eq!(runs::lock(&mut tx, run_id(1)).await.unwrap().unwrap().columns, columns);
    runs::end(&mut tx, run_id(1), segue_model::RunState::Failed).await.unwrap();
    assert!(runs::create(&mut tx, &of_export(2, 1)).await.unwrap());
    let none = runs::lock(&mut tx, run_id(2)).await.unwrap().unwrap().columns;
    assert_eq!(none, RunColumns::default());
}
