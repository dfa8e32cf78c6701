//! The upload job: one batch is handed over to Klaviyo.

use std::{collections::BTreeMap, time::Instant};

use bytes::Bytes;
use segue_klaviyo::{
    ApiError, CallError, ImportBody, ImportJob, NotSentAt, Refusal, RefusedRows, Reply, import,
};
use segue_model::{
    Endpoint, FailReason, Position, RejectReason,
    work::{Acceptance, Answer, Credentials, PermitReply, Rejects, UploadWork, Verdict},
};
use segue_staging::{Index, IndexEntry, Key, RejectRecord, Writer};

use crate::{
    ControlPlane,
    error::{Failure, words},
    lease::Held,
    metrics,
    read::identity_at,
    split::{self, Half},
    worker::{NoCall, Shared},
};

/// How often rows that Klaviyo names are left out and the rest is sent again. Whether one refusal names
/// every bad row is not published.
const ROUNDS: usize = 8;

/// One batch in hand.
pub(crate) struct Upload<'a, C> {
    pub(crate) shared: &'a Shared<C>,
    pub(crate) held: &'a Held,
    pub(crate) work: &'a UploadWork,
    /// The body as it was staged.
    pub(crate) whole: Bytes,
    /// How many profiles it has.
    pub(crate) profiles: usize,
    /// Where the first of them begins.
    pub(crate) start: usize,
    /// Those that are still to be sent, in order.
    pub(crate) kept: Vec<IndexEntry>,
    pub(crate) refused: Vec<RejectRecord>,
    /// How often rows were left out.
    pub(crate) rounds: usize,
}

/// `None`: the batch was accepted, which ended the claim.
pub(crate) async fn upload<C: ControlPlane>(
    shared: &Shared<C>,
    held: &Held,
    work: UploadWork,
) -> Result<Option<Verdict>, Failure> {
    let (run, hash) = (work.run, work.hash);
    let body = shared.get(Key::Body { run, hash }).await?;
    let index = shared.get(Key::Index { run, hash }).await?;
    let staged =
        body.zip(index).and_then(|(body, index)| profiles_of(&body, index).zip(Some(body)));
    let Some((kept, whole)) = staged else {
        return Ok(Some(gone(shared, held, &work).await?));
    };
    let start = kept.first().map_or(0, |entry| entry.offset as usize);
    let (profiles, refused) = (kept.len(), Vec::new());
    let upload =
        Upload { shared, held, work: &work, whole, profiles, start, kept, refused, rounds: 0 };
    upload.run().await
}

/// The batch is not in staging. An earlier claim may have had its acceptance after all, and taken the
/// body away: then nobody may send it any more.
async fn gone<C: ControlPlane>(
    shared: &Shared<C>,
    held: &Held,
    work: &UploadWork,
) -> Result<Verdict, Failure> {
    let account = work.credentials.account_id.as_str();
    let permit = match shared.control_plane.permit(held.claim(), account, Endpoint::Import).await? {
        PermitReply::Granted(permit) => permit,
        PermitReply::Later(after) => return Ok(NoCall::Later(after).deferred()),
        PermitReply::Stop => return Ok(NoCall::Stop.deferred()),
    };
    shared.control_plane.answer(permit, &Answer::NotSent).await?;
    let detail = format!("batch {} is gone from staging, or damaged", work.batch);
    Ok(Verdict::FailRun { reason: FailReason::StagingFailed, detail })
}

/// The entries of an index, if it is the one of this body.
fn profiles_of(body: &Bytes, index: Bytes) -> Option<Vec<IndexEntry>> {
    let entries: Vec<IndexEntry> = Index::parse(index).ok()?.iter().collect();
    let last = entries.last()?;
    let end = last.offset as usize + last.len as usize;
    (end + import::END_BYTES == body.len()).then_some(entries)
}

/// What to do after a request that was not accepted.
enum After {
    /// Send what is left.
    Again,
    End(Verdict),
}

