use std::future::Future;

use segue_model::{
    ClaimId, Endpoint, JobId, PermitId, SegmentSource,
    work::{
        Answer, Claimed, Confirmation, Kept, Next, PermitReply, Slots, Spent, StagedBatch, Verdict,
    },
};

use crate::PortError;

/// What a worker asks of the control-plane. Each call is one transaction there, idempotent by its key.
pub trait ControlPlane: Send + Sync + 'static {
    fn claim(
        &self,
        job: JobId,
        attempt: u32,
    ) -> impl Future<Output = Result<Option<Claimed>, PortError>> + Send;

    /// Says that the worker is there and what it can do, and prolongs its claims; returns those that have
    /// ended.
    fn renew(
        &self,
        worker: &str,
        slots: Slots,
        claims: &[ClaimId],
    ) -> impl Future<Output = Result<Vec<ClaimId>, PortError>> + Send;

    /// Freezes what the run reads and how, before anything is staged. Of two plans the first stays, and
    /// whoever comes with another is told to stop. `segments`: those of the plan, as they were found.
    fn plan(
        &self,
        claim: ClaimId,
        plan: &str,
        segments: &[SegmentSource],
    ) -> impl Future<Output = Result<Next, PortError>> + Send;

    /// Returns only when the reader may go on: see `Settings::batches_ahead` of the control-plane.
    fn stage(
        &self,
        claim: ClaimId,
        batch: &StagedBatch,
    ) -> impl Future<Output = Result<Next, PortError>> + Send;

    fn permit(
        &self,
        claim: ClaimId,
        account_id: &str,
        endpoint: Endpoint,
    ) -> impl Future<Output = Result<PermitReply, PortError>> + Send;

    fn answer(
        &self,
        permit: PermitId,
        answer: &Answer,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    fn confirm(
        &self,
        claim: ClaimId,
        confirmed: &Confirmation,
    ) -> impl Future<Output = Result<Next, PortError>> + Send;

    fn finish(
        &self,
        claim: ClaimId,
        verdict: Verdict,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Which staged objects nobody needs any more. Whoever asks removes them.
    fn sweep(&self, kept: &[Kept]) -> impl Future<Output = Result<Vec<Spent>, PortError>> + Send;
}
