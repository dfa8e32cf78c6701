use secrecy::ExposeSecret as _;
use segue_model::{
    Endpoint,
    work::{Claimed, Job, JobKind, PermitReply, Slots, Work},
};
use segue_proto::v1::{self, RunState, Trigger};
use segue_store::{read, write::connections};
use serde_json::{Value, json};
use tonic::{Code, Request};

use super::{KEY, World, export, field_names, missing, obstacles, run_id};
use crate::tests::Heard;

impl World {
    /// What is announced now to somebody who can do anything.
    pub(super) async fn announced(&self) -> Vec<Job> {
        let slots = Slots { read: 9, upload: 99, confirm: 9, look: 0 };
        self.cp.renew("worker", slots, &[]).await.unwrap();
        let heard = Heard::default();
        self.cp.announce(&heard).await.unwrap();
        std::mem::take(&mut *heard.0.lock().unwrap())
    }

    pub(super) async fn claim(&self, kind: JobKind) -> Claimed {
        let job = self.announced().await.into_iter().find(|job| job.kind == kind).unwrap();
        self.cp.claim(job.id, job.attempt).await.unwrap().unwrap()
    }

    pub(super) async fn plan(&self, run: &v1::Run) -> Value {
        let planned = read::planned(self.cp.store(), run_id(run)).await.unwrap().unwrap();
        serde_json::from_str(&planned.plan).unwrap()
    }
}

#[tokio::test]
async fn run_begins_with_what_its_export_says() {
    let world = World::new().await;
    let connection = world.connection().await;
    let given = v1::Export {
        segments: vec!["a.csv".to_owned(), "b/*.csv".to_owned()],
        mapping: Some(v1::Mapping {
            email: "mail".to_owned(),
            attributes: [("location.city".to_owned(), "town".to_owned())].into(),
            ..v1::Mapping::default()
        }),
        guards: Some(v1::Guards { allow_live_flows: true, ..v1::Guards::default() }),
        ..export(&connection.id)
    };
    let export = world.create_export(given, "").await.unwrap();
    let run = world.start(&export.id, "r").await.unwrap();
    assert_eq!((run.state(), run.trigger()), (RunState::Queued, Trigger::OnDemand));
    assert_eq!((&run.export_id, &run.connection_id), (&export.id, &connection.id));
    assert_eq!((run.account_id.as_str(), run.list_id.as_str()), ("SIMULA", "LIST01"));
    assert_eq!((run.request_id.as_str(), run.retry_of.as_str()), ("r", ""));
    assert!(run.created_at.is_some() && run.ended_at.is_none() && run.counts.is_some());
    let options = json!({
        "email": "mail", "map": ["location.city=town"], "properties": "all", "default_country": null,
    });
    let plan = json!({
        "kind": "wanted", "sources": ["a.csv", "b/*.csv"], "options": options,
        "allow_live_flows": true,
    });
    assert_eq!(world.plan(&run).await, plan);
    // The reader freezes it, once.
    let reader = world.claim(JobKind::Read).await;
    let Work::Read(work) = &reader.work else { panic!("{reader:?}") };
    assert_eq!(serde_json::from_str::<Value>(&work.plan).unwrap(), plan);
    assert_eq!(work.credentials.key.expose_secret(), KEY);
    assert_eq!(work.credentials.account_id, "SIMULA");
    assert_eq!(world.cp.plan(reader.claim, "{}", &[]).await.unwrap(), crate::work::Next::GoOn);
    assert_eq!(world.plan(&run).await, json!({}));
    assert_eq!(world.cp.plan(reader.claim, "[]", &[]).await.unwrap(), crate::work::Next::Stop);
}

#[tokio::test]
async fn what_the_export_becomes_later_does_not_matter_to_the_run() {
    let world = World::new().await;
    let export = world.export().await;
    let run = world.start(&export.id, "r").await.unwrap();
    let before = world.plan(&run).await;
    let export = v1::Export { segments: vec!["other.csv".to_owned()], ..export };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["segments".to_owned()] });
    let request = v1::UpdateExportRequest { export: Some(export), update_mask };
    world.exports().update_export(request).await.unwrap();
    assert_eq!(world.plan(&run).await, before);
}

#[tokio::test]
async fn the_same_request_starts_one_run() {
    let world = World::new().await;
    let export = world.export().await;
    let run = world.start(&export.id, "once").await.unwrap();
    assert_eq!(world.start(&export.id, "once").await.unwrap(), run);
    // Also when it has ended, and when the export is gone.
    world.cancel(&run.id).await.unwrap();
    assert_eq!(world.start(&export.id, "once").await.unwrap().id, run.id);
    let delete = v1::DeleteExportRequest { id: export.id.clone() };
    world.exports().delete_export(delete).await.unwrap();
    assert_eq!(world.start(&export.id, "once").await.unwrap().id, run.id);
    assert_eq!(missing(world.start(&export.id, "again").await, Code::NotFound).1, export.id);
}

