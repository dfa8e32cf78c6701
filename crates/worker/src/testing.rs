//! A control-plane that says what a test wants it to say.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use segue_model::{
    ClaimId, Endpoint, Id, JobId, MAX_BATCH_PROFILES, PermitId, RunId, SegmentSource,
    work::{
        Answer, Claimed, Confirmation, Kept, Next, PermitReply, Slots, Spent, StagedBatch, Verdict,
    },
};
use segue_source::SourceError;
use segue_staging::Staging;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    ControlPlane, PortError, Settings,
    lease::{Held, Leases},
    read::Sources,
    worker::Shared,
};

/// Answers requests for permits in this order, then no more; remembers what it was told and asked for.
#[derive(Default)]
pub(crate) struct Scripted {
    /// Nothing is renewed.
    pub(crate) away: AtomicBool,
    /// Jobs that somebody wanted to claim; nobody gets one.
    pub(crate) wanted: Mutex<Vec<JobId>>,
    pub(crate) permits: Mutex<VecDeque<PermitReply>>,
    pub(crate) answers: Mutex<Vec<Answer>>,
    /// Runs that are over: nothing of them is needed.
    pub(crate) over: Mutex<Vec<RunId>>,
    /// What it was asked about.
    pub(crate) kept: Mutex<Vec<Vec<Kept>>>,
}

const LEASE: Duration = Duration::from_secs(5);

pub(crate) fn granted() -> PermitReply {
    PermitReply::Granted(Id::from_uuid(Uuid::from_u128(1)))
}

/// A worker that asks `port`, with an empty staging.
pub(crate) fn shared(port: Scripted) -> (TempDir, Shared<Scripted>) {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = "http://127.0.0.1:9".parse().unwrap();
    let settings = Settings {
        read_slots: 1,
        upload_slots: 1,
        look_slots: 1,
        lease: LEASE,
        sources: Sources::Below(folder.path().to_owned()),
        dedupe_memory: 1 << 20,
        batch_profiles: MAX_BATCH_PROFILES,
        scratch: folder.path().join("scratch"),
        rereadable: false,
        sweep_each: None,
        continue_trace: None,
    };
    let shared = Shared {
        control_plane: port,
        staging: Staging::open_shared(folder.path().to_owned()).unwrap(),
        klaviyo: segue_klaviyo::Client::new(&segue_klaviyo::Config::for_base_url(nowhere)).unwrap(),
        settings,
        readers: std::sync::Arc::default(),
    };
    (folder, shared)
}

pub(crate) fn held() -> Held {
    Leases::new(LEASE).hold(Id::from_uuid(Uuid::from_u128(2)), Instant::now())
}

fn unscripted() -> PortError {
    PortError::new(SourceError::NothingGiven)
}

impl ControlPlane for Scripted {
    async fn claim(&self, job: JobId, _: u32) -> Result<Option<Claimed>, PortError> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).push(job);
        Ok(None)
    }

    async fn renew(&self, _: &str, _: Slots, _: &[ClaimId]) -> Result<Vec<ClaimId>, PortError> {
        if self.away.load(Ordering::Relaxed) { Err(unscripted()) } else { Ok(Vec::new()) }
    }

    async fn plan(&self, _: ClaimId, _: &str, _: &[SegmentSource]) -> Result<Next, PortError> {
        Err(unscripted())
    }

    async fn stage(&self, _: ClaimId, _: &StagedBatch) -> Result<Next, PortError> {
        Err(unscripted())
    }

    async fn permit(&self, _: ClaimId, _: &str, _: Endpoint) -> Result<PermitReply, PortError> {
        let mut permits = self.permits.lock().unwrap_or_else(PoisonError::into_inner);
        permits.pop_front().ok_or_else(unscripted)
    }

    async fn answer(&self, _: PermitId, answer: &Answer) -> Result<(), PortError> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer.clone());
        Ok(())
    }

    async fn confirm(&self, _: ClaimId, _: &Confirmation) -> Result<Next, PortError> {
        Err(unscripted())
    }

    async fn finish(&self, _: ClaimId, _: Verdict) -> Result<(), PortError> {
        Err(unscripted())
    }

    async fn sweep(&self, kept: &[Kept]) -> Result<Vec<Spent>, PortError> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(kept.to_vec());
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = |kept: &Kept| Spent {
            run: kept.run,
            batches: kept.batches.clone(),
            reports: kept.reports.clone(),
        };
        Ok(kept.iter().filter(|kept| over.contains(&kept.run)).map(spent).collect())
    }
}
