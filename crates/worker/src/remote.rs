//! The control-plane, as a worker reaches it over gRPC.

use std::time::{Duration, Instant};

use segue_model::{
    ClaimId, Endpoint, JobId, PermitId, SegmentSource,
    work::{
        Answer, Claimed, Confirmation, Kept, Next, PermitReply, Slots, Spent, StagedBatch, Verdict,
    },
};
use segue_proto::{
    Invalid, parsed,
    v1::{self, worker_service_client::WorkerServiceClient},
    work::slots,
};
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Response, Status, body::Body, client::GrpcService, transport::Channel};

use crate::{ControlPlane, PortError, error::words};

/// For calls that are one transaction there.
const CALL: Duration = Duration::from_secs(5);
/// A renewal that takes longer comes too late: the next one is a second away.
const RENEWAL: Duration = Duration::from_secs(3);
/// For calls that let the worker wait there, for up to five seconds.
const LONG_CALL: Duration = Duration::from_secs(12);

/// A claim is lost a few seconds after the control-plane was; but it may be the control-plane that is away,
/// and then the claim lives on when it is back. Whoever hears that the claim has ended stops sooner.
const WHILE_THE_CLAIM_MAY_LIVE: Duration = Duration::from_mins(1);
/// Only this worker knows that Klaviyo took the batch, and it counts whatever became of the claim.
const WHILE_A_FACT_MATTERS: Duration = Duration::from_mins(30);

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Bytes of the largest message: a plan with a long manifest, or all that an account waits for.
const LARGEST_MESSAGE: usize = 16 << 20;

/// See the module. `S` carries the calls, and in each of them the worker's token.
///
/// Calls that may be repeated are repeated while the control-plane does not answer, with waits that double up
/// to 2 s. A claim is not: its answer is lost together with the claim, which runs out.
#[derive(Debug, Clone)]
pub struct Remote<S = Channel> {
    client: WorkerServiceClient<S>,
    /// Acceptances that are still to be told.
    facts: TaskTracker,
}

impl<S> Remote<S>
where
    S: GrpcService<Body, ResponseBody = Body> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    pub fn new(transport: S) -> Self {
        let client = WorkerServiceClient::new(transport)
            .max_decoding_message_size(LARGEST_MESSAGE)
            .max_encoding_message_size(LARGEST_MESSAGE);
        Self { client, facts: TaskTracker::new() }
    }

    /// Returns once every acceptance is told, or given up after half an hour. Whoever ends the process waits
    /// for it as long as it can.
    pub async fn told(&self) {
        self.facts.close();
        self.facts.wait().await;
    }

    async fn send_answer(&self, permit: PermitId, answer: &Answer) -> Result<(), PortError> {
        let patience = match answer {
            Answer::Accepted(_) => WHILE_A_FACT_MATTERS,
            Answer::Fine
            | Answer::Throttled { .. }
            | Answer::NotApplied { .. }
            | Answer::Ambiguous
            | Answer::NotSent => WHILE_THE_CLAIM_MAY_LIVE,
        };
        self.repeat("answer", patience, || async {
            let request =
                v1::AnswerRequest { permit_id: permit.to_string(), answer: Some(answer.into()) };
            within(CALL, request, |request| async { self.client().answer(request).await }).await
        })
        .await?;
        Ok(())
    }

    /// A client of the same transport: each call needs one of its own.
    fn client(&self) -> WorkerServiceClient<S> {
        self.client.clone()
    }

    /// Makes a call again while it fails for a reason that may pass.
    async fn repeat<T, F>(
        &self,
        call: &'static str,
        patience: Duration,
        mut make: impl FnMut() -> F,
    ) -> Result<T, PortError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let began = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            let status = match make().await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            if !may_pass(&status) || began.elapsed() + wait > patience {
                return Err(failed(status));
            }
            tracing::info!(call, error = words(&status), "the control-plane is asked again");
            tokio::time::sleep(wait).await;
            wait = (2 * wait).min(LONGEST_WAIT);
        }
    }
}

/// Makes one call and waits for its answer for so long at most; the control-plane knows how long.
async fn within<Q, A, F>(
    limit: Duration,
    request: Q,
    call: impl FnOnce(Request<Q>) -> F,
) -> Result<A, Status>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    let mut request = Request::new(request);
    request.set_timeout(limit);
    match tokio::time::timeout(limit, call(request)).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("the control-plane did not answer in time")),
    }
}

/// Whether the same call may do better in a moment. `Unknown`, `Internal` and `Cancelled` are also what a
/// connection that breaks in the middle looks like.
fn may_pass(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Unknown
        | Code::Internal
        | Code::Cancelled
        | Code::Aborted
        | Code::ResourceExhausted => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss => false,
    }
}

fn failed(status: Status) -> PortError {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => PortError::Refused(status.into()),
        _ => PortError::new(status),
    }
}

/// An answer that makes no sense: the control-plane is of another version.
fn senseless(err: Invalid) -> PortError {
    PortError::new(err)
}

fn next(next: v1::Next) -> Result<Next, PortError> {
    let next: Option<Next> = next.try_into().map_err(senseless)?;
    next.ok_or_else(|| senseless(Invalid::new("next", "is no answer to this call")))
}