impl<C: ControlPlane> Upload<'_, C> {
    async fn run(mut self) -> Result<Option<Verdict>, Failure> {
        let begun = Instant::now();
        loop {
            if self.kept.is_empty() {
                return Ok(Some(Verdict::AllRefused(self.rejects().await?)));
            }
            let body = self.body();
            let bytes = body.len() as u64;
            let refusal = match self.send(body).await? {
                Ok(Ok(reply)) => {
                    return match elsewhere(&reply, &self.work.credentials) {
                        Some(account) => Ok(Some(taken_elsewhere(&reply, account))),
                        None => self.accepted(bytes, begun).await,
                    };
                }
                Ok(Err(err)) => err,
                Err(no_call) => return Ok(Some(no_call.deferred())),
            };
            match self.consider(refusal).await? {
                After::Again => {}
                After::End(verdict) => return Ok(Some(verdict)),
            }
        }
    }

    /// The body of what is still to be sent: the batch as it was staged, or what is left of it.
    fn body(&self) -> Bytes {
        if self.kept.len() == self.profiles {
            return self.whole.clone();
        }
        self.body_of(&self.kept)
    }

    pub(crate) fn body_of(&self, entries: &[IndexEntry]) -> Bytes {
        let mut body = self.whole[..self.start].to_vec();
        for (nth, entry) in entries.iter().enumerate() {
            if nth > 0 {
                body.push(import::SEPARATOR);
            }
            body.extend_from_slice(self.profile(entry));
        }
        import::end(&mut body);
        Bytes::from(body)
    }

    /// The entries lie within the body: `profiles_of` has looked.
    fn profile(&self, entry: &IndexEntry) -> &[u8] {
        entry.profile(&self.whole).unwrap_or_default()
    }

    async fn send(
        &mut self,
        body: Bytes,
    ) -> Result<Result<Result<Reply<ImportJob>, CallError>, NoCall>, Failure> {
        let refused = self.rejects().await?;
        let acceptance = |reply: &Reply<ImportJob>| Acceptance {
            klaviyo_job: reply.value.id.as_str().to_owned(),
            sent: self.kept.len() as u64,
            bytes: body.len() as u64,
            refused: refused.clone(),
        };
        let Self { shared, held, work, .. } = self;
        let credentials = &work.credentials;
        let call = |asked| {
            let body = ImportBody::from(body.clone());
            shared.klaviyo.import(&credentials.key, body, held.guard(asked))
        };
        let answer = |result: &Result<_, CallError>| match result {
            // For the account of the run it was not sent.
            Ok(reply) if elsewhere(reply, credentials).is_some() => Answer::Fine,
            Ok(reply) => Answer::Accepted(acceptance(reply)),
            Err(err) => answer_of(err),
        };
        Ok(shared.call(held, credentials, Endpoint::Import, call, answer).await?)
    }

    async fn accepted(self, bytes: u64, begun: Instant) -> Result<Option<Verdict>, Failure> {
        let Self { shared, work, .. } = self;
        metrics::uploaded(begun.elapsed(), bytes, self.kept.len() as u64);
        tracing::debug!(batch = work.batch.0, sent = self.kept.len(), "batch accepted");
        kill_points::at("worker.accepted");
        shared.delete(Key::Body { run: work.run, hash: work.hash }).await?;
        kill_points::at("worker.body_deleted");
        Ok(None)
    }

    /// Decides over an answer that is no acceptance.
    async fn consider(&mut self, err: CallError) -> Result<After, Failure> {
        let code = err.code();
        tracing::info!(batch = self.work.batch.0, call.outcome = code, "batch not accepted");
        Ok(match err {
            // The lane is closed now: the next permit waits, or sends the claim back.
            CallError::Throttled { .. } => After::Again,
            CallError::NotSent { .. }
            | CallError::Ambiguous(_)
            | CallError::Challenged
            | CallError::Unavailable { .. }
            | CallError::Stopped(_)
            | CallError::Protocol(_) => After::End(Verdict::Retry),
            CallError::Refused(refusal) => self.refused(&refusal).await?,
            CallError::TooLarge => self.split("the batch is too large for Klaviyo").await?,
            CallError::NotFound => self.ask_for_list("Klaviyo answered 404").await?,
            CallError::Unauthorized(_) | CallError::Forbidden { .. } => {
                self.ask_for_account(&err).await?
            }
            CallError::RevisionRetired => fail(FailReason::RevisionRetired, words(&err)),
            CallError::Redirected { .. } | CallError::Invalid(_) => {
                fail(FailReason::RequestRefused, words(&err))
            }
        })
    }

    async fn refused(&mut self, refusal: &Refusal) -> Result<After, Failure> {
        let named = refusal.refused_rows();
        let inside = named.rows.keys().all(|row| *row < self.kept.len());
        if !named.rows.is_empty() && inside {
            self.leave_out(&named);
            self.rounds += 1;
            if self.rounds <= ROUNDS || self.kept.is_empty() {
                return Ok(After::Again);
            }
            return self.split("Klaviyo kept naming more rows").await;
        }
        if named.at_profiles() || !inside {
            let detail = refusal.errors.first().map_or("", |error| error.title.as_str());
            return self.split(detail).await;
        }
        self.ask_for_list(&in_klaviyos_words(refusal)).await
    }

    /// Turns the rows that Klaviyo named into rejects.
    fn leave_out(&mut self, named: &RefusedRows<'_>) {
        for (row, errors) in &named.rows {
            let record = self.record(&self.kept[*row], errors.first().copied());
            self.refused.push(record);
        }
        let mut row = 0;
        self.kept.retain(|_| {
            row += 1;
            !named.rows.contains_key(&(row - 1))
        });
    }

    fn record(&self, entry: &IndexEntry, error: Option<&ApiError>) -> RejectRecord {
        let (reason, field, detail) = match error {
            None => (RejectReason::RefusedByKlaviyo, String::new(), String::new()),
            Some(error) => {
                let field = field_of(error.pointer.as_deref().unwrap_or_default());
                (reason_of(&error.code), field, said(&error.title, error.detail.expose()))
            }
        };
        let Position { object, row } = entry.position;
        RejectRecord {
            object,
            row,
            identifier: identity_at(self.profile(entry)),
            field,
            reason,
            detail,
        }
    }

    /// The rejects so far, with their report in staging.
    async fn rejects(&self) -> Result<Rejects, Failure> {
        let (mut by_reason, mut by_object) = (BTreeMap::new(), BTreeMap::new());
        let mut records = Writer::new();
        for record in &self.refused {
            *by_reason.entry(record.reason).or_default() += 1;
            *by_object.entry(record.object).or_default() += 1;
            records.push(record);
        }
        let (batch, claim) = (self.work.batch, self.held.claim());
        let name = format!("{batch}-refused-{claim}-{}", records.records());
        let report = self.shared.rejects(self.work.run, &name, records.finish()).await?;
        Ok(Rejects { by_reason, report, by_object })
    }

    async fn split(&mut self, why: &str) -> Result<After, Failure> {
        if let [only] = &self.kept[..] {
            let mut record = self.record(only, None);
            why.clone_into(&mut record.detail);
            self.refused.push(record);
            self.kept.clear();
            return Ok(After::Again);
        }
        if self.work.splits_left == 0 {
            let detail = format!("too many batches had to be split: {why}");
            return Ok(fail(FailReason::RequestRefused, detail));
        }
        let (left, right) = self.kept.split_at(self.kept.len() / 2);
        let halves = [Half::cut(self, left), Half::cut(self, right)];
        let children = split::stage(self.shared, self.work.run, halves).await?;
        let refused = self.rejects().await?;
        kill_points::at("worker.split_staged");
        Ok(After::End(Verdict::Split { children, refused }))
    }

    /// A refusal that no row explains: most often the list is gone.
    async fn ask_for_list(&mut self, refusal: &str) -> Result<After, Failure> {
        let Self { shared, held, work, .. } = self;
        let Ok(list) = work.list_id.parse() else {
            return Ok(fail(FailReason::ListNotFound, format!("{:?}", work.list_id)));
        };
        let key = &work.credentials.key;
        let call = |_| shared.klaviyo.list(key, &list);
        let asked = shared.call(held, &work.credentials, Endpoint::List, call, read_answer).await?;
        Ok(match asked {
            Ok(Ok(_)) => fail(FailReason::RequestRefused, refusal.to_owned()),
            // A list is also gone when the key leads to another account by now.
            Ok(Err(CallError::NotFound)) => self.ask_for_account(&CallError::NotFound).await?,
            Ok(Err(_)) | Err(NoCall::Stop) => After::End(Verdict::Retry),
            Err(NoCall::Later(after)) => After::End(Verdict::Deferred { after }),
        })
    }

    /// 401, 403, or a list that is not there: is it the key, a scope, the list, or a moment's trouble?
    async fn ask_for_account(&mut self, refusal: &CallError) -> Result<After, Failure> {
        let Self { shared, held, work, .. } = self;
        let credentials = &work.credentials;
        let call = |_| shared.klaviyo.account(&credentials.key);
        let asked = shared.call(held, credentials, Endpoint::Accounts, call, read_answer).await?;
        Ok(match asked {
            Ok(Ok(reply)) if reply.value.id != credentials.account_id => {
                After::End(account_changed(&reply.value.id))
            }
            Ok(Ok(_)) if matches!(refusal, CallError::Forbidden { .. }) => {
                fail(FailReason::ScopeMissing, "Klaviyo forbids importing profiles".to_owned())
            }
            Ok(Ok(_)) if matches!(refusal, CallError::NotFound) => {
                fail(FailReason::ListNotFound, format!("list {}", work.list_id))
            }
            Ok(Err(CallError::Unauthorized(problem))) => {
                fail(FailReason::KeyRefused, problem.to_string())
            }
            Ok(Err(CallError::Forbidden { .. })) => {
                fail(FailReason::ScopeMissing, "Klaviyo forbids asking for the account".to_owned())
            }
            Ok(Ok(_) | Err(_)) | Err(NoCall::Stop) => After::End(Verdict::Retry),
            Err(NoCall::Later(after)) => After::End(Verdict::Deferred { after }),
        })
    }
}

