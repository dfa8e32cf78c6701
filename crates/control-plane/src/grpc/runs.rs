use std::sync::Arc;

use segue_model::{Cause, ExportId, RunView};
use segue_proto::v1::{
    CancelRunRequest, CancelRunResponse, RetryRunRequest, RetryRunResponse, StartAllRunsRequest,
    StartAllRunsResponse, StartRunRequest, StartRunResponse, StartedRun,
    run_service_server::RunService,
};
use tonic::{Request, Response, Status};

use super::{
    caller::caller,
    errors::{invalid, status},
    fields,
};
use crate::{ControlPlane, Refusal, Start, StartOptions, Violation};

/// Behind it comes the id of an export.
const MAX_COMMON_CHARS: usize = 60;

/// [`RunService`] of a control-plane.
#[derive(Debug)]
pub struct Runs(pub(super) Arc<ControlPlane>);

#[tonic::async_trait]
impl RunService for Runs {
    async fn start_run(
        &self,
        request: Request<StartRunRequest>,
    ) -> Result<Response<StartRunResponse>, Status> {
        let by = caller(&request)?.clone();
        let trace = fields::trace(&self.0, request.metadata());
        let StartRunRequest { export_id, request_id, override_guards, trial_rows } =
            request.into_inner();
        let export = fields::id("export_id", &export_id)?;
        fields::needed_request_id(&request_id)?;
        // What is kept is a number of 63 bits.
        if i64::try_from(trial_rows).is_err() {
            let words = "is too large; 0 means all rows";
            return Err(invalid(vec![Violation::new("trial_rows", words)]));
        }
        let trial_rows = Some(trial_rows).filter(|rows| *rows > 0);
        let options = StartOptions { override_guards, trial_rows };
        let start = Start { export, request_id, cause: Cause::OnDemand, by, trace, options };
        let run = self.0.start_export(&start).await.map_err(status)?;
        Ok(Response::new(StartRunResponse { run: Some(run.into()) }))
    }

    async fn start_all_runs(
        &self,
        request: Request<StartAllRunsRequest>,
    ) -> Result<Response<StartAllRunsResponse>, Status> {
        let by = caller(&request)?.clone();
        let trace = fields::trace(&self.0, request.metadata());
        let StartAllRunsRequest { request_id } = request.into_inner();
        fields::needed_request_id(&request_id)?;
        if request_id.chars().count() > MAX_COMMON_CHARS {
            let words = "has more than 60 characters, and that of each run is made of it";
            return Err(invalid(vec![Violation::new("request_id", words)]));
        }
        let started = self.0.start_all(&request_id, &by, trace.as_deref()).await.map_err(status)?;
        let shown = |(export, done): (ExportId, Result<RunView, Refusal>)| {
            let (run, problem) = match done {
                Ok(run) => (Some(run.into()), String::new()),
                Err(refusal) => (None, refusal.to_string()),
            };
            StartedRun { export_id: export.to_string(), run, problem }
        };
        let runs = started.into_iter().map(shown).collect();
        Ok(Response::new(StartAllRunsResponse { runs }))
    }

    async fn cancel_run(
        &self,
        request: Request<CancelRunRequest>,
    ) -> Result<Response<CancelRunResponse>, Status> {
        let by = caller(&request)?.clone();
        let id = fields::id("run_id", &request.into_inner().run_id)?;
        let run = self.0.cancel(id, &by).await.map_err(status)?;
        Ok(Response::new(CancelRunResponse { run: Some(run.into()) }))
    }

    async fn retry_run(
        &self,
        request: Request<RetryRunRequest>,
    ) -> Result<Response<RetryRunResponse>, Status> {
        let by = caller(&request)?.clone();
        let trace = fields::trace(&self.0, request.metadata());
        let RetryRunRequest { run_id, request_id } = request.into_inner();
        let of = fields::id("run_id", &run_id)?;
        fields::needed_request_id(&request_id)?;
        let retry = self.0.retry_run(of, &request_id, trace.as_deref(), &by);
        let run = retry.await.map_err(status)?;
        Ok(Response::new(RetryRunResponse { run: Some(run.into()) }))
    }
}
