//! Exports that run by themselves.
//!
//! Each export keeps when it is due next (`Timing::next`). What is due waits (`Timing::waiting`) until it can be
//! started, and whatever comes due meanwhile waits with it, as one run. An export is started in the transaction
//! that ends its waiting, so two instances start it once.

use segue_access::{Part, Principal};
use segue_model::{Cause, ExportId, Micros};
use segue_schedule::{ExportSchedule, Schedule};
use segue_store::{
    StoreError, Tx, read_admin,
    write::{
        exports::{self, Problem, Timing},
        settings,
    },
};

use serde_json::json;
use uuid::Uuid;

use crate::{
    ControlPlane, Error, Refusal, SavedExport, Start, StartOptions, Thing,
    audit::{Action, changes, note},
    exports::{RUN_UNDER_WAY, Told, text},
    leader::words,
    refusal::Obstacle,
    rights::may_manage,
    starts::{OWNER_LOST, Turn},
};

/// How many are looked at before the next look at what is due.
const MOST: u32 = 1000;

impl ControlPlane {
    /// What exports follow unless they say otherwise. `None`: nothing.
    pub async fn system_schedule(&self) -> Result<Option<Schedule>, Error> {
        let value = read_admin::setting(&self.store, settings::SCHEDULE).await?;
        parse(&value.unwrap_or_else(|| "null".to_owned()))
    }

    pub async fn set_system_schedule(
        &self,
        schedule: Option<&Schedule>,
        by: &Principal,
    ) -> Result<(), Error> {
        self.store
            .retry("set_system_schedule", || async {
                let mut tx = self.store.begin().await?;
                let before = lock_system(&mut tx).await?;
                if before.as_ref() != schedule {
                    settings::set(&mut tx, settings::SCHEDULE, &text(&schedule)?).await?;
                    for id in exports::all(&mut tx).await? {
                        // Deleted meanwhile.
                        let Some(row) = exports::lock(&mut tx, id).await? else { continue };
                        let mut export = SavedExport::from_row(row)?;
                        if export.fields.schedule == ExportSchedule::System {
                            export.plan_ahead(schedule, tx.now());
                            exports::update(&mut tx, &export.to_row()?).await?;
                        }
                    }
                    let detail = json!({ "before": before, "after": schedule });
                    note(&mut tx, by, Action::ScheduleSet, "", &detail).await?;
                }
                tx.commit().await?;
                tracing::info!(schedule = described(schedule), "system schedule set");
                Ok(())
            })
            .await
    }

    /// Gives exports one schedule, and returns those that changed. `ids`: empty for all. `keep_own`: those that
    /// have one of their own keep it.
    pub async fn schedule_exports(
        &self,
        ids: &[ExportId],
        schedule: &ExportSchedule,
        keep_own: bool,
        by: &Principal,
    ) -> Result<Vec<ExportId>, Error> {
        self.store
            .retry("schedule_exports", || async {
                let mut tx = self.store.begin().await?;
                let system = lock_system(&mut tx).await?;
                let mut wanted =
                    if ids.is_empty() { exports::all(&mut tx).await? } else { ids.to_vec() };
                // In one order, or two that do the same would wait for each other.
                wanted.sort_unstable();
                wanted.dedup();
                let mut changed = Vec::new();
                let mut told = Vec::new();
                for id in wanted {
                    let mut export = match exports::lock(&mut tx, id).await? {
                        Some(row) => SavedExport::from_row(row)?,
                        // Deleted meanwhile.
                        None if ids.is_empty() => continue,
                        None => return Err(Refusal::no_such(Thing::Export, id).into()),
                    };
                    let own = matches!(export.fields.schedule, ExportSchedule::Own(_));
                    if export.fields.schedule == *schedule || own && keep_own {
                        continue;
                    }
                    if let Err(denied) = may_manage(&mut tx, by, &export).await {
                        // Of all there are, those that they may change.
                        if ids.is_empty() && matches!(denied, Error::Refused(Refusal::Denied(_))) {
                            continue;
                        }
                        return Err(denied);
                    }
                    let before = export.clone();
                    export.fields.schedule = schedule.clone();
                    export.updated = tx.now();
                    export.plan_ahead(system.as_ref(), tx.now());
                    exports::update(&mut tx, &export.to_row()?).await?;
                    told.push((id, changes(&Told::of(&before), &Told::of(&export))?));
                    changed.push(id);
                }
                for (id, detail) in told {
                    note(&mut tx, by, Action::ExportUpdate, id, &detail).await?;
                }
                tx.commit().await?;
                tracing::info!(exports = changed.len(), "exports scheduled");
                Ok(changed)
            })
            .await
    }

    /// The store's clock.
    pub async fn now(&self) -> Result<Micros, Error> {
        Ok(self.store.begin().await?.now())
    }

