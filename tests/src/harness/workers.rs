//! A control-plane and workers that share nothing but a folder, in this process.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use segue_control_plane::{ControlPlane, KeyRing, NewRun, Origin, RunColumns, work};
use segue_klaviyo::{Client, Config};
use segue_model::{
    ClaimId, Endpoint, Id, JobId, MAX_BATCH_PROFILES, Micros, PermitId, RunId, RunState,
    SegmentSource,
};
use segue_queue::MemoryQueue;
use segue_staging::Staging;
use segue_store::{
    Clock, Store, SystemClock,
    read::{self, Report},
};
use segue_worker::{PortError, Settings, Stop, Worker, read::Sources};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{DEADLINE, LIST, Sim, wait_for};

/// The account of `pk_sim`.
const ACCOUNT: &str = "SIMULA";

/// See the module. Everything ends when this goes.
pub struct Workers {
    pub folder: TempDir,
    pub control_plane: Arc<ControlPlane>,
    pub clock: Arc<LaterClock>,
    pub keys: KeyRing,
    queue: MemoryQueue,
    client: Client,
    /// Dispatcher and sweeper.
    duties: JoinSet<()>,
    runtime: Runtime,
}

/// The clock of the store: it goes, and a test can move it on.
#[derive(Debug)]
pub struct LaterClock {
    goes: SystemClock,
    moved_us: AtomicU64,
}

impl LaterClock {
    fn start() -> Self {
        Self { goes: SystemClock::start(), moved_us: AtomicU64::default() }
    }

    pub fn advance(&self, by: Duration) {
        self.moved_us.fetch_add(by.as_micros().try_into().unwrap(), Ordering::SeqCst);
    }
}

impl Clock for LaterClock {
    fn now(&self) -> Micros {
        self.goes.now() + Duration::from_micros(self.moved_us.load(Ordering::SeqCst))
    }
}

/// A worker that is at work.
pub struct AtWork {
    pub stop: Stop,
    done: JoinHandle<Result<(), PortError>>,
}

impl Workers {
    /// Without a worker yet. Sources lie in the folder `in`.
    pub fn new(sim: &Sim, settings: segue_control_plane::Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        let client = Client::new(&Config::for_base_url(sim.url().parse().unwrap())).unwrap();
        let keys = KeyRing::default();
        keys.insert(ACCOUNT.to_owned(), "pk_sim".to_owned().into());
        let (queue, clock) = (MemoryQueue::default(), Arc::new(LaterClock::start()));
        let (control_plane, duties) = runtime.block_on(async {
            let shown: Arc<LaterClock> = Arc::clone(&clock);
            let store = Store::open(&folder.path().join("segue.db"), shown).await.unwrap();
            let control_plane = ControlPlane::new(store, keys.clone(), settings);
            let (mut duties, stop) = (JoinSet::new(), CancellationToken::new());
            let (cp, jobs, token) = (Arc::clone(&control_plane), queue.clone(), stop.clone());
            duties.spawn(async move { cp.dispatch(&jobs, &token).await.unwrap() });
            let cp = Arc::clone(&control_plane);
            duties.spawn(async move { cp.sweep(&stop).await.unwrap() });
            (control_plane, duties)
        });
        Self { folder, control_plane, clock, keys, queue, client, duties, runtime }
    }

