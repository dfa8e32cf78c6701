//! The confirm job: what became of the batches that Klaviyo accepted. Only then is a profile delivered.

use std::collections::{BTreeSet, HashMap};

use segue_dedupe::fingerprint;
use segue_klaviyo::{CallError, Cursor, ImportError, ImportJob, KlaviyoJobId, Page, Reply};
use segue_model::{
    Endpoint, FailReason, Pii, Position, RejectReason, UndeliveredReason,
    work::{ConfirmWork, Confirmation, Next, Rejects, Verdict, WantedJob},
};
use segue_profile::identity_of;
use segue_staging::{Index, Key, RejectRecord, Writer};

use crate::{
    ControlPlane,
    error::{End, Failure, words},
    lease::Held,
    read::seed_of,
    upload::{account_changed, elsewhere, read_answer, said},
    worker::Shared,
};

/// Pages of Klaviyo's list of jobs that one pass looks at, newest first, 100 jobs to a page.
const PAGES: usize = 5;
/// Older jobs that one pass asks for one by one.
const SINGLES: usize = 20;

/// One pass over the jobs that are wanted.
pub(crate) async fn confirm<C: ControlPlane>(
    shared: &Shared<C>,
    held: &Held,
    work: ConfirmWork,
) -> Result<Verdict, Failure> {
    let mut pass = Pass { shared, held, work: &work, progress: false };
    match pass.run().await {
        Ok(()) => Ok(Verdict::Passed { progress: pass.progress }),
        Err(end) => end.verdict(),
    }
}

struct Pass<'a, C> {
    shared: &'a Shared<C>,
    held: &'a Held,
    work: &'a ConfirmWork,
    progress: bool,
}

