//! Places in a lane, and answers.

use segue_model::{BatchNo, Endpoint, Grant};

use crate::{
    tests::{ACCOUNT, Engine, Fixture, claim_id, permit_id, run_id},
    write::lanes::{self, Send},
};

crate::on_both_engines! {
    last_place_of_a_lane_is_given_once,
    answer_is_recorded_once,
    answer_to_an_abandoned_request_amends_it,
}

fn send(n: u128, claim: u128, granted: segue_model::Micros) -> Send {
    Send {
        permit: permit_id(n),
        account_id: ACCOUNT.to_owned(),
        endpoint: Endpoint::Import,
        run: Some(run_id(1)),
        batch: Some(BatchNo(0)),
        claim: Some(claim_id(claim)),
        granted,
    }
}

async fn last_place_of_a_lane_is_given_once(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let now = tx.now();
    let burst = u128::from(Endpoint::Import.limits().burst);
    for n in 1..burst {
        lanes::grant(&mut tx, &send(n, 1, now)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let granted = race!(fixture, |tx, n| {
        let lane = lanes::lock(tx, ACCOUNT, Endpoint::Import).await.unwrap();
        let places = lanes::places(tx, ACCOUNT, Endpoint::Import).await.unwrap();
        let now = tx.now();
        let granted = lane.grant(now, &places) == Grant::Now;
        if granted {
            lanes::grant(tx, &send(burst + n, 2, now)).await.unwrap();
        }
        granted
    });
    assert_eq!(granted, (true, false));
}

async fn with_a_request(engine: Engine) -> Fixture {
    let fixture = Fixture::new(engine).await;
    let mut tx = fixture.tx().await;
    let now = tx.now();
    lanes::grant(&mut tx, &send(1, 1, now)).await.unwrap();
    tx.commit().await.unwrap();
    fixture
}

async fn answer_is_recorded_once(engine: Engine) {
    let fixture = with_a_request(engine).await;
    let recorded = race!(fixture, |tx, n| {
        lanes::answer(tx, permit_id(1), ["fine", "throttled"][n]).await.unwrap()
    });
    assert_eq!(recorded, (true, false));
}

async fn answer_to_an_abandoned_request_amends_it(engine: Engine) {
    let fixture = with_a_request(engine).await;
    let recorded = race!(fixture, |tx, n| {
        if n == 0 {
            lanes::abandon(tx, claim_id(1)).await.unwrap();
            true
        } else {
            let first = lanes::answer(tx, permit_id(1), "accepted").await.unwrap();
            lanes::amend(tx, permit_id(1), "accepted").await.unwrap();
            first
        }
    });
    assert_eq!(recorded, (true, false));
    let rows = fixture.store.read("SELECT outcome FROM sends", &[]).await.unwrap();
    let outcomes: Vec<_> = rows.into_iter().map(|mut row| row.string().unwrap()).collect();
    assert_eq!(outcomes, ["accepted"]);
}
