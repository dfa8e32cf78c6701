//! What is known of keys, of limits, and of lists that are made at Klaviyo.

use std::time::Duration;

use segue_model::{ConnectionId, Endpoint, Id, Micros};
use uuid::Uuid;

use super::{ACCOUNT, Engine, Fixture, START, new_run, permit_id, run_id};
use crate::{
    read_admin,
    write::{
        connections::{self, Connection, Consent, Problem, SealedKey, Sharing},
        lanes,
        new_lists::{self, NewList, Standing},
        retention::{self, Rows},
        runs::{self, NewRun, Origin},
    },
};

crate::on_both_engines! {
    problem_of_a_key_is_noted_and_mended,
    acceptance_of_a_connection_is_the_last_of_its_runs,
    lane_tells_what_its_minute_has_left,
    list_is_made_by_one_at_a_time_and_once,
    request_for_a_list_that_nobody_made_is_free_again,
}

const MINUTE: Duration = Duration::from_mins(1);

fn connection_id(n: u128) -> ConnectionId {
    Id::from_uuid(Uuid::from_u128(n))
}

async fn with_connections(engine: Engine) -> Fixture {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    for n in [1, 2] {
        let text_version = "1".to_owned();
        let accepted_by = "somebody".to_owned();
        let connection = Connection {
            id: connection_id(n),
            display_name: "Shop".to_owned(),
            account_id: ACCOUNT.to_owned(),
            account_name: "A shop".to_owned(),
            consent: Consent { text_version, accepted_by, accepted: START },
            sharing: Sharing::default(),
            reference: None,
            created: START,
            key_since: START,
            checked: None,
            problem: None,
        };
        let key = SealedKey { sealed: "c2VhbGVk".to_owned(), master_key: "0011aabb".to_owned() };
        connections::create(&mut tx, &connection, &key).await.unwrap();
    }
    tx.commit().await.unwrap();
    fixture
}

