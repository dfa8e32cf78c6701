//! The side of the workers. A claim that has ended is an answer, not an error.

use std::sync::Arc;

use segue_proto::{
    Invalid, parsed,
    v1::{
        AnswerRequest, AnswerResponse, ClaimRequest, ClaimResponse, ConfirmRequest,
        ConfirmResponse, FinishRequest, FinishResponse, Next, PermitRequest, PermitResponse,
        PlanRequest, PlanResponse, RenewRequest, RenewResponse, StageRequest, StageResponse,
        SweepRequest, SweepResponse, worker_service_server::WorkerService,
    },
    work::counted,
    work::segments_found,
};
use tonic::{Request, Response, Status};

use super::errors::{invalid, status};
use crate::{ControlPlane, Violation};

/// `segue.v1.WorkerService`.
#[derive(Debug, Clone)]
pub struct Workers(pub(super) Arc<ControlPlane>);

fn wrong(Invalid { field, words }: Invalid) -> Status {
    invalid(vec![Violation::new(field, words)])
}

/// A field without which nothing can be done.
fn need<T>(field: &str, value: Option<T>) -> Result<T, Status> {
    value.ok_or_else(|| wrong(Invalid::new(field, "is missing")))
}

/// A message within the request.
fn inner<T, U>(field: &str, value: Option<T>) -> Result<U, Status>
where
    U: TryFrom<T, Error = Invalid>,
{
    U::try_from(need(field, value)?).map_err(|err| wrong(err.within(field)))
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn claim(
        &self,
        request: Request<ClaimRequest>,
    ) -> Result<Response<ClaimResponse>, Status> {
        let ClaimRequest { job_id, attempt } = request.into_inner();
        let job = parsed("job_id", &job_id).map_err(wrong)?;
        let claimed = self.0.claim(job, attempt).await.map_err(status)?;
        Ok(Response::new(ClaimResponse { claimed: claimed.map(Into::into) }))
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<RenewResponse>, Status> {
        let RenewRequest { worker_id, claim_ids, slots } = request.into_inner();
        if worker_id.is_empty() {
            return Err(wrong(Invalid::new("worker_id", "is missing")));
        }
        let claims = claim_ids.iter().map(|id| parsed("claim_ids", id));
        let claims = claims.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        let ended = self.0.renew(&worker_id, counted(&slots), &claims).await.map_err(status)?;
        let ended_claim_ids = ended.iter().map(ToString::to_string).collect();
        Ok(Response::new(RenewResponse { ended_claim_ids }))
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        let PlanRequest { claim_id, plan, segments } = request.into_inner();
        let claim = parsed("claim_id", &claim_id).map_err(wrong)?;
        let segments = segments_found(segments).map_err(wrong)?;
        let next = self.0.plan(claim, &plan, &segments).await.map_err(status)?;
        Ok(Response::new(PlanResponse { next: Next::from(next).into() }))
    }

    async fn stage(
        &self,
        request: Request<StageRequest>,
    ) -> Result<Response<StageResponse>, Status> {
        let StageRequest { claim_id, batch } = request.into_inner();
        let claim = parsed("claim_id", &claim_id).map_err(wrong)?;
        let staged = inner("batch", batch)?;
        // It asks again well before anybody thinks that the call is lost.
        let patience = self.0.settings.permit_wait;
        let next = self.0.stage_within(claim, &staged, patience).await.map_err(status)?;
        let next = next.map_or(Next::Later, Next::from);
        Ok(Response::new(StageResponse { next: next.into() }))
    }

    async fn permit(
        &self,
        request: Request<PermitRequest>,
    ) -> Result<Response<PermitResponse>, Status> {
        let PermitRequest { claim_id, account_id, endpoint } = request.into_inner();
        let claim = parsed("claim_id", &claim_id).map_err(wrong)?;
        let endpoint = parsed("endpoint", &endpoint).map_err(wrong)?;
        let reply = self.0.permit(claim, &account_id, endpoint).await.map_err(status)?;
        Ok(Response::new(reply.into()))
    }

    async fn answer(
        &self,
        request: Request<AnswerRequest>,
    ) -> Result<Response<AnswerResponse>, Status> {
        let AnswerRequest { permit_id, answer } = request.into_inner();
        let permit = parsed("permit_id", &permit_id).map_err(wrong)?;
        let answer = need("answer", answer)?.try_into().map_err(wrong)?;
        self.0.answer(permit, &answer).await.map_err(status)?;
        Ok(Response::new(AnswerResponse {}))
    }

    async fn confirm(
        &self,
        request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmResponse>, Status> {
        let ConfirmRequest { claim_id, confirmation } = request.into_inner();
        let claim = parsed("claim_id", &claim_id).map_err(wrong)?;
        let confirmed = inner("confirmation", confirmation)?;
        let next = self.0.confirm(claim, &confirmed).await.map_err(status)?;
        Ok(Response::new(ConfirmResponse { next: Next::from(next).into() }))
    }

    async fn finish(
        &self,
        request: Request<FinishRequest>,
    ) -> Result<Response<FinishResponse>, Status> {
        let FinishRequest { claim_id, verdict } = request.into_inner();
        let claim = parsed("claim_id", &claim_id).map_err(wrong)?;
        let verdict = need("verdict", verdict)?.try_into().map_err(wrong)?;
        self.0.finish(claim, verdict).await.map_err(status)?;
        Ok(Response::new(FinishResponse {}))
    }

    async fn sweep(
        &self,
        request: Request<SweepRequest>,
    ) -> Result<Response<SweepResponse>, Status> {
        let kept = request.into_inner().kept.into_iter();
        let kept =
            kept.map(|kept| kept.try_into().map_err(|err: Invalid| wrong(err.within("kept"))));
        let kept = kept.collect::<Result<Vec<_>, _>>()?;
        let spent = self.0.spent(&kept).await.map_err(status)?;
        Ok(Response::new(SweepResponse { spent: spent.into_iter().map(Into::into).collect() }))
    }
}