    /// Writes a source.
    pub fn source(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join("in").join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A worker with a hold of its own on the folder that all share.
    pub fn worker(&self, change: impl FnOnce(&mut Settings)) -> AtWork {
        let mut settings = Settings {
            read_slots: 2,
            upload_slots: 10,
            look_slots: 1,
            lease: Duration::from_secs(5),
            sources: Sources::Below(self.folder.path().join("in")),
            dedupe_memory: 1 << 20,
            batch_profiles: MAX_BATCH_PROFILES,
            scratch: self.folder.path().join("scratch"),
            rereadable: false,
            sweep_each: None,
            continue_trace: None,
        };
        change(&mut settings);
        let port = InProcess(Arc::clone(&self.control_plane));
        let (queue, client) = (self.queue.clone(), self.client.clone());
        let worker = Worker::new(port, queue, self.staging(), client, settings);
        let hard = CancellationToken::new();
        let stop = Stop { soft: hard.child_token(), hard };
        let done = self.runtime.spawn(worker.run(stop.clone()));
        AtWork { stop, done }
    }

    /// As another process would open it.
    pub fn staging(&self) -> Staging {
        Staging::open_shared(self.folder.path().join("shared")).unwrap()
    }

    /// The names of bodies and indexes that are staged for a run.
    pub fn staged(&self, run: RunId) -> Vec<String> {
        let place = self.folder.path().join("shared/staging").join(run.to_string());
        let Ok(entries) = fs::read_dir(place) else { return Vec::new() };
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        entries.map(|entry| name(entry.unwrap())).collect()
    }

    /// Starts a run by a plan of this kind.
    pub fn start(&self, plan: &Value) -> RunId {
        self.start_with(plan, |_| {})
    }

    pub fn start_with(&self, plan: &Value, change: impl FnOnce(&mut NewRun)) -> RunId {
        let run = Id::from_uuid(Uuid::now_v7());
        let mut new = NewRun {
            run,
            account_id: ACCOUNT.to_owned(),
            list_id: LIST.to_owned(),
            plan: plan.to_string(),
            hold: false,
            guards: segue_model::Guards::default(),
            guards_overridden: false,
            trial_rows: None,
            freshness: None,
            segments: None,
            columns: RunColumns::default(),
            confirm_timeout: Duration::from_mins(5),
            deadline: Duration::from_hours(1),
            splits: 10,
            frozen: false,
            origin: Origin::default(),
        };
        change(&mut new);
        self.runtime.block_on(self.control_plane.start_run(&new)).unwrap();
        run
    }

    pub fn cancel(&self, run: RunId) {
        assert!(self.runtime.block_on(self.control_plane.cancel_run(run)).unwrap());
    }

    /// Waits until a run has ended.
    pub fn ended(&self, run: RunId) -> Report {
        let ended = self.control_plane.ended(run);
        let ended = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, ended).await });
        let _: RunState = ended.unwrap_or_else(|_| panic!("{run} does not end")).unwrap();
        self.report(run)
    }

    pub fn report(&self, run: RunId) -> Report {
        let report = read::report(self.control_plane.store(), run);
        let report = self.runtime.block_on(report).unwrap().unwrap();
        report.counts.check().unwrap();
        report
    }

    pub fn progress(&self, run: RunId) -> read::Progress {
        let progress = read::progress(self.control_plane.store(), run);
        self.runtime.block_on(progress).unwrap().unwrap()
    }

    /// The plan as the run keeps it.
    pub fn plan(&self, run: RunId) -> Value {
        let planned = read::planned(self.control_plane.store(), run);
        let planned = self.runtime.block_on(planned).unwrap().unwrap();
        serde_json::from_str(&planned.plan).unwrap()
    }

    /// Waits until `worker` has ended.
    pub fn wait_for_end(&self, worker: AtWork) {
        let end =
            self.runtime.block_on(async { tokio::time::timeout(DEADLINE, worker.done).await });
        end.expect("the worker does not end").unwrap().unwrap();
    }

    /// Waits until something is so of a run.
    pub fn wait_until(&self, run: RunId, what: &str, is: impl Fn(&read::Progress) -> bool) {
        wait_for(what, || is(&self.progress(run)).then_some(()));
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.duties.abort_all();
        let begin = Instant::now();
        while self.runtime.block_on(self.duties.join_next()).is_some() {}
        assert!(begin.elapsed() < DEADLINE);
    }
}

/// What an export of one file would want.
pub fn wanted(sources: &[&str]) -> Value {
    json!({"kind": "wanted", "sources": sources, "options": {}, "allow_live_flows": false})
}

/// The control-plane, without a network.
struct InProcess(Arc<ControlPlane>);

impl segue_worker::ControlPlane for InProcess {
    async fn claim(&self, job: JobId, attempt: u32) -> Result<Option<work::Claimed>, PortError> {
        self.0.claim(job, attempt).await.map_err(PortError::new)
    }

    async fn renew(
        &self,
        worker: &str,
        slots: work::Slots,
        claims: &[ClaimId],
    ) -> Result<Vec<ClaimId>, PortError> {
        self.0.renew(worker, slots, claims).await.map_err(PortError::new)
    }

    async fn plan(
        &self,
        claim: ClaimId,
        plan: &str,
        segments: &[SegmentSource],
    ) -> Result<work::Next, PortError> {
        self.0.plan(claim, plan, segments).await.map_err(PortError::new)
    }

    async fn stage(
        &self,
        claim: ClaimId,
        batch: &work::StagedBatch,
    ) -> Result<work::Next, PortError> {
        self.0.stage(claim, batch).await.map_err(PortError::new)
    }

    async fn permit(
        &self,
        claim: ClaimId,
        account_id: &str,
        endpoint: Endpoint,
    ) -> Result<work::PermitReply, PortError> {
        self.0.permit(claim, account_id, endpoint).await.map_err(PortError::new)
    }

    async fn answer(&self, permit: PermitId, answer: &work::Answer) -> Result<(), PortError> {
        self.0.answer(permit, answer).await.map_err(PortError::new)
    }

    async fn confirm(
        &self,
        claim: ClaimId,
        confirmed: &work::Confirmation,
    ) -> Result<work::Next, PortError> {
        self.0.confirm(claim, confirmed).await.map_err(PortError::new)
    }

    async fn finish(&self, claim: ClaimId, verdict: work::Verdict) -> Result<(), PortError> {
        self.0.finish(claim, verdict).await.map_err(PortError::new)
    }

    async fn sweep(&self, kept: &[work::Kept]) -> Result<Vec<work::Spent>, PortError> {
        self.0.spent(kept).await.map_err(PortError::new)
    }
}
