//! What Verify tells of a key, and what is remembered of it.

use std::time::Duration;

use klaviyo_sim::{AccountConfig, Endpoint, Faults, FlowConfig, KeyConfig, Trigger};
use segue_model::{
    FailReason,
    work::{JobKind, Next, Verdict},
};
use segue_proto::v1::{self, LimitSource, RevisionState, ScopeState};
use segue_store::{test_util::Engine, write::runs};

use super::{KEY, World, connection, run_id};
use crate::tests::{accepted, read_done, staged};

segue_store::on_both_engines! {
    key_is_judged_scope_by_scope_and_nothing_is_written,
    key_that_is_revoked_shows_on_each_export_until_it_is_good_again,
    run_that_fails_for_its_key_tells_all_exports_of_the_connection,
    scope_for_writing_is_missed_until_klaviyo_takes_an_import,
}

impl World {
    async fn verify(&self, id: &str) -> v1::VerifyConnectionResponse {
        // Places in the lanes become free with the clock.
        self.clock.advance(Duration::from_mins(1));
        let request = v1::VerifyConnectionRequest { id: id.to_owned() };
        self.connections().verify_connection(request).await.unwrap().into_inner()
    }

    /// What each export says of its connection.
    pub(super) async fn connection_problems(&self) -> Vec<String> {
        let request = v1::ListExportsRequest::default();
        let exports = self.exports().list_exports(request).await.unwrap().into_inner().exports;
        exports.into_iter().map(|export| export.connection_problem).collect()
    }

    /// A connection with a key of these scopes only.
    async fn with_scopes(engine: Engine, scopes: &[&str]) -> (Self, v1::Connection) {
        let keys = vec![KeyConfig::with_scopes("pk_some", scopes)];
        let world = Self::with(engine, AccountConfig { keys, ..AccountConfig::default() }).await;
        let made = world.create_connection(connection("pk_some"), "").await.unwrap();
        (world, made)
    }
}

fn state_of(verified: &v1::VerifyConnectionResponse, scope: &str) -> ScopeState {
    verified.scopes.iter().find(|check| check.scope == scope).unwrap().state()
}

/// The states of all scopes, in the order of the answer.
fn states(verified: &v1::VerifyConnectionResponse) -> Vec<(&str, ScopeState)> {
    verified.scopes.iter().map(|check| (check.scope.as_str(), check.state())).collect()
}

fn writes(world: &World) -> usize {
    world.sim.requests().iter().filter(|request| request.method != "GET").count()
}

async fn key_is_judged_scope_by_scope_and_nothing_is_written(engine: Engine) {
    use ScopeState::{Granted, Unknown};
    let world = World::on(engine).await;
    let made = world.connection().await;
    let verified = world.verify(&made.id).await;
    assert_eq!(
        states(&verified),
        [
            ("accounts:read", Granted),
            ("lists:read", Granted),
            ("lists:write", Unknown),
            ("profiles:read", Granted),
            ("profiles:write", Unknown),
            ("flows:read", Granted),
        ]
    );
    assert!(verified.scopes.iter().all(|it| !it.detail.is_empty() && !it.needed_for.is_empty()));
    let optional: Vec<&str> = verified
        .scopes
        .iter()
        .filter(|check| !check.required)
        .map(|check| check.scope.as_str())
        .collect();
    assert_eq!(optional, ["flows:read"]);
    assert_eq!(verified.problem, "");
    assert_eq!(writes(&world), 0);

    assert_eq!(verified.revision_state(), RevisionState::Stable);
    assert_eq!(verified.revision, segue_klaviyo::DEFAULT_REVISION);
    assert_eq!(verified.requested_revision, segue_klaviyo::DEFAULT_REVISION);
    // 15 July 2028.
    assert_eq!(verified.revision_retires_at.unwrap().seconds, 1_847_232_000);

    let left = |endpoint: &str| {
        let of_segue =
            |it: &&v1::LimitLeft| it.endpoint == endpoint && it.source() == LimitSource::Segue;
        let left = verified.limits.iter().find(of_segue).unwrap();
        (left.remaining, left.limit)
    };
    assert_eq!((left("accounts"), left("import")), ((14, 15), (150, 150)));
}

async fn key_that_is_revoked_shows_on_each_export_until_it_is_good_again(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.export().await;
    world.create_export(super::export(&export.connection_id), "").await.unwrap();
    assert_eq!(world.connection_problems().await, ["", ""]);

    let revoked_keys = [KEY.to_owned()].into();
    world.sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    let verified = world.verify(&export.connection_id).await;
    assert!(verified.problem.contains("does not accept the key"), "{}", verified.problem);
    assert!(states(&verified).iter().all(|(_, state)| *state == ScopeState::Unknown));
    assert_eq!(
        world.connection_problems().await,
        [verified.problem.clone(), verified.problem.clone()]
    );
    let seen = verified.connection.unwrap();
    assert_eq!(seen.problem, verified.problem);
    let at = seen.checked_at.unwrap();

    world.sim.set_faults(Faults::default());
    let verified = world.verify(&export.connection_id).await;
    assert_eq!(verified.problem, "");
    assert_eq!(world.connection_problems().await, ["", ""]);
    assert_eq!(verified.connection.unwrap().checked_at.unwrap().seconds, at.seconds + 60);
}

