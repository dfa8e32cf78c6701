//! Where a run would send people: asked for once, before anything is staged.

use segue_klaviyo::{CallError, Cursor, Flow, ListId, Reply};
use segue_model::{
    Endpoint, FailReason,
    work::{Credentials, Verdict},
};

use crate::{
    ControlPlane,
    error::{End, words},
    lease::Held,
    upload::{account_changed, elsewhere, read_answer},
    worker::Shared,
};

/// Checks that the key is still of the account that is meant, that the account has the list, and that
/// joining it starts no live flow, unless that is wanted.
pub(crate) async fn check<C: ControlPlane>(
    shared: &Shared<C>,
    held: &Held,
    credentials: &Credentials,
    list: &ListId,
    allow_live_flows: bool,
) -> Result<(), End> {
    let asker = Asker { shared, held, credentials };
    asker.check_list(list).await?;
    if allow_live_flows {
        return Ok(());
    }
    let live = asker.live_flows(list).await?;
    if live.is_empty() {
        return Ok(());
    }
    let detail = format!("people who join list {} start: {}", list.as_str(), live.join(", "));
    Err(fail(FailReason::LiveFlows, detail))
}

struct Asker<'a, C> {
    shared: &'a Shared<C>,
    held: &'a Held,
    credentials: &'a Credentials,
}

impl<C: ControlPlane> Asker<'_, C> {
    async fn check_list(&self, list: &ListId) -> Result<(), End> {
        let key = &self.credentials.key;
        match self.call(Endpoint::List, || self.shared.klaviyo.list(key, list)).await? {
            // Any answer names the account, so the scarce calls for accounts are saved.
            Ok(reply) if reply.meta.account_id.is_some() => Ok(()),
            Ok(_) => self.check_account().await,
            Err(CallError::NotFound) => {
                // A list is also gone when the key leads to another account by now.
                self.check_account().await?;
                let (list, account) = (list.as_str(), &self.credentials.account_id);
                let detail = format!("there is no list {list} in the Klaviyo account {account}");
                Err(fail(FailReason::ListNotFound, detail))
            }
            Err(err) => Err(end_of(&err)),
        }
    }

    async fn check_account(&self) -> Result<(), End> {
        let key = &self.credentials.key;
        match self.call(Endpoint::Accounts, || self.shared.klaviyo.account(key)).await? {
            Ok(reply) if reply.value.id == self.credentials.account_id => Ok(()),
            Ok(reply) => Err(End::Verdict(account_changed(&reply.value.id))),
            Err(err) => Err(end_of(&err)),
        }
    }

    /// Name and id of each. None if the key may not read flows: nothing else needs that scope.
    async fn live_flows(&self, list: &ListId) -> Result<Vec<String>, End> {
        let (key, klaviyo) = (&self.credentials.key, &self.shared.klaviyo);
        let mut live = Vec::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let page = || klaviyo.flow_triggers_page(key, list, cursor.as_ref());
            let page = match self.call(Endpoint::FlowTriggers, page).await? {
                Ok(reply) => reply.value,
                Err(CallError::Forbidden { .. }) => {
                    tracing::info!(
                        "the key may not read flows: whether the list starts any is unknown"
                    );
                    return Ok(Vec::new());
                }
                Err(err) => return Err(end_of(&err)),
            };
            live.extend(page.items.iter().filter(|flow| flow.is_live()).map(name_of));
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(live),
            }
        }
    }

    /// One call, made again while Klaviyo asks to slow down: the lane is closed then, so that the next
    /// permit waits or sends the claim back.
    async fn call<T, Fut>(
        &self,
        endpoint: Endpoint,
        call: impl Fn() -> Fut,
    ) -> Result<Result<Reply<T>, CallError>, End>
    where
        Fut: Future<Output = Result<Reply<T>, CallError>>,
    {
        let Self { shared, held, credentials } = self;
        loop {
            let asked = shared.call(held, credentials, endpoint, |_| call(), read_answer).await;
            return match asked? {
                Ok(Err(CallError::Throttled { .. })) => continue,
                Ok(Ok(reply)) => match elsewhere(&reply, credentials) {
                    Some(account) => Err(End::Verdict(account_changed(account))),
                    None => Ok(Ok(reply)),
                },
                Ok(Err(err)) => Ok(Err(err)),
                Err(no_call) => Err(End::Verdict(no_call.deferred())),
            };
        }
    }
}

fn name_of(flow: &Flow) -> String {
    // Quoted as in code, so that no character of a name reaches a terminal as a command.
    format!("{:?} ({})", flow.name.as_deref().unwrap_or("unnamed"), flow.id)
}

fn fail(reason: FailReason, detail: String) -> End {
    End::Verdict(Verdict::FailRun { reason, detail })
}

/// What a call that failed means for the run.
fn end_of(err: &CallError) -> End {
    let reason = match err {
        CallError::Unauthorized(_) => FailReason::KeyRefused,
        CallError::Forbidden { .. } => FailReason::ScopeMissing,
        CallError::NotFound => FailReason::ListNotFound,
        CallError::RevisionRetired => FailReason::RevisionRetired,
        CallError::Refused(_)
        | CallError::TooLarge
        | CallError::Redirected { .. }
        | CallError::Invalid(_) => FailReason::RequestRefused,
        CallError::NotSent { .. }
        | CallError::Ambiguous(_)
        | CallError::Throttled { .. }
        | CallError::Challenged
        | CallError::Unavailable { .. }
        | CallError::Stopped(_)
        | CallError::Protocol(_) => {
            tracing::info!(call.outcome = err.code(), "klaviyo could not be asked");
            return End::Verdict(Verdict::Retry);
        }
    };
    fail(reason, words(err))
}
