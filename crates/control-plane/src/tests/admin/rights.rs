//! Who may use what, and for whom exports run.

use std::{sync::Arc, time::Duration};

use prost_types::FieldMask;
use segue_access::{Principal, Role};
use segue_proto::v1::{
    self, connection_service_client::ConnectionServiceClient,
    export_service_client::ExportServiceClient, run_service_client::RunServiceClient,
    schedule_service_client::ScheduleServiceClient, token_service_client::TokenServiceClient,
};
use segue_store::{read_admin, test_util::Engine};
use tonic::{Code, Status, transport::Channel};

use super::{
    KEY, OTHER_KEY, World, connection, export, field_names, fields, obstacles, refused, serve_as,
    tester,
};
use crate::{Sealer, Sharing};

segue_store::on_both_engines! {
    contributor_uses_what_is_shared_and_nothing_else,
    connection_that_is_removed_stops_its_runs_and_leaves_its_exports,
    scheduled_run_acts_for_the_owner_and_stops_when_they_may_no_more,
    keys_are_sealed_anew_while_the_old_master_key_is_there,
}

impl World {
    pub(super) async fn of(&self, role: Role) -> Channel {
        serve_as(Arc::clone(&self.cp), tester(role)).await
    }

    pub(super) async fn update_connection(
        &self,
        connection: v1::Connection,
        paths: &[&str],
    ) -> Result<v1::Connection, Status> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let request = v1::UpdateConnectionRequest {
            connection: Some(connection),
            update_mask: Some(FieldMask { paths }),
        };
        let reply = self.connections().update_connection(request).await?;
        Ok(reply.into_inner().connection.unwrap())
    }

    pub(super) async fn share(&self, id: &str, lists: &[&str]) {
        let list_ids = lists.iter().map(|list| (*list).to_owned()).collect();
        let sharing = Some(v1::Sharing { contributors: true, list_ids });
        let shared = v1::Connection { id: id.to_owned(), sharing, ..v1::Connection::default() };
        self.update_connection(shared, &["sharing"]).await.unwrap();
    }

    async fn detach(&self, id: &str) -> Vec<String> {
        let request = v1::DeleteConnectionRequest { id: id.to_owned(), detach: true };
        let reply = self.connections().delete_connection(request).await.unwrap();
        reply.into_inner().detached_export_ids
    }
}

async fn update(channel: &Channel, export: v1::Export, path: &str) -> Result<v1::Export, Status> {
    let update_mask = Some(FieldMask { paths: vec![path.to_owned()] });
    let request = v1::UpdateExportRequest { export: Some(export), update_mask };
    let reply = ExportServiceClient::new(channel.clone()).update_export(request).await?;
    Ok(reply.into_inner().export.unwrap())
}

async fn create(channel: &Channel, export: v1::Export) -> Result<v1::Export, Status> {
    let request = v1::CreateExportRequest { export: Some(export), request_id: String::new() };
    let reply = ExportServiceClient::new(channel.clone()).create_export(request).await?;
    Ok(reply.into_inner().export.unwrap())
}

async fn seen(channel: &Channel) -> Vec<v1::Connection> {
    let request = v1::ListConnectionsRequest::default();
    let reply = ConnectionServiceClient::new(channel.clone()).list_connections(request).await;
    reply.unwrap().into_inner().connections
}

/// Everything that a contributor may ask for about an export.
async fn attempts(channel: &Channel, export: &v1::Export, run: &str) -> Vec<Result<(), Status>> {
    let mut exports = ExportServiceClient::new(channel.clone());
    let mut runs = RunServiceClient::new(channel.clone());
    let id = export.id.clone();
    let renamed = v1::Export { display_name: "Other".to_owned(), ..export.clone() };
    let schedule = Some(v1::ExportSchedule { mode: 3, own: None });
    let schedule =
        v1::ScheduleExportsRequest { export_ids: vec![id.clone()], schedule, keep_own: false };
    let copy =
        v1::DuplicateExportRequest { id: id.clone(), ..v1::DuplicateExportRequest::default() };
    let start = v1::StartRunRequest {
        export_id: id.clone(),
        request_id: "again".to_owned(),
        ..Default::default()
    };
    let retry = v1::RetryRunRequest { run_id: run.to_owned(), request_id: "retry".to_owned() };
    vec![
        update(channel, renamed, "display_name").await.map(drop),
        ScheduleServiceClient::new(channel.clone()).schedule_exports(schedule).await.map(drop),
        exports.duplicate_export(copy).await.map(drop),
        runs.cancel_run(v1::CancelRunRequest { run_id: run.to_owned() }).await.map(drop),
        runs.start_run(start).await.map(drop),
        runs.retry_run(retry).await.map(drop),
        exports.delete_export(v1::DeleteExportRequest { id }).await.map(drop),
    ]
}

