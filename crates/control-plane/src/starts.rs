use segue_access::Principal;
use segue_model::{Cause, ExportId, Guards, Id, Micros, RunId, RunView};
use segue_store::{
    Tx, read,
    write::{
        columns::RunColumns,
        connections,
        exports::{self, Timing},
        requests::{self, Made, RequestKind},
        retries::{self, Ended, Left},
        runs::{self, NewRun, Origin},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    ControlPlane, Error, ExportFields, Refusal, SavedExport, Thing,
    audit::{Action, note},
    columns,
    connections::unreadable,
    exports::{lock_export, refuse_second_run, text, who},
    rights::{may_manage, may_use, may_use_id, owner},
    sources::patterns_of,
};

/// Whoever an export runs for may not do that any more.
pub(crate) const OWNER_LOST: &str = "OWNER_LOST";

/// Somebody wants a run.
#[derive(Debug, Clone)]
pub struct Start {
    pub export: ExportId,
    /// As whoever asks gave it: the same request starts one run.
    pub request_id: String,
    pub cause: Cause,
    pub by: Principal,
    /// The trace of what asks: a `traceparent`.
    pub trace: Option<String>,
    pub options: StartOptions,
}

/// What is out of the ordinary about one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StartOptions {
    /// Growth, shrinkage, share of rejects and number of profiles are not judged.
    pub override_guards: bool,
    /// A trial: only so many rows are read and sent.
    pub trial_rows: Option<u64>,
}

/// For which time of its schedule a run starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) due: Micros,
    pub(crate) missed: u64,
}

impl ControlPlane {
    /// Starts a run of an export, or returns the run that the same request has started.
    pub async fn start_export(&self, start: &Start) -> Result<RunView, Error> {
        self.run(self.start_for(start, None).await?).await
    }

    /// Starts a run of each export that runs by a schedule and that `by` may run, whatever the time.
    pub async fn start_all(
        &self,
        request_id: &str,
        by: &Principal,
        trace: Option<&str>,
    ) -> Result<Vec<(ExportId, Result<RunView, Refusal>)>, Error> {
        const SOME: u32 = 1000;
        let mut started = Vec::new();
        let mut after = None;
        loop {
            let some = self.exports(after, None, SOME).await?;
            let Some(last) = some.last() else { return Ok(started) };
            after = Some(last.id);
            for export in some.into_iter().filter(|it| it.timing.next.is_some()) {
                let start = Start {
                    export: export.id,
                    request_id: format!("{request_id}/{}", export.id),
                    cause: Cause::OnDemand,
                    by: by.clone(),
                    trace: trace.map(str::to_owned),
                    options: StartOptions::default(),
                };
                match self.start_export(&start).await {
                    Ok(run) => started.push((export.id, Ok(run))),
                    Err(Error::Refused(refusal)) => started.push((export.id, Err(refusal))),
                    Err(err) => return Err(err),
                }
            }
        }
    }

    /// `turn`: the schedule starts it.
    pub(crate) async fn start_for(
        &self,
        start: &Start,
        turn: Option<Turn>,
    ) -> Result<RunId, Error> {
        let run = self.store.retry("start_export", || self.try_start(start, turn)).await;
        let run = self.with_key(run).await?;
        self.signals.work.notify_one();
        self.signals.events.notify_one();
        Ok(run)
    }

