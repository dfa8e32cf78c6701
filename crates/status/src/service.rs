use std::sync::Arc;

use futures::{StreamExt as _, stream::BoxStream};
use prost::Message as _;
use segue_model::{InvalidId, RunId, RunState};
use segue_proto::v1::{
    self,
    status_service_server::{StatusService, StatusServiceServer},
};
use segue_queue::{Events, Heard, QueueError};
use segue_staging::Staging;
use segue_store::{
    Reader,
    read::{self, ReportKind, RunPlace, RunsQuery},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response};

use crate::{
    deadline::{deadline, until},
    error,
    page::{self, Filter},
    rejects,
    watch::{Pace, Watches},
};

/// No request of this service is longer.
const MOST_REQUEST_BYTES: usize = 64 << 10;
/// A page ends early rather than be longer: callers take 4 MiB unless they say otherwise.
const MOST_PAGE_BYTES: usize = 3 << 20;
/// Each of them holds the reports of one batch in memory.
const MOST_REJECT_STREAMS: usize = 32;

/// Answers for how runs fare. A cheap handle: clones share their watches.
#[derive(Clone)]
pub struct Status {
    store: Reader,
    staging: Staging,
    pub(crate) watches: Arc<Watches>,
    reject_streams: Arc<Semaphore>,
}

impl Status {
    /// Reads runs from `store` and report objects from `staging`. When `stop` is cancelled, watches end with
    /// `UNAVAILABLE`, because they would hold up a server that drains; everything else is answered.
    pub fn new(store: Reader, staging: Staging, stop: CancellationToken) -> Self {
        Self::with_pace(store, staging, Pace::default(), stop)
    }

    pub(crate) fn with_pace(
        store: Reader,
        staging: Staging,
        pace: Pace,
        stop: CancellationToken,
    ) -> Self {
        let watches = Watches::new(store.clone(), pace, stop);
        let reject_streams = Arc::new(Semaphore::new(MOST_REJECT_STREAMS));
        Self { store, staging, watches, reject_streams }
    }

    /// Wakes watchers by events, until the queue is closed. Without it they learn of a change up to a second
    /// later: nothing depends on events.
    pub async fn follow(&self, events: &impl Events) -> Result<(), QueueError> {
        let mut heard = events.subscribe().await?;
        // What came before the subscription was not heard.
        self.watches.missed();
        while let Some(heard) = heard.next().await {
            match heard {
                Heard::Event(event) => {
                    if let Some(run) = event.run {
                        self.watches.heard(run);
                    }
                }
                Heard::Missed => self.watches.missed(),
            }
        }
        Ok(())
    }
}

/// The service, to be added to a server.
pub fn status_service(status: Status) -> StatusServiceServer<Status> {
    StatusServiceServer::new(status).max_decoding_message_size(MOST_REQUEST_BYTES)
}

#[tonic::async_trait]
impl StatusService for Status {
    async fn get_run(
        &self,
        request: Request<v1::GetRunRequest>,
    ) -> Result<Response<v1::GetRunResponse>, tonic::Status> {
        let run = run_id(&request.get_ref().run_id)?;
        let found = read::run(&self.store, run).await.map_err(|err| error::store(&err))?;
        let view = found.ok_or_else(|| error::no_run(run))?;
        Ok(Response::new(v1::GetRunResponse { run: Some(view.into()) }))
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, tonic::Status> {
        let v1::ListRunsRequest { export_id, state, page_size, page_token } = request.into_inner();
        let filter = filter(&export_id, state)?;
        let size = page::size(page_size)
            .ok_or_else(|| error::invalid("page_size", "a page has no fewer than 0 runs"))?;
        let after = match page_token.as_str() {
            "" => None,
            token => Some(page::place(token, filter).ok_or_else(|| {
                let words = "not a token of a list of the same runs: begin with the first page";
                error::invalid("page_token", words)
            })?),
        };
        let Filter { export, state } = filter;
        // One more than is told shows whether there is another page.
        let query = RunsQuery { export, state, after, most: size + 1 };
        let mut runs = read::runs(&self.store, &query).await.map_err(|err| error::store(&err))?;
        let mut more = runs.len() > size as usize;
        runs.truncate(size as usize);
        let mut answer = v1::ListRunsResponse::default();
        let (mut bytes, mut last) = (0, None);
        for view in runs {
            let place = RunPlace::of(&view);
            let run = v1::Run::from(view);
            bytes += run.encoded_len();
            if bytes > MOST_PAGE_BYTES && last.is_some() {
                more = true;
                break;
            }
            answer.runs.push(run);
            last = Some(place);
        }
        if let Some(last) = last.filter(|_| more) {
            answer.next_page_token = page::token(last, filter);
        }
        Ok(Response::new(answer))
    }

    type WatchRunStream = BoxStream<'static, Result<v1::WatchRunResponse, tonic::Status>>;

    async fn watch_run(
        &self,
        request: Request<v1::WatchRunRequest>,
    ) -> Result<Response<Self::WatchRunStream>, tonic::Status> {
        let run = run_id(&request.get_ref().run_id)?;
        let deadline = deadline(request.metadata());
        let watch = self.watches.watch(run).await?;
        Ok(Response::new(until(deadline, watch)))
    }

    type ListRejectsStream = BoxStream<'static, Result<v1::ListRejectsResponse, tonic::Status>>;

    async fn list_rejects(
        &self,
        request: Request<v1::ListRejectsRequest>,
    ) -> Result<Response<Self::ListRejectsStream>, tonic::Status> {
        let v1::ListRejectsRequest { run_id: run, kind } = request.get_ref();
        let (run, kind) = (run_id(run)?, report_kind(*kind)?);
        let deadline = deadline(request.metadata());
        let permit = Arc::clone(&self.reject_streams).try_acquire_owned().map_err(|_| {
            let words =
                format!("{MOST_REJECT_STREAMS} lists of rejects are under way: wait for one");
            error::exhausted("ListRejects", &words)
        })?;
        let rows = rejects::rows(&self.store, self.staging.clone(), run, kind, permit).await?;
        Ok(Response::new(until(deadline, rows)))
    }
}

fn run_id(text: &str) -> Result<RunId, tonic::Status> {
    text.parse().map_err(|err: InvalidId| error::invalid("run_id", err.to_string()))
}

fn filter(export_id: &str, state: i32) -> Result<Filter, tonic::Status> {
    let export = match export_id {
        "" => None,
        id => Some(
            id.parse().map_err(|err: InvalidId| error::invalid("export_id", err.to_string()))?,
        ),
    };
    let state: Option<RunState> = v1::RunState::try_from(state)
        .map_err(|_| error::invalid("state", "not a state of a run"))?
        .into();
    Ok(Filter { export, state })
}

fn report_kind(kind: i32) -> Result<ReportKind, tonic::Status> {
    use v1::list_rejects_request::Kind;
    match Kind::try_from(kind) {
        Ok(Kind::Unspecified | Kind::Rejects) => Ok(ReportKind::Rejects),
        Ok(Kind::Warnings) => Ok(ReportKind::Warnings),
        Err(_) => Err(error::invalid("kind", "neither rejects nor warnings")),
    }
}