async fn contributor_uses_what_is_shared_and_nothing_else(engine: Engine) {
    let world = World::on(engine).await;
    let contributor = world.of(Role::Contributor).await;
    let made = world.connection().await;
    assert_eq!(seen(&contributor).await, []);
    let get = v1::GetConnectionRequest { id: made.id.clone() };
    let mut connections = ConnectionServiceClient::new(contributor.clone());
    refused(connections.get_connection(get.clone()).await, Code::NotFound);
    let denied = create(&contributor, export(&made.id)).await;
    assert!(denied.as_ref().unwrap_err().message().contains("ask an administrator"));
    refused(denied, Code::PermissionDenied);

    let saved = world.create_export(export(&made.id), "").await.unwrap();
    let run = world.start(&saved.id, "1").await.unwrap();
    for attempt in attempts(&contributor, &saved, &run.id).await {
        refused(attempt, Code::PermissionDenied);
    }
    // Of several, those that they may change: none.
    let all = v1::ScheduleExportsRequest {
        export_ids: Vec::new(),
        schedule: Some(v1::ExportSchedule { mode: 3, own: None }),
        keep_own: false,
    };
    let mut schedules = ScheduleServiceClient::new(contributor.clone());
    assert!(schedules.schedule_exports(all).await.unwrap().into_inner().export_ids.is_empty());

    world.share(&made.id, &["LIST01"]).await;
    let shown = v1::Connection {
        id: made.id.clone(),
        display_name: made.display_name.clone(),
        sharing: Some(v1::Sharing { contributors: true, list_ids: vec!["LIST01".to_owned()] }),
        ..v1::Connection::default()
    };
    assert_eq!(seen(&contributor).await, std::slice::from_ref(&shown));
    let got = connections.get_connection(get).await.unwrap().into_inner().connection;
    assert_eq!(got, Some(shown));
    let elsewhere = v1::Export { list_id: "LIST02".to_owned(), ..export(&made.id) };
    refused(create(&contributor, elsewhere).await, Code::PermissionDenied);
    let moved = v1::Export { list_id: "LIST02".to_owned(), ..saved.clone() };
    refused(update(&contributor, moved, "list_id").await, Code::PermissionDenied);
    let owned = create(&contributor, export(&made.id)).await.unwrap();
    assert_eq!(owned.owner.unwrap().subject, tester(Role::Contributor).subject.to_string());
    let may: Vec<_> = attempts(&contributor, &saved, &run.id)
        .await
        .into_iter()
        .map(|attempt| attempt.map_err(|status| status.code()))
        .collect();
    // The run under way is cancelled, so the next begins, and stands in the way of what comes after it.
    let under_way = Err(Code::FailedPrecondition);
    assert_eq!(may, [Ok(()), Ok(()), Ok(()), Ok(()), Ok(()), under_way, under_way]);
}

async fn connection_that_is_removed_stops_its_runs_and_leaves_its_exports(engine: Engine) {
    let world = World::on(engine).await;
    let saved = world.export().await;
    let run = world.start(&saved.id, "1").await.unwrap();
    let id = saved.connection_id.clone();
    assert_eq!(world.detach(&id).await, std::slice::from_ref(&saved.id));
    let mut runs = RunServiceClient::new(world.channel.clone());
    let ended = runs.cancel_run(v1::CancelRunRequest { run_id: run.id.clone() }).await.unwrap();
    assert_eq!(ended.into_inner().run.unwrap().state(), v1::RunState::Cancelled);
    assert_eq!(seen(&world.channel).await, []);
    assert_eq!(world.shown(&saved.id).await.connection_id, "");
    let lost = ("NO_CONNECTION".to_owned(), saved.id.clone());
    assert_eq!(obstacles(world.start(&saved.id, "2").await), [lost]);
    // No run needs the key any more, so it is gone.
    let mut tx = world.cp.store().begin().await.unwrap();
    let key = segue_store::write::connections::key(&mut tx, id.parse().unwrap()).await.unwrap();
    assert_eq!(key, None);
    drop(tx);
    // Klaviyo is asked about a key seldom.
    world.clock.advance(Duration::from_mins(1));
    let another = world.connection().await;
    let mended = v1::Export { connection_id: another.id.clone(), ..saved.clone() };
    let mended = update(&world.channel, mended, "connection_id").await.unwrap();
    assert_eq!(mended.connection_id, another.id);
    world.start(&saved.id, "2").await.unwrap();
}