async fn problem_of_a_key_is_noted_and_mended(engine: Engine) {
    let fixture = with_connections(engine).await;
    let seen = async || {
        let found = read_admin::connection(&fixture.store, connection_id(1)).await.unwrap();
        let (connection, _) = found.unwrap();
        (connection.checked, connection.problem)
    };
    assert_eq!(seen().await, (None, None));
    let problem = Problem { reason: "key_refused".to_owned(), detail: "it was revoked".to_owned() };
    let mut tx = fixture.tx().await;
    connections::note_check(&mut tx, connection_id(1), Some(&problem)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(seen().await, (Some(START), Some(problem)));
    let problems = read_admin::connection_problems(&fixture.store).await.unwrap();
    assert_eq!(problems, [(connection_id(1), "it was revoked".to_owned())].into());

    fixture.clock.advance(MINUTE);
    let mut tx = fixture.tx().await;
    connections::mended(&mut tx, connection_id(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(seen().await, (Some(START + MINUTE), None));
    fixture.clock.advance(MINUTE);
    let mut tx = fixture.tx().await;
    connections::mended(&mut tx, connection_id(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(seen().await, (Some(START + MINUTE), None), "there was nothing to mend");
    assert!(read_admin::connection_problems(&fixture.store).await.unwrap().is_empty());
}

async fn acceptance_of_a_connection_is_the_last_of_its_runs(engine: Engine) {
    let fixture = with_connections(engine).await;
    let mut tx = fixture.tx().await;
    for (n, connection, accepted) in [(1, 1, Some(7)), (2, 1, Some(5)), (3, 1, None), (4, 2, None)]
    {
        let connection = Some(connection_id(connection));
        let origin = Origin { connection, ..Origin::default() };
        runs::create(&mut tx, &NewRun { origin, ..new_run(run_id(n)) }).await.unwrap();
        if let Some(at) = accepted {
            runs::note_acceptance(&mut tx, run_id(n), Micros(at)).await.unwrap();
        }
    }
    let last = connections::last_acceptance(&mut tx, connection_id(1)).await.unwrap();
    assert_eq!(last, Some(Micros(7)));
    assert_eq!(connections::last_acceptance(&mut tx, connection_id(2)).await.unwrap(), None);
    assert_eq!(connections::last_acceptance(&mut tx, connection_id(3)).await.unwrap(), None);
}

async fn lane_tells_what_its_minute_has_left(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let grant = async |tx: &mut crate::Tx, n, account: &str, endpoint| {
        let granted = tx.now();
        let send = lanes::Send {
            permit: permit_id(n),
            account_id: account.to_owned(),
            endpoint,
            run: None,
            batch: None,
            claim: None,
            granted,
        };
        lanes::grant(tx, &send).await.unwrap();
    };
    let left = lanes::left(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap();
    assert_eq!((left.limit, left.remaining, left.closed_until), (150, 150, Micros(0)));
    for n in 0..4 {
        grant(&mut tx, n, ACCOUNT, Endpoint::Import).await;
    }
    grant(&mut tx, 4, ACCOUNT, Endpoint::Accounts).await;
    grant(&mut tx, 5, "Others", Endpoint::Import).await;
    lanes::answer(&mut tx, permit_id(0), "accepted").await.unwrap();
    lanes::answer(&mut tx, permit_id(1), "not_sent").await.unwrap();
    let mut lane = lanes::lock(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap();
    lane.throttle(START, Some(Duration::from_secs(7)));
    lanes::save(&mut tx, ACCOUNT, Endpoint::Import, &lane).await.unwrap();
    let left = lanes::left(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap();
    assert_eq!(left.remaining, 147, "what was never sent holds no place");
    assert_eq!(left.closed_until, START + Duration::from_secs(7));
    tx.commit().await.unwrap();

    fixture.clock.advance(MINUTE);
    let mut tx = fixture.tx().await;
    let left = lanes::left(&mut tx, ACCOUNT, Endpoint::Import).await.unwrap();
    assert_eq!(left.remaining, 148, "what was not answered may still arrive");
}

fn new_list(request_id: &str, name: &str) -> NewList {
    let (request_id, name) = (request_id.to_owned(), name.to_owned());
    NewList { request_id, connection: connection_id(1), name }
}

/// In a transaction of its own.
async fn hold(fixture: &Fixture, new: &NewList) -> Standing {
    let mut tx = fixture.tx().await;
    let standing = new_lists::hold(&mut tx, new, MINUTE).await.unwrap();
    tx.commit().await.unwrap();
    standing
}

async fn list_is_made_by_one_at_a_time_and_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let new = new_list("r", "Newsletter");
    assert_eq!(hold(&fixture, &new).await, Standing::Held { asked: false });
    assert_eq!(hold(&fixture, &new).await, Standing::Busy { until: START + MINUTE });
    let other = Standing::Other { list_id: String::new() };
    assert_eq!(hold(&fixture, &new_list("r", "Others")).await, other);

    let mut tx = fixture.tx().await;
    new_lists::ask(&mut tx, "r").await.unwrap();
    tx.commit().await.unwrap();
    // Whoever was about it is gone.
    fixture.clock.advance(MINUTE);
    assert_eq!(hold(&fixture, &new).await, Standing::Held { asked: true });
    let again = START + MINUTE + MINUTE;
    assert_eq!(hold(&fixture, &new).await, Standing::Busy { until: again });

    let mut tx = fixture.tx().await;
    new_lists::made(&mut tx, "r", "Y6nRLr").await.unwrap();
    new_lists::forget(&mut tx, "r").await.unwrap();
    tx.commit().await.unwrap();
    let list_id = "Y6nRLr".to_owned();
    assert_eq!(hold(&fixture, &new).await, Standing::Made { list_id: list_id.clone() });
    let elsewhere = NewList { connection: connection_id(2), ..new };
    assert_eq!(hold(&fixture, &elsewhere).await, Standing::Other { list_id });
}

async fn request_for_a_list_that_nobody_made_is_free_again(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let new = new_list("r", "Newsletter");
    hold(&fixture, &new).await;
    let mut tx = fixture.tx().await;
    new_lists::ask(&mut tx, "r").await.unwrap();
    new_lists::release(&mut tx, "r").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(hold(&fixture, &new).await, Standing::Held { asked: true });

    let mut tx = fixture.tx().await;
    new_lists::forget(&mut tx, "r").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(hold(&fixture, &new_list("r", "Others")).await, Standing::Held { asked: false });
    let mut tx = fixture.tx().await;
    assert_eq!(retention::forget(&mut tx, Rows::NewLists, START, 9).await.unwrap(), 0);
    let later = START + Duration::from_micros(1);
    assert_eq!(retention::forget(&mut tx, Rows::NewLists, later, 9).await.unwrap(), 1);
}
