//! The record of who did what.

use segue_access::Role;
use segue_proto::v1::{self, audit_service_client::AuditServiceClient};
use segue_store::test_util::{Engine, meddle as meddle_with};
use serde_json::Value;

use super::{KEY, World, connection, export, field_names, tester};

segue_store::on_both_engines! {
    what_is_done_is_written_down_once_with_what_it_changed,
    record_that_other_hands_were_at_is_told,
}

impl World {
    async fn audit(
        &self,
        page_size: i32,
        page_token: &str,
        object: &str,
    ) -> v1::ListAuditEntriesResponse {
        let request = v1::ListAuditEntriesRequest {
            page_size,
            page_token: page_token.to_owned(),
            object_id: object.to_owned(),
        };
        let mut client = AuditServiceClient::new(self.channel.clone());
        client.list_audit_entries(request).await.unwrap().into_inner()
    }

    async fn verify_audit(&self) -> v1::VerifyAuditResponse {
        let mut client = AuditServiceClient::new(self.channel.clone());
        client.verify_audit(v1::VerifyAuditRequest {}).await.unwrap().into_inner()
    }

    /// What was done to it, oldest first: the action and what changed.
    pub(super) async fn deeds(&self, object: &str) -> Vec<(String, Value)> {
        let entries = self.audit(0, "", object).await.entries;
        let deed = |entry: v1::AuditEntry| {
            assert_eq!(entry.subject, tester(Role::Administrator).subject.to_string());
            (entry.action, serde_json::from_str(&entry.detail).unwrap())
        };
        entries.into_iter().rev().map(deed).collect()
    }
}

async fn what_is_done_is_written_down_once_with_what_it_changed(engine: Engine) {
    let world = World::on(engine).await;
    let made = world.create_connection(connection(KEY), "once").await.unwrap();
    world.create_connection(connection(KEY), "once").await.unwrap();
    let deeds = world.deeds(&made.id).await;
    assert_eq!(deeds.len(), 1, "a request that was repeated did nothing");
    assert_eq!(deeds[0].0, "connection.create");
    assert_eq!(deeds[0].1["after"]["account_id"], "SIMULA");
    assert_eq!(deeds[0].1["after"]["consent_by"], "somebody");

    let saved = world.create_export(export(&made.id), "").await.unwrap();
    let renamed = v1::Export { display_name: "Renamed".to_owned(), ..saved.clone() };
    for _ in 0..2 {
        let paths = vec!["display_name".to_owned()];
        let request = v1::UpdateExportRequest {
            export: Some(renamed.clone()),
            update_mask: Some(prost_types::FieldMask { paths }),
        };
        world.exports().update_export(request).await.unwrap();
    }
    let run = world.start(&saved.id, "1").await.unwrap();
    world.start(&saved.id, "1").await.unwrap();
    world.cancel(&run.id).await.unwrap();
    world.cancel(&run.id).await.unwrap();
    let delete = v1::DeleteExportRequest { id: saved.id.clone() };
    world.exports().delete_export(delete).await.unwrap();

    let deeds = world.deeds(&saved.id).await;
    let actions: Vec<&str> = deeds.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["export.create", "export.update", "export.delete"]);
    let change: Value = serde_json::json!({
        "before": { "display_name": "Customers" },
        "after": { "display_name": "Renamed" },
    });
    assert_eq!(deeds[1].1, change);
    assert_eq!(deeds[2].1["before"]["display_name"], "Renamed");
    let deeds = world.deeds(&run.id).await;
    let actions: Vec<&str> = deeds.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["run.start", "run.cancel"]);
    assert_eq!(deeds[0].1["export"], saved.id);

    let all = world.audit(0, "", "").await.entries;
    assert!(all.iter().all(|entry| !entry.detail.contains(KEY)), "no key is in it");
    let numbers: Vec<u64> = all.iter().rev().map(|entry| entry.seq).collect();
    assert_eq!(numbers, (1..=6).collect::<Vec<_>>());
    let state = world.verify_audit().await;
    assert_eq!((state.entries, state.broken_seq, state.problem.as_str()), (6, 0, ""));
    assert_eq!(state.last_hash, all[0].hash);
}

#[tokio::test]
async fn record_is_read_page_by_page() {
    let world = World::new().await;
    let made = world.connection().await;
    for _ in 0..4 {
        world.create_export(export(&made.id), "").await.unwrap();
    }
    let first = world.audit(3, "", "").await;
    let numbers = |page: &v1::ListAuditEntriesResponse| -> Vec<u64> {
        page.entries.iter().map(|entry| entry.seq).collect()
    };
    assert_eq!(numbers(&first), [5, 4, 3]);
    let second = world.audit(3, &first.next_page_token, "").await;
    assert_eq!((numbers(&second), second.next_page_token.as_str()), (vec![2, 1], ""));
    let request = v1::ListAuditEntriesRequest {
        page_token: "x".to_owned(),
        ..v1::ListAuditEntriesRequest::default()
    };
    let mut client = AuditServiceClient::new(world.channel.clone());
    assert_eq!(field_names(client.list_audit_entries(request).await), ["page_token"]);
}

async fn record_that_other_hands_were_at_is_told(engine: Engine) {
    for (meddle, broken) in [
        ("UPDATE audit SET detail = '{}' WHERE seq = 2", 2),
        ("UPDATE audit SET name = 'Somebody' WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 2", 3),
        ("DELETE FROM audit WHERE seq = 4", 4),
        (
            "INSERT INTO audit SELECT 5, at_us, subject, name, action, object, detail, hash FROM audit WHERE seq = 4",
            5,
        ),
    ] {
        let world = World::on(engine).await;
        let made = world.connection().await;
        for _ in 0..3 {
            world.create_export(export(&made.id), "").await.unwrap();
        }
        assert_eq!(world.verify_audit().await.broken_seq, 0);
        meddle_with(world.cp.store(), meddle).await.unwrap();
        let state = world.verify_audit().await;
        assert_eq!(state.broken_seq, broken, "{meddle}: {}", state.problem);
        assert!(!state.problem.is_empty());
    }
}
