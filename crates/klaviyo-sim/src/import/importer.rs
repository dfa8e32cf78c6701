//! Carries accepted jobs out, one after the other, as fast as the account imports.

use std::{num::NonZeroU32, ops::Range, sync::Arc, time::Duration};

use rand::Rng;
use serde_json::{Value, value::RawValue};
use tokio::{sync::mpsc, time};
use tokio_util::sync::CancellationToken;

use super::{
    body::{ImportBody, Row},
    jobs::{Fate, ImportError, Sequence},
};
use crate::{
    account::{Account, State},
    clock::Millis,
    profiles::{
        Identity, Number,
        merge::{Nulls, Upsert, Upserted, object},
    },
    shared::Shared,
    unknowns::{ImportErrorText, OriginalPayload, ProfileSize},
};

/// Profiles that are imported while the account is locked.
const STRETCH: usize = 1_000;

/// An accepted job and what it brings.
pub(crate) struct Work {
    pub(crate) job: Sequence,
    pub(crate) body: ImportBody,
    /// Profiles that fail by chance; `None` when none do.
    pub(crate) failing: Option<Vec<bool>>,
}

/// Carries out the jobs of one account until `stop`.
pub(crate) async fn run(
    shared: Arc<Shared>,
    account: Arc<Account>,
    mut works: mpsc::UnboundedReceiver<Work>,
    stop: CancellationToken,
) {
    while let Some(Some(work)) = stop.run_until_cancelled(works.recv()).await {
        let carried_out = carry_out(&shared, &account, work);
        if stop.run_until_cancelled(carried_out).await.is_none() {
            return;
        }
    }
}

/// The whole job before anybody can ask for it.
pub(crate) fn carry_out_now(shared: &Shared, account: &Account, work: &Work) {
    let now = shared.clock.now();
    let fate = {
        let mut state = account.state(&shared.clock);
        state.jobs.get_mut(work.job).start(now);
        state.jobs.get(work.job).fate
    };
    if fate == Fate::Complete {
        import_rows(shared, account, work, 0..work.body.rows.len());
    }
    if fate != Fate::Stuck {
        account.state(&shared.clock).jobs.get_mut(work.job).process(shared.clock.now());
    }
}

async fn carry_out(shared: &Arc<Shared>, account: &Arc<Account>, work: Work) {
    let job = work.job;
    let fate = {
        let mut state = account.state(&shared.clock);
        state.jobs.get_mut(job).start(shared.clock.now());
        state.jobs.get(job).fate
    };
    shared.notify();
    match fate {
        Fate::Stuck => return,
        Fate::Cancelled => {}
        Fate::Complete => import(shared, account, work).await,
    }
    account.state(&shared.clock).jobs.get_mut(job).process(shared.clock.now());
    shared.notify();
}

/// Outside of the async threads: a job is ten thousand profiles.
async fn import(shared: &Arc<Shared>, account: &Arc<Account>, work: Work) {
    let total = work.body.rows.len();
    let work = Arc::new(work);
    // A tenth of a second at a time, so that the counts of a slow job can be watched growing.
    let pace = shared.config.process_rate.map(|rate| (rate, (rate.get() as usize / 10).max(1)));
    let step = pace.map_or(total, |(_, step)| step).max(1);
    let mut due = time::Instant::now();
    for start in (0..total).step_by(step) {
        let rows = start..(start + step).min(total);
        if let Some((rate, _)) = pace {
            due += time_for(rows.len(), rate);
            time::sleep_until(due).await;
        }
        let (shared, account, work) = (Arc::clone(shared), Arc::clone(account), Arc::clone(&work));
        let imported =
            tokio::task::spawn_blocking(move || import_rows(&shared, &account, &work, rows)).await;
        if imported.is_err() {
            tracing::error!(sim.job = start, "import of a job panicked");
        }
    }
}

fn time_for(profiles: usize, rate: NonZeroU32) -> Duration {
    Duration::from_secs(1) * u32::try_from(profiles).unwrap_or(u32::MAX) / rate.get()
}

/// Imports these rows, letting others at the account in between.
fn import_rows(shared: &Shared, account: &Account, work: &Work, rows: Range<usize>) {
    let Range { start, end } = rows;
    for start in (start..end).step_by(STRETCH) {
        let mut state = account.state(&shared.clock);
        let mut done = Vec::with_capacity(STRETCH);
        let mut failed = Vec::new();
        let now = shared.clock.now();
        for index in start..(start + STRETCH).min(end) {
            let row = &work.body.rows[index];
            let unlucky = work.failing.as_ref().is_some_and(|failing| failing[index]);
            let failing = unlucky || row_is_marked(shared, &work.body, row);
            match import_row(shared, account, &mut state, &work.body, row, failing, now) {
                Ok(number) => done.push(number),
                Err(text) => {
                    failed.push(import_error(shared, &mut state, &work.body, row, text));
                }
            }
        }
        let job = state.jobs.get_mut(work.job);
        job.completed += done.len();
        job.profiles.append(&mut done);
        job.errors.append(&mut failed);
    }
}

/// By the rule that makes profiles fail.
fn row_is_marked(shared: &Shared, body: &ImportBody, row: &Row) -> bool {
    let prefix = shared.config.import_fail_prefix.as_str();
    !prefix.is_empty() && body.text(&row.email).is_some_and(|email| email.starts_with(prefix))
}

fn import_row(
    shared: &Shared,
    account: &Account,
    state: &mut State,
    body: &ImportBody,
    row: &Row,
    failing: bool,
    now: Millis,
) -> Result<Number, ImportErrorText> {
    let unknowns = &shared.config.unknowns;
    let texts = &unknowns.import_errors;
    let counted = match unknowns.profile_size {
        ProfileSize::Resource => row.resource,
        ProfileSize::Attributes => row.attributes,
    };
    if counted.len() > unknowns.megabyte.profile_limit() {
        return Err(texts.too_large.clone());
    }
    let identity = Identity {
        id: body.text(&row.id),
        email: body.text(&row.email),
        phone_number: body.text(&row.phone_number),
        external_id: body.text(&row.external_id),
    };
    if identity.is_empty() || (identity.is_only_phone() && !account.sms) {
        return Err(texts.missing_identifier.clone());
    }
    if failing {
        let injected = shared.faults().get().import_error.clone();
        return Err(injected.map_or_else(|| texts.invalid.clone(), Into::into));
    }
    let upsert = Upsert {
        identity,
        // Not even looked at when it is to be forgotten.
        attributes: if state.profiles.keeps_attributes() { body.raw(row.attributes) } else { "" },
        meta: row.meta.map(|meta| body.raw(meta)),
        nulls: Nulls::Ignored,
    };
    match state.profiles.upsert(&upsert, now) {
        Upserted::Created(number) | Upserted::Updated(number) => Ok(number),
        Upserted::Conflict(_) => Err(texts.duplicate.clone()),
    }
}

fn import_error(
    shared: &Shared,
    state: &mut State,
    body: &ImportBody,
    row: &Row,
    text: ImportErrorText,
) -> ImportError {
    let attributes = body.raw(row.attributes);
    let payload = match body.text(&row.id) {
        _ if shared.config.unknowns.original_payload == OriginalPayload::Null => None,
        None => RawValue::from_string(attributes.to_owned()).ok(),
        Some(id) => {
            let mut flat = object(attributes);
            flat.insert("id".to_owned(), Value::from(id));
            serde_json::value::to_raw_value(&flat).ok()
        }
    };
    let id = uuid::Builder::from_random_bytes(state.rng.random()).into_uuid().to_string();
    ImportError { id, text, original_payload: payload }
}
