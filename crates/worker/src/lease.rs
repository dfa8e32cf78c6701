use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use segue_klaviyo::GuardStop;
use segue_model::{ClaimId, work::Slots};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{ControlPlane, PortError, error::words};

/// A permit that was not used by then may be older than the worker thinks.
const START_WITHIN: Duration = Duration::from_millis(500);
/// The longest that a request may take.
pub(crate) const END_WITHIN: Duration = Duration::from_mins(1);

/// The claims of one worker, renewed together.
#[derive(Debug)]
pub(crate) struct Leases {
    epoch: Instant,
    /// How long a claim lives that nobody renews.
    lease: Duration,
    held: Mutex<HashMap<ClaimId, Arc<Lease>>>,
    /// Whether the control-plane has answered when it was last told that the worker is there.
    in_touch: watch::Sender<bool>,
}

/// A claim that is being worked on. Dropped, it is renewed no more.
#[derive(Debug)]
pub(crate) struct Held {
    claim: ClaimId,
    lease: Arc<Lease>,
    leases: Arc<Leases>,
}

#[derive(Debug)]
struct Lease {
    epoch: Instant,
    /// A worker that has not renewed its claim for so long must not finish a request: by the time it does,
    /// somebody else may have the batch.
    too_old: Duration,
    /// Milliseconds after `epoch`, taken before the renewal was asked for.
    renewed_ms: AtomicU64,
    ended: CancellationToken,
}

impl Leases {
    pub(crate) fn new(lease: Duration) -> Arc<Self> {
        let in_touch = watch::Sender::new(false);
        Arc::new(Self { epoch: Instant::now(), lease, held: Mutex::default(), in_touch })
    }

    /// Returns once the control-plane answers, or no more.
    pub(crate) async fn in_touch(&self, wanted: bool) {
        let mut in_touch = self.in_touch.subscribe();
        if in_touch.wait_for(|in_touch| *in_touch == wanted).await.is_err() {
            // Nobody will tell any more.
            std::future::pending::<()>().await;
        }
    }

    /// `asked`: when the claim was asked for.
    pub(crate) fn hold(self: &Arc<Self>, claim: ClaimId, asked: Instant) -> Held {
        let lease = Arc::new(Lease {
            epoch: self.epoch,
            too_old: self.lease * 4 / 5,
            renewed_ms: AtomicU64::new(millis(asked.duration_since(self.epoch))),
            ended: CancellationToken::new(),
        });
        self.held().insert(claim, Arc::clone(&lease));
        Held { claim, lease, leases: Arc::clone(self) }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<ClaimId, Arc<Lease>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the worker is there and renews all claims, until the control-plane refuses it.
    pub(crate) async fn keep<C: ControlPlane>(
        &self,
        control_plane: &C,
        worker: &str,
        slots: Slots,
    ) -> PortError {
        let mut tick = tokio::time::interval(self.lease / 5);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let claims: Vec<ClaimId> = self.held().keys().copied().collect();
            let asked = Instant::now();
            let renewed = control_plane.renew(worker, slots, &claims).await;
            self.in_touch.send_replace(renewed.is_ok());
            match renewed {
                Ok(ended) => self.note_renewed(&claims, &ended, asked),
                Err(err @ PortError::Refused(_)) => return err,
                Err(err @ PortError::Failed(_)) => {
                    tracing::warn!(error = words(&err), "claims were not renewed");
                }
            }
        }
    }

    fn note_renewed(&self, claims: &[ClaimId], ended: &[ClaimId], asked: Instant) {
        let held = self.held();
        for claim in claims {
            let Some(lease) = held.get(claim) else { continue };
            if ended.contains(claim) {
                lease.ended.cancel();
            } else {
                let at = millis(asked.duration_since(self.epoch));
                lease.renewed_ms.store(at, Ordering::Release);
            }
        }
    }
}

impl Held {
    pub(crate) fn claim(&self) -> ClaimId {
        self.claim
    }

    /// Completes when the claim has ended at the control-plane.
    pub(crate) async fn ended(&self) {
        self.lease.ended.cancelled().await;
    }

    /// What a request under a permit that was asked for at `asked` has to observe.
    pub(crate) fn guard(
        &self,
        asked: Instant,
    ) -> impl FnMut() -> Result<(), GuardStop> + Send + 'static {
        let lease = Arc::clone(&self.lease);
        let mut started = false;
        move || {
            let since_asked = asked.elapsed();
            if !started && since_asked > START_WITHIN {
                return Err(GuardStop { reason: "the permit was not used in time" });
            }
            started = true;
            if since_asked > END_WITHIN {
                return Err(GuardStop { reason: "the request took too long" });
            }
            if lease.ended.is_cancelled() || lease.age() > lease.too_old {
                return Err(GuardStop { reason: "the claim may be somebody else's" });
            }
            Ok(())
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.held().remove(&self.claim);
    }
}

impl Lease {
    fn age(&self) -> Duration {
        let renewed = Duration::from_millis(self.renewed_ms.load(Ordering::Acquire));
        self.epoch.elapsed().saturating_sub(renewed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
