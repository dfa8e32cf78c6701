//! Who is announced when many want to be: accounts, runs and instances beside each other.

use std::collections::{BTreeMap, BTreeSet};

use segue_model::JobId;
use segue_store::{
    Store, on_both_engines,
    test_util::{Engine, TestDatabase},
};

use super::{
    ACCOUNT, Arc, Claimed, ControlPlane, Endpoint, Heard, Job, JobKind, KeyRing, LEASE,
    ManualClock, Micros, NewRun, Next, Origin, PermitReply, RunId, SECOND, Settings, Slots,
    UndeliveredReason, Verdict, accepted, new_run, read_done, run_id, settings, staged,
};

const OTHER: &str = "XyZ789";

/// A database for several instances. To be kept longer than they are.
pub(super) struct House {
    pub(super) clock: ManualClock,
    /// SQLite serves one process: there, the instances share what it has open.
    shared: Option<Store>,
    database: TestDatabase,
}

impl House {
    pub(super) async fn new(engine: Engine) -> Self {
        let clock = ManualClock::at(Micros(1_790_000_000_000_000));
        let database = TestDatabase::new(engine).await;
        let shared = match engine {
            Engine::Sqlite => Some(database.store(clock.clone()).await),
            Engine::Postgres => None,
        };
        Self { clock, shared, database }
    }

    pub(super) async fn instance(&self, settings: Settings) -> Arc<ControlPlane> {
        let keys = KeyRing::default();
        for account in [ACCOUNT, OTHER] {
            keys.insert(account.to_owned(), "pk_test".to_owned().into());
        }
        let store = match &self.shared {
            Some(store) => store.clone(),
            None => self.database.store(self.clock.clone()).await,
        };
        ControlPlane::new(store, keys, settings)
    }
}

/// What is announced to one worker with so many slots.
pub(super) async fn announced(cp: &ControlPlane, slots: Slots) -> Vec<Job> {
    cp.renew("one", slots, &[]).await.unwrap();
    let heard = Heard::default();
    cp.announce(&heard).await.unwrap();
    std::mem::take(&mut *heard.0.lock().unwrap())
}

pub(super) async fn claim(cp: &ControlPlane, job: &Job) -> Claimed {
    cp.claim(job.id, job.attempt).await.unwrap().unwrap()
}

/// A run of an account that has read so many batches.
async fn has_read(cp: &ControlPlane, n: u128, account: &str, batches: u32) -> RunId {
    let new = NewRun { account_id: account.to_owned(), ..new_run(n) };
    cp.start_run(&new).await.unwrap();
    // Without a slot for uploading, nothing is announced but the reading.
    let jobs = announced(cp, Slots { read: 9, upload: 0, confirm: 0, look: 0 }).await;
    let [job] = jobs.as_slice() else { panic!("{jobs:?}") };
    let reader = claim(cp, job).await.claim;
    for no in 0..batches {
        assert_eq!(cp.stage(reader, &staged(no)).await.unwrap(), Next::GoOn);
    }
    cp.finish(reader, read_done()).await.unwrap();
    new.run
}

fn of(jobs: &[Job], run: RunId) -> usize {
    jobs.iter().filter(|job| job.run == Some(run)).count()
}

const TEN: Slots = Slots { read: 1, upload: 10, confirm: 1, look: 0 };

async fn account_with_much_to_do_leaves_half_of_the_slots_to_another(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(settings()).await;
    let much = has_read(&cp, 1, ACCOUNT, 40).await;
    let jobs = announced(&cp, TEN).await;
    assert_eq!(of(&jobs, much), 12, "what the lane can use and two more");
    let mut claims = Vec::new();
    for job in &jobs {
        claims.push(claim(&cp, job).await.claim);
    }
    assert!(announced(&cp, TEN).await.is_empty());
    let little = has_read(&cp, 2, OTHER, 3).await;
    let jobs = announced(&cp, TEN).await;
    assert_eq!((jobs.len(), of(&jobs, little)), (3, 3), "at once, although ten slots are busy");
    for claim in claims {
        cp.finish(claim, Verdict::GiveUp(UndeliveredReason::GaveUp)).await.unwrap();
    }
    let again = announced(&cp, TEN).await;
    assert_eq!((again.len(), of(&again, much)), (5, 5), "half of the slots while the other waits");
    for job in &jobs {
        let claim = claim(&cp, job).await.claim;
        cp.finish(claim, Verdict::GiveUp(UndeliveredReason::GaveUp)).await.unwrap();
    }
    assert_eq!(of(&announced(&cp, TEN).await, much), 7, "all that the lane can use again");
}

