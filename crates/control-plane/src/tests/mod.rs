//! The control-plane on a real database, with a clock that the tests move.

mod admin;
mod claims;
mod crowd;
mod dead;
mod dispatch;
mod endings;
mod events;
mod key_places;
mod leader;
mod permits;
mod remote;
mod resume;
mod retention;
mod segments;
mod turns;
mod walk;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use segue_model::{
    BatchNo, ClaimId, ContentHash, Counts, Endpoint, Guards, Id, Micros, PermitId, RejectReason,
    RunId, RunState, UndeliveredReason,
    work::{
        Acceptance, Answer, Child, Claimed, Confirmation, Job, JobKind, Next, PermitReply, Rejects,
        Slots, StagedBatch, Verdict, Work,
    },
};
use segue_queue::{MemoryQueue, Queue, QueueError};
use segue_store::{
    ManualClock, read,
    test_util::{Engine, TestDatabase},
    write::{jobs, lanes},
};
use uuid::Uuid;

use crate::{ControlPlane, KeyRing, NewRun, Origin, RunColumns, Settings};

const ACCOUNT: &str = "AbC123";
const LEASE: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);
const INSTANT: Duration = Duration::from_micros(1);
const SLOTS: Slots = Slots { read: 9, upload: 99, confirm: 9, look: 0 };

/// One control-plane with a database of its own.
struct World {
    clock: ManualClock,
    cp: Arc<ControlPlane>,
    heard: Heard,
    // Dropped last.
    database: TestDatabase,
}

/// A queue that keeps what was announced until a test asks for it.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Job>>>);

impl Queue for Heard {
    type Receipt = <MemoryQueue as Queue>::Receipt;

    async fn publish(&self, job: Job) -> Result<(), QueueError> {
        self.0.lock().unwrap().push(job);
        Ok(())
    }

    async fn receive(&self, _: JobKind) -> Result<(Job, Self::Receipt), QueueError> {
        std::future::pending().await
    }
}

/// Nobody is kept waiting: a permit is granted at once or later.
fn settings() -> Settings {
    Settings { permit_wait: Duration::ZERO, ..Settings::default() }
}

impl World {
    async fn new(engine: Engine) -> Self {
        Self::with(engine, settings()).await
    }

    async fn with(engine: Engine, settings: Settings) -> Self {
        let database = TestDatabase::new(engine).await;
        let clock = ManualClock::at(Micros(1_790_000_000_000_000));
        let cp = Self::open(&database, &clock, settings).await;
        Self { clock, cp, heard: Heard::default(), database }
    }

    async fn open(
        database: &TestDatabase,
        clock: &ManualClock,
        settings: Settings,
    ) -> Arc<ControlPlane> {
        let keys = KeyRing::default();
        keys.insert(ACCOUNT.to_owned(), "pk_test".to_owned().into());
        ControlPlane::new(database.store(clock.clone()).await, keys, settings)
    }

    /// The process dies, and another takes over what it left.
    async fn die(mut self) -> Self {
        self.restart().await;
        self
    }

    async fn restart(&mut self) {
        self.cp = Self::open(&self.database, &self.clock, settings()).await;
        self.cp.take_over().await.unwrap();
        self.heard = Heard::default();
    }

    async fn start(&self, n: u128) -> RunId {
        self.start_with(NewRun { ..new_run(n) }).await
    }

    async fn start_with(&self, new: NewRun) -> RunId {
        self.cp.start_run(&new).await.unwrap();
        new.run
    }

    /// A worker with a slot for everything says that it is there, and renews its claims.
    async fn renew(&self, claims: &[ClaimId]) -> Vec<ClaimId> {
        self.cp.renew("worker", SLOTS, claims).await.unwrap()
    }

    /// What is announced now.
    async fn announced(&self) -> Vec<Job> {
        self.renew(&[]).await;
        self.cp.announce(&self.heard).await.unwrap();
        std::mem::take(&mut *self.heard.0.lock().unwrap())
    }

    /// Claims the first job of a kind that was announced and is to be had.
    async fn try_claim(&self, kind: JobKind) -> Option<Claimed> {
        let mut claimed = None;
        let mut others = Vec::new();
        for job in self.announced().await {
            if claimed.is_none() && job.kind == kind {
                claimed = self.cp.claim(job.id, job.attempt).await.unwrap();
            } else {
                others.push(job);
            }
        }
        self.heard.0.lock().unwrap().extend(others);
        claimed
    }

    async fn claim(&self, kind: JobKind) -> Claimed {
        match self.try_claim(kind).await {
            Some(claimed) => claimed,
            None => panic!("there is no {} job to be had", kind.name()),
        }
    }

    /// Claims the read job and stages batches; returns the claim, which goes on reading.
    async fn stage(&self, batches: std::ops::Range<u32>) -> ClaimId {
        let reader = self.claim(JobKind::Read).await.claim;
        for no in batches {
            assert_eq!(self.cp.stage(reader, &staged(no)).await.unwrap(), Next::GoOn);
        }
        reader
    }

    async fn read(&self, batches: std::ops::Range<u32>) {
        let reader = self.stage(batches).await;
        self.finish(reader, read_done()).await;
    }