async fn run_that_fails_for_its_key_tells_all_exports_of_the_connection(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.export().await;
    world.create_export(super::export(&export.connection_id), "").await.unwrap();
    for (nth, (reason, words)) in [
        (FailReason::KeyRefused, "does not accept the key"),
        (FailReason::AccountChanged, "another account"),
        (FailReason::ScopeMissing, "lacks a scope"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = world.start(&export.id, &nth.to_string()).await.unwrap();
        let reader = world.claim(JobKind::Read).await.claim;
        let verdict = Verdict::FailRun { reason, detail: "as Klaviyo said".to_owned() };
        world.cp.finish(reader, verdict).await.unwrap();
        for seen in world.connection_problems().await {
            assert!(seen.contains(words) && seen.contains(&run.id), "{seen}");
            assert!(seen.contains("as Klaviyo said"), "{seen}");
        }
    }
    // A look finds that there is nothing to it any more.
    world.verify(&export.connection_id).await;
    assert_eq!(world.connection_problems().await, ["", ""]);

    // What the list is to blame for, the key is not.
    world.start(&export.id, "list").await.unwrap();
    let reader = world.claim(JobKind::Read).await.claim;
    let (reason, detail) = (FailReason::ListNotFound, String::new());
    world.cp.finish(reader, Verdict::FailRun { reason, detail }).await.unwrap();
    assert_eq!(world.connection_problems().await, ["", ""]);
}

async fn scope_for_writing_is_missed_until_klaviyo_takes_an_import(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.export().await;
    let run = world.start(&export.id, "forbidden").await.unwrap();
    let reader = world.claim(JobKind::Read).await.claim;
    assert_eq!(world.cp.stage(reader, &staged(0)).await.unwrap(), Next::GoOn);
    let upload = world.claim(JobKind::Upload).await.claim;
    let (reason, detail) = (FailReason::ScopeMissing, "imports are forbidden".to_owned());
    world.cp.finish(upload, Verdict::FailRun { reason, detail }).await.unwrap();
    world.cp.finish(reader, read_done()).await.unwrap();

    let verified = world.verify(&export.connection_id).await;
    assert!(verified.problem.contains(&run.id), "no look can refute it: {}", verified.problem);
    assert_eq!(state_of(&verified, "lists:write"), ScopeState::Unknown);
    assert_eq!(world.connection_problems().await, [verified.problem]);

    let run = world.start(&export.id, "taken").await.unwrap();
    let mut tx = world.cp.store().begin().await.unwrap();
    let now = tx.now();
    runs::note_acceptance(&mut tx, run_id(&run), now).await.unwrap();
    tx.commit().await.unwrap();
    let verified = world.verify(&export.connection_id).await;
    assert_eq!(verified.problem, "");
    for scope in ["lists:write", "profiles:write"] {
        assert_eq!(state_of(&verified, scope), ScopeState::Granted);
    }
    assert_eq!(world.connection_problems().await, [""]);
}

#[tokio::test]
async fn run_that_delivers_proves_the_key() {
    let world = World::new().await;
    let export = world.export().await;
    let revoked_keys = [KEY.to_owned()].into();
    world.sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    world.verify(&export.connection_id).await;
    assert!(world.connection_problems().await[0].contains("not accept"));

    let run = run_id(&world.start(&export.id, "good").await.unwrap());
    let reader = world.claim(JobKind::Read).await.claim;
    assert_eq!(world.cp.stage(reader, &staged(0)).await.unwrap(), Next::GoOn);
    world.cp.finish(reader, read_done()).await.unwrap();
    let upload = world.claim(JobKind::Upload).await.claim;
    let segue_model::work::PermitReply::Granted(permit) =
        world.cp.permit(upload, "SIMULA", segue_model::Endpoint::Import).await.unwrap()
    else {
        panic!("no place")
    };
    world.cp.answer(permit, &accepted("job", 10, 0)).await.unwrap();
    assert!(!world.connection_problems().await[0].is_empty(), "nothing is delivered yet");
    world.clock.advance(Duration::from_secs(10));
    let claim = world.claim(JobKind::Confirm).await.claim;
    let confirmed = crate::tests::confirmation(run, segue_model::BatchNo(0), "job", 0, 0);
    world.cp.confirm(claim, &confirmed).await.unwrap();
    assert_eq!(world.connection_problems().await, [""]);
}

#[tokio::test]
async fn scopes_that_are_missing_are_named_with_those_of_a_new_key() {
    let scopes = ["accounts:read", "lists:read", "lists:write"];
    let (world, made) = World::with_scopes(Engine::Sqlite, &scopes).await;
    let verified = world.verify(&made.id).await;
    assert_eq!(state_of(&verified, "lists:read"), ScopeState::Granted);
    assert_eq!(state_of(&verified, "profiles:read"), ScopeState::Missing);
    assert_eq!(state_of(&verified, "flows:read"), ScopeState::Missing);
    assert!(
        verified.problem.starts_with("the key lacks the scope profiles:read;"),
        "{}",
        verified.problem
    );
    assert!(verified.problem.contains("accounts:read, lists:read, lists:write"));
    assert_eq!(verified.connection.unwrap().problem, verified.problem);
}

#[tokio::test]
async fn flows_cannot_be_judged_by_whoever_sees_no_list() {
    let (world, made) = World::with_scopes(Engine::Sqlite, &["accounts:read", "flows:read"]).await;
    let verified = world.verify(&made.id).await;
    assert_eq!(state_of(&verified, "lists:read"), ScopeState::Missing);
    assert_eq!(state_of(&verified, "flows:read"), ScopeState::Unknown);

    let account = AccountConfig { lists: Vec::new(), ..AccountConfig::default() };
    let world = World::with(Engine::Sqlite, account).await;
    let made = world.connection().await;
    let verified = world.verify(&made.id).await;
    assert_eq!(state_of(&verified, "lists:read"), ScopeState::Granted);
    assert_eq!(state_of(&verified, "flows:read"), ScopeState::Unknown);
    assert_eq!(verified.problem, "");
}

#[tokio::test]
async fn optional_scope_is_no_problem() {
    let scopes = ["accounts:read", "lists:read", "lists:write", "profiles:read", "profiles:write"];
    let (world, made) = World::with_scopes(Engine::Sqlite, &scopes).await;
    let verified = world.verify(&made.id).await;
    assert_eq!(state_of(&verified, "flows:read"), ScopeState::Missing);
    assert_eq!(verified.problem, "");
}

#[tokio::test]
async fn question_that_klaviyo_does_not_answer_says_nothing_of_the_scope() {
    let world = World::new().await;
    let made = world.connection().await;
    let unavailable = Trigger::probability(1.0).at(Endpoint::Profiles);
    world.sim.set_faults(Faults { unavailable, ..Faults::default() });
    let verified = world.verify(&made.id).await;
    assert_eq!(state_of(&verified, "profiles:read"), ScopeState::Unknown);
    assert_eq!(state_of(&verified, "lists:read"), ScopeState::Granted);
    assert_eq!(verified.problem, "");
}

#[tokio::test]
async fn look_for_scopes_shows_no_person() {
    let flows = vec![FlowConfig {
        id: "FLOW01".to_owned(),
        name: "Welcome".to_owned(),
        status: "live".to_owned(),
        archived: false,
        list: "LIST01".to_owned(),
    }];
    let world =
        World::with(Engine::Sqlite, AccountConfig { flows, ..AccountConfig::default() }).await;
    let made = world.connection().await;
    let before = world.sim.requests().len();
    world.verify(&made.id).await;
    let asked = world.sim.requests().split_off(before);
    let mut endpoints: Vec<Endpoint> = asked.iter().filter_map(|it| it.endpoint).collect();
    endpoints.sort();
    let mut expected =
        vec![Endpoint::Accounts, Endpoint::Lists, Endpoint::FlowTriggers, Endpoint::Profiles];
    expected.sort();
    assert_eq!(endpoints, expected, "one cheap question each");
}

#[tokio::test]
async fn another_key_is_judged_anew() {
    let world = World::new().await;
    let export = world.export().await;
    let run = world.start(&export.id, "taken").await.unwrap();
    let mut tx = world.cp.store().begin().await.unwrap();
    let now = tx.now();
    runs::note_acceptance(&mut tx, run_id(&run), now).await.unwrap();
    tx.commit().await.unwrap();
    let verified = world.verify(&export.connection_id).await;
    assert_eq!(state_of(&verified, "lists:write"), ScopeState::Granted);
    let revoked_keys = [KEY.to_owned()].into();
    world.sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    world.verify(&export.connection_id).await;
    assert!(!world.connection_problems().await[0].is_empty());

    let id = export.connection_id.clone();
    let api_key = super::OTHER_KEY.to_owned();
    let update_mask = Some(prost_types::FieldMask { paths: vec!["api_key".to_owned()] });
    let connection = Some(v1::Connection { id, api_key, ..v1::Connection::default() });
    let request = v1::UpdateConnectionRequest { connection, update_mask };
    world.connections().update_connection(request).await.unwrap();
    assert_eq!(world.connection_problems().await, [""]);
    let verified = world.verify(&export.connection_id).await;
    // What Klaviyo took was with the key before.
    assert_eq!(state_of(&verified, "lists:write"), ScopeState::Unknown);
    assert_eq!(verified.problem, "");
}
