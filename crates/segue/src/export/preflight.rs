//! What has to be known of Klaviyo before anything is sent.

use std::time::Duration;

use anyhow::{anyhow, bail};
use secrecy::SecretString;
use segue_control_plane::ControlPlane;
use segue_klaviyo::{CallError, Cursor, Flow, List, ListId, Reply};
use segue_model::{
    Endpoint,
    work::{Answer, PermitReply},
};
use serde::{Deserialize, Serialize};

use crate::{embedded::Embedded, key, ui};

/// Answers about accounts and lists are believed for so long.
const BELIEVED: Duration = Duration::from_hours(1);
/// A call that fails for a reason that may pass is made again, so often in all.
const ATTEMPTS: u32 = 4;

/// Where profiles would go.
pub(super) struct Target {
    pub(super) account: Account,
    pub(super) list: List,
    pub(super) flows: Flows,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) name: String,
}

/// The flows that joining the list starts.
pub(super) enum Flows {
    Known(Vec<Flow>),
    /// The key may not read flows.
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct KnownList {
    name: Option<String>,
}

impl Target {
    pub(super) fn list_name(&self) -> String {
        self.list.name.clone().unwrap_or_else(|| self.list.id.as_str().to_owned())
    }

    /// Importing into a list starts its flows: people would get mail.
    pub(super) fn refuse_live_flows(&self) -> anyhow::Result<()> {
        let Flows::Known(flows) = &self.flows else { return Ok(()) };
        let live: Vec<String> = flows.iter().filter(|flow| flow.is_live()).map(name_of).collect();
        if live.is_empty() {
            return Ok(());
        }
        bail!(
            "people who join the list start a live flow: {}. Turn it off in Klaviyo while you import, or \
             add --allow-live-flows if they should get its messages",
            live.join(", ")
        )
    }
}

fn name_of(flow: &Flow) -> String {
    format!("{:?} ({})", ui::plain(flow.name.as_deref().unwrap_or("unnamed")), flow.id)
}

/// Asks for the account of the key, the list, and the flows that it starts.
pub(super) async fn ask(
    embedded: &Embedded,
    key: &SecretString,
    url: &str,
    list: &ListId,
) -> anyhow::Result<Target> {
    let asker = Asker { embedded, key };
    let account = asker.account(url).await?;
    let (list, flows) = tokio::join!(
        asker.list(url, &account, list), //
        asker.flows(&account, list),
    );
    Ok(Target { account, list: list?, flows: flows? })
}

struct Asker<'a> {
    embedded: &'a Embedded,
    key: &'a SecretString,
}

impl Asker<'_> {
    fn control_plane(&self) -> &ControlPlane {
        &self.embedded.control_plane
    }

    async fn account(&self, url: &str) -> anyhow::Result<Account> {
        let fingerprint = key::fingerprint(self.key);
        let subject = format!("account {url} {fingerprint}");
        if let Some(answer) = self.control_plane().recall(&subject, BELIEVED).await?
            && let Ok(account) = serde_json::from_str(&answer)
        {
            return Ok(account);
        }
        let client = &self.embedded.client;
        // Until the account is known, the key stands for it.
        let lane = format!("key {fingerprint}");
        let reply = self
            .call(&lane, Endpoint::Accounts, || client.account(self.key))
            .await
            .map_err(|err| explain(err, "accounts:read", "the account of the key"))?;
        note_revision(&reply);
        let name = reply.value.name.unwrap_or_else(|| "unnamed account".to_owned());
        let account = Account { id: reply.value.id, name };
        let answer = serde_json::to_string(&account)?;
        self.control_plane().remember(&subject, &answer).await?;
        Ok(account)
    }

    async fn list(&self, url: &str, account: &Account, id: &ListId) -> anyhow::Result<List> {
        let subject = format!("list {url} {} {}", account.id, id.as_str());
        if let Some(answer) = self.control_plane().recall(&subject, BELIEVED).await?
            && let Ok(KnownList { name }) = serde_json::from_str(&answer)
        {
            let (opt_in_process, created, updated) = (None, None, None);
            return Ok(List { id: id.clone(), name, opt_in_process, created, updated });
        }
        let client = &self.embedded.client;
        let asked = self.call(&account.id, Endpoint::List, || client.list(self.key, id)).await;
        let reply = match asked {
            Err(CallFailed::Klaviyo(CallError::NotFound)) => bail!(
                "there is no list {} in the Klaviyo account {} ({}): the id is the last part of the \
                 address of the list's page",
                id.as_str(),
                ui::plain(&account.name),
                account.id
            ),
            asked => asked.map_err(|err| explain(err, "lists:read", "the list"))?,
        };
        let known = KnownList { name: reply.value.name.clone() };
        self.control_plane().remember(&subject, &serde_json::to_string(&known)?).await?;
        Ok(reply.value)
    }

    /// Not remembered: a flow that went live a minute ago matters.
    async fn flows(&self, account: &Account, id: &ListId) -> anyhow::Result<Flows> {
        let client = &self.embedded.client;
        let mut flows = Vec::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let page = || client.flow_triggers_page(self.key, id, cursor.as_ref());
            let page = match self.call(&account.id, Endpoint::FlowTriggers, page).await {
                Ok(reply) => reply.value,
                Err(CallFailed::Klaviyo(CallError::Forbidden { .. })) => return Ok(Flows::Unknown),
                // The answer about the list says it better.
                Err(CallFailed::Klaviyo(CallError::NotFound)) => return Ok(Flows::Known(flows)),
                Err(err) => return Err(explain(err, "flows:read", "the flows of the list")),
            };
            flows.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(Flows::Known(flows)),
            }
        }
    }

    async fn call<T, Fut>(
        &self,
        account: &str,
        endpoint: Endpoint,
        call: impl Fn() -> Fut,
    ) -> Result<T, CallFailed>
    where
        Fut: Future<Output = Result<T, CallError>>,
    {
        paced(self.control_plane(), account, endpoint, call).await
    }
}