    async fn try_start(&self, start: &Start, turn: Option<Turn>) -> Result<RunId, Error> {
        let Start { export, request_id, cause, by, trace, options } = start;
        let mut tx = self.store.begin().await?;
        let content = content(*export, *options);
        if let Some(made) = requests::find(&mut tx, RequestKind::Run, request_id).await? {
            return run_of(request_id, made, &content);
        }
        let mut export = lock_export(&mut tx, *export).await?;
        if turn.is_some_and(|turn| export.timing.waiting != Some(turn.due)) {
            return Err(Error::NotDue);
        }
        let by = match turn {
            // What runs by itself does so for its owner.
            Some(_) => &acting(&mut tx, &export).await?,
            None => by,
        };
        // Before anything is told of how it stands.
        may_manage(&mut tx, by, &export).await?;
        refuse_disabled(&export)?;
        let run: RunId = Id::from_uuid(Uuid::now_v7());
        if let Some(made) = note_request(&mut tx, request_id, run, &content).await? {
            return run_of(request_id, made, &content);
        }
        refuse_second_run(&mut tx, export.id).await?;
        let account_id = self.usable_account(&mut tx, &export, by).await?;
        if turn.is_some() {
            export.timing = Timing { next: export.timing.next, ..Timing::default() };
            exports::update(&mut tx, &export.to_row()?).await?;
        }
        let patterns = patterns_of(&mut tx, &export).await?;
        let StartOptions { override_guards, trial_rows } = *options;
        let guards = export.fields.guards.of_run(override_guards, trial_rows.is_some());
        let new = NewRun {
            hold: guards.hold(),
            guards,
            guards_overridden: override_guards,
            trial_rows,
            columns: columns::of_run(&mut tx, &export).await?,
            freshness: export.fields.freshness.filter(|_| turn.is_some()),
            ..self.new_run(
                run,
                account_id,
                export.fields.list_id.clone(),
                wanted_plan(&export.fields, &patterns, trial_rows)?,
                Origin {
                    cause: *cause,
                    export: Some(export.id),
                    connection: export.fields.connection,
                    request_id: Some(request_id.clone()),
                    retry_of: None,
                    trace: trace.clone(),
                    started_by: who(by),
                    due: turn.map(|turn| turn.due),
                    missed: turn.map_or(0, |turn| turn.missed),
                },
            )
        };
        self.write_run(&mut tx, &new).await?;
        let detail = started(export.id, *cause, request_id, *options);
        note(&mut tx, by, Action::RunStart, run, &detail).await?;
        kill_points::at("control_plane.start");
        tx.commit().await?;
        kill_points::at("control_plane.start_committed");
        tracing::info!(run.id = %run, export.id = %export.id, cause = %cause, "run started");
        Ok(run)
    }

    /// Starts a run that sends what an ended one left undelivered, as it was staged then.
    pub async fn retry_run(
        &self,
        of: RunId,
        request_id: &str,
        trace: Option<&str>,
        by: &Principal,
    ) -> Result<RunView, Error> {
        let retry = || self.try_retry(of, request_id, trace, by);
        let run = self.with_key(self.store.retry("retry_run", retry).await).await?;
        self.signals.work.notify_one();
        self.signals.events.notify_one();
        self.run(run).await
    }

    async fn try_retry(
        &self,
        of: RunId,
        request_id: &str,
        trace: Option<&str>,
        by: &Principal,
    ) -> Result<RunId, Error> {
        let mut tx = self.store.begin().await?;
        let content = format!("retry {of}");
        if let Some(made) = requests::find(&mut tx, RequestKind::Run, request_id).await? {
            return run_of(request_id, made, &content);
        }
        let ended = retries::ended(&mut tx, of).await?;
        let ended = ended.ok_or_else(|| Refusal::no_such(Thing::Run, of))?;
        let Some(export) = ended.export else {
            let words = format!("{of} is of `segue export`, which keeps nothing to be sent again");
            return Err(Refusal::blocked("NOT_OF_AN_EXPORT", of, words).into());
        };
        let Ok(export) = lock_export(&mut tx, export).await else {
            let words = format!("the export {export} of {of} was deleted");
            return Err(Refusal::blocked("EXPORT_DELETED", export, words).into());
        };
        let connection = ended.connection.or(export.fields.connection);
        may_use_id(&mut tx, by, connection, &ended.list_id).await?;
        let run: RunId = Id::from_uuid(Uuid::now_v7());
        if let Some(made) = note_request(&mut tx, request_id, run, &content).await? {
            return run_of(request_id, made, &content);
        }
        refuse_disabled(&export)?;
        refuse_second_run(&mut tx, export.id).await?;
        // So that nobody decides meanwhile that its batches are not needed any more.
        runs::lock(&mut tx, of).await?;
        let left = self.retryable(&mut tx, of, &ended).await?;
        let mut then = export.clone();
        then.fields.connection = connection;
        then.fields.list_id.clone_from(&ended.list_id);
        let account_id = self.usable_account(&mut tx, &then, by).await?;
        let origin = Origin {
            cause: Cause::Retry,
            export: Some(export.id),
            connection,
            request_id: Some(request_id.to_owned()),
            retry_of: Some(of),
            trace: trace.map(str::to_owned),
            started_by: who(by),
            due: None,
            missed: 0,
        };
        let plan = retry_plan(of, &ended, &left)?;
        let new = NewRun {
            segments: ended.segments,
            ..self.new_run(run, account_id, ended.list_id, plan, origin)
        };
        self.write_run(&mut tx, &new).await?;
        let detail = json!({ "export": export.id, "trigger": Cause::Retry.name(), "retry_of": of, "request_id": request_id });
        note(&mut tx, by, Action::RunStart, run, &detail).await?;
        tx.commit().await?;
        tracing::info!(run.id = %run, retry.of = %of, batches = left.len(), "retry started");
        Ok(run)
    }

