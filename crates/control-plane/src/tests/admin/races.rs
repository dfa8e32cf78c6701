//! Several at once, on both engines.

use std::{collections::BTreeSet, sync::Arc};

use segue_access::Role;
use segue_model::Cause;
use segue_store::{read_admin, test_util::Engine};
use tonic::Code;

use super::{World, connection, export, tester};
use crate::{ControlPlane, Error, Refusal, Start, StartOptions};

segue_store::on_both_engines! {
    of_fifty_starts_with_different_requests_one_begins,
    fifty_starts_with_the_same_request_begin_one_run,
    the_same_request_makes_one_connection_and_one_export,
    export_and_deletion_of_its_connection_exclude_each_other,
    start_and_deletion_of_its_export_exclude_each_other,
}

const MANY: usize = 50;

/// Two control-planes that take turns.
async fn both(world: &World) -> [Arc<ControlPlane>; 2] {
    [Arc::clone(&world.cp), world.another(&super::MASTER_KEY).await]
}

/// Starts so many runs of an export at once; returns what became of each.
async fn start_many(
    world: &World,
    export: &str,
    request_id: impl Fn(usize) -> String,
) -> Vec<Result<segue_model::RunView, Error>> {
    let planes = both(world).await;
    let starts: Vec<_> = (0..MANY)
        .map(|n| {
            let cp = Arc::clone(&planes[n % planes.len()]);
            let start = Start {
                export: export.parse().unwrap(),
                request_id: request_id(n),
                cause: Cause::OnDemand,
                by: tester(Role::Administrator),
                trace: None,
                options: StartOptions::default(),
            };
            tokio::spawn(async move { cp.start_export(&start).await })
        })
        .collect();
    let mut results = Vec::new();
    for start in starts {
        results.push(start.await.unwrap());
    }
    results
}

async fn of_fifty_starts_with_different_requests_one_begins(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.export().await;
    let results = start_many(&world, &export.id, |n| format!("r{n}")).await;
    let (begun, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(begun.len(), 1);
    let run = begun.into_iter().next().unwrap().unwrap().run.to_string();
    for refused in refused {
        let Err(Error::Refused(Refusal::Blocked(obstacles))) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((obstacles[0].code, &obstacles[0].subject), ("RUN_UNDER_WAY", &run));
    }
}

async fn fifty_starts_with_the_same_request_begin_one_run(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.export().await;
    let results = start_many(&world, &export.id, |_| "once".to_owned()).await;
    let runs: BTreeSet<_> = results.into_iter().map(|result| result.unwrap().run).collect();
    assert_eq!(runs.len(), 1);
    assert_eq!(world.announced().await.len(), 1);
}

async fn the_same_request_makes_one_connection_and_one_export(engine: Engine) {
    let world = World::on(engine).await;
    // Klaviyo takes one such question a second, and the clock stands still: the rest asks by its own.
    let connections = (0..4).map(|_| async {
        loop {
            match world.create_connection(connection(super::KEY), "once").await {
                Ok(made) => return made.id,
                Err(err) => assert_eq!(err.code(), Code::Unavailable, "{err:?}"),
            }
        }
    });
    let advance = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            world.clock.advance(std::time::Duration::from_secs(1));
        }
    };
    let made: BTreeSet<_> = tokio::select! {
        made = join_all(connections) => made.into_iter().collect(),
        () = advance => unreachable!(),
    };
    assert_eq!(made.len(), 1);
    let id = made.into_iter().next().unwrap();
    let all = read_admin::connections(world.cp.store(), None, false, 10).await.unwrap();
    assert_eq!(all.len(), 1);
    let exports = (0..20).map(|_| world.create_export(export(&id), "once"));
    let made: BTreeSet<_> =
        join_all(exports).await.into_iter().map(|made| made.unwrap().id).collect();
    assert_eq!(made.len(), 1);
    let all = read_admin::exports(world.cp.store(), None, None, 10).await.unwrap();
    assert_eq!(all.len(), 1);
}

async fn export_and_deletion_of_its_connection_exclude_each_other(engine: Engine) {
    let world = World::on(engine).await;
    for _ in 0..5 {
        world.clock.advance(std::time::Duration::from_mins(1));
        let made = world.connection().await;
        let [_, other] = both(&world).await;
        let id = made.id.parse().unwrap();
        let delete =
            async move { other.delete_connection(id, false, &tester(Role::Administrator)).await };
        let delete = tokio::spawn(delete);
        let created = world.create_export(export(&made.id), "").await;
        match (delete.await.unwrap(), created) {
            (Ok(_), Err(err)) => assert_eq!(err.code(), Code::InvalidArgument),
            (Err(Error::Refused(Refusal::Blocked(_))), Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn start_and_deletion_of_its_export_exclude_each_other(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await;
    for n in 0..5 {
        let saved = world.create_export(export(&connection.id), "").await.unwrap();
        let [_, other] = both(&world).await;
        let id = saved.id.parse().unwrap();
        let delete = async move { other.delete_export(id, &tester(Role::Administrator)).await };
        let delete = tokio::spawn(delete);
        let started = world.start(&saved.id, &format!("r{n}")).await;
        match (delete.await.unwrap(), started) {
            (Ok(()), Err(err)) => assert_eq!(err.code(), Code::NotFound),
            (Err(Error::Refused(Refusal::Blocked(_))), Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// All of them at once, as one task.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut futures {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if futures.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}
