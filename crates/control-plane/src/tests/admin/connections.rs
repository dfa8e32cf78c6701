use std::time::Duration;

use klaviyo_sim::{Faults, Trigger};
use prost_types::Timestamp;
use segue_proto::v1;
use tonic::{Code, Status};

use super::{
    ConnectionServiceClient, KEY, MASTER_KEY, OTHER_KEY, WEAK_KEY, World, connection, export,
    field_names, fields, missing, obstacles, refused, serve,
};
use crate::{ControlPlane, Sealer, Settings};

async fn verify(world: &World, id: &str) -> Result<v1::VerifyConnectionResponse, Status> {
    let request = v1::VerifyConnectionRequest { id: id.to_owned() };
    Ok(world.connections().verify_connection(request).await?.into_inner())
}

async fn get(world: &World, id: &str) -> Result<v1::Connection, Status> {
    let request = v1::GetConnectionRequest { id: id.to_owned() };
    Ok(world.connections().get_connection(request).await?.into_inner().connection.unwrap())
}

async fn delete(world: &World, id: &str) -> Result<(), Status> {
    let request = v1::DeleteConnectionRequest { id: id.to_owned(), detach: false };
    world.connections().delete_connection(request).await.map(|_| ())
}

async fn list(
    world: &World,
    page_size: i32,
    page_token: &str,
) -> Result<v1::ListConnectionsResponse, Status> {
    let page_token = page_token.to_owned();
    let request = v1::ListConnectionsRequest { page_size, page_token };
    Ok(world.connections().list_connections(request).await?.into_inner())
}

const NOBODY: &str = "con_00000000-0000-0000-0000-000000000001";

#[tokio::test]
async fn connection_has_the_account_of_its_key_and_never_shows_the_key() {
    let world = World::new().await;
    let made = world.connection().await;
    assert_eq!(made.account_id, "SIMULA");
    assert_eq!(made.account_name, "Simulated account");
    assert_eq!(made.api_key, "");
    assert!(made.consent.as_ref().unwrap().accepted_at.is_some() && made.created_at.is_some());
    assert_eq!(get(&world, &made.id).await.unwrap(), made);
    assert_eq!(list(&world, 0, "").await.unwrap().connections, [made]);
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let world = World::new().await;
    let nothing = v1::CreateConnectionRequest { connection: None, request_id: String::new() };
    assert_eq!(field_names(world.connections().create_connection(nothing).await), ["connection"]);
    let consent = v1::Consent { accepted_by: "\n".to_owned(), ..v1::Consent::default() };
    let bad = v1::Connection {
        display_name: "x".repeat(101),
        api_key: "pk with spaces".to_owned(),
        consent: Some(consent),
        ..v1::Connection::default()
    };
    let found = fields(world.create_connection(bad, &"x".repeat(101)).await);
    let names: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(
        names,
        [
            "request_id",
            "connection.display_name",
            "connection.api_key",
            "connection.consent.text_version",
            "connection.consent.accepted_by",
        ]
    );
    assert!(found.iter().all(|(_, words)| !words.contains("with spaces")), "{found:?}");
    assert!(world.sim.requests().is_empty(), "Klaviyo was asked for nothing");
}

#[tokio::test]
async fn without_consent_nothing_is_kept() {
    let world = World::new().await;
    let without = v1::Connection { consent: None, ..connection(KEY) };
    assert_eq!(field_names(world.create_connection(without, "").await), ["connection.consent"]);
    let mut later = connection(KEY);
    let seconds = 1_790_000_001;
    later.consent.as_mut().unwrap().accepted_at = Some(Timestamp { seconds, nanos: 0 });
    let field = "connection.consent.accepted_at";
    assert_eq!(field_names(world.create_connection(later.clone(), "").await), [field]);
    later.consent.as_mut().unwrap().accepted_at = Some(Timestamp { seconds: 0, nanos: -1 });
    assert_eq!(field_names(world.create_connection(later, "").await), [field]);
    assert!(list(&world, 0, "").await.unwrap().connections.is_empty());
}

#[tokio::test]
async fn key_that_klaviyo_does_not_accept_is_a_wrong_field() {
    let world = World::new().await;
    for (key, word) in [("pk_revoked", "not accept"), (WEAK_KEY, "accounts:read")] {
        let found = fields(world.create_connection(connection(key), "").await);
        let [(field, words)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(field, "connection.api_key");
        assert!(words.contains(word) && !words.contains(key), "{words}");
    }
}

#[tokio::test]
async fn klaviyo_that_does_not_answer_is_to_be_asked_later() {
    let world = World::new().await;
    let unavailable = Trigger::probability(1.0);
    world.sim.set_faults(Faults { unavailable, ..Faults::default() });
    // The clock stands still, and places in a lane become free with it.
    let ask = world.create_connection(connection(KEY), "");
    let mut ask = std::pin::pin!(ask);
    let result = loop {
        tokio::select! {
            result = &mut ask => break result,
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                world.clock.advance(Duration::from_secs(1));
            }
        }
    };
    let details = refused(result, Code::Unavailable);
    assert!(details.retry_info().unwrap().retry_delay.is_some());
}

#[tokio::test]
async fn the_same_request_makes_one_connection() {
    let world = World::new().await;
    let made = world.create_connection(connection(KEY), "once").await.unwrap();
    let asked = world.sim.requests().len();
    let again = world.create_connection(connection(KEY), "once").await.unwrap();
    assert_eq!(again, made);
    assert_eq!(world.sim.requests().len(), asked, "Klaviyo was asked again");
    for other in [
        connection(OTHER_KEY),
        v1::Connection { display_name: "Another".to_owned(), ..connection(KEY) },
    ] {
        let resource = missing(world.create_connection(other, "once").await, Code::AlreadyExists);
        assert_eq!(resource, ("segue.v1.Connection".to_owned(), made.id.clone()));
    }
    delete(&world, &made.id).await.unwrap();
    let after = world.create_connection(connection(KEY), "once").await;
    assert_eq!(missing(after, Code::NotFound).1, made.id);
}

