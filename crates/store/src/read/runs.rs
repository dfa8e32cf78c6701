use std::collections::HashMap;

use segue_model::{
    ExportId, FailReason, Failure, Micros, RowCounts, RunId, RunState, RunView, Who,
};

use super::{
    numbers::{Numbered, Numbers, numbered, numbers},
    segments::spread,
};
use crate::{
    Reader, StoreError,
    sql::{Arg, Row, args, text},
    tx::View,
};

macro_rules! run_columns {
    () => {
        "SELECT run_id, state, export_id, cause, fail_reason, fail_detail, connection_id, account_id, \
         list_id, request_id, retry_of, created_us, started_us, first_request_us, last_accepted_us, \
         ended_us, seq, throttled, due_us, missed, started_by, started_by_name, guards_overridden, \
         trial_rows, segments, source_us, source_age_us, same_source FROM runs "
    };
}

/// One run, as it stands at one moment. `None`: there is no such run.
pub async fn run(store: &Reader, run: RunId) -> Result<Option<RunView>, StoreError> {
    let mut view = store.view().await?;
    let found = run_in(&mut view, run).await?;
    view.end().await?;
    Ok(found)
}

pub(super) async fn run_in(view: &mut View, run: RunId) -> Result<Option<RunView>, StoreError> {
    const RUN: &str = concat!(run_columns!(), "WHERE run_id = $1");
    const NUMBERS: Numbers = numbers!("run_id = $1");
    let args = args![text(run)];
    let Some(row) = view.row(RUN, args).await? else { return Ok(None) };
    let mut numbers = numbered(view, &NUMBERS, args).await?;
    decode(row, &mut numbers).map(Some)
}

/// Which runs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunsQuery {
    /// Only those of this export.
    pub export: Option<ExportId>,
    /// Only those that are in this state now.
    pub state: Option<RunState>,
    /// Only those behind this place.
    pub after: Option<RunPlace>,
    /// How many at most.
    pub most: u32,
}

/// Where a run stands among all: newest first, by the store's clock. Runs of the same microsecond are told
/// apart by their ids. Whatever collation the database has, all ids differ in hexadecimal digits only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunPlace {
    pub created: Micros,
    pub run: RunId,
}

impl RunPlace {
    pub fn of(view: &RunView) -> Self {
        Self { created: view.created, run: view.run }
    }
}

/// The statements for one page of runs.
struct Page {
    runs: &'static str,
    numbers: Numbers,
}

macro_rules! page {
    ($filter:literal) => {
        Page {
            runs: concat!(
                run_columns!(),
                "WHERE (created_us, run_id) < ($1, $2)",
                $filter,
                " ORDER BY created_us DESC, run_id DESC LIMIT $3"
            ),
            numbers: numbers!(concat!(
                "run_id IN (SELECT run_id FROM runs WHERE (created_us, run_id) < ($1, $2)",
                $filter,
                " ORDER BY created_us DESC, run_id DESC LIMIT $3)"
            )),
        }
    };
}

/// Some runs, newest first, all as they stand at one moment.
pub async fn runs(store: &Reader, query: &RunsQuery) -> Result<Vec<RunView>, StoreError> {
    const ALL: Page = page!("");
    const OF_EXPORT: Page = page!(" AND export_id = $4");
    const IN_STATE: Page = page!(" AND state = $4");
    const OF_EXPORT_IN_STATE: Page = page!(" AND export_id = $4 AND state = $5");
    // Behind everything: nothing was made so late, and an id begins with a letter.
    let (created, run) = query
        .after
        .map_or((Micros(i64::MAX), String::new()), |after| (after.created, after.run.to_string()));
    let mut args = vec![Arg::from(created), Arg::from(run), Arg::from(query.most)];
    args.extend(query.export.map(text));
    args.extend(query.state.map(text));
    let page = match (query.export, query.state) {
        (None, None) => &ALL,
        (Some(_), None) => &OF_EXPORT,
        (None, Some(_)) => &IN_STATE,
        (Some(_), Some(_)) => &OF_EXPORT_IN_STATE,
    };
    let mut view = store.view().await?;
    let rows = view.rows(page.runs, &args).await?;
    let mut numbers = match rows.len() {
        0 => HashMap::new(),
        _ => numbered(&mut view, &page.numbers, &args).await?,
    };
    view.end().await?;
    rows.into_iter().map(|row| decode(row, &mut numbers)).collect()
}

fn decode(mut row: Row, numbers: &mut HashMap<RunId, Numbered>) -> Result<RunView, StoreError> {
    let (run, state) = (row.parsed()?, row.parsed()?);
    let Numbered { tally, segments: counted } = numbers.remove(&run).unwrap_or_default();
    let (export, cause) = (row.opt_parsed()?, row.parsed()?);
    let (reason, detail) = (row.opt_parsed::<FailReason>()?, row.opt_string()?);
    let failure = reason.filter(|_| state == RunState::Failed);
    let mut view = RunView {
        run,
        export,
        state,
        cause,
        tally,
        failure: failure.map(|reason| Failure { reason, detail: detail.unwrap_or_default() }),
        connection: row.opt_parsed()?,
        account_id: row.string()?,
        list_id: row.string()?,
        request_id: row.opt_string()?,
        retry_of: row.opt_parsed()?,
        started_by: Who::default(),
        created: row.time()?,
        started: row.opt_time()?,
        first_request: row.opt_time()?,
        last_accepted: row.opt_time()?,
        ended: row.opt_time()?,
        seq: row.count()?,
        due: None,
        missed: 0,
        guards_overridden: false,
        trial_rows: None,
        segments: Vec::new(),
        not_by_segment: RowCounts::default(),
        source_modified: None,
        source_age: None,
        same_source: false,
    };
    view.tally.throttled += row.count()?;
    (view.due, view.missed) = (row.opt_time()?, row.count()?);
    view.started_by = Who { subject: row.string()?, name: row.string()? };
    view.guards_overridden = row.flag()?;
    view.trial_rows = Some(row.count()?).filter(|rows| *rows > 0);
    let segments = row.opt_string()?;
    (view.segments, view.not_by_segment) =
        spread(run, segments.as_deref(), &counted, &view.tally.counts)?;
    view.source_modified = row.opt_time()?;
    view.source_age = row.opt_time()?.map(|age| age.since(Micros(0)));
    view.same_source = row.flag()?;
    Ok(view)
}

/// The plan, account and list of a run, to go on with it.
#[derive(Debug, Clone)]
pub struct Planned {
    pub run: RunId,
    pub state: RunState,
    pub account_id: String,
    pub list_id: String,
    pub plan: String,
}

pub async fn planned(store: &Reader, run: RunId) -> Result<Option<Planned>, StoreError> {
    const SQL: &str = "SELECT state, account_id, list_id, plan FROM runs WHERE run_id = $1";
    let decode = |mut row: Row| {
        Ok(Planned {
            run,
            state: row.parsed()?,
            account_id: row.string()?,
            list_id: row.string()?,
            plan: row.string()?,
        })
    };
    store.read(SQL, args![text(run)]).await?.into_iter().next().map(decode).transpose()
}

/// Runs that have not ended, oldest first.
pub async fn unfinished(store: &Reader) -> Result<Vec<RunId>, StoreError> {
    const SQL: &str = "SELECT run_id FROM runs WHERE ended_us IS NULL ORDER BY created_us";
    store.read(SQL, &[]).await?.into_iter().map(|mut row| row.parsed()).collect()
}