    /// What an ended run left that can be sent again, if all of it can.
    async fn retryable(&self, tx: &mut Tx, of: RunId, run: &Ended) -> Result<Vec<Left>, Error> {
        let refuse = |code, words: String| Err(Refusal::blocked(code, of, words).into());
        let Some(ended) = run.ended else {
            return refuse("RUN_UNDER_WAY", format!("{of} has not ended"));
        };
        if let Some(retry) = retries::retried_as(tx, of).await? {
            return refuse("RETRIED", format!("{of} was retried as {retry}: retry that one"));
        }
        if !run.read_done {
            return refuse(
                "NOT_READ",
                format!(
                    "{of} has not read its segment to the end, or a guard stopped it: start a new run of the \
                     export"
                ),
            );
        }
        let left = retries::left(tx, of).await?;
        if left.is_empty() {
            return refuse(
                "NOTHING_TO_RETRY",
                format!(
                    "{of} left no batch that Klaviyo has not accepted; what it may have left out of accepted \
                     ones, nobody can name"
                ),
            );
        }
        let hours = self.settings.retry_window.as_secs() / 3600;
        if ended + self.settings.retry_window < tx.now() {
            return refuse(
                "RETRY_WINDOW_PASSED",
                format!("{of} ended more than {hours} hours ago: start a new run of the export"),
            );
        }
        let lost = left.iter().filter(|batch| !batch.staged).count();
        if lost > 0 {
            return refuse(
                "BATCHES_LOST",
                format!(
                    "{lost} batches of {of} are not staged any more: start a new run of the export"
                ),
            );
        }
        Ok(left)
    }

    /// A run that exists.
    pub async fn run(&self, id: RunId) -> Result<RunView, Error> {
        let found = read::run(&self.store, id).await?;
        found.ok_or_else(|| Refusal::no_such(Thing::Run, id).into())
    }

    /// The account of an export's connection, which `by` may use and whose key can be used; it is locked.
    async fn usable_account(
        &self,
        tx: &mut Tx,
        export: &SavedExport,
        by: &Principal,
    ) -> Result<String, Error> {
        let Some(id) = export.fields.connection else {
            let words = format!("the export {} has no connection: give it one", export.id);
            return Err(Refusal::blocked("NO_CONNECTION", export.id, words).into());
        };
        let Some((connection, key)) = connections::lock(tx, id).await? else {
            let words = format!("the connection {id} was deleted: give the export another");
            return Err(Refusal::blocked("CONNECTION_DELETED", id, words).into());
        };
        may_use(by, &connection, &export.fields.list_id)?;
        match self.key_of(&connection, &key).await {
            Ok(_) => Ok(connection.account_id),
            // So that it is remembered once the transaction is undone.
            Err(err @ Error::Elsewhere { .. }) => Err(err),
            Err(err) => Err(unreadable(id, err)),
        }
    }