#[tokio::test]
async fn key_of_a_removed_connection_stays_until_its_runs_have_ended() {
    let world = World::new().await;
    let saved = world.export().await;
    let id = saved.connection_id.parse().unwrap();
    world.start(&saved.id, "1").await.unwrap();
    let mut tx = world.cp.store().begin().await.unwrap();
    segue_store::write::connections::remove(&mut tx, id).await.unwrap();
    assert_eq!(segue_store::write::connections::forget_removed(&mut tx).await.unwrap(), 0);
    assert!(segue_store::write::connections::key(&mut tx, id).await.unwrap().is_some());
    tx.commit().await.unwrap();
    // A process that died between the two is made up for.
    world.cp.sweep_removed().await.unwrap();
    let mut tx = world.cp.store().begin().await.unwrap();
    assert_eq!(segue_store::write::connections::key(&mut tx, id).await.unwrap(), None);
}

#[tokio::test]
async fn connection_is_changed_field_by_field_and_keeps_its_account() {
    let world = World::new().await;
    let made = world.connection().await;
    let change = v1::Connection {
        id: made.id.clone(),
        display_name: "Renamed".to_owned(),
        api_key: OTHER_KEY.to_owned(),
        consent: Some(v1::Consent {
            text_version: "2027-01".to_owned(),
            accepted_by: "somebody else".to_owned(),
            accepted_at: None,
        }),
        ..v1::Connection::default()
    };
    let renamed = world.update_connection(change.clone(), &["display_name"]).await.unwrap();
    assert_eq!(renamed, v1::Connection { display_name: "Renamed".to_owned(), ..made.clone() });
    let changed = world.update_connection(change.clone(), &["api_key", "consent"]).await.unwrap();
    assert_eq!(changed.consent.unwrap().text_version, "2027-01");
    let id = made.id.parse().unwrap();
    let (_, sealed) = read_admin::connection(world.cp.store(), id).await.unwrap().unwrap();
    let key = Sealer::new(&super::MASTER_KEY).open(id, &sealed).unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&key), OTHER_KEY);

    let foreign = v1::Connection { api_key: "pk_elsewhere".to_owned(), ..change.clone() };
    let [(field, words)] = &fields(world.update_connection(foreign, &["api_key"]).await)[..] else {
        panic!("one field is wrong");
    };
    assert_eq!(field, "connection.api_key");
    assert!(words.contains("OTHERS") && words.contains("SIMULA"), "{words}");
    for (paths, wrong) in [
        (&[][..], "update_mask"),
        (&["account_id"][..], "update_mask"),
        (&["colour"][..], "update_mask"),
    ] {
        assert_eq!(field_names(world.update_connection(change.clone(), paths).await), [wrong]);
    }
    let bad = v1::Connection {
        id: made.id.clone(),
        sharing: Some(v1::Sharing { contributors: false, list_ids: vec!["LIST01".to_owned()] }),
        ..v1::Connection::default()
    };
    let wrong = field_names(world.update_connection(bad, &["sharing", "consent"]).await);
    assert_eq!(wrong, ["connection.sharing.list_ids", "connection.consent"]);
}

#[tokio::test]
async fn disabled_export_runs_neither_by_itself_nor_when_asked_to() {
    let world = World::new().await;
    let connection = world.connection().await;
    let saved = world.scheduled(&connection.id, super::schedules::hourly()).await;
    assert!(saved.next_run_at.is_some());
    let off = v1::Export { disabled: true, ..saved.clone() };
    let off = update(&world.channel, off, "disabled").await.unwrap();
    assert!(off.disabled && off.next_run_at.is_none());
    world.clock.advance(Duration::from_hours(2));
    assert!(world.swept().await.is_empty());
    let disabled = ("EXPORT_DISABLED".to_owned(), saved.id.clone());
    assert_eq!(obstacles(world.start(&saved.id, "1").await), [disabled]);
    let on = v1::Export { disabled: false, ..saved.clone() };
    let on = update(&world.channel, on, "disabled").await.unwrap();
    assert!(on.next_run_at.is_some());
    world.start(&saved.id, "1").await.unwrap();
}