async fn runs_of_an_account_take_turns(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(settings()).await;
    let slots = Slots { upload: 40, ..TEN };
    let first = has_read(&cp, 1, ACCOUNT, 30).await;
    let alone = announced(&cp, slots).await;
    assert_eq!(of(&alone, first), 12);
    let second = has_read(&cp, 2, ACCOUNT, 30).await;
    for job in &alone[..4] {
        let claim = claim(&cp, job).await.claim;
        cp.finish(claim, Verdict::GiveUp(UndeliveredReason::GaveUp)).await.unwrap();
    }
    let next = announced(&cp, slots).await;
    assert_eq!((next.len(), of(&next, second)), (4, 4), "the one that had none so far");
    // From the start, they alternate, and each goes by the order of its batches.
    let cp = house.instance(settings()).await;
    let other = [has_read(&cp, 3, OTHER, 30).await, has_read(&cp, 4, OTHER, 30).await];
    let jobs = announced(&cp, slots).await;
    let runs: Vec<_> = jobs.iter().filter_map(|job| job.run).collect();
    assert_eq!(runs, other.repeat(6));
}

async fn reading_is_announced_for_slots_that_are_free(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(settings()).await;
    for n in 1..=3 {
        cp.start_run(&new_run(n)).await.unwrap();
    }
    let slots = Slots { read: 2, ..TEN };
    let jobs = announced(&cp, slots).await;
    assert_eq!(jobs.iter().filter_map(|job| job.run).collect::<Vec<_>>(), [run_id(1), run_id(2)]);
    let reader = claim(&cp, &jobs[0]).await.claim;
    claim(&cp, &jobs[1]).await;
    assert!(announced(&cp, slots).await.is_empty());
    cp.stage(reader, &staged(0)).await.unwrap();
    cp.finish(reader, read_done()).await.unwrap();
    let jobs = announced(&cp, slots).await;
    let reads = jobs.iter().filter(|job| job.kind == JobKind::Read);
    assert_eq!(reads.filter_map(|job| job.run).collect::<Vec<_>>(), [run_id(3)]);
}

async fn nothing_is_announced_to_nobody_nor_again_to_the_busy(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(settings()).await;
    let heard = Heard::default();
    cp.start_run(&new_run(1)).await.unwrap();
    cp.announce(&heard).await.unwrap();
    assert!(heard.0.lock().unwrap().is_empty(), "nobody is there");
    let slots = Slots { read: 1, upload: 1, confirm: 0, look: 0 };
    let reader = claim(&cp, &announced(&cp, slots).await[0]).await.claim;
    for no in 0..5 {
        cp.stage(reader, &staged(no)).await.unwrap();
    }
    let jobs = announced(&cp, slots).await;
    assert_eq!(jobs.len(), 2, "one for the slot, and one that follows");
    let busy = claim(&cp, &jobs[0]).await.claim;
    for _ in 0..4 {
        house.clock.advance(3 * SECOND);
        assert!(cp.renew("one", slots, &[reader, busy]).await.unwrap().is_empty());
    }
    assert!(announced(&cp, slots).await.is_empty(), "who should do it?");
    cp.finish(busy, Verdict::GiveUp(UndeliveredReason::GaveUp)).await.unwrap();
    let again = announced(&cp, slots).await;
    assert!(again.contains(&jobs[1]), "its message may be lost: {again:?}");
    // The worker is gone.
    house.clock.advance(20 * SECOND);
    cp.announce(&heard).await.unwrap();
    assert!(heard.0.lock().unwrap().is_empty());
    assert!(!announced(&cp, slots).await.is_empty());
}

async fn lane_that_is_throttled_gets_fewer_slots(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(settings()).await;
    has_read(&cp, 1, ACCOUNT, 40).await;
    let jobs = announced(&cp, TEN).await;
    let claimed = claim(&cp, &jobs[0]).await.claim;
    let PermitReply::Granted(permit) = cp.permit(claimed, ACCOUNT, Endpoint::Import).await.unwrap()
    else {
        panic!("no permit");
    };
    let throttled = super::Answer::Throttled { retry_after: None };
    cp.answer(permit, &throttled).await.unwrap();
    for job in &jobs[1..] {
        let claim = claim(&cp, job).await.claim;
        cp.finish(claim, Verdict::GiveUp(UndeliveredReason::GaveUp)).await.unwrap();
    }
    // One of them is still claimed, and one is announced that will find out when it is over.
    assert_eq!(announced(&cp, TEN).await.len(), 1);
    house.clock.advance(SECOND);
    assert!(cp.renew("one", TEN, &[claimed]).await.unwrap().is_empty());
    // Of the halved burst and two more, five are left.
    assert_eq!(announced(&cp, TEN).await.len(), 5);
}