/// Why something could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallFailed {
    #[error(transparent)]
    ControlPlane(#[from] segue_control_plane::Error),
    #[error(transparent)]
    Klaviyo(CallError),
}

/// Makes a call that changes nothing, under permits of the account's lane, again if it may help.
pub(super) async fn paced<T, Fut>(
    control_plane: &ControlPlane,
    account: &str,
    endpoint: Endpoint,
    call: impl Fn() -> Fut,
) -> Result<T, CallFailed>
where
    Fut: Future<Output = Result<T, CallError>>,
{
    let mut failures = 0;
    loop {
        let permit = match control_plane.free_permit(account, endpoint).await? {
            PermitReply::Granted(permit) => permit,
            PermitReply::Later(_) | PermitReply::Stop => continue,
        };
        let result = call().await;
        let answer = match &result {
            Ok(_) => Answer::Fine,
            Err(CallError::Throttled { retry_after }) => {
                Answer::Throttled { retry_after: *retry_after }
            }
            Err(CallError::NotSent { .. }) => Answer::NotSent,
            Err(CallError::Unavailable { status, .. }) => Answer::NotApplied { status: *status },
            Err(CallError::Ambiguous(_) | CallError::Challenged) => {
                Answer::NotApplied { status: 503 }
            }
            Err(_) => Answer::NotApplied { status: 400 },
        };
        control_plane.answer(permit, &answer).await?;
        let err = match result {
            Ok(value) => return Ok(value),
            // The lane is closed for as long as Klaviyo asked: the next permit waits for it.
            Err(CallError::Throttled { .. }) => continue,
            Err(err) => err,
        };
        failures += 1;
        let passes = matches!(
            err,
            CallError::NotSent { .. }
                | CallError::Ambiguous(_)
                | CallError::Challenged
                | CallError::Unavailable { .. }
        );
        if !passes || failures == ATTEMPTS {
            return Err(CallFailed::Klaviyo(err));
        }
        tokio::time::sleep(Duration::from_millis(500) * 2_u32.pow(failures - 1)).await;
    }
}

fn explain(err: CallFailed, scope: &str, what: &str) -> anyhow::Error {
    let CallFailed::Klaviyo(err) = err else { return anyhow!(err) };
    let advice = match &err {
        CallError::Unauthorized(_) => {
            "use a private key of the account (it begins with pk_) that was not revoked".to_owned()
        }
        CallError::Forbidden { .. } => format!(
            "the key lacks the scope {scope}; scopes cannot be added later, so make a new key with \
             accounts:read, lists:read, lists:write, profiles:read, profiles:write (and flows:read)"
        ),
        CallError::NotSent { .. } => {
            "check the network, and SEGUE_KLAVIYO_URL if you have set it".to_owned()
        }
        _ => "nothing was sent; try again later".to_owned(),
    };
    anyhow::Error::new(err).context(format!("cannot ask Klaviyo for {what} ({advice})"))
}

fn note_revision<T>(reply: &Reply<T>) {
    let meta = &reply.meta;
    if meta.fell_back() {
        let served = meta.served_revision.as_deref().unwrap_or("another one");
        ui::note(format_args!(
            "warning  Klaviyo serves API revision {served} instead of the one that was asked for: \
             update segue"
        ));
    }
    if let Some(date) = &meta.retirement_date {
        tracing::info!(klaviyo.retirement_date = %date, "Klaviyo will retire this API revision");
    }
}

/// What the user should see before the first request.
pub(super) fn show(target: &Target) {
    let Target { account, list, flows } = target;
    ui::note(format_args!("account  {} ({})", ui::plain(&account.name), account.id));
    ui::note(format_args!("list     {} ({})", ui::plain(&target.list_name()), list.id.as_str()));
    match flows {
        Flows::Unknown => ui::note("flows    unknown: the key may not read flows (flows:read)"),
        Flows::Known(flows) => {
            let live: Vec<String> =
                flows.iter().filter(|flow| flow.is_live()).map(name_of).collect();
            if live.is_empty() {
                ui::note("flows    no live flow is started by this list");
            } else {
                ui::note(format_args!("flows    LIVE: {}", live.join(", ")));
            }
        }
    }
    ui::note(
        "         adds only: nobody is removed, no consent is changed; an empty cell does not clear a \
         value in Klaviyo",
    );
}
