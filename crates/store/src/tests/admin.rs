//! Connections, exports, requests, and runs of exports.

mod columns;
mod retries;
mod sources;

use std::time::Duration;

use segue_model::{
    BatchNo, Cause, ConnectionId, ExportId, Freshness, Id, Micros, RunId, RunState, Who,
};
use uuid::Uuid;

use super::{accepted, new_run, run_id, staged};
use crate::{
    ManualClock, Store, Tx, read_admin,
    test_util::{Engine, TestDatabase},
    write::{
        batches::{self, BatchState},
        connections::{self, Connection, Consent, KeptElsewhere, KeyReference, SealedKey, Sharing},
        exports::{self, Export, Problem, Timing},
        requests::{self, Made, RequestKind},
        runs::{self, NewRun, Origin},
        settings,
        tokens::{self, Token},
    },
};

crate::on_both_engines! {
    connection_comes_back_as_it_was_written,
    export_comes_back_as_it_was_written_and_changed,
    pages_are_in_the_order_of_ids,
    whoever_uses_a_connection_is_named,
    request_belongs_to_whoever_was_first,
    request_that_is_undone_is_free_again,
    one_run_of_an_export_lives,
    export_is_due_at_its_time_and_after_the_run_that_it_waits_for,
    setting_that_nobody_made_is_an_error,
    token_comes_back_as_it_was_written_and_is_revoked_once,
    of_two_runs_at_once_one_lives,
    deletion_waits_for_whoever_holds_the_connection,
    key_to_confirm_is_that_of_a_run_that_waits,
}

const NOW: Micros = Micros(1_790_000_000_000_000);

struct World {
    clock: ManualClock,
    store: Store,
    // Dropped last.
    _database: TestDatabase,
}

impl World {
    async fn on(engine: Engine) -> Self {
        let database = TestDatabase::new(engine).await;
        let clock = ManualClock::at(NOW);
        let store = database.store(clock.clone()).await;
        Self { clock, store, _database: database }
    }

    async fn tx(&self) -> Tx {
        self.store.begin().await.unwrap()
    }

    /// A connection and an export that uses it.
    async fn with_an_export(engine: Engine) -> Self {
        let world = Self::on(engine).await;
        let mut tx = world.tx().await;
        connections::create(&mut tx, &connection(1), &key()).await.unwrap();
        exports::create(&mut tx, &export(1, 1)).await.unwrap();
        tx.commit().await.unwrap();
        world
    }
}