#[tokio::test]
async fn time_that_has_come_outlives_a_change_of_something_else() {
    let world = World::new().await;
    let connection = world.connection().await;
    let saved = world.scheduled(&connection.id, super::schedules::hourly()).await;
    world.clock.advance(Duration::from_hours(1));
    // Before anybody has looked at what is due.
    let renamed = v1::Export { display_name: "Renamed".to_owned(), ..saved.clone() };
    let renamed = update(&world.channel, renamed, "display_name").await.unwrap();
    assert_eq!(renamed.next_run_at, saved.next_run_at);
    assert_eq!(world.swept().await.len(), 1);
}

#[tokio::test]
async fn copy_of_an_export_is_disabled_and_belongs_to_whoever_made_it() {
    let world = World::new().await;
    let saved = world.export().await;
    world.share(&saved.connection_id, &[]).await;
    let contributor = world.of(Role::Contributor).await;
    let request = v1::DuplicateExportRequest {
        id: saved.id.clone(),
        display_name: String::new(),
        request_id: "once".to_owned(),
    };
    let mut exports = ExportServiceClient::new(contributor);
    let copy =
        exports.duplicate_export(request.clone()).await.unwrap().into_inner().export.unwrap();
    assert_eq!(copy.display_name, "Customers (copy)");
    assert_eq!(copy.owner.as_ref().unwrap().subject, tester(Role::Contributor).subject.to_string());
    let same = v1::Export {
        id: saved.id.clone(),
        display_name: saved.display_name.clone(),
        disabled: false,
        owner: saved.owner.clone(),
        created_at: saved.created_at,
        updated_at: saved.updated_at,
        ..copy.clone()
    };
    assert_eq!(same, saved);
    let again = exports.duplicate_export(request).await.unwrap().into_inner().export.unwrap();
    assert_eq!(again.id, copy.id);
}

#[tokio::test]
async fn all_that_run_by_a_schedule_are_started_at_once_and_the_rest_is_told() {
    let world = World::new().await;
    let connection = world.connection().await;
    let hourly = super::schedules::hourly;
    let first = world.scheduled(&connection.id, hourly()).await;
    let second = world.scheduled(&connection.id, hourly()).await;
    world.create_export(export(&connection.id), "").await.unwrap();
    let busy = world.start(&second.id, "1").await.unwrap();
    let request = v1::StartAllRunsRequest { request_id: "all".to_owned() };
    let reply = world.runs().start_all_runs(request.clone()).await.unwrap().into_inner();
    let [a, b] = &reply.runs[..] else { panic!("{reply:?}") };
    assert_eq!((&a.export_id, &b.export_id), (&first.id, &second.id));
    assert_eq!(a.run.as_ref().unwrap().trigger(), v1::Trigger::OnDemand);
    assert!(b.run.is_none() && b.problem.contains(&busy.id), "{}", b.problem);
    // The same once more is the same run.
    let again = world.runs().start_all_runs(request).await.unwrap().into_inner();
    assert_eq!(again.runs[0].run.as_ref().unwrap().id, a.run.as_ref().unwrap().id);
}

async fn scheduled_run_acts_for_the_owner_and_stops_when_they_may_no_more(engine: Engine) {
    let world = World::on(engine).await;
    let connection = world.connection().await;
    world.share(&connection.id, &[]).await;
    let token = v1::Token {
        display_name: "Ann's".to_owned(),
        role: v1::Role::Contributor.into(),
        ..v1::Token::default()
    };
    let mut tokens = TokenServiceClient::new(world.channel.clone());
    let request = v1::CreateTokenRequest { token: Some(token) };
    let reply = tokens.create_token(request).await.unwrap().into_inner();
    let token = reply.token.clone().unwrap();
    let ann = format!("token:{}", token.id);
    let who = Principal {
        subject: ann.parse().unwrap(),
        name: "Ann's".to_owned(),
        role: Role::Contributor,
    };
    let hers = serve_as(Arc::clone(&world.cp), who).await;
    let hourly = super::schedules::hourly;
    let saved = create(&hers, v1::Export { schedule: Some(hourly()), ..export(&connection.id) });
    let saved = saved.await.unwrap();
    world.clock.advance(Duration::from_hours(1));
    let runs = world.swept().await;
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].trigger(), &runs[0].started_by), (v1::Trigger::Schedule, &ann));
    assert_eq!(runs[0].started_by_name, "Ann's");
    world.end(&runs[0]).await;

    // What she may use she is asked for at each time.
    let unshared = v1::Connection { id: connection.id.clone(), ..v1::Connection::default() };
    world.update_connection(unshared, &["sharing"]).await.unwrap();
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(world.swept().await.len(), 1);
    let problem = world.shown(&saved.id).await.schedule_problem.unwrap();
    assert_eq!(problem.reason, "OWNER_LOST");
    assert!(problem.detail.contains("not shared"), "{}", problem.detail);

    world.share(&connection.id, &[]).await;
    tokens.revoke_token(v1::RevokeTokenRequest { id: token.id.clone() }).await.unwrap();
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(world.swept().await.len(), 1);
    let problem = world.shown(&saved.id).await.schedule_problem.unwrap();
    assert!(problem.detail.contains("revoked") && problem.detail.contains(&ann), "{problem:?}");

    let handed = |to: String| {
        let owner = Some(v1::Owner { subject: to, ..v1::Owner::default() });
        v1::Export { owner, ..saved.clone() }
    };
    let contributor = world.of(Role::Contributor).await;
    let grabbed = update(&contributor, handed(me()), "owner.subject").await;
    refused(grabbed, Code::PermissionDenied);
    for nobody in ["token:0000000000000000000009", &ann, "segue:schedule", "Ann"] {
        let wrong = update(&world.channel, handed(nobody.to_owned()), "owner.subject").await;
        assert_eq!(field_names(wrong), ["export.owner.subject"], "{nobody}");
    }
    let mended = update(&world.channel, handed(me()), "owner.subject").await.unwrap();
    assert_eq!(mended.owner.unwrap().subject, me());
    world.clock.advance(Duration::from_hours(1));
    let runs = world.swept().await;
    assert_eq!(runs.last().unwrap().started_by, me());
    assert_eq!(world.shown(&saved.id).await.schedule_problem, None);
}