/// The account that answered, if it is not the one that is meant: the key leads there by now.
pub(crate) fn elsewhere<'r, T>(reply: &'r Reply<T>, meant: &Credentials) -> Option<&'r str> {
    reply.meta.account_id.as_deref().filter(|id| *id != meant.account_id)
}

pub(crate) fn account_changed(account: &str) -> Verdict {
    let detail = format!("the key is of account {account} now");
    Verdict::FailRun { reason: FailReason::AccountChanged, detail }
}

fn taken_elsewhere(reply: &Reply<ImportJob>, account: &str) -> Verdict {
    let job = reply.value.id.as_str();
    let detail = format!("Klaviyo took a batch for account {account}, as import job {job}");
    Verdict::FailRun { reason: FailReason::AccountChanged, detail }
}

fn fail(reason: FailReason, detail: String) -> After {
    After::End(Verdict::FailRun { reason, detail })
}

/// What a failed call says about the pace and about what may have been applied.
pub(crate) fn answer_of(err: &CallError) -> Answer {
    match err {
        CallError::Throttled { retry_after } => Answer::Throttled { retry_after: *retry_after },
        CallError::NotSent { at: NotSentAt::Connect, .. } | CallError::Invalid(_) => {
            Answer::NotSent
        }
        _ if err.may_have_been_applied() => Answer::Ambiguous,
        CallError::Unavailable { status, .. } => Answer::NotApplied { status: *status },
        // It has reached Klaviyo, which may count it, but it was not whole.
        CallError::NotSent { at: NotSentAt::Body, .. } => Answer::NotApplied { status: 599 },
        CallError::Challenged => Answer::NotApplied { status: 503 },
        _ => Answer::NotApplied { status: 400 },
    }
}