    /// Starts what is due.
    pub(crate) async fn sweep_schedules(&self) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let now = tx.now();
        let due = exports::due(&mut tx, now, MOST).await?;
        tx.commit().await?;
        for export in due {
            match self.start_due(export).await {
                // One export that cannot be read does not keep the others from running.
                Err(err) if !is_of_store(&err) => {
                    tracing::error!(export.id = %export, "not started: {}", words(&err));
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn start_due(&self, export: ExportId) -> Result<(), Error> {
        match self.store.retry("fall_due", || self.fall_due(export)).await? {
            Some(turn) => self.start_turn(export, turn).await,
            None => Ok(()),
        }
    }

    /// Notes what has come due, and returns what waits to be started.
    pub(crate) async fn fall_due(&self, id: ExportId) -> Result<Option<Turn>, Error> {
        let mut tx = self.store.begin().await?;
        let system = lock_system(&mut tx).await?;
        // Deleted meanwhile.
        let Some(row) = exports::lock(&mut tx, id).await? else { return Ok(None) };
        let mut export = SavedExport::from_row(row)?;
        let now = tx.now();
        let schedule = export.by_itself(system.as_ref());
        if let Some(next) = export.timing.next.filter(|next| *next <= now) {
            let due = schedule.as_ref().and_then(|it| it.due(Micros(next.0 - 1), now));
            if let Some(due) = due {
                let before = u64::from(export.timing.waiting.is_some());
                export.timing.missed += before + due.skipped;
                export.timing.waiting = Some(due.at);
            }
            export.timing.next = schedule.as_ref().and_then(|it| it.next_after(now));
            exports::update(&mut tx, &export.to_row()?).await?;
        }
        tx.commit().await?;
        let Timing { waiting, missed, .. } = export.timing;
        Ok(waiting.map(|due| Turn { due, missed }))
    }

    pub(crate) async fn start_turn(&self, export: ExportId, turn: Turn) -> Result<(), Error> {
        let start = Start {
            export,
            // Nobody can have used it before. That the run starts once is decided by what waits.
            request_id: format!("schedule {}", Uuid::now_v7()),
            cause: Cause::Schedule,
            by: Principal::segue(Part::Schedule),
            trace: None,
            options: StartOptions::default(),
        };
        match self.start_for(&start, Some(turn)).await {
            Ok(_) | Err(Error::NotDue) => Ok(()),
            Err(Error::Refused(refusal)) => self.note_refusal(export, turn, &refusal).await,
            Err(err) => Err(err),
        }
    }

    /// A run that is under way is waited for; anything else waits for somebody, so it is told, and the next
    /// time of the schedule tries again.
    pub(crate) async fn note_refusal(
        &self,
        id: ExportId,
        turn: Turn,
        refusal: &Refusal,
    ) -> Result<(), Error> {
        let reason = match refusal {
            Refusal::Blocked(obstacles) => {
                obstacles.first().map_or("BLOCKED", |Obstacle { code, .. }| code)
            }
            Refusal::Invalid(_) => "INVALID",
            // Deleted meanwhile.
            Refusal::NoSuch { .. } => return Ok(()),
            Refusal::RequestUsed { .. } => "REQUEST_ID_USED",
            Refusal::Denied(_) => OWNER_LOST,
            Refusal::Unreachable { .. } => "UNREACHABLE",
        };
        if reason == RUN_UNDER_WAY {
            return Ok(());
        }
        let detail = refusal.to_string();
        self.store
            .retry("note_refusal", || async {
                let mut tx = self.store.begin().await?;
                let Some(row) = exports::lock(&mut tx, id).await? else { return Ok(()) };
                let mut export = SavedExport::from_row(row)?;
                // A later time has come, which may be luckier.
                if export.timing.waiting != Some(turn.due) {
                    return Ok(());
                }
                let problem =
                    Problem { due: turn.due, reason: reason.to_owned(), detail: detail.clone() };
                let next = export.timing.next;
                export.timing = Timing { next, problem: Some(problem), ..Timing::default() };
                exports::update(&mut tx, &export.to_row()?).await?;
                Ok::<_, Error>(tx.commit().await?)
            })
            .await?;
        tracing::warn!(export.id = %id, due = %turn.due, reason, "not started: {detail}");
        Ok(())
    }
}

impl SavedExport {
    /// By which schedule it runs. `None`: only when it is asked to, or not at all.
    pub(crate) fn by_itself(&self, system: Option<&Schedule>) -> Option<Schedule> {
        let runs = !self.fields.disabled && self.fields.connection.is_some();
        self.fields.schedule.effective(system).filter(|_| runs).cloned()
    }

    /// When it is due from `now` on. What waits goes on waiting, unless nothing is scheduled any more.
    pub(crate) fn plan_ahead(&mut self, system: Option<&Schedule>, now: Micros) {
        let schedule = self.by_itself(system);
        self.timing.next = schedule.as_ref().and_then(|it| it.next_after(now));
        if schedule.is_none() {
            self.timing = Timing::default();
        }
    }
}

/// The system's schedule, which does not change until the transaction ends. It is locked before any export.
pub(crate) async fn lock_system(tx: &mut Tx) -> Result<Option<Schedule>, Error> {
    parse(&settings::lock(tx, settings::SCHEDULE).await?)
}

fn parse(value: &str) -> Result<Option<Schedule>, Error> {
    let damaged =
        |err| StoreError::Inconsistent { what: format!("the schedule of the system: {err}") };
    Ok(serde_json::from_str(value).map_err(damaged)?)
}

/// Whether the next export would fare no better: the store did not do what it was asked.
fn is_of_store(err: &Error) -> bool {
    matches!(err, Error::Store(err) if !matches!(err, StoreError::Inconsistent { .. }))
}

fn described(schedule: Option<&Schedule>) -> String {
    schedule.map_or_else(|| "off".to_owned(), ToString::to_string)
}