fn connection_id(n: u128) -> ConnectionId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn export_id(n: u128) -> ExportId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn connection(n: u128) -> Connection {
    Connection {
        id: connection_id(n),
        display_name: format!("Shop {n}"),
        account_id: super::ACCOUNT.to_owned(),
        account_name: "A shop".to_owned(),
        consent: Consent {
            text_version: "1".to_owned(),
            accepted_by: "somebody".to_owned(),
            accepted: Micros(NOW.0 - 1),
        },
        sharing: Sharing { contributors: n.is_multiple_of(2), only_lists: r#"["L"]"#.to_owned() },
        reference: None,
        created: NOW,
        key_since: Micros(NOW.0 - 3),
        checked: Some(Micros(NOW.0 - 2)),
        problem: None,
    }
}

fn key() -> SealedKey {
    SealedKey { sealed: "c2VhbGVk".to_owned(), master_key: "0011aabb".to_owned() }
}

fn export(n: u128, connection: u128) -> Export {
    Export {
        id: export_id(n),
        display_name: format!("Export {n}"),
        connection: Some(connection_id(connection)),
        list_id: "XyZ789".to_owned(),
        source: None,
        segments: r#"["a.csv"]"#.to_owned(),
        mapping: "{}".to_owned(),
        allow_live_flows: true,
        allow_empty: false,
        max_profiles: None,
        max_growth: None,
        max_shrinkage: Some(0),
        max_rejects: None,
        freshness: None,
        schedule: r#""system""#.to_owned(),
        owner: Who { subject: "token:1".to_owned(), name: "One".to_owned() },
        disabled: false,
        timing: Timing::default(),
        created: NOW,
        updated: NOW,
    }
}

fn of_export(run: u128, export: u128) -> NewRun {
    let origin = Origin {
        cause: Cause::OnDemand,
        export: Some(export_id(export)),
        connection: Some(connection_id(1)),
        request_id: Some("r".to_owned()),
        retry_of: None,
        trace: None,
        started_by: Who { subject: "token:1".to_owned(), name: "One".to_owned() },
        due: Some(Micros(NOW.0 - 2)),
        missed: 3,
    };
    NewRun { frozen: false, origin, ..new_run(run_id(run)) }
}

async fn connection_comes_back_as_it_was_written(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    assert!(connections::lock(&mut tx, connection_id(1)).await.unwrap().is_none());
    connections::create(&mut tx, &connection(1), &key()).await.unwrap();
    let both = Some((connection(1), key()));
    assert_eq!(connections::lock(&mut tx, connection_id(1)).await.unwrap(), both);
    assert_eq!(connections::key(&mut tx, connection_id(1)).await.unwrap(), both);
    tx.commit().await.unwrap();
    let read = read_admin::connection(&world.store, connection_id(1)).await.unwrap();
    assert_eq!(read, both);
    let changed = Connection {
        display_name: "Other".to_owned(),
        account_id: "Other".to_owned(),
        account_name: "Another".to_owned(),
        consent: Consent {
            text_version: "2".to_owned(),
            accepted_by: "somebody else".to_owned(),
            accepted: NOW,
        },
        sharing: Sharing { contributors: true, only_lists: "[]".to_owned() },
        ..connection(1)
    };
    let other_key = SealedKey { sealed: "b3RoZXI=".to_owned(), master_key: "22".to_owned() };
    let mut tx = world.tx().await;
    connections::update(&mut tx, &changed, &other_key).await.unwrap();
    let both = Some((changed.clone(), other_key));
    assert_eq!(connections::lock(&mut tx, connection_id(1)).await.unwrap(), both);
    let places = [
        KeyReference::Variable("SEGUE_KLAVIYO_KEY_SHOP".to_owned()),
        KeyReference::File("shop:eu/key".to_owned()),
    ];
    for at in places {
        let reference = Some(KeptElsewhere { at, print: "0011".to_owned() });
        let changed = Connection { reference, ..changed.clone() };
        connections::update(&mut tx, &changed, &SealedKey::default()).await.unwrap();
        let both = Some((changed, SealedKey::default()));
        assert_eq!(connections::lock(&mut tx, connection_id(1)).await.unwrap(), both);
    }
    connections::remove(&mut tx, connection_id(1)).await.unwrap();
    assert_eq!(connections::lock(&mut tx, connection_id(1)).await.unwrap(), None);
    // Runs that go on still need it.
    assert!(connections::key(&mut tx, connection_id(1)).await.unwrap().is_some());
    assert_eq!(connections::forget_removed(&mut tx).await.unwrap(), 1);
    assert!(connections::key(&mut tx, connection_id(1)).await.unwrap().is_none());
}

async fn export_comes_back_as_it_was_written_and_changed(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    exports::create(&mut tx, &export(1, 1)).await.unwrap();
    assert_eq!(exports::lock(&mut tx, export_id(1)).await.unwrap(), Some(export(1, 1)));
    let changed = Export {
        display_name: "Other".to_owned(),
        connection: None,
        list_id: "Other1".to_owned(),
        segments: "[]".to_owned(),
        mapping: r#"{"email":"x"}"#.to_owned(),
        allow_live_flows: false,
        allow_empty: true,
        max_profiles: Some(7),
        max_growth: Some(5),
        max_shrinkage: None,
        max_rejects: Some(100),
        freshness: Some(Freshness {
            max_source_age: Duration::from_hours(30),
            wait: Duration::from_hours(2),
        }),
        schedule: r#""off""#.to_owned(),
        owner: Who::default(),
        disabled: true,
        timing: Timing {
            next: Some(Micros(NOW.0 + 1)),
            waiting: Some(Micros(NOW.0 + 2)),
            missed: 3,
            problem: Some(Problem {
                due: Micros(NOW.0 + 4),
                reason: "R".to_owned(),
                detail: "d".to_owned(),
            }),
        },
        updated: NOW + Duration::from_secs(1),
        ..export(1, 1)
    };
    exports::update(&mut tx, &changed).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(read_admin::export(&world.store, export_id(1)).await.unwrap(), Some(changed));
    let mut tx = world.tx().await;
    assert!(exports::delete(&mut tx, export_id(1)).await.unwrap());
    assert!(!exports::delete(&mut tx, export_id(1)).await.unwrap());
    assert!(exports::lock(&mut tx, export_id(1)).await.unwrap().is_none());
}

async fn pages_are_in_the_order_of_ids(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    // Digits and letters, so that the order of the text shows.
    let ids = [0x9, 0xa, 0x10, 0x1f, 0xa0, u128::MAX];
    for id in ids.iter().rev() {
        connections::create(&mut tx, &connection(*id), &key()).await.unwrap();
        exports::create(&mut tx, &export(*id, id % 2)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = read_admin::connections(&world.store, after, false, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.into_iter().map(|it| it.id));
    }
    assert_eq!(seen, ids.map(connection_id));
    let shared = read_admin::connections(&world.store, None, true, 10).await.unwrap();
    let shared: Vec<_> = shared.into_iter().map(|it| it.id).collect();
    assert_eq!(shared, [0xa, 0x10, 0xa0].map(connection_id));
    let page = |after, connection| read_admin::exports(&world.store, after, connection, 3);
    let first: Vec<_> = page(None, None).await.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(first, [0x9, 0xa, 0x10].map(export_id));
    let odd = page(Some(export_id(0x9)), Some(connection_id(1))).await.unwrap();
    let odd: Vec<_> = odd.into_iter().map(|it| it.id).collect();
    assert_eq!(odd, [0x1f, u128::MAX].map(export_id));
}

async fn whoever_uses_a_connection_is_named(engine: Engine) {
    let world = World::with_an_export(engine).await;
    let mut tx = world.tx().await;
    exports::create(&mut tx, &export(2, 2)).await.unwrap();
    exports::create(&mut tx, &export(3, 1)).await.unwrap();
    assert!(runs::create(&mut tx, &of_export(1, 1)).await.unwrap());
    let users = connections::users(&mut tx, connection_id(1), 9).await.unwrap();
    let exports = [1, 3].map(|n| export_id(n).to_string()).to_vec();
    assert_eq!(users, (exports.clone(), vec![run_id(1).to_string()]));
    let (some, _) = connections::users(&mut tx, connection_id(1), 1).await.unwrap();
    assert_eq!(some, exports[..1]);
    runs::end(&mut tx, run_id(1), RunState::Cancelled).await.unwrap();
    let (_, runs) = connections::users(&mut tx, connection_id(1), 9).await.unwrap();
    assert!(runs.is_empty());
}

fn made(made: &str) -> Made {
    Made { made: made.to_owned(), content: format!("content of {made}") }
}

async fn request_belongs_to_whoever_was_first(engine: Engine) {
    let world = World::on(engine).await;
    let note = async |name: &'static str| {
        let mut tx = world.tx().await;
        let found = requests::note(&mut tx, RequestKind::Run, "r", &made(name)).await.unwrap();
        tx.commit().await.unwrap();
        found
    };
    let (one, two) = tokio::join!(note("one"), note("two"));
    let first = match (one, two) {
        (None, Some(first)) => (first, made("one")),
        (Some(first), None) => (first, made("two")),
        other => panic!("{other:?}"),
    };
    assert_eq!(first.0, first.1);
    let mut tx = world.tx().await;
    assert_eq!(requests::find(&mut tx, RequestKind::Run, "r").await.unwrap(), Some(first.1));
    // Other things have ids of their own.
    assert_eq!(requests::find(&mut tx, RequestKind::Export, "r").await.unwrap(), None);
    let other = requests::note(&mut tx, RequestKind::Export, "r", &made("three")).await.unwrap();
    assert_eq!(other, None);
}

async fn request_that_is_undone_is_free_again(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    let kind = RequestKind::Connection;
    assert_eq!(requests::note(&mut tx, kind, "r", &made("one")).await.unwrap(), None);
    drop(tx);
    let mut tx = world.tx().await;
    assert_eq!(requests::note(&mut tx, kind, "r", &made("two")).await.unwrap(), None);
}

async fn one_run_of_an_export_lives(engine: Engine) {
    let world = World::with_an_export(engine).await;
    let mut tx = world.tx().await;
    assert!(runs::create(&mut tx, &of_export(1, 1)).await.unwrap());
    assert!(!runs::create(&mut tx, &of_export(2, 1)).await.unwrap());
    assert_eq!(exports::live_run(&mut tx, export_id(1)).await.unwrap(), Some(run_id(1)));
    let run = runs::lock(&mut tx, run_id(1)).await.unwrap().unwrap();
    assert_eq!(run.connection, Some(connection_id(1)));
    assert!(runs::lock(&mut tx, run_id(2)).await.unwrap().is_none());
    runs::end(&mut tx, run_id(1), RunState::Failed).await.unwrap();
    assert_eq!(exports::live_run(&mut tx, export_id(1)).await.unwrap(), None);
    assert!(runs::create(&mut tx, &of_export(2, 1)).await.unwrap());
    // Runs of `segue export` belong to none.
    for n in 3..5 {
        assert!(runs::create(&mut tx, &new_run(run_id(n))).await.unwrap());
    }
}

async fn export_is_due_at_its_time_and_after_the_run_that_it_waits_for(engine: Engine) {
    let world = World::with_an_export(engine).await;
    let mut tx = world.tx().await;
    let with = |timing| Export { timing, ..export(1, 1) };
    let due = async |tx: &mut Tx, at| exports::due(tx, Micros(at), 10).await.unwrap();
    assert!(due(&mut tx, i64::MAX).await.is_empty());
    let next = with(Timing { next: Some(Micros(5)), ..Timing::default() });
    exports::update(&mut tx, &next).await.unwrap();
    assert!(due(&mut tx, 4).await.is_empty());
    assert_eq!(due(&mut tx, 5).await, [export_id(1)]);
    let waiting = with(Timing { waiting: Some(Micros(5)), ..Timing::default() });
    exports::update(&mut tx, &waiting).await.unwrap();
    assert_eq!(due(&mut tx, 5).await, [export_id(1)]);
    assert!(runs::create(&mut tx, &of_export(1, 1)).await.unwrap());
    assert!(due(&mut tx, 5).await.is_empty());
    runs::end(&mut tx, run_id(1), RunState::Failed).await.unwrap();
    assert_eq!(due(&mut tx, 5).await, [export_id(1)]);
    assert!(exports::due(&mut tx, Micros(5), 0).await.unwrap().is_empty());
}

async fn setting_that_nobody_made_is_an_error(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    assert_eq!(settings::lock(&mut tx, settings::SCHEDULE).await.unwrap(), "null");
    settings::set(&mut tx, settings::SCHEDULE, "{}").await.unwrap();
    tx.commit().await.unwrap();
    let read = read_admin::setting(&world.store, settings::SCHEDULE).await.unwrap();
    assert_eq!(read.as_deref(), Some("{}"));
    let mut tx = world.tx().await;
    assert!(settings::lock(&mut tx, "whim").await.is_err());
}

async fn token_comes_back_as_it_was_written_and_is_revoked_once(engine: Engine) {
    let world = World::on(engine).await;
    let token = |n: u8| Token {
        id: format!("id{n}"),
        name: "CI".to_owned(),
        role: "viewer".to_owned(),
        hash: "00aa".to_owned(),
        created_by: "token:id0".to_owned(),
        created: NOW,
        expires: Some(Micros(NOW.0 + 1)),
        revoked: None,
    };
    let mut tx = world.tx().await;
    assert!(!tokens::any(&mut tx).await.unwrap());
    for n in [2, 1] {
        tokens::create(&mut tx, &token(n)).await.unwrap();
    }
    assert!(tokens::any(&mut tx).await.unwrap());
    tx.commit().await.unwrap();
    let store = &world.store;
    assert_eq!(read_admin::token(store, "id1").await.unwrap(), Some(token(1)));
    assert_eq!(read_admin::token(store, "id").await.unwrap(), None);
    assert_eq!(read_admin::tokens(store, "", 9).await.unwrap(), [token(1), token(2)]);
    assert_eq!(read_admin::tokens(store, "id1", 9).await.unwrap(), [token(2)]);
    assert_eq!(read_admin::tokens(store, "", 1).await.unwrap(), [token(1)]);

    let mut tx = world.tx().await;
    assert!(tokens::revoke(&mut tx, "id").await.unwrap().is_none());
    let revoked = Token { revoked: Some(NOW), ..token(1) };
    assert_eq!(tokens::revoke(&mut tx, "id1").await.unwrap(), Some(revoked.clone()));
    tx.commit().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let mut tx = world.tx().await;
    assert_eq!(
        tokens::revoke(&mut tx, "id1").await.unwrap(),
        Some(revoked),
        "the first time stays"
    );
}

async fn of_two_runs_at_once_one_lives(engine: Engine) {
    let world = World::with_an_export(engine).await;
    let create = async |n| {
        let mut tx = world.tx().await;
        let created = runs::create(&mut tx, &of_export(n, 1)).await.unwrap();
        tx.commit().await.unwrap();
        created
    };
    let (one, two) = tokio::join!(create(1), create(2));
    assert!(one != two, "{one} {two}");
}

async fn deletion_waits_for_whoever_holds_the_connection(engine: Engine) {
    let world = World::on(engine).await;
    let mut tx = world.tx().await;
    connections::create(&mut tx, &connection(1), &key()).await.unwrap();
    tx.commit().await.unwrap();
    let mut holder = world.tx().await;
    connections::lock(&mut holder, connection_id(1)).await.unwrap().unwrap();
    exports::create(&mut holder, &export(1, 1)).await.unwrap();
    let delete = async {
        let mut tx = world.tx().await;
        connections::lock(&mut tx, connection_id(1)).await.unwrap().unwrap();
        connections::users(&mut tx, connection_id(1), 9).await.unwrap().0
    };
    let mut delete = std::pin::pin!(delete);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut delete).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    holder.commit().await.unwrap();
    let users = delete.await;
    assert_eq!(users, [export_id(1).to_string()]);
}

async fn accept(tx: &mut Tx, run: RunId, no: u32) {
    assert!(batches::stage(tx, run, &staged(no), BatchState::Ready).await.unwrap());
    let acceptance = accepted(&format!("job-{no}"), 10);
    assert!(batches::accept(tx, run, BatchNo(no), &acceptance, NOW).await.unwrap());
}

async fn key_to_confirm_is_that_of_a_run_that_waits(engine: Engine) {
    let world = World::with_an_export(engine).await;
    let mut tx = world.tx().await;
    assert!(runs::create(&mut tx, &of_export(1, 1)).await.unwrap());
    let waiting = connections::waiting(&mut tx, super::ACCOUNT).await.unwrap();
    assert_eq!(waiting, None);
    accept(&mut tx, run_id(1), 0).await;
    let waiting = connections::waiting(&mut tx, super::ACCOUNT).await.unwrap();
    assert_eq!(waiting, Some(connection_id(1)));
    assert_eq!(connections::waiting(&mut tx, "Other1").await.unwrap(), None);
    runs::end(&mut tx, run_id(1), RunState::Failed).await.unwrap();
    assert_eq!(connections::waiting(&mut tx, super::ACCOUNT).await.unwrap(), None);
}
