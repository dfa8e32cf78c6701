use std::sync::Arc;

use segue_model::Cause;
use segue_proto::v1::{
    CancelRunRequest, CancelRunResponse, RetryRunRequest, RetryRunResponse, StartRunRequest,
    StartRunResponse, run_service_server::RunService,
};
use tonic::{Request, Response, Status};

use super::{errors::status, fields};
use crate::{ControlPlane, Start};

/// [`RunService`] of a control-plane.
#[derive(Debug)]
pub struct Runs(pub(super) Arc<ControlPlane>);

#[tonic::async_trait]
impl RunService for Runs {
    async fn start_run(
        &self,
        request: Request<StartRunRequest>,
    ) -> Result<Response<StartRunResponse>, Status> {
        let trace = fields::trace(&self.0, request.metadata());
        let StartRunRequest { export_id, request_id } = request.into_inner();
        let export = fields::id("export_id", &export_id)?;
        fields::needed_request_id(&request_id)?;
        let start = Start { export, request_id, cause: Cause::OnDemand, trace };
        let run = self.0.start_export(&start).await.map_err(status)?;
        Ok(Response::new(StartRunResponse { run: Some(run.into()) }))
    }

    async fn cancel_run(
        &self,
        request: Request<CancelRunRequest>,
    ) -> Result<Response<CancelRunResponse>, Status> {
        let id = fields::id("run_id", &request.into_inner().run_id)?;
        let run = self.0.cancel(id).await.map_err(status)?;
        Ok(Response::new(CancelRunResponse { run: Some(run.into()) }))
    }

    async fn retry_run(
        &self,
        request: Request<RetryRunRequest>,
    ) -> Result<Response<RetryRunResponse>, Status> {
        let trace = fields::trace(&self.0, request.metadata());
        let RetryRunRequest { run_id, request_id } = request.into_inner();
        let of = fields::id("run_id", &run_id)?;
        fields::needed_request_id(&request_id)?;
        let retry = self.0.retry_run(of, &request_id, trace.as_deref());
        let run = retry.await.map_err(status)?;
        Ok(Response::new(RetryRunResponse { run: Some(run.into()) }))
    }
}
