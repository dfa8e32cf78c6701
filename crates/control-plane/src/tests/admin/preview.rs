//! What a run would send, as a worker finds it, with what Klaviyo knows of those people.

use segue_access::Role;
use segue_model::{
    RejectReason,
    look::{Asked, Found, Preview, PreviewedReject, Sums},
    work::{Claimed, Looked, Verdict, Work},
};
use segue_proto::v1::{self, export_service_client::ExportServiceClient};
use serde_json::json;
use tonic::{Code, Status};

use super::{
    World, export, fields,
    looks::{LOOKS, answer, next, worker_is_there},
    refused, serve_as, tester,
};

fn found(drawn: &[&str]) -> Preview {
    Preview {
        mapping:
            json!({ "entries": [{ "attribute": "email", "column": "mail" }], "unsent": ["x"] })
                .to_string(),
        sums: Sums {
            rows: 400,
            profiles: 300,
            batches: 151,
            bytes: 9000,
            duplicates: 10,
            warnings: 3,
            rejects: [(RejectReason::EmailInvalid, 90)].into(),
        },
        first: vec!["{}".to_owned()],
        first_rejects: vec![PreviewedReject {
            file: "a.csv".to_owned(),
            row: 7,
            identifier: "nobody".to_owned(),
            field: "email".to_owned(),
            reason: RejectReason::EmailInvalid,
            detail: "no @".to_owned(),
        }],
        drawn: drawn.iter().map(|it| (*it).to_owned()).collect(),
        complete: true,
        bytes_read: 100,
        source_bytes: 100,
    }
}

impl World {
    /// A preview of an export, for which a worker has found this.
    async fn preview(
        &self,
        export: &str,
        found: Result<Preview, &str>,
    ) -> (Result<v1::PreviewExportResponse, Status>, Asked) {
        let request = v1::PreviewExportRequest { export_id: export.to_owned() };
        let mut client = self.exports();
        let asking = client.preview_export(request);
        let answering = async {
            let Claimed { claim, work: Work::Look(work) } = next(&self.cp).await else {
                panic!("no look")
            };
            let verdict = match found {
                Ok(found) => answer(&Found::Previewed(Box::new(found))),
                Err(words) => Verdict::Looked(Looked::Failed(words.to_owned())),
            };
            self.cp.finish(claim, verdict).await.unwrap();
            serde_json::from_str(&work.asked).unwrap()
        };
        let (told, asked) = tokio::join!(asking, answering);
        (told.map(tonic::Response::into_inner), asked)
    }
}

#[tokio::test]
async fn what_a_worker_found_is_told_with_what_klaviyo_knows_and_what_guards_say() {
    let world = World::new().await;
    let export = world.export().await.id;
    worker_is_there(&world.cp, LOOKS).await;
    let drawn = ["a@example.com", "b@example.com", "c@example.com", "d@example.com"];
    let before = world.sim.requests().len();
    let (told, asked) = world.preview(&export, Ok(found(&drawn))).await;
    let told = told.unwrap();
    let Asked::Preview { sources, columns, list_id, .. } = asked else { panic!("{asked:?}") };
    assert_eq!((sources, columns, &list_id[..]), (vec!["people/*.csv".to_owned()], None, "LIST01"));
    assert_eq!((told.rows, told.profiles, told.duplicates, told.batches), (400, 300, 10, 151));
    assert_eq!((told.least_seconds, told.complete, told.warnings), (60, true, 3));
    assert_eq!(told.columns[0].name, "mail");
    assert_eq!((told.not_sent, told.first_profiles), (vec!["x".to_owned()], vec!["{}".to_owned()]));
    assert_eq!(told.rejects_by_reason, [("email_invalid".to_owned(), 90)].into());
    assert_eq!(
        (told.first_rejects[0].row, &told.first_rejects[0].reason[..]),
        (7, "email_invalid")
    );
    // Nobody of them is there: the estimate is of all.
    let new = told.new_profiles.unwrap();
    assert_eq!((new.known, new.asked, new.high, &new.problem[..]), (0, 4, 300, ""));
    assert!(new.low > 100, "{new:?}");
    assert_eq!(told.stopped_by, "");
    let requests = world.sim.requests();
    assert!(requests[before..].iter().all(|it| it.method == "GET"), "{requests:?}");
}

#[tokio::test]
async fn guards_are_judged_by_all_that_was_read_and_only_then() {
    let world = World::new().await;
    let connection = world.connection().await;
    let guarded = world.create_export(export(&connection.id), "").await.unwrap().id;
    worker_is_there(&world.cp, LOOKS).await;
    let (told, _) = world.preview(&guarded, Ok(found(&[]))).await;
    // 90 of 400 are more than a fifth.
    let told = told.unwrap();
    assert!(told.stopped_by.contains("max_rejects"), "{}", told.stopped_by);
    assert_eq!(told.new_profiles.unwrap().asked, 0);
    let part = Preview { complete: false, ..found(&[]) };
    let (told, _) = world.preview(&guarded, Ok(part)).await;
    let told = told.unwrap();
    assert_eq!((told.complete, &told.stopped_by[..]), (false, ""));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_by_the_field_and_others_are_told_nothing() {
    let world = World::new().await;
    let export = world.export().await.id;
    let request = || v1::PreviewExportRequest { export_id: export.clone() };
    let none = world.exports().preview_export(request()).await;
    assert!(refused(none, Code::Unavailable).retry_info().is_some());
    worker_is_there(&world.cp, LOOKS).await;
    let (told, _) = world.preview(&export, Err("people/*.csv: no file")).await;
    let expected = ("export.segments".to_owned(), "people/*.csv: no file".to_owned());
    assert_eq!(fields(told), [expected]);
    // The connection is not shared.
    let channel = serve_as(world.cp.clone(), tester(Role::Contributor)).await;
    let denied = ExportServiceClient::new(channel).preview_export(request()).await;
    refused(denied, Code::PermissionDenied);
}