fn me() -> String {
    tester(Role::Administrator).subject.to_string()
}

#[tokio::test]
async fn owner_from_an_identity_provider_counts_as_what_they_were_seen_as_last() {
    let world = World::new().await;
    let connection = world.connection().await;
    let ann = |role| Principal {
        subject: "oidc:https://id.example.com#ann".parse().unwrap(),
        name: "Ann".to_owned(),
        role,
    };
    world.cp.note_person(&ann(Role::Administrator)).await.unwrap();
    let hers = serve_as(Arc::clone(&world.cp), ann(Role::Administrator)).await;
    let hourly =
        v1::Export { schedule: Some(super::schedules::hourly()), ..export(&connection.id) };
    let saved = create(&hers, hourly).await.unwrap();
    world.clock.advance(Duration::from_hours(1));
    let runs = world.swept().await;
    assert_eq!(runs[0].started_by, "oidc:https://id.example.com#ann");
    world.end(&runs[0]).await;
    world.cp.note_person(&ann(Role::Viewer)).await.unwrap();
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(world.swept().await.len(), 1);
    let problem = world.shown(&saved.id).await.schedule_problem.unwrap();
    assert!(problem.detail.contains("viewer"), "{problem:?}");
}

async fn keys_are_sealed_anew_while_the_old_master_key_is_there(engine: Engine) {
    const NEW: [u8; 32] = [7; 32];
    let world = World::on(engine).await;
    let made = world.connection().await;
    let id = made.id.parse().unwrap();
    let by = tester(Role::Administrator);
    let stranger = world.another(&NEW).await;
    let stuck = stranger.rotate_keys(&by).await.unwrap();
    assert_eq!((stuck.resealed, stuck.current, stuck.unreadable), (0, 0, vec![id]));

    let sealer = Sealer::new(&NEW).with_old(&super::MASTER_KEY);
    let heir = world.another_with(sealer).await;
    assert_eq!(heir.rotate_keys(&by).await.unwrap().resealed, 1);
    let again = heir.rotate_keys(&by).await.unwrap();
    assert_eq!((again.resealed, again.current), (0, 1));
    let (connection, kept) = read_admin::connection(stranger.store(), id).await.unwrap().unwrap();
    let key = Sealer::new(&NEW).open(id, &kept).unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&key), KEY);
    assert_eq!(Sharing::of(&connection).unwrap(), Sharing::default());
}

#[tokio::test]
async fn connection_is_shared_from_the_start_if_it_is_made_so() {
    let world = World::new().await;
    let sharing = Some(v1::Sharing { contributors: true, list_ids: Vec::new() });
    let shared = v1::Connection { sharing, ..connection(KEY) };
    world.create_connection(shared.clone(), "once").await.unwrap();
    let contributor = world.of(Role::Contributor).await;
    assert_eq!(seen(&contributor).await.len(), 1);
    // It is another request if it is shared with others.
    let other = v1::Connection { sharing: None, ..shared };
    refused(world.create_connection(other, "once").await, Code::AlreadyExists);
}