impl<C: ControlPlane> Pass<'_, C> {
    async fn run(&mut self) -> Result<(), End> {
        let mut unseen: HashMap<&str, &WantedJob> =
            self.work.wanted.iter().map(|job| (job.klaviyo_job.as_str(), job)).collect();
        let mut cursor: Option<Cursor> = None;
        for _ in 0..PAGES {
            let page = self.page_of_jobs(cursor.as_ref()).await?;
            for job in &page.items {
                if let Some(wanted) = unseen.remove(job.id.as_str()) {
                    self.consider(job, wanted).await?;
                }
            }
            cursor = page.next;
            if unseen.is_empty() || cursor.is_none() {
                break;
            }
        }
        // Absence is not completion: what the list no longer shows is asked for by its id.
        let mut older: Vec<&WantedJob> = unseen.into_values().collect();
        older.sort_by_key(|job| job.accepted);
        for wanted in older.into_iter().take(SINGLES) {
            self.ask_for_one(wanted).await?;
        }
        Ok(())
    }

    async fn page_of_jobs(&self, cursor: Option<&Cursor>) -> Result<Page<ImportJob>, End> {
        let key = &self.work.credentials.key;
        let call = || self.shared.klaviyo.import_jobs_page(key, cursor);
        let result = self.call(Endpoint::ImportJobs, call).await?;
        result.map(|reply| reply.value).map_err(|err| end_of(&err))
    }

    async fn ask_for_one(&mut self, wanted: &WantedJob) -> Result<(), End> {
        let Ok(id) = wanted.klaviyo_job.parse::<KlaviyoJobId>() else { return Ok(()) };
        let key = &self.work.credentials.key;
        let call = || self.shared.klaviyo.import_job(key, &id);
        match self.call(Endpoint::ImportJob, call).await? {
            Ok(reply) => self.consider(&reply.value, wanted).await,
            // Not there yet, or there no more: the run's patience decides.
            Err(CallError::NotFound) => Ok(()),
            Err(err) => Err(end_of(&err)),
        }
    }

    /// Confirms the batch if Klaviyo is done with its job.
    async fn consider(&mut self, job: &ImportJob, wanted: &WantedJob) -> Result<(), End> {
        if !job.status.is_final() {
            return Ok(());
        }
        let failed = job.failed_count.unwrap_or(0);
        let mut errors = Vec::new();
        if failed > 0 {
            errors = self.import_errors(&job.id).await?;
        }
        let cancelled = job.status == segue_klaviyo::JobStatus::Cancelled;
        let confirmed = self.attribute(wanted, &errors, failed, cancelled).await?;
        kill_points::at("worker.rejects_written");
        match self.shared.control_plane.confirm(self.held.claim(), &confirmed).await? {
            Next::GoOn => {}
            Next::Stop => return Err(End::Verdict(Verdict::Passed { progress: true })),
        }
        self.progress = true;
        kill_points::at("worker.confirmed");
        self.drop_staged(wanted).await?;
        kill_points::at("worker.staged_dropped");
        Ok(())
    }

    /// All pages of them: a page that is left out would make rejected people delivered ones.
    async fn import_errors(&self, job: &KlaviyoJobId) -> Result<Vec<ImportError>, End> {
        let key = &self.work.credentials.key;
        let mut all = Vec::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let call = || self.shared.klaviyo.import_errors_page(key, job, cursor.as_ref());
            let result = self.call(Endpoint::ImportErrors, call).await?;
            let page = result.map_err(|err| end_of(&err))?.value;
            all.extend(page.items);
            kill_points::at("worker.errors_page_read");
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Finds the rows that Klaviyo's errors are about.
    async fn attribute(
        &self,
        wanted: &WantedJob,
        errors: &[ImportError],
        failed: u64,
        cancelled: bool,
    ) -> Result<Confirmation, Failure> {
        let mut rejects = Rejects::default();
        let mut records = Writer::new();
        let mut matched = BTreeSet::new();
        if !errors.is_empty() {
            let index = self.index_of(wanted).await?;
            for error in errors {
                let Some((entry, position)) = find(index.as_ref(), wanted, error) else { continue };
                // A profile with two errors is one row that was not delivered.
                if matched.insert(entry) {
                    let record = record(position, error);
                    *rejects.by_reason.entry(record.reason).or_default() += 1;
                    *rejects.by_object.entry(record.object).or_default() += 1;
                    records.push(&record);
                }
            }
        }
        let named = matched.len() as u64;
        let (undelivered, undelivered_reason) = if cancelled {
            (wanted.sent.saturating_sub(named), UndeliveredReason::CancelledByKlaviyo)
        } else {
            let unnamed = failed.saturating_sub(named).min(wanted.sent.saturating_sub(named));
            (unnamed, UndeliveredReason::UnattributedFailure)
        };
        let name = format!("{}-import-{}", wanted.batch, self.held.claim());
        rejects.report = self.shared.rejects(wanted.run, &name, records.finish()).await?;
        Ok(Confirmation {
            run: wanted.run,
            batch: wanted.batch,
            klaviyo_job: wanted.klaviyo_job.clone(),
            rejects,
            undelivered,
            undelivered_reason,
        })
    }

    async fn index_of(&self, wanted: &WantedJob) -> Result<Option<Index>, Failure> {
        let key = Key::Index { run: wanted.run, hash: wanted.hash };
        // Without it Klaviyo's errors can be counted, not attributed; the counts say so.
        Ok(self.shared.get(key).await?.and_then(|index| Index::parse(index).ok()))
    }

    async fn drop_staged(&self, wanted: &WantedJob) -> Result<(), Failure> {
        let (run, hash) = (wanted.run, wanted.hash);
        self.shared.delete(Key::Index { run, hash }).await?;
        self.shared.delete(Key::Body { run, hash }).await?;
        Ok(())
    }

    async fn call<T, Fut>(
        &self,
        endpoint: Endpoint,
        call: impl FnOnce() -> Fut,
    ) -> Result<Result<Reply<T>, CallError>, End>
    where
        Fut: Future<Output = Result<Reply<T>, CallError>>,
    {
        let credentials = &self.work.credentials;
        let made =
            self.shared.call(self.held, credentials, endpoint, |_| call(), read_answer).await?;
        match made {
            Ok(Ok(reply)) => match elsewhere(&reply, credentials) {
                // It knows nothing of the jobs that are wanted, and never will.
                Some(account) => Err(End::Verdict(account_changed(account))),
                None => Ok(Ok(reply)),
            },
            Ok(Err(err)) => Ok(Err(err)),
            Err(no_call) => Err(End::Verdict(no_call.deferred())),
        }
    }
}

/// The entry of the batch that an error is about, by the identity that was sent.
fn find(
    index: Option<&Index>,
    wanted: &WantedJob,
    error: &ImportError,
) -> Option<(usize, Position)> {
    let index = index?;
    let email = error.identifiers.email.as_ref()?;
    let identity = identity_of(email.expose()).ok()?;
    let print = fingerprint(seed_of(wanted.run), identity.as_bytes());
    let entry = index.find(print.0)?;
    Some((entry, index.entry(entry)?.position))
}

fn record(position: Position, error: &ImportError) -> RejectRecord {
    let reason = match error.code.as_str() {
        "duplicate_profile" | "duplicate" => RejectReason::IdentifierConflict,
        _ => RejectReason::ImportFailed,
    };
    let identifier = error.identifiers.email.clone().unwrap_or_else(|| Pii::new(String::new()));
    let detail = said(&error.title, error.detail.expose());
    let Position { object, row } = position;
    RejectRecord { object, row, identifier, field: String::new(), reason, detail }
}

/// What a call that failed means for the pass.
fn end_of(err: &CallError) -> End {
    let fail = |reason| End::Verdict(Verdict::FailRun { reason, detail: words(err) });
    match err {
        CallError::Unauthorized(_) => fail(FailReason::KeyRefused),
        CallError::Forbidden { .. } => fail(FailReason::ScopeMissing),
        CallError::RevisionRetired => fail(FailReason::RevisionRetired),
        _ => {
            tracing::info!(call.outcome = err.code(), "klaviyo could not be asked");
            End::Verdict(Verdict::Retry)
        }
    }
}
