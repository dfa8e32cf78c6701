//! What an ended run left, and the run that sends it.

use segue_model::{BatchNo, RunState};

use super::{NOW, World, accept, export_id, of_export};
use crate::{
    test_util::Engine,
    tests::{run_id, staged},
    write::{
        batches::{self, BatchState},
        retries, runs,
    },
};

crate::on_both_engines! {
    only_what_was_never_accepted_is_left,
    retry_counts_once_it_has_staged_something,
}

async fn only_what_was_never_accepted_is_left(engine: Engine) {
    let world = World::with_an_export(engine).await;
    let mut tx = world.tx().await;
    let run = run_id(1);
    assert!(runs::create(&mut tx, &of_export(1, 1)).await.unwrap());
    accept(&mut tx, run, 0).await;
    for no in 1..3 {
        assert!(batches::stage(&mut tx, run, &staged(no), BatchState::Ready).await.unwrap());
    }
    assert!(retries::left(&mut tx, run).await.unwrap().is_empty(), "the run goes on");
    batches::give_up_asking(&mut tx, run, BatchNo(0)).await.unwrap();
    batches::give_up_unsent(&mut tx, run).await.unwrap();
    let left = retries::left(&mut tx, run).await.unwrap();
    assert_eq!(left.iter().map(|left| left.batch.0).collect::<Vec<_>>(), [1, 2]);
    assert!(left.iter().all(|left| left.staged && left.profiles == 10 && left.bytes == 1000));
    assert_eq!(left[0].hash, staged(1).hash);
    let ended = retries::ended(&mut tx, run).await.unwrap().unwrap();
    assert_eq!((ended.export, ended.ended, ended.read_done), (Some(export_id(1)), None, false));
    runs::end(&mut tx, run, RunState::Failed).await.unwrap();
    assert_eq!(retries::ended(&mut tx, run).await.unwrap().unwrap().ended, Some(NOW));
}

async fn retry_counts_once_it_has_staged_something(engine: Engine) {
    let world = World::with_an_export(engine).await;
    let mut tx = world.tx().await;
    assert!(runs::create(&mut tx, &of_export(1, 1)).await.unwrap());
    runs::end(&mut tx, run_id(1), RunState::Failed).await.unwrap();
    assert_eq!(retries::retried_as(&mut tx, run_id(1)).await.unwrap(), None);
    let mut retry = of_export(2, 1);
    retry.origin.retry_of = Some(run_id(1));
    assert!(runs::create(&mut tx, &retry).await.unwrap());
    assert_eq!(retries::retried_as(&mut tx, run_id(1)).await.unwrap(), Some(run_id(2)));
    runs::end(&mut tx, run_id(2), RunState::Failed).await.unwrap();
    assert_eq!(retries::retried_as(&mut tx, run_id(1)).await.unwrap(), None);
    assert!(batches::stage(&mut tx, run_id(2), &staged(0), BatchState::Ready).await.unwrap());
    assert_eq!(retries::retried_as(&mut tx, run_id(1)).await.unwrap(), Some(run_id(2)));
}