impl<S> ControlPlane for Remote<S>
where
    S: GrpcService<Body, ResponseBody = Body> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    async fn claim(&self, job: JobId, attempt: u32) -> Result<Option<Claimed>, PortError> {
        let request = v1::ClaimRequest { job_id: job.to_string(), attempt };
        let answer = within(CALL, request, |request| async { self.client().claim(request).await });
        let v1::ClaimResponse { claimed } = answer.await.map_err(failed)?;
        claimed.map(|claimed| claimed.try_into().map_err(senseless)).transpose()
    }

    async fn renew(
        &self,
        worker: &str,
        can_do: Slots,
        claims: &[ClaimId],
    ) -> Result<Vec<ClaimId>, PortError> {
        let request = v1::RenewRequest {
            worker_id: worker.to_owned(),
            claim_ids: claims.iter().map(ToString::to_string).collect(),
            slots: slots(can_do),
        };
        let answer =
            within(RENEWAL, request, |request| async { self.client().renew(request).await });
        let v1::RenewResponse { ended_claim_ids } = answer.await.map_err(failed)?;
        let ended = ended_claim_ids.iter().map(|id| parsed("ended_claim_ids", id));
        ended.collect::<Result<_, _>>().map_err(senseless)
    }

    async fn plan(
        &self,
        claim: ClaimId,
        plan: &str,
        segments: &[SegmentSource],
    ) -> Result<Next, PortError> {
        let answer = self.repeat("plan", WHILE_THE_CLAIM_MAY_LIVE, || {
            let segments = segments.iter().map(Into::into).collect();
            let (claim_id, plan) = (claim.to_string(), plan.to_owned());
            let request = v1::PlanRequest { claim_id, plan, segments };
            within(CALL, request, |request| async { self.client().plan(request).await })
        });
        next(answer.await?.next())
    }

    async fn stage(&self, claim: ClaimId, batch: &StagedBatch) -> Result<Next, PortError> {
        loop {
            let answer = self.repeat("stage", WHILE_THE_CLAIM_MAY_LIVE, || {
                let request =
                    v1::StageRequest { claim_id: claim.to_string(), batch: Some(batch.into()) };
                within(LONG_CALL, request, |request| async { self.client().stage(request).await })
            });
            if let Some(next) = answer.await?.next().try_into().map_err(senseless)? {
                return Ok(next);
            }
        }
    }

    async fn permit(
        &self,
        claim: ClaimId,
        account_id: &str,
        endpoint: Endpoint,
    ) -> Result<PermitReply, PortError> {
        // A permit whose answer is lost holds a place until its claim ends, but nobody uses it.
        let answer = self.repeat("permit", WHILE_THE_CLAIM_MAY_LIVE, || {
            let request = v1::PermitRequest {
                claim_id: claim.to_string(),
                account_id: account_id.to_owned(),
                endpoint: endpoint.name().to_owned(),
            };
            within(LONG_CALL, request, |request| async { self.client().permit(request).await })
        });
        answer.await?.try_into().map_err(senseless)
    }

    /// An acceptance is told although whoever has it is dropped: see [`Remote::told`].
    async fn answer(&self, permit: PermitId, answer: &Answer) -> Result<(), PortError> {
        if !matches!(answer, Answer::Accepted(_)) {
            return self.send_answer(permit, answer).await;
        }
        let (remote, answer) = (self.clone(), answer.clone());
        let told = self.facts.spawn(async move {
            let told = remote.send_answer(permit, &answer).await;
            if let Err(err) = &told {
                tracing::error!(permit.id = %permit, error = words(err), "an acceptance is lost");
            }
            told
        });
        told.await.map_err(PortError::new)?
    }

    async fn confirm(&self, claim: ClaimId, confirmed: &Confirmation) -> Result<Next, PortError> {
        let answer = self.repeat("confirm", WHILE_THE_CLAIM_MAY_LIVE, || {
            let request = v1::ConfirmRequest {
                claim_id: claim.to_string(),
                confirmation: Some(confirmed.into()),
            };
            within(CALL, request, |request| async { self.client().confirm(request).await })
        });
        next(answer.await?.next())
    }

    async fn finish(&self, claim: ClaimId, verdict: Verdict) -> Result<(), PortError> {
        let answer = self.repeat("finish", WHILE_THE_CLAIM_MAY_LIVE, || {
            let request =
                v1::FinishRequest { claim_id: claim.to_string(), verdict: Some((&verdict).into()) };
            within(CALL, request, |request| async { self.client().finish(request).await })
        });
        answer.await?;
        Ok(())
    }

    /// Not repeated: the next time is soon enough.
    async fn sweep(&self, kept: &[Kept]) -> Result<Vec<Spent>, PortError> {
        let request = v1::SweepRequest { kept: kept.iter().map(v1::KeptObjects::from).collect() };
        let answer =
            within(LONG_CALL, request, |request| async { self.client().sweep(request).await });
        let v1::SweepResponse { spent } = answer.await.map_err(failed)?;
        spent.into_iter().map(|spent| spent.try_into().map_err(senseless)).collect()
    }
}
