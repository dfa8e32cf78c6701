//! What becomes of the columns of an export: settled when it is saved or by its first run, and kept.

use segue_model::{
    ClaimId, RunId,
    look::{Asked, Found},
    work::{Claimed, JobKind, Looked, ReadWork, Verdict, Work},
};
use segue_proto::v1;
use serde_json::{Value, json};
use tonic::Code;

use super::{
    World, export, field_names, fields,
    looks::{LOOKS, answer, next, worker_is_there},
    obstacles, refused, run_id,
};
use crate::{
    ControlPlane,
    tests::turns::{announced, claim},
};

fn mapping(attributes: &[&str], unsent: &[&str]) -> Value {
    let entry = |name: &&str| match *name {
        "email" => json!({ "attribute": "email", "column": "email" }),
        other => json!({
            "attribute": format!("properties.{other}"), "column": other, "type": "number",
            "from_text": true,
        }),
    };
    let entries: Vec<Value> = attributes.iter().map(entry).collect();
    json!({ "entries": entries, "unsent": unsent, "default_country": null, "warnings": [] })
}

fn plan(mapping: &Value) -> String {
    json!({
        "kind": "frozen", "rules_version": 2, "sources": ["people/*.csv"],
        "manifest": { "objects": [] }, "mapping": mapping, "limit": null,
    })
    .to_string()
}

/// A worker looks for whoever saves or settles, and answers so.
async fn answers(cp: &ControlPlane, found: Result<Value, &str>) -> Asked {
    let Claimed { claim, work: Work::Look(work) } = next(cp).await else { panic!("no look") };
    let verdict = match found {
        Ok(mapping) => answer(&Found::Settled { mapping: mapping.to_string() }),
        Err(words) => Verdict::Looked(Looked::Failed(words.to_owned())),
    };
    cp.finish(claim, verdict).await.unwrap();
    serde_json::from_str(&work.asked).unwrap()
}