async fn two_dispatchers_announce_and_each_job_is_claimed_once(engine: Engine) {
    let house = House::new(engine).await;
    let (a, b) = (house.instance(settings()).await, house.instance(settings()).await);
    has_read(&a, 1, ACCOUNT, 30).await;
    has_read(&a, 2, OTHER, 30).await;
    let mut claimed: BTreeMap<JobId, usize> = BTreeMap::new();
    let mut open = BTreeSet::new();
    for _ in 0..6 {
        let (one, two) = tokio::join!(announced(&a, TEN), announced(&b, TEN));
        for job in one.iter().chain(&two) {
            let (by_a, by_b) =
                tokio::join!(a.claim(job.id, job.attempt), b.claim(job.id, job.attempt));
            for claimed_job in [by_a.unwrap(), by_b.unwrap()].into_iter().flatten() {
                *claimed.entry(job.id).or_default() += 1;
                open.insert(claimed_job.claim);
            }
        }
        for claim in std::mem::take(&mut open) {
            a.finish(claim, Verdict::GiveUp(UndeliveredReason::GaveUp)).await.unwrap();
        }
    }
    assert_eq!(claimed.len(), 60);
    assert!(claimed.values().all(|times| *times == 1), "{claimed:?}");
}

async fn jobs_belong_to_the_trace_of_the_run_that_wants_them(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(settings()).await;
    let trace = |n| Some(format!("00-{n:032x}-{n:016x}-01"));
    for n in [1, 2] {
        let origin = Origin { trace: trace(n), ..Origin::default() };
        cp.start_run(&NewRun { origin, ..new_run(n) }).await.unwrap();
    }
    let slots = Slots { read: 9, upload: 99, confirm: 9, look: 0 };
    let reads = announced(&cp, slots).await;
    for (n, read) in (1..).zip(&reads) {
        assert_eq!((read.run, &read.trace), (Some(run_id(n)), &trace(n)));
        let reader = claim(&cp, read).await.claim;
        cp.stage(reader, &staged(0)).await.unwrap();
        cp.finish(reader, read_done()).await.unwrap();
    }
    let uploads = announced(&cp, slots).await;
    for (n, upload) in (1..).zip(&uploads) {
        assert_eq!((upload.run, &upload.trace), (Some(run_id(n)), &trace(n)));
    }
    // The second run is the first that wants to know something.
    let claimed = claim(&cp, &uploads[1]).await.claim;
    let granted = cp.permit(claimed, ACCOUNT, Endpoint::Import).await.unwrap();
    let PermitReply::Granted(permit) = granted else { panic!("{granted:?}") };
    cp.answer(permit, &accepted("k2", 10, 0)).await.unwrap();
    house.clock.advance(SECOND);
    let confirm = announced(&cp, slots).await;
    assert_eq!((confirm[0].kind, &confirm[0].trace), (JobKind::Confirm, &trace(2)));
}

/// The sweeper has made its list, and somebody is there after all.
async fn claim_that_is_good_is_not_released_whatever_was_listed(engine: Engine) {
    let house = House::new(engine).await;
    let (a, b) = (house.instance(settings()).await, house.instance(settings()).await);
    a.start_run(&new_run(1)).await.unwrap();
    let reader = claim(&a, &announced(&a, TEN).await[0]).await.claim;
    for _ in 0..5 {
        house.clock.advance(LEASE.saturating_sub(super::INSTANT));
        let renewed = [reader];
        let (ended, swept) = tokio::join!(a.renew("one", TEN, &renewed), b.expire(reader));
        swept.unwrap();
        assert!(ended.unwrap().is_empty());
    }
    house.clock.advance(LEASE);
    a.grace().await.unwrap();
    b.expire(reader).await.unwrap();
    assert!(a.renew("one", TEN, &[reader]).await.unwrap().is_empty());
}

on_both_engines!(
    account_with_much_to_do_leaves_half_of_the_slots_to_another,
    runs_of_an_account_take_turns,
    reading_is_announced_for_slots_that_are_free,
    nothing_is_announced_to_nobody_nor_again_to_the_busy,
    lane_that_is_throttled_gets_fewer_slots,
    two_dispatchers_announce_and_each_job_is_claimed_once,
    jobs_belong_to_the_trace_of_the_run_that_wants_them,
    claim_that_is_good_is_not_released_whatever_was_listed,
);