    async fn finish(&self, claim: ClaimId, verdict: Verdict) {
        self.cp.finish(claim, verdict).await.unwrap();
    }

    async fn permit(&self, claim: ClaimId, endpoint: Endpoint) -> PermitReply {
        self.cp.permit(claim, ACCOUNT, endpoint).await.unwrap()
    }

    async fn granted(&self, claim: ClaimId, endpoint: Endpoint) -> PermitId {
        match self.permit(claim, endpoint).await {
            PermitReply::Granted(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    async fn answer(&self, permit: PermitId, answer: Answer) {
        self.cp.answer(permit, &answer).await.unwrap();
    }

    /// Uploads one batch that is ready, all of it; returns its number.
    async fn upload(&self, klaviyo_job: &str) -> BatchNo {
        let Claimed { claim, work: Work::Upload(work) } = self.claim(JobKind::Upload).await else {
            panic!("no upload");
        };
        let permit = self.granted(claim, Endpoint::Import).await;
        self.answer(permit, accepted(klaviyo_job, work.profiles, 0)).await;
        work.batch
    }

    /// Confirms a batch through the confirm job; `named` and `unnamed` profiles have failed.
    async fn confirm(&self, run: RunId, batch: BatchNo, job: &str, named: u64, unnamed: u64) {
        self.clock.advance(10 * SECOND);
        let claim = self.claim(JobKind::Confirm).await.claim;
        let confirmed = confirmation(run, batch, job, named, unnamed);
        assert_eq!(self.cp.confirm(claim, &confirmed).await.unwrap(), Next::GoOn);
        self.finish(claim, Verdict::Passed { progress: true }).await;
    }

    /// How the rows of a run stand. They always add up.
    async fn counts(&self, run: RunId) -> Counts {
        let counts = self.progress(run).await.counts;
        counts.check().unwrap();
        counts
    }

    async fn progress(&self, run: RunId) -> read::Progress {
        read::progress(self.cp.store(), run).await.unwrap().unwrap()
    }

    async fn state(&self, run: RunId) -> RunState {
        self.progress(run).await.state
    }

    async fn report(&self, run: RunId) -> read::Report {
        read::report(self.cp.store(), run).await.unwrap().unwrap()
    }

    /// Lets claims run out that nobody renews.
    async fn expire(&self) {
        self.clock.advance(LEASE);
        self.cp.sweep_claims().await.unwrap();
    }
}

fn run_id(n: u128) -> RunId {
    Id::from_uuid(Uuid::from_u128(n))
}

fn new_run(n: u128) -> NewRun {
    NewRun {
        run: run_id(n),
        account_id: ACCOUNT.to_owned(),
        list_id: "XyZ789".to_owned(),
        plan: "{}".to_owned(),
        hold: false,
        guards: Guards::default(),
        guards_overridden: false,
        trial_rows: None,
        freshness: None,
        segments: None,
        columns: RunColumns::default(),
        confirm_timeout: Duration::from_hours(2),
        deadline: Duration::from_hours(24),
        splits: 2,
        frozen: true,
        origin: Origin::default(),
    }
}

/// 13 rows: 10 profiles, 2 duplicates, 1 reject.
fn staged(no: u32) -> StagedBatch {
    StagedBatch {
        batch: BatchNo(no),
        hash: ContentHash(no.into()),
        profiles: 10,
        bytes: 1000,
        rows: 13,
        duplicates: 2,
        rejects: rejects(RejectReason::EmailInvalid, 1, &format!("{no}-mapping")),
        warnings: 0,
        warnings_report: None,
        objects: BTreeMap::new(),
    }
}

fn rejects(reason: RejectReason, n: u64, report: &str) -> Rejects {
    match n {
        0 => Rejects::default(),
        n => Rejects {
            by_reason: [(reason, n)].into(),
            report: Some(report.to_owned()),
            ..Rejects::default()
        },
    }
}

fn read_done() -> Verdict {
    Verdict::ReadDone { summary: "{}".to_owned() }
}

fn accepted(klaviyo_job: &str, sent: u64, refused: u64) -> Answer {
    let report = format!("{klaviyo_job}-refused");
    Answer::Accepted(Acceptance {
        klaviyo_job: klaviyo_job.to_owned(),
        sent,
        bytes: 900,
        refused: rejects(RejectReason::RefusedByKlaviyo, refused, &report),
    })
}

fn confirmation(
    run: RunId,
    batch: BatchNo,
    klaviyo_job: &str,
    named: u64,
    unnamed: u64,
) -> Confirmation {
    Confirmation {
        run,
        batch,
        klaviyo_job: klaviyo_job.to_owned(),
        rejects: rejects(RejectReason::ImportFailed, named, &format!("{klaviyo_job}-import")),
        undelivered: unnamed,
        undelivered_reason: UndeliveredReason::UnattributedFailure,
    }
}

fn halves(seed: u128, profiles: u64) -> [Child; 2] {
    let half = profiles / 2;
    let child = |n, profiles| Child { hash: ContentHash(seed + n), profiles, bytes: 500 };
    [child(0, half), child(1, profiles - half)]
}