fn sent(columns: &v1::Columns) -> Vec<(&str, &str, &str)> {
    columns
        .sent
        .iter()
        .map(|it| (it.name.as_str(), it.attribute.as_str(), it.r#type.as_str()))
        .collect()
}

impl World {
    async fn columns(&self, export: &str) -> v1::Columns {
        let request = v1::GetExportRequest { id: export.to_owned() };
        self.exports().get_export(request).await.unwrap().into_inner().columns.unwrap()
    }

    async fn settle(&self, export: &str) -> Result<v1::Columns, tonic::Status> {
        let request = v1::SettleColumnsRequest { export_id: export.to_owned() };
        let reply = self.exports().settle_columns(request).await?;
        Ok(reply.into_inner().columns.unwrap())
    }

    async fn rename_tier(&self, export: &str) {
        let mapping = v1::Mapping {
            attributes: [("properties.rank".to_owned(), "tier".to_owned())].into(),
            ..Default::default()
        };
        let export =
            v1::Export { id: export.to_owned(), mapping: Some(mapping), ..Default::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["mapping".to_owned()] });
        let request = v1::UpdateExportRequest { export: Some(export), update_mask };
        self.exports().update_export(request).await.unwrap();
    }

    /// The run of an export that has just begun, as a worker gets it.
    async fn reader(&self, export: &str, request_id: &str) -> (RunId, Reader) {
        let run = run_id(&self.start(export, request_id).await.unwrap());
        let jobs = announced(&self.cp, LOOKS).await;
        let job = jobs.iter().find(|job| job.kind == JobKind::Read).expect("no read job");
        let Claimed { claim, work: Work::Read(work) } = claim(&self.cp, job).await else {
            panic!("no read job")
        };
        (run, Reader { claim, work })
    }

    async fn ends(&self, run: RunId, reader: ClaimId) {
        self.cancel(&run.to_string()).await.unwrap();
        self.cp.finish(reader, Verdict::Retry).await.unwrap();
    }
}

struct Reader {
    claim: ClaimId,
    work: ReadWork,
}

#[tokio::test]
async fn columns_are_settled_when_an_export_is_saved_and_runs_begin_with_them() {
    let world = World::new().await;
    let connection = world.connection().await;
    worker_is_there(&world.cp, LOOKS).await;
    let saving = world.create_export(export(&connection.id), "");
    let found = mapping(&["email", "tier"], &["$note"]);
    let (saved, asked) = tokio::join!(saving, answers(&world.cp, Ok(found.clone())));
    let Asked::Settle { sources, .. } = asked else { panic!("{asked:?}") };
    assert_eq!(sources, ["people/*.csv"]);
    let export = saved.unwrap().id;

    let columns = world.columns(&export).await;
    assert_eq!(
        sent(&columns),
        [("email", "email", "email address"), ("tier", "properties.tier", "number")]
    );
    assert_eq!(columns.not_sent, ["$note"]);
    assert!(columns.settled_at.is_some() && columns.problem.is_empty());

    let (run, Reader { claim, work }) = world.reader(&export, "one").await;
    let given: Value = serde_json::from_str(&work.columns.unwrap()).unwrap();
    assert_eq!(given, found);
    // What is new since is told, and stays unsent.
    let met = mapping(&["email", "tier"], &["$note", "points"]);
    world.cp.plan(claim, &plan(&met), &[]).await.unwrap();
    assert_eq!(world.columns(&export).await.new_columns, ["points"]);
    world.ends(run, claim).await;
    let (_, Reader { claim, work }) = world.reader(&export, "two").await;
    assert_eq!(serde_json::from_str::<Value>(&work.columns.unwrap()).unwrap(), found);
    world.cp.plan(claim, &plan(&found), &[]).await.unwrap();
    assert!(world.columns(&export).await.new_columns.is_empty());
}

#[tokio::test]
async fn where_nobody_could_look_the_first_run_decides() {
    let world = World::new().await;
    let export = world.export().await.id;
    let columns = world.columns(&export).await;
    assert!(columns.sent.is_empty() && columns.problem.contains("no worker is there"));

    let (run, Reader { claim, work }) = world.reader(&export, "one").await;
    assert_eq!(work.columns, None);
    let found = mapping(&["email", "tier"], &[]);
    world.cp.plan(claim, &plan(&found), &[]).await.unwrap();
    let columns = world.columns(&export).await;
    assert_eq!(columns.sent.len(), 2);
    assert!(columns.problem.is_empty());
    world.ends(run, claim).await;
    let (_, Reader { work, .. }) = world.reader(&export, "two").await;
    assert_eq!(serde_json::from_str::<Value>(&work.columns.unwrap()).unwrap(), found);
}

#[tokio::test]
async fn what_concerns_columns_unsettles_them_and_an_earlier_run_does_not_settle_them() {
    let world = World::new().await;
    let export = world.export().await.id;
    let (run, Reader { claim, .. }) = world.reader(&export, "one").await;
    world.rename_tier(&export).await;
    world.cp.plan(claim, &plan(&mapping(&["email", "tier"], &[])), &[]).await.unwrap();
    assert!(world.columns(&export).await.sent.is_empty());
    world.ends(run, claim).await;

    let (run, Reader { claim, .. }) = world.reader(&export, "two").await;
    world.cp.plan(claim, &plan(&mapping(&["email", "rank"], &[])), &[]).await.unwrap();
    world.ends(run, claim).await;
    let before = world.columns(&export).await;
    assert_eq!(before.sent[1].attribute, "properties.rank");
    let renamed = v1::UpdateExportRequest {
        export: Some(v1::Export {
            id: export.clone(),
            display_name: "Others".to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["display_name".to_owned()] }),
    };
    let reply = world.exports().update_export(renamed).await.unwrap().into_inner();
    assert_eq!(reply.columns, Some(before));
}

#[tokio::test]
async fn what_a_run_has_gone_by_stays_whatever_saving_finds_later() {
    let world = World::new().await;
    let connection = world.connection().await;
    worker_is_there(&world.cp, LOOKS).await;
    let mut exports = world.exports();
    let request = v1::CreateExportRequest {
        export: Some(export(&connection.id)),
        ..v1::CreateExportRequest::default()
    };
    let saving = tokio::spawn(async move { exports.create_export(request).await });
    let Claimed { claim: look, .. } = next(&world.cp).await;
    let all = v1::ListExportsRequest::default();
    let saved = world.exports().list_exports(all).await.unwrap().into_inner().exports;
    let (run, Reader { claim, work }) = world.reader(&saved[0].id, "one").await;
    assert_eq!(work.columns, None);
    let found = mapping(&["email", "tier"], &[]);
    world.cp.plan(claim, &plan(&found), &[]).await.unwrap();
    let failed = Verdict::Looked(Looked::Failed("people/*.csv: no file".to_owned()));
    world.cp.finish(look, failed).await.unwrap();
    let reply = saving.await.unwrap().unwrap().into_inner();
    assert_eq!(reply.columns.unwrap().sent.len(), 2);
    world.ends(run, claim).await;
    let (_, Reader { work, .. }) = world.reader(&saved[0].id, "two").await;
    assert_eq!(serde_json::from_str::<Value>(&work.columns.unwrap()).unwrap(), found);
}

#[tokio::test]
async fn columns_that_were_found_for_what_the_export_said_before_are_refused() {
    let world = World::new().await;
    let export = world.export().await.id;
    worker_is_there(&world.cp, LOOKS).await;
    let settling = tokio::spawn({
        let (mut exports, export_id) = (world.exports(), export.clone());
        async move { exports.settle_columns(v1::SettleColumnsRequest { export_id }).await }
    });
    let Claimed { claim, .. } = next(&world.cp).await;
    // Its columns are looked for as well, by whoever changes it.
    let changed = mapping(&["email", "rank"], &[]);
    tokio::join!(world.rename_tier(&export), answers(&world.cp, Ok(changed)));
    let found = Found::Settled { mapping: mapping(&["email", "tier"], &[]).to_string() };
    world.cp.finish(claim, answer(&found)).await.unwrap();
    let refused = obstacles(settling.await.unwrap());
    assert_eq!(refused, [("EXPORT_CHANGED".to_owned(), export.clone())]);
    assert_eq!(world.columns(&export).await.sent[1].attribute, "properties.rank");
}

#[tokio::test]
async fn columns_are_settled_anew_when_asked_and_what_was_kept_stays_if_that_fails() {
    let world = World::new().await;
    let export = world.export().await.id;
    assert!(refused(world.settle(&export).await, Code::Unavailable).retry_info().is_some());
    worker_is_there(&world.cp, LOOKS).await;
    let first = mapping(&["email", "tier"], &[]);
    let (settled, _) = tokio::join!(world.settle(&export), answers(&world.cp, Ok(first)));
    assert_eq!(settled.unwrap().sent.len(), 2);
    let no_file = Err("people/*.csv: no file");
    let (failed, _) = tokio::join!(world.settle(&export), answers(&world.cp, no_file));
    assert_eq!(
        fields(failed),
        [("export.segments".to_owned(), "people/*.csv: no file".to_owned())]
    );
    assert_eq!(world.columns(&export).await.sent.len(), 2);
    let more = mapping(&["email", "tier", "points"], &[]);
    let (settled, _) = tokio::join!(world.settle(&export), answers(&world.cp, Ok(more)));
    assert_eq!(settled.unwrap().sent.len(), 3);
    assert_eq!(field_names(world.settle("x").await), ["export_id"]);
}
