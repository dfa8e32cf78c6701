use std::{sync::Arc, time::Duration};

use segue_model::{Cause, Id, RunState};
use segue_queue::{Command, MemoryCommands};
use segue_store::{
    read,
    write::events::{self, Pending},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::World;
use crate::Obeyed;

impl World {
    async fn rejections(&self) -> Vec<Pending> {
        let pending = events::pending(self.cp.store(), 100).await.unwrap();
        pending.into_iter().filter(|event| event.topic == "command.rejected").collect()
    }

    async fn only_run(&self) -> segue_model::RunView {
        let query = read::RunsQuery { most: 10, ..read::RunsQuery::default() };
        let mut runs = read::runs(self.cp.store(), &query).await.unwrap();
        assert_eq!(runs.len(), 1);
        runs.remove(0)
    }
}

fn start(export: &str, request_id: &str) -> Command {
    Command::Start { export: export.parse().unwrap(), request_id: request_id.to_owned() }
}

#[tokio::test]
async fn command_is_obeyed_once_however_often_it_comes() {
    let world = World::new().await;
    let export = world.export().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let command = start(&export.id, "c1");
    let Obeyed::Started(run) = world.cp.obey(&command, Some(trace)).await.unwrap() else {
        panic!("not started")
    };
    let view = world.only_run().await;
    assert_eq!(
        (view.run, view.cause, view.request_id.as_deref()),
        (run, Cause::Command, Some("c1"))
    );
    assert_eq!(world.cp.obey(&command, None).await.unwrap(), Obeyed::Started(run));
    assert_eq!(world.announced().await[0].trace.as_deref(), Some(trace));
    let cancel = Command::Cancel { run, request_id: "c2".to_owned() };
    for _ in 0..2 {
        assert_eq!(world.cp.obey(&cancel, None).await.unwrap(), Obeyed::Cancelled(run));
    }
    assert_eq!(world.only_run().await.state, RunState::Cancelled);
    assert!(world.rejections().await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_obeyed_is_answered_with_the_id_of_its_request() {
    let world = World::new().await;
    let export = world.export().await;
    world.cp.obey(&start(&export.id, "c1"), None).await.unwrap();
    let run = Id::from_uuid(Uuid::from_u128(1));
    let nobody = "exp_00000000-0000-0000-0000-000000000001";
    let wishes = [
        (start(&export.id, "c2"), "run_under_way", None),
        (start(nobody, "c3"), "no_such_export", None),
        (start(nobody, "c1"), "request_id_used", None),
        (Command::Cancel { run, request_id: "c4".to_owned() }, "no_such_run", Some(run)),
    ];
    for (n, (command, code, run)) in wishes.into_iter().enumerate() {
        world.clock.advance(Duration::from_secs(1));
        let obeyed = world.cp.obey(&command, None).await.unwrap();
        let Obeyed::Rejected { reason, words } = obeyed else { panic!("{obeyed:?}") };
        assert_eq!(reason, code);
        let event = world.rejections().await.swap_remove(n);
        assert_eq!(event.request_id.as_deref(), Some(command.request_id()));
        assert_eq!((event.reason.as_deref(), event.run), (Some(code), run));
        assert_eq!(event.detail, Some(words));
    }
}

#[tokio::test]
async fn key_of_another_master_key_starts_nothing() {
    let world = World::new().await;
    let export = world.export().await;
    let other = world.another(&[1; 32]).await;
    let obeyed = other.obey(&start(&export.id, "c1"), None).await.unwrap();
    let Obeyed::Rejected { reason, words } = obeyed else { panic!("{obeyed:?}") };
    assert!(reason == "key_unreadable" && words.contains("master key"), "{reason}: {words}");
    assert!(read::unfinished(world.cp.store()).await.unwrap().is_empty());
}

#[tokio::test]
async fn message_is_settled_after_its_wish_is_committed() {
    let world = World::new().await;
    let export = world.export().await;
    let commands = MemoryCommands::default();
    let stop = CancellationToken::new();
    let consumer = tokio::spawn({
        let (cp, commands, stop) = (Arc::clone(&world.cp), commands.clone(), stop.clone());
        async move { cp.commands(&commands, &stop).await }
    });
    let send = |topic: &str, body: Value| {
        commands.send(topic, Some("application/json"), body.to_string().as_bytes(), None).unwrap();
    };
    let wish = json!({"schema": 1, "start_run": {"export_id": export.id, "request_id": "c1"}});
    send("run.start", wish);
    let second = json!({"schema": 1, "start_run": {"export_id": export.id, "request_id": "c2"}});
    send("run.start", second);
    send("run.start", json!({"schema": 1, "start_run": {"export_id": 7, "request_id": "c3"}}));
    let rejected = async {
        while commands.rejected().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), rejected).await.unwrap();
    stop.cancel();
    consumer.await.unwrap().unwrap();
    assert_eq!(world.only_run().await.request_id.as_deref(), Some("c1"));
    let events = world.rejections().await;
    let reasons: Vec<_> = events.iter().map(|event| event.reason.clone().unwrap()).collect();
    assert_eq!(events.len(), 2, "{reasons:?}");
    assert!(
        reasons.contains(&"run_under_way".to_owned()) && reasons.contains(&"malformed".to_owned())
    );
}
