//! All services in one process: the same code as apart, with calls instead of a network.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use segue_control_plane::{ControlPlane, KeyRing, Settings, work};
use segue_klaviyo::Client;
use segue_model::{ClaimId, Endpoint, JobId, MAX_BATCH_PROFILES, PermitId, SegmentSource};
use segue_queue::MemoryQueue;
use segue_source::Segment;
use segue_staging::Staging;
use segue_store::{Store, SystemClock};
use segue_worker::{
    PortError, Stop, Worker,
    read::{Readers, Sources},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::data::DataFolder;

/// Waiting for a place in a lane costs nothing; more slots than the burst of the import endpoint would
/// only hold batches in memory.
const UPLOAD_SLOTS: usize = 10;

/// The reader makes ten batches in a tenth of the second in which a lane takes them. To be further ahead
/// would only touch more memory, or move batches to the disk and back.
const BATCHES_AHEAD: u64 = 12;

/// Whoever holds a claim here dies together with whoever would release it, and the next process ends all
/// claims at once: a lease is for a job that hangs. Each renewal is a write to the disk.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// How often staging is looked through for what nobody needs any more, and so at each start.
pub(crate) const SWEEP_EACH: Duration = Duration::from_hours(1);

/// What a control-plane and a worker in one process need.
pub(crate) struct Embedded {
    pub(crate) control_plane: Arc<ControlPlane>,
    pub(crate) staging: Staging,
    pub(crate) keys: KeyRing,
    pub(crate) client: Client,
    scratch: PathBuf,
}

/// Bytes of memory for what may spill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) dedupe: usize,
    pub(crate) staging: usize,
}

impl Embedded {
    /// Opens the data folder. Whoever used it before is dead, since its lock is ours.
    pub(crate) async fn open(
        folder: &DataFolder,
        client: Client,
        memory: Memory,
    ) -> anyhow::Result<Self> {
        let clock = Arc::new(SystemClock::start());
        let store = Store::open(&folder.database(), clock).await?;
        let keys = KeyRing::default();
        let settings =
            Settings { batches_ahead: BATCHES_AHEAD, lease: LEASE, ..Settings::default() };
        let control_plane = ControlPlane::new(store, keys.clone(), settings);
        control_plane.take_over().await?;
        let staging = Staging::open(folder.path().to_owned(), memory.staging)?;
        remove_if_there(&folder.scratch())?;
        Ok(Self { control_plane, staging, keys, client, scratch: folder.scratch() })
    }

    /// Where a reader may put what does not fit into memory.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Starts dispatcher, sweeper and worker of one run.
    pub(crate) fn start(&self, memory: Memory, segment: Segment) -> Running {
        let queue = MemoryQueue::default();
        let hard = CancellationToken::new();
        let stop = Stop { soft: hard.child_token(), hard };
        let worker = Worker::new(
            InProcess(Arc::clone(&self.control_plane)),
            queue.clone(),
            self.staging.clone(),
            self.client.clone(),
            segue_worker::Settings {
                read_slots: 1,
                upload_slots: UPLOAD_SLOTS,
                look_slots: 0,
                lease: LEASE,
                sources: Sources::Opened(segment),
                dedupe_memory: memory.dedupe,
                batch_profiles: MAX_BATCH_PROFILES,
                scratch: self.scratch.clone(),
                rereadable: true,
                sweep_each: Some(SWEEP_EACH),
                continue_trace: None,
            },
        );
        let readers = worker.readers();
        let mut tasks = JoinSet::new();
        let (control_plane, token) = (Arc::clone(&self.control_plane), stop.hard.clone());
        tasks.spawn(async move { Ok(control_plane.dispatch(&queue, &token).await?) });
        let (control_plane, token) = (Arc::clone(&self.control_plane), stop.hard.clone());
        tasks.spawn(async move { Ok(control_plane.sweep(&token).await?) });
        let (work, end) = (stop.clone(), stop.hard.clone());
        tasks.spawn(async move {
            let ended = worker.run(work).await;
            end.cancel(); // without a worker there is nothing to dispatch or to sweep for
            Ok(ended?)
        });
        Running { stop, tasks, readers }
    }
}

/// What a reader left that was killed.
fn remove_if_there(folder: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(err).with_context(|| format!("cannot empty {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Services that are running.
pub(crate) struct Running {
    stop: Stop,
    tasks: JoinSet<anyhow::Result<()>>,
    pub(crate) readers: Arc<Readers>,
}

impl Running {
    /// Returns when a service has failed; as long as all are well it waits.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(err))) => return err,
                Some(Err(panic)) => return anyhow::Error::new(panic).context("a service panicked"),
                None => return std::future::pending().await,
            }
        }
    }

    /// Takes no more work, waits for what is under way, and ends.
    pub(crate) async fn drain(mut self) {
        self.stop.soft.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The control-plane of this process, as the worker sees it.
pub(crate) struct InProcess(pub(crate) Arc<ControlPlane>);

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