#[tokio::test]
async fn pages_end_and_broken_tokens_are_named() {
    let world = World::new().await;
    let mut made = Vec::new();
    for n in 0..5 {
        world.clock.advance(Duration::from_mins(1));
        let named = v1::Connection { display_name: format!("{n}"), ..connection(KEY) };
        made.push(world.create_connection(named, "").await.unwrap());
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(&world, 2, &token).await.unwrap();
        seen.extend(page.connections);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
    assert_eq!(field_names(list(&world, 2, "broken").await), ["page_token"]);
    assert_eq!(field_names(list(&world, -1, "").await), ["page_size"]);
}

#[tokio::test]
async fn verifying_says_why_a_key_cannot_be_used() {
    let world = World::new().await;
    let made = world.connection().await;
    let second = || world.clock.advance(Duration::from_secs(5));
    second();
    let good = verify(&world, &made.id).await.unwrap();
    assert_eq!(good.problem, "");
    assert_eq!(good.revision, segue_klaviyo::DEFAULT_REVISION);
    let seen = get(&world, &made.id).await.unwrap();
    assert_eq!(good.connection.as_ref(), Some(&seen));
    assert_eq!(seen, v1::Connection { checked_at: seen.checked_at, ..made.clone() });
    assert!(seen.checked_at.unwrap().seconds > made.checked_at.unwrap().seconds);

    second();
    let moved_keys = [(KEY.to_owned(), "OTHERS".to_owned())].into();
    world.sim.set_faults(Faults { moved_keys, ..Faults::default() });
    let moved = verify(&world, &made.id).await.unwrap().problem;
    assert!(moved.contains("OTHERS") && moved.contains("SIMULA"), "{moved}");

    second();
    let revoked_keys = [KEY.to_owned()].into();
    world.sim.set_faults(Faults { revoked_keys, ..Faults::default() });
    let revoked = verify(&world, &made.id).await.unwrap().problem;
    assert!(revoked.contains("does not accept") && !revoked.contains(KEY), "{revoked}");

    let other = world.another(&[1; 32]).await;
    let sealed = other.verify_connection(made.id.parse().unwrap()).await.unwrap().problem.unwrap();
    assert!(sealed.contains("master key"), "{sealed}");
}

#[tokio::test]
async fn revision_that_is_retired_is_nothing_that_a_key_can_help() {
    let world = World::new().await;
    let mut config = segue_klaviyo::Config::for_base_url(world.sim.url().parse().unwrap());
    "2023-07-15".clone_into(&mut config.revision);
    let client = segue_klaviyo::Client::new(&config).unwrap();
    let (store, sealer) = (world.cp.store().clone(), Sealer::new(&MASTER_KEY));
    let old = ControlPlane::for_services(store, sealer, client, Settings::of_services());
    let mut connections = ConnectionServiceClient::new(serve(old).await);
    let request = v1::CreateConnectionRequest {
        connection: Some(connection(KEY)),
        request_id: String::new(),
    };
    let found = obstacles(connections.create_connection(request).await);
    assert_eq!(found, [("REVISION_RETIRED".to_owned(), "klaviyo".to_owned())]);
}

#[tokio::test]
async fn connection_in_use_is_not_deleted() {
    let world = World::new().await;
    let made = world.connection().await;
    let export = world.create_export(export(&made.id), "").await.unwrap();
    let run = world.start(&export.id, "r").await.unwrap();
    let by_export = ("USED_BY_EXPORT".to_owned(), export.id.clone());
    let by_run = ("USED_BY_RUN".to_owned(), run.id.clone());
    assert_eq!(obstacles(delete(&world, &made.id).await), [by_export, by_run.clone()]);

    // The run keeps the connection that it began with.
    world.clock.advance(Duration::from_mins(1));
    let other = world.create_connection(connection(OTHER_KEY), "").await.unwrap();
    let changed = v1::Export { connection_id: other.id, ..export };
    let paths = vec!["connection_id".to_owned()];
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = v1::UpdateExportRequest { export: Some(changed), update_mask };
    world.exports().update_export(request).await.unwrap();
    assert_eq!(obstacles(delete(&world, &made.id).await), [by_run]);

    world.cancel(&run.id).await.unwrap();
    delete(&world, &made.id).await.unwrap();
    let resource = ("segue.v1.Connection".to_owned(), made.id.clone());
    assert_eq!(missing(get(&world, &made.id).await, Code::NotFound), resource);
    assert_eq!(missing(delete(&world, &made.id).await, Code::NotFound), resource);
}

#[tokio::test]
async fn what_is_no_id_and_what_is_not_there_are_told_apart() {
    let world = World::new().await;
    for id in ["", "con_1", "exp_00000000-0000-0000-0000-000000000001"] {
        assert_eq!(field_names(get(&world, id).await), ["id"]);
        assert_eq!(field_names(verify(&world, id).await), ["id"]);
        assert_eq!(field_names(delete(&world, id).await), ["id"]);
    }
    assert_eq!(missing(get(&world, NOBODY).await, Code::NotFound).1, NOBODY);
    assert_eq!(missing(verify(&world, NOBODY).await, Code::NotFound).1, NOBODY);
}