/// The same for a call that changes nothing.
pub(crate) fn read_answer<T>(result: &Result<T, CallError>) -> Answer {
    match result {
        Ok(_) => Answer::Fine,
        Err(err) => match answer_of(err) {
            Answer::Ambiguous => Answer::NotApplied { status: 599 },
            answer => answer,
        },
    }
}

pub(crate) fn reason_of(code: &str) -> RejectReason {
    match code {
        "duplicate_profile" | "duplicate" => RejectReason::IdentifierConflict,
        _ => RejectReason::RefusedByKlaviyo,
    }
}

/// Klaviyo's title and detail, without saying the same twice.
pub(crate) fn said(title: &str, detail: &str) -> String {
    match (title.is_empty(), detail.is_empty()) {
        (true, _) => detail.to_owned(),
        (_, true) => title.to_owned(),
        _ => format!("{title} {detail}"),
    }
}

/// `/data/attributes/profiles/data/3/attributes/location/city` is about `location.city`.
fn field_of(pointer: &str) -> String {
    let below = pointer.rsplit_once("/attributes/").map_or("", |(_, field)| field);
    if below.starts_with("profiles") { String::new() } else { below.replace('/', ".") }
}

fn in_klaviyos_words(refusal: &Refusal) -> String {
    let codes: Vec<String> = refusal
        .errors
        .iter()
        .take(3)
        .map(|error| {
            let at = error.pointer.as_deref().unwrap_or("no pointer");
            format!("{} ({}) at {at}", error.title, error.code)
        })
        .collect();
    format!("status {}: {}", refusal.status, codes.join("; "))
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use segue_model::{
        BatchNo, ContentHash, FailReason, Id,
        work::{Answer, Credentials, PermitReply, UploadWork, Verdict},
    };
    use uuid::Uuid;

    use super::{field_of, upload};
    use crate::testing::{Scripted, granted, held, shared};

    /// What becomes of a batch whose body is not in staging, and what the control-plane was told.
    async fn batch_without_a_body(permit: PermitReply) -> (Verdict, Vec<Answer>) {
        let port = Scripted { permits: Mutex::new([permit].into()), ..Scripted::default() };
        let (_folder, shared) = shared(port);
        let work = UploadWork {
            run: Id::from_uuid(Uuid::from_u128(3)),
            batch: BatchNo(0),
            hash: ContentHash(4),
            profiles: 1,
            credentials: Credentials { account_id: "A".to_owned(), key: String::new().into() },
            list_id: "LIST01".to_owned(),
            splits_left: 0,
        };
        let Ok(Some(verdict)) = upload(&shared, &held(), work).await else { panic!("no verdict") };
        let answers = shared.control_plane.answers.into_inner().unwrap();
        (verdict, answers)
    }

    #[tokio::test]
    async fn body_that_an_earlier_claim_took_away_with_its_acceptance_is_nobodys_loss() {
        let (verdict, told) = batch_without_a_body(PermitReply::Stop).await;
        assert!(matches!(verdict, Verdict::Deferred { .. }), "{verdict:?}");
        assert_eq!(told, []);
        let wait = Duration::from_secs(3);
        let (verdict, _) = batch_without_a_body(PermitReply::Later(wait)).await;
        assert_eq!(verdict, Verdict::Deferred { after: wait });
    }

    #[tokio::test]
    async fn body_that_is_missed_fails_the_run_and_gives_the_place_back() {
        let (verdict, told) = batch_without_a_body(granted()).await;
        let reason = FailReason::StagingFailed;
        assert!(matches!(verdict, Verdict::FailRun { reason: why, .. } if why == reason));
        assert_eq!(told, [Answer::NotSent]);
    }

    #[test]
    fn pointers_become_the_names_that_users_know() {
        assert_eq!(field_of("/data/attributes/profiles/data/3/attributes/email"), "email");
        let city = "/data/attributes/profiles/data/3/attributes/location/city";
        assert_eq!(field_of(city), "location.city");
        assert_eq!(field_of("/data/attributes/profiles/data/3"), "");
    }
}