#[tokio::test]
async fn request_id_of_another_wish_is_refused() {
    let world = World::new().await;
    let export = world.export().await;
    let other = world.create_export(super::export(&export.connection_id), "").await.unwrap();
    let run = world.start(&export.id, "once").await.unwrap();
    let used = ("segue.v1.Run".to_owned(), run.id.clone());
    assert_eq!(missing(world.start(&other.id, "once").await, Code::AlreadyExists), used);
    assert_eq!(missing(world.retry(&run.id, "once").await, Code::AlreadyExists), used);
}

#[tokio::test]
async fn one_run_of_an_export_is_under_way_at_a_time() {
    let world = World::new().await;
    let export = world.export().await;
    let run = world.start(&export.id, "1").await.unwrap();
    let under_way = ("RUN_UNDER_WAY".to_owned(), run.id.clone());
    assert_eq!(obstacles(world.start(&export.id, "2").await), [under_way]);
    world.cancel(&run.id).await.unwrap();
    // The refused request was not used up.
    assert_ne!(world.start(&export.id, "2").await.unwrap().id, run.id);
}

#[tokio::test]
async fn run_that_could_not_be_sent_does_not_begin() {
    let world = World::new().await;
    let export = world.export().await;
    let start = crate::Start {
        export: export.id.parse().unwrap(),
        request_id: "1".to_owned(),
        cause: segue_model::Cause::OnDemand,
        by: super::tester(segue_access::Role::Administrator),
        trace: None,
        options: crate::StartOptions::default(),
    };
    let other = world.another(&[1; 32]).await;
    let err = other.start_export(&start).await.unwrap_err().to_string();
    assert!(err.contains("master key"), "{err}");
    // Nobody can do this over gRPC while the export is there.
    let mut tx = world.cp.store().begin().await.unwrap();
    connections::remove(&mut tx, export.connection_id.parse().unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    let gone = ("CONNECTION_DELETED".to_owned(), export.connection_id.clone());
    assert_eq!(obstacles(world.start(&export.id, "1").await), [gone]);
    assert!(world.announced().await.is_empty());
}

#[tokio::test]
async fn request_needs_an_id() {
    let world = World::new().await;
    let export = world.export().await;
    for id in ["", "a\nb", &"x".repeat(101)] {
        assert_eq!(field_names(world.start(&export.id, id).await), ["request_id"]);
        assert_eq!(field_names(world.retry(RUN, id).await), ["request_id"]);
    }
    assert_eq!(field_names(world.start("x", "1").await), ["export_id"]);
    assert_eq!(field_names(world.cancel("x").await), ["run_id"]);
    assert_eq!(field_names(world.retry("x", "1").await), ["run_id"]);
    let resource = ("segue.v1.Run".to_owned(), RUN.to_owned());
    assert_eq!(missing(world.cancel(RUN).await, Code::NotFound), resource);
    assert_eq!(missing(world.retry(RUN, "1").await, Code::NotFound), resource);
}

const RUN: &str = "run_00000000-0000-0000-0000-000000000001";

#[tokio::test]
async fn cancel_answers_when_nothing_more_is_sent() {
    let world = World::new().await;
    let export = world.export().await;
    let run = world.start(&export.id, "r").await.unwrap();
    let reader = world.claim(JobKind::Read).await.claim;
    let permit = world.cp.permit(reader, "SIMULA", Endpoint::List).await.unwrap();
    assert!(matches!(permit, PermitReply::Granted(_)), "{permit:?}");
    // Its answer is not recorded, so the run is not over.
    let cancelled = world.cancel(&run.id).await.unwrap();
    assert_eq!(cancelled.state(), RunState::Cancelling);
    let permit = world.cp.permit(reader, "SIMULA", Endpoint::Accounts).await.unwrap();
    assert_eq!(permit, PermitReply::Stop);
    assert_eq!(world.cancel(&run.id).await.unwrap(), cancelled);
}

#[tokio::test]
async fn cancelling_again_changes_nothing() {
    let world = World::new().await;
    let export = world.export().await;
    let run = world.start(&export.id, "r").await.unwrap();
    let ended = world.cancel(&run.id).await.unwrap();
    assert_eq!(ended.state(), RunState::Cancelled);
    assert_eq!(world.cancel(&run.id).await.unwrap(), ended);
}

#[tokio::test]
async fn jobs_of_a_run_belong_to_the_trace_of_its_start() {
    let world = World::new().await;
    let export = world.export().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (export_id, request_id) = (export.id, "r".to_owned());
    let mut request =
        Request::new(v1::StartRunRequest { export_id, request_id, ..Default::default() });
    request.metadata_mut().insert("traceparent", trace.parse().unwrap());
    world.runs().start_run(request).await.unwrap();
    let jobs = world.announced().await;
    assert_eq!(jobs.iter().map(|job| job.trace.as_deref()).collect::<Vec<_>>(), [Some(trace)]);
}
