//! Two control-planes and many workers at once, on PostgreSQL and its clock.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use segue_model::{ClaimId, Endpoint, Micros, PermitId, RunId};
use segue_store::{
    read,
    test_util::{Engine, TestDatabase},
    write::lanes,
};

use super::{
    ACCOUNT, Claimed, Heard, KeyRing, PermitReply, SECOND, Settings, Slots, Verdict, Work,
    accepted, confirmation, new_run, read_done, run_id, staged,
};
use crate::ControlPlane;

const RUNS: u128 = 3;
const BATCHES: u32 = 10;
const WORKERS: usize = 6;
const SLOTS: Slots = Slots { read: 3, upload: 12, confirm: 1, look: 0 };

/// What all workers share that in truth they would not: the claims to renew, and what was allowed.
#[derive(Default)]
struct Crowd {
    claims: Mutex<BTreeSet<ClaimId>>,
    permits: Mutex<Vec<PermitId>>,
    klaviyo_jobs: AtomicU32,
}

async fn instance(database: &TestDatabase) -> Arc<ControlPlane> {
    let keys = KeyRing::default();
    keys.insert(ACCOUNT.to_owned(), "pk_test".to_owned().into());
    let confirm_poll = (Duration::from_millis(50), Duration::from_millis(200));
    let settings = Settings { permit_wait: SECOND, confirm_poll, ..Settings::default() };
    ControlPlane::new(database.store_with_its_clock().await, keys, settings)
}

impl Crowd {
    /// Does what is announced until there is nothing left to do.
    async fn work(&self, cp: &ControlPlane, worker: &str) {
        let heard = Heard::default();
        while !read::unfinished(cp.store()).await.unwrap().is_empty() {
            cp.renew(worker, SLOTS, &[]).await.unwrap();
            cp.announce(&heard).await.unwrap();
            let jobs = std::mem::take(&mut *heard.0.lock().unwrap());
            if jobs.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            for job in jobs {
                if let Some(claimed) = cp.claim(job.id, job.attempt).await.unwrap() {
                    let claim = claimed.claim;
                    self.claims.lock().unwrap().insert(claim);
                    self.obey(cp, claimed).await;
                    self.claims.lock().unwrap().remove(&claim);
                }
            }
        }
    }

    async fn obey(&self, cp: &ControlPlane, Claimed { claim, work }: Claimed) {
        let verdict = match work {
            Work::Read(_) => {
                for no in 0..BATCHES {
                    cp.stage(claim, &staged(no)).await.unwrap();
                }
                read_done()
            }
            Work::Upload(upload) => {
                match cp.permit(claim, ACCOUNT, Endpoint::Import).await.unwrap() {
                    PermitReply::Granted(permit) => {
                        self.permits.lock().unwrap().push(permit);
                        let job = self.klaviyo_jobs.fetch_add(1, Ordering::SeqCst);
                        let answer = accepted(&format!("job-{job}"), upload.profiles, 0);
                        return cp.answer(permit, &answer).await.unwrap();
                    }
                    PermitReply::Later(after) => Verdict::Deferred { after },
                    PermitReply::Stop => return,
                }
            }
            Work::Look(_) => unreachable!("nobody looks"),
            Work::Confirm(confirm) => {
                for wanted in confirm.wanted {
                    let said = confirmation(wanted.run, wanted.batch, &wanted.klaviyo_job, 1, 0);
                    cp.confirm(claim, &said).await.unwrap();
                }
                Verdict::Passed { progress: true }
            }
        };
        cp.finish(claim, verdict).await.unwrap();
    }

    /// What goes on beside the work, more often than in truth.
    async fn beside(&self, cp: &ControlPlane) -> ! {
        loop {
            let claims: Vec<_> = self.claims.lock().unwrap().iter().copied().collect();
            cp.renew("beside", Slots::default(), &claims).await.unwrap();
            cp.sweep_claims().await.unwrap();
            cp.sweep_runs().await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// When requests were allowed, in order.
    async fn granted(&self, cp: &ControlPlane) -> Vec<Micros> {
        let permits = self.permits.lock().unwrap().clone();
        let mut tx = cp.store().begin().await.unwrap();
        let mut times = Vec::new();
        for permit in permits {
            times.push(lanes::get(&mut tx, permit).await.unwrap().unwrap().granted);
        }
        times.sort();
        times
    }
}

async fn delivered(cp: &ControlPlane, run: RunId) -> u64 {
    let progress = read::progress(cp.store(), run).await.unwrap().unwrap();
    progress.counts.check().unwrap();
    assert!(progress.state.is_terminal(), "{}", progress.state);
    progress.counts.delivered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_send_each_batch_once_and_keep_the_pace() {
    let database = TestDatabase::new(Engine::Postgres).await;
    let instances = [instance(&database).await, instance(&database).await];
    for n in 1..=RUNS {
        instances[0].start_run(&new_run(n)).await.unwrap();
    }
    let crowd = Arc::new(Crowd::default());
    let mut workers = tokio::task::JoinSet::new();
    for n in 0..WORKERS {
        let (crowd, cp) = (Arc::clone(&crowd), Arc::clone(&instances[n % 2]));
        workers.spawn(async move { crowd.work(&cp, &format!("worker-{n}")).await });
    }
    let mut others = tokio::task::JoinSet::new();
    for cp in &instances {
        let (crowd, cp) = (Arc::clone(&crowd), Arc::clone(cp));
        others.spawn(async move { crowd.beside(&cp).await });
    }
    let all = tokio::time::timeout(Duration::from_mins(2), workers.join_all());
    tokio::select! {
        done = all => drop(done.expect("the runs do not end")),
        failed = others.join_next() => panic!("{failed:?}"),
    }
    for n in 1..=RUNS {
        let delivered = delivered(&instances[0], run_id(n)).await;
        assert_eq!(delivered, u64::from(BATCHES) * 9, "one of each batch is rejected in the end");
    }
    let granted = crowd.granted(&instances[0]).await;
    assert_eq!(granted.len(), (RUNS as usize) * (BATCHES as usize), "nothing was sent twice");
    for eleven in granted.windows(11) {
        assert!(eleven[10].since(eleven[0]) >= SECOND, "eleven within a second: {eleven:?}");
    }
}
