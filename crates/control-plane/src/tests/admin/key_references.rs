//! Keys that stay where the operator keeps them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use klaviyo_sim::Faults;
use secrecy::ExposeSecret as _;
use segue_access::Role;
use segue_model::work::{Claimed, JobKind, Work};
use segue_proto::v1::{self, key_reference::Place};
use segue_store::{read_admin, test_util::Engine};

use super::{KEY, OTHER_KEY, World, connection, export, fields, obstacles, serve, tester};
use crate::{ControlPlane, Error, KeyPlaces, Sealer, Settings};

segue_store::on_both_engines! {
    key_is_looked_up_whenever_it_is_needed,
    key_that_is_gone_is_remembered_and_found_again,
    keys_elsewhere_are_sealed_by_nobody,
}

const NAME: &str = "SEGUE_KLAVIYO_KEY_SHOP";

/// The environment of a control-plane.
#[derive(Clone, Default)]
struct Environment(Arc<Mutex<HashMap<String, String>>>);

impl Environment {
    fn set(&self, name: &str, value: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    fn unset(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }
}

async fn world(engine: Engine) -> (World, Environment) {
    let mut world = World::on(engine).await;
    let environment = Environment::default();
    let variables = environment.clone();
    let variable = move |name: &str| variables.0.lock().unwrap().get(name).map(Into::into);
    let key_places =
        KeyPlaces { variable: Arc::new(variable), ..KeyPlaces::of_process("host-1".to_owned()) };
    let settings = Settings { key_places, ..Settings::of_services() };
    let klaviyo = world.cp.vault().unwrap().klaviyo.clone();
    let (store, sealer) = (world.cp.store().clone(), Sealer::new(&super::MASTER_KEY));
    world.cp = ControlPlane::for_services(store, sealer, klaviyo, settings);
    world.channel = serve(Arc::clone(&world.cp)).await;
    environment.set(NAME, KEY);
    (world, environment)
}

fn referring(to: Place) -> v1::Connection {
    let key_reference = Some(v1::KeyReference { place: Some(to) });
    v1::Connection { key_reference, ..connection("") }
}

fn variable(name: &str) -> v1::Connection {
    referring(Place::Env(name.to_owned()))
}

async fn verify(world: &World, id: &str) -> v1::VerifyConnectionResponse {
    world.clock.advance(Duration::from_mins(2));
    let request = v1::VerifyConnectionRequest { id: id.to_owned() };
    world.connections().verify_connection(request).await.unwrap().into_inner()
}

async fn key_is_looked_up_whenever_it_is_needed(engine: Engine) {
    let (world, environment) = world(engine).await;
    let made = world.create_connection(variable(NAME), "once").await.unwrap();
    assert_eq!(made.key_reference, variable(NAME).key_reference);
    assert_eq!((made.account_id.as_str(), made.api_key.as_str()), ("SIMULA", ""));
    assert_eq!(world.create_connection(variable(NAME), "once").await.unwrap(), made);
    let id = made.id.parse().unwrap();
    let (_, sealed) = read_admin::connection(world.cp.store(), id).await.unwrap().unwrap();
    assert_eq!((sealed.sealed.as_str(), sealed.master_key.as_str()), ("", ""));
    let deeds = world.deeds(&made.id).await;
    assert_eq!(deeds[0].1["after"]["key"], format!("env:{NAME}"));

    // It is rotated: the one before is revoked, and nothing is restarted.
    let revoked_keys = [KEY.to_owned()].into();
    world.sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    assert!(verify(&world, &made.id).await.problem.contains("does not accept"));
    environment.set(NAME, &format!("{OTHER_KEY}\n"));
    assert_eq!(verify(&world, &made.id).await.problem, "");
    let request = v1::ListListsRequest { connection_id: made.id.clone(), ..Default::default() };
    world.lists().list_lists(request).await.unwrap();
    let export = world.create_export(export(&made.id), "").await.unwrap();
    world.start(&export.id, "r").await.unwrap();
    let Claimed { work: Work::Read(work), .. } = world.claim(JobKind::Read).await else {
        panic!("no reading")
    };
    assert_eq!(work.credentials.key.expose_secret(), OTHER_KEY);

    // Somebody puts that of another account there.
    environment.set(NAME, "pk_elsewhere");
    let problem = verify(&world, &made.id).await.problem;
    assert!(problem.contains("OTHERS") && problem.contains("SIMULA"), "{problem}");
}

async fn key_that_is_gone_is_remembered_and_found_again(engine: Engine) {
    let (world, environment) = world(engine).await;
    let made = world.create_connection(variable(NAME), "").await.unwrap();
    let other = world.create_export(export(&made.id), "").await.unwrap();
    let export = world.create_export(export(&made.id), "").await.unwrap();
    world.start(&other.id, "other").await.unwrap();
    let job = world.announced().await.into_iter().find(|job| job.kind == JobKind::Read).unwrap();
    environment.unset(NAME);

    let shown = async || {
        let request = v1::GetExportRequest { id: export.id.clone() };
        let export = world.exports().get_export(request).await.unwrap().into_inner().export;
        export.unwrap().connection_problem
    };
    assert_eq!(shown().await, "");
    let request_id = "r".to_owned();
    let start =
        v1::StartRunRequest { export_id: export.id.clone(), request_id, ..Default::default() };
    let refused = obstacles(world.runs().start_run(start.clone()).await);
    assert_eq!(refused, [("KEY_UNREADABLE".to_owned(), made.id.clone())]);
    let problem = shown().await;
    for word in [NAME, "host-1", "not set"] {
        assert!(problem.contains(word), "{problem}");
    }
    // What was put there is no key: nobody is shown it.
    environment.set(NAME, "pk_one pk_two");
    let verified = verify(&world, &made.id).await;
    assert!(verified.problem.contains("characters") && !verified.problem.contains("pk_one"));
    assert_eq!(verified.connection.unwrap().problem, verified.problem);
    assert_eq!(shown().await, verified.problem);
    // A run that is under way waits, as with a key that cannot be opened.
    environment.unset(NAME);
    let claimed = world.cp.claim(job.id, job.attempt).await;
    assert!(matches!(claimed, Err(Error::Elsewhere { .. })), "{claimed:?}");
    assert!(shown().await.contains("not set"));
    let request = v1::ListListsRequest { connection_id: made.id.clone(), ..Default::default() };
    let refused = obstacles(world.lists().list_lists(request).await);
    assert_eq!(refused[0].0, "KEY_UNREADABLE");

    environment.set(NAME, KEY);
    assert_eq!(verify(&world, &made.id).await.problem, "");
    assert_eq!(shown().await, "");
    assert!(world.cp.claim(job.id, job.attempt).await.unwrap().is_some());
    world.runs().start_run(start).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_referred_to_is_a_wrong_field_and_klaviyo_is_not_asked() {
    let (world, environment) = world(Engine::Sqlite).await;
    environment.set("SEGUE_KLAVIYO_KEY_TWO", "pk_one pk_two");
    environment.set("DATABASE_PASSWORD", "hunter2");
    let file = |path: &str| referring(Place::File(path.to_owned()));
    let both = v1::Connection { api_key: KEY.to_owned(), ..variable(NAME) };
    let none =
        v1::Connection { key_reference: Some(v1::KeyReference::default()), ..connection("") };
    for (wanted, word) in [
        (variable("SEGUE_KLAVIYO_KEY_GONE"), "not set"),
        (variable("SEGUE_KLAVIYO_KEY_TWO"), "characters"),
        (variable("DATABASE_PASSWORD"), "key_env_prefix"),
        (file("/etc/passwd"), "SEGUE_KEY_DIR"),
        (both, "one of both"),
        (none, "neither"),
    ] {
        let found = fields(world.create_connection(wanted, "").await);
        let [(field, words)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(field, "connection.key_reference");
        assert!(words.contains(word), "{words}");
        assert!(!words.contains("hunter2") && !words.contains("pk_one"), "{words}");
    }
    assert!(world.sim.requests().is_empty(), "Klaviyo was asked for nothing");
    let revoked = Faults { revoked_keys: [KEY.to_owned()].into(), ..Faults::default() };
    world.sim.set_faults(revoked);
    let found = fields(world.create_connection(variable(NAME), "").await);
    assert_eq!(found[0].0, "connection.key_reference");
}

async fn keys_elsewhere_are_sealed_by_nobody(engine: Engine) {
    let (world, environment) = world(engine).await;
    let sealed = world.connection().await;
    environment.set("SEGUE_KLAVIYO_KEY_OTHERS", "pk_elsewhere");
    let to = |connection| v1::Connection { id: sealed.id.clone(), ..connection };
    world.clock.advance(Duration::from_mins(2));
    let foreign = to(variable("SEGUE_KLAVIYO_KEY_OTHERS"));
    let found = fields(world.update_connection(foreign, &["key_reference"]).await);
    assert_eq!(found[0].0, "connection.key_reference");
    assert!(found[0].1.contains("OTHERS"), "{found:?}");
    let two = world.update_connection(to(variable(NAME)), &["api_key", "key_reference"]).await;
    assert_eq!(fields(two)[0].0, "update_mask");

    world.clock.advance(Duration::from_mins(2));
    let changed = world.update_connection(to(variable(NAME)), &["key_reference"]).await.unwrap();
    assert_eq!(changed.key_reference, variable(NAME).key_reference);
    let rotated = world.cp.rotate_keys(&tester(Role::Administrator)).await.unwrap();
    assert_eq!((rotated.resealed, rotated.current, rotated.elsewhere), (0, 0, 1));
    assert!(rotated.unreadable.is_empty());

    world.clock.advance(Duration::from_mins(2));
    let back = world.update_connection(to(connection(OTHER_KEY)), &["api_key"]).await.unwrap();
    assert_eq!(back.key_reference, None);
    environment.unset(NAME);
    assert_eq!(verify(&world, &sealed.id).await.problem, "");
    let rotated = world.cp.rotate_keys(&tester(Role::Administrator)).await.unwrap();
    assert_eq!((rotated.current, rotated.elsewhere), (1, 0));
    let keys: Vec<String> = world
        .deeds(&sealed.id)
        .await
        .iter()
        .map(|(_, it)| it["after"]["key"].to_string())
        .collect();
    assert_eq!(keys[1], format!("\"env:{NAME}\""), "{keys:?}");
}
