use std::sync::Arc;

use prost::Message as _;
use segue_model::DeathCause;
use segue_proto::{
    timestamp,
    v1::{
        self, DropDeadJobRequest, DropDeadJobResponse, ListDeadJobsRequest, ListDeadJobsResponse,
        RequeueDeadJobRequest, RequeueDeadJobResponse, job_service_server::JobService,
    },
};
use segue_store::write::dead::{DeadJob, DeadSubject, Death};
use tonic::{Request, Response, Status};

use super::{caller::caller, errors::status, fields, page::Page};
use crate::ControlPlane;

/// [`JobService`] of a control-plane.
#[derive(Debug)]
pub struct Jobs(pub(super) Arc<ControlPlane>);

#[tonic::async_trait]
impl JobService for Jobs {
    async fn list_dead_jobs(
        &self,
        request: Request<ListDeadJobsRequest>,
    ) -> Result<Response<ListDeadJobsResponse>, Status> {
        let ListDeadJobsRequest { run_id, page_size, page_token } = request.into_inner();
        let run = match run_id.as_str() {
            "" => None,
            id => Some(fields::id("run_id", id)?),
        };
        let page = Page::wanted(page_size, &page_token)?;
        let read = |after, most| async move {
            let found = self.0.dead_jobs(run, after, most).await.map_err(status)?;
            Ok(found.into_iter().map(|it| (it.id, shown(it))).collect())
        };
        let (found, next_page_token) =
            page.read(read, |(id, _)| *id, |(_, shown)| shown.encoded_len()).await?;
        let dead_jobs = found.into_iter().map(|(_, shown)| shown).collect();
        Ok(Response::new(ListDeadJobsResponse { dead_jobs, next_page_token }))
    }

    async fn requeue_dead_job(
        &self,
        request: Request<RequeueDeadJobRequest>,
    ) -> Result<Response<RequeueDeadJobResponse>, Status> {
        let by = caller(&request)?.clone();
        let id = fields::id("id", &request.into_inner().id)?;
        let attempt = self.0.requeue_dead_job(id, &by).await.map_err(status)?;
        Ok(Response::new(RequeueDeadJobResponse { attempt }))
    }

    async fn drop_dead_job(
        &self,
        request: Request<DropDeadJobRequest>,
    ) -> Result<Response<DropDeadJobResponse>, Status> {
        let by = caller(&request)?.clone();
        let id = fields::id("id", &request.into_inner().id)?;
        self.0.drop_dead_job(id, &by).await.map_err(status)?;
        Ok(Response::new(DropDeadJobResponse {}))
    }
}

fn shown(dead: DeadJob) -> v1::DeadJob {
    // Destructured, so that a field that is added cannot be forgotten.
    let DeadJob { id, subject, death, first, last, deaths } = dead;
    let Death { cause, detail, bytes, sha256 } = death;
    let cause = match cause {
        DeathCause::Deliveries => v1::DeathCause::Deliveries,
        DeathCause::Unreadable => v1::DeathCause::Unreadable,
        DeathCause::UnknownSchema => v1::DeathCause::UnknownSchema,
    };
    let shown = v1::DeadJob {
        id: id.to_string(),
        state: v1::DeadJobState::NoJob.into(),
        cause: cause.into(),
        detail,
        deaths,
        first_died_at: Some(timestamp(first)),
        last_died_at: Some(timestamp(last)),
        message_bytes: bytes,
        message_sha256: sha256,
        ..v1::DeadJob::default()
    };
    let Some(subject) = subject else { return shown };
    let DeadSubject { job, kind, account_id, run, batch, attempt, next } = subject;
    let state = match next {
        Some(_) => v1::DeadJobState::Waiting,
        None => v1::DeadJobState::Over,
    };
    v1::DeadJob {
        state: state.into(),
        job_id: job.to_string(),
        kind: v1::JobKind::from(kind).into(),
        account_id,
        run_id: run.map(|run| run.to_string()).unwrap_or_default(),
        batch: batch.map(|no| no.0.into()),
        attempt,
        next_attempt_at: next.map(timestamp),
        ..shown
    }
}
