//! One leads at a time, and when it is gone another does.

use segue_queue::{MemoryEvents, MemoryQueue, Queue as _, Receipt as _};
use segue_store::{on_both_engines, test_util::Engine, write::leaders::Lead};
use tokio_util::sync::CancellationToken;

use super::{
    Arc, ControlPlane, Duration, INSTANT, JobKind, LEASE, SECOND, SLOTS, Settings, new_run, run_id,
    settings,
    turns::{House, announced, claim},
};

async fn another_leads_when_the_leader_has_said_nothing_for_five_seconds(engine: Engine) {
    let house = House::new(engine).await;
    let (a, b) = (house.instance(settings()).await, house.instance(settings()).await);
    assert_eq!(a.take_lead("a").await.unwrap(), Some(Lead::Taken));
    assert_eq!(b.take_lead("b").await.unwrap(), None);
    house.clock.advance(4 * SECOND);
    assert_eq!(a.take_lead("a").await.unwrap(), Some(Lead::Kept));
    house.clock.advance((5 * SECOND).saturating_sub(INSTANT));
    assert_eq!(b.take_lead("b").await.unwrap(), None);
    house.clock.advance(INSTANT);
    let (by_a, by_b) = tokio::join!(a.take_lead("a"), b.take_lead("b"));
    let leads = [by_a.unwrap(), by_b.unwrap()];
    assert_eq!(leads.iter().filter(|lead| **lead == Some(Lead::Taken)).count(), 1, "{leads:?}");
}

/// All instances were down: nobody could renew.
async fn claims_live_for_another_lease_when_somebody_begins_to_lead(engine: Engine) {
    let house = House::new(engine).await;
    let a = house.instance(settings()).await;
    a.take_lead("a").await.unwrap();
    a.start_run(&new_run(1)).await.unwrap();
    a.start_run(&new_run(2)).await.unwrap();
    let jobs = announced(&a, SLOTS).await;
    let (alive, dead) = (claim(&a, &jobs[0]).await.claim, claim(&a, &jobs[1]).await.claim);
    drop(a);
    house.clock.advance(60 * SECOND);
    let b = house.instance(settings()).await;
    assert_eq!(b.take_lead("b").await.unwrap(), Some(Lead::Taken));
    b.sweep_claims().await.unwrap();
    assert!(b.renew("one", SLOTS, &[alive]).await.unwrap().is_empty());
    house.clock.advance(LEASE.saturating_sub(INSTANT));
    assert_eq!(b.take_lead("b").await.unwrap(), Some(Lead::Kept), "which prolongs nothing");
    assert!(b.renew("one", SLOTS, &[alive]).await.unwrap().is_empty());
    house.clock.advance(INSTANT);
    b.sweep_claims().await.unwrap();
    assert_eq!(b.renew("one", SLOTS, &[alive, dead]).await.unwrap(), [dead]);
}

/// A control-plane that was restarted serves before it leads.
async fn claims_live_for_another_lease_when_an_instance_starts(engine: Engine) {
    let house = House::new(engine).await;
    let a = house.instance(settings()).await;
    a.start_run(&new_run(1)).await.unwrap();
    let reader = claim(&a, &announced(&a, SLOTS).await[0]).await.claim;
    house.clock.advance(60 * SECOND);
    a.grace().await.unwrap();
    assert!(a.renew("one", SLOTS, &[reader]).await.unwrap().is_empty());
}

struct Instance {
    cp: Arc<ControlPlane>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), crate::Error>>,
}

async fn leading(house: &House, queue: &MemoryQueue) -> Instance {
    let poll = Duration::from_millis(20);
    let cp = house.instance(Settings { poll, events: true, ..Settings::default() }).await;
    let (stop, queue, events) = (CancellationToken::new(), queue.clone(), MemoryEvents::default());
    let task = tokio::spawn({
        let (cp, stop) = (cp.clone(), stop.clone());
        async move { cp.lead(&queue, &events, &stop).await }
    });
    Instance { cp, stop, task }
}

async fn reads(queue: &MemoryQueue) -> Option<segue_model::RunId> {
    let waits = tokio::time::timeout(Duration::from_secs(20), queue.receive(JobKind::Read));
    let (job, receipt) = waits.await.expect("nobody leads").unwrap();
    receipt.ack().await.unwrap();
    job.run
}

async fn work_goes_on_when_the_leader_dies_or_leaves(engine: Engine) {
    let house = House::new(engine).await;
    let queue = MemoryQueue::default();
    let a = leading(&house, &queue).await;
    a.cp.renew("one", SLOTS, &[]).await.unwrap();
    a.cp.start_run(&new_run(1)).await.unwrap();
    assert_eq!(reads(&queue).await, Some(run_id(1)));
    let b = leading(&house, &queue).await;
    // It dies in the middle of whatever it did.
    a.task.abort();
    assert!(a.task.await.unwrap_err().is_cancelled());
    house.clock.advance(5 * SECOND);
    b.cp.renew("one", SLOTS, &[]).await.unwrap();
    a.cp.start_run(&new_run(2)).await.unwrap();
    assert_eq!(reads(&queue).await, Some(run_id(2)), "announced by the other, which polls");
    // One that is told to stop hands over at once, by a clock that stands still.
    let c = leading(&house, &queue).await;
    b.stop.cancel();
    b.task.await.unwrap().unwrap();
    c.cp.start_run(&new_run(3)).await.unwrap();
    assert_eq!(reads(&queue).await, Some(run_id(3)));
    c.stop.cancel();
    c.task.await.unwrap().unwrap();
}

on_both_engines!(
    another_leads_when_the_leader_has_said_nothing_for_five_seconds,
    claims_live_for_another_lease_when_somebody_begins_to_lead,
    claims_live_for_another_lease_when_an_instance_starts,
    work_goes_on_when_the_leader_dies_or_leaves,
);