    /// Remembers why a key could not be had, and refuses what needs it.
    async fn with_key<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        self.remembering(result).await.map_err(|err| match err {
            Error::Elsewhere { connection, .. } => unreadable(connection, err),
            err => err,
        })
    }

    fn new_run(
        &self,
        run: RunId,
        account_id: String,
        list_id: String,
        plan: String,
        origin: Origin,
    ) -> NewRun {
        NewRun {
            run,
            account_id,
            list_id,
            plan,
            hold: false,
            guards: Guards::default(),
            guards_overridden: false,
            trial_rows: None,
            freshness: None,
            segments: None,
            columns: RunColumns::default(),
            confirm_timeout: self.settings.confirm_timeout,
            deadline: self.settings.deadline,
            splits: self.settings.splits,
            frozen: false,
            origin,
        }
    }
}

/// For whom an export runs by itself.
async fn acting(tx: &mut Tx, export: &SavedExport) -> Result<Principal, Error> {
    let now = tx.now();
    owner(tx, &export.owner, now).await?.map_err(|words| {
        let words = format!(
            "the export {} runs for {}, who cannot run it any more: {words}; an administrator can give it to \
             somebody else",
            export.id, export.owner.subject
        );
        Refusal::blocked(OWNER_LOST, export.id, words).into()
    })
}

fn refuse_disabled(export: &SavedExport) -> Result<(), Refusal> {
    let words = || format!("the export {} is disabled: enable it first", export.id);
    if export.fields.disabled {
        return Err(Refusal::blocked("EXPORT_DISABLED", export.id, words()));
    }
    Ok(())
}

async fn note_request(
    tx: &mut Tx,
    request_id: &str,
    run: RunId,
    content: &str,
) -> Result<Option<Made>, Error> {
    let new = Made { made: run.to_string(), content: content.to_owned() };
    Ok(requests::note(tx, RequestKind::Run, request_id, &new).await?)
}

/// The run that an earlier request has started, if it asked for the same.
fn run_of(request_id: &str, made: Made, content: &str) -> Result<RunId, Error> {
    match made.made.parse() {
        Ok(run) if made.content == content => Ok(run),
        _ => Err(Refusal::RequestUsed {
            request_id: request_id.to_owned(),
            thing: Thing::Run,
            made: made.made,
        }
        .into()),
    }
}

/// What the first reading makes a plan of. The worker knows it as `WantedPlan`.
fn wanted_plan(
    fields: &ExportFields,
    patterns: &[String],
    trial_rows: Option<u64>,
) -> Result<String, Error> {
    let options = fields.mapping.options().map_err(Refusal::Invalid)?;
    let mut plan = json!({
        "kind": "wanted",
        "sources": patterns,
        "options": options,
        "allow_live_flows": fields.guards.allow_live_flows,
    });
    if let Some(rows) = trial_rows {
        plan["limit"] = rows.into();
    }
    text(&plan)
}

/// By what a request is known again. A plain one is remembered as ever.
fn content(export: ExportId, options: StartOptions) -> String {
    let StartOptions { override_guards, trial_rows } = options;
    let trial = trial_rows.map(|rows| format!(", a trial of {rows} rows")).unwrap_or_default();
    let whatever = if override_guards { ", whatever its guards say" } else { "" };
    format!("start {export}{trial}{whatever}")
}

/// As the audit record tells of it.
fn started(export: ExportId, cause: Cause, request_id: &str, options: StartOptions) -> Value {
    let StartOptions { override_guards, trial_rows } = options;
    let mut detail = json!({ "export": export, "trigger": cause.name(), "request_id": request_id });
    if override_guards {
        detail["override_guards"] = true.into();
    }
    if let Some(rows) = trial_rows {
        detail["trial_rows"] = rows.into();
    }
    detail
}

/// The worker knows it as `RetryPlan`.
fn retry_plan(of: RunId, ended: &Ended, left: &[Left]) -> Result<String, Error> {
    // By it reports name the objects that rejected rows came from.
    let mut plan: Value = serde_json::from_str(&ended.plan).unwrap_or_default();
    let manifest = plan.get_mut("manifest").map_or(Value::Null, Value::take);
    let batches: Vec<Value> = left
        .iter()
        .map(|left| {
            json!({
                "batch": left.batch.0,
                "hash": left.hash.to_string(),
                "profiles": left.profiles,
                "bytes": left.bytes,
            })
        })
        .collect();
    text(&json!({ "kind": "retry", "of": of, "batches": batches, "manifest": manifest }))
}
