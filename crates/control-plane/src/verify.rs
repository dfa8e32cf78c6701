//! What can be known of the key of a connection without writing anything at Klaviyo.
//!
//! Klaviyo has no call that lists the scopes of a key, so each is tried by the cheapest call that needs it. Two are
//! for writing: nothing that only reads proves them, and what an invalid request would be answered is not
//! documented. They are known once Klaviyo has taken an import, because the scopes of a key never change.

use std::{collections::BTreeMap, sync::Arc};

use segue_klaviyo::{CallError, Client, KeyProblem, RateWindow, Reply, ReplyMeta, RevisionState};
use segue_model::{ConnectionId, Endpoint, Micros};
use segue_store::{
    Tx, read_admin,
    write::{
        connections::{self, Connection, Problem},
        lanes,
    },
};

use crate::{
    ControlPlane, Error, Refusal, Thing,
    ask::{AskError, Asker},
    connections::{KEY_FIELD, refused_key},
    seal::fingerprint,
};

/// What Klaviyo says of the key of a connection.
#[derive(Debug, Clone)]
pub struct Verified {
    pub connection: Connection,
    /// `None`: Klaviyo did not answer as itself.
    pub revision: Option<Revision>,
    /// Each that exports use.
    pub scopes: Vec<ScopeCheck>,
    pub limits: Vec<LimitLeft>,
    /// Why the key cannot be used, in words.
    pub problem: Option<String>,
}

/// How it stands with the revision of Klaviyo's API that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    pub asked: String,
    /// With which Klaviyo answered.
    pub served: Option<String>,
    pub state: Option<RevisionState>,
    /// When the one that was asked for stops working.
    pub retires: Option<Micros>,
}

/// What a key may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    AccountsRead,
    ListsRead,
    ListsWrite,
    ProfilesRead,
    ProfilesWrite,
    FlowsRead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeState {
    Granted,
    Missing,
    /// Nothing that only reads can tell, or Klaviyo did not answer.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeCheck {
    pub scope: Scope,
    pub state: ScopeState,
    /// How it is known, or why it is not.
    pub detail: String,
}

/// What is left of the limit of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitLeft {
    pub endpoint: Endpoint,
    pub window: RateWindow,
    pub limit: u32,
    pub remaining: u32,
    pub source: LimitSource,
    /// Klaviyo asked to wait until then.
    pub closed_until: Option<Micros>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitSource {
    /// It said so in an answer, and counts whoever uses the account.
    Klaviyo,
    /// Counts its own requests.
    Segue,
}

pub(crate) const KEY_REFUSED: &str = "key_refused";
pub(crate) const ACCOUNT_CHANGED: &str = "account_changed";
pub(crate) const SCOPE_MISSING: &str = "scope_missing";
/// A scope for writing is missing: no look that only reads can find out otherwise.
pub(crate) const WRITE_FORBIDDEN: &str = "write_forbidden";

/// Nobody can have it: names below `.invalid` are reserved (RFC 2606), so the look-up finds no person.
const NOBODY: &str = "nobody@segue.invalid";

impl Scope {
    pub const ALL: &'static [Self] = &[
        Self::AccountsRead,
        Self::ListsRead,
        Self::ListsWrite,
        Self::ProfilesRead,
        Self::ProfilesWrite,
        Self::FlowsRead,
    ];

    /// As Klaviyo names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountsRead => "accounts:read",
            Self::ListsRead => "lists:read",
            Self::ListsWrite => "lists:write",
            Self::ProfilesRead => "profiles:read",
            Self::ProfilesWrite => "profiles:write",
            Self::FlowsRead => "flows:read",
        }
    }

    /// An export cannot run without it.
    pub fn is_required(self) -> bool {
        self != Self::FlowsRead
    }

    pub fn needed_for(self) -> &'static str {
        match self {
            Self::AccountsRead => "to see whose key it is before anything is sent",
            Self::ListsRead => "to find the list, and to ask what became of a batch",
            Self::ListsWrite => "to add people to the list, and to make lists",
            Self::ProfilesRead => "to ask which profiles of a batch were not imported",
            Self::ProfilesWrite => "to create and update profiles",
            Self::FlowsRead => "to warn before people who join a list start a live flow",
        }
    }
}

impl ControlPlane {
    /// Asks Klaviyo whether the key of a connection is good, what it may do, and whether it still belongs to the same
    /// account. What is found is remembered with the connection.
    pub async fn verify_connection(self: &Arc<Self>, id: ConnectionId) -> Result<Verified, Error> {
        let vault = self.vault()?;
        let found = read_admin::connection(&self.store, id).await?;
        let (connection, sealed) = found.ok_or_else(|| Refusal::no_such(Thing::Connection, id))?;
        let key = self.remembering(self.key_of(&connection, &sealed).await).await;
        let key = match key {
            Ok(key) => key,
            // Klaviyo was not asked. Of a sealed key this is not remembered: another control-plane may have the right
            // master key.
            Err(Error::Seal(err)) => return Ok(unasked(connection, err.to_string())),
            Err(Error::Elsewhere { source, .. }) => {
                return Ok(unasked(self.connection_now(id).await?, source.to_string()));
            }
            Err(err) => return Err(err),
        };
        let print = fingerprint(&key);
        let asker = self.asker(&vault.klaviyo, &key, connection.account_id.clone());
        let findings = look(&asker).await?;
        let note = || self.note_findings(&connection, &print, &findings);
        self.store.retry("verify_connection", note).await
    }

    async fn connection_now(&self, id: ConnectionId) -> Result<Connection, Error> {
        let found = read_admin::connection(&self.store, id).await?;
        let (connection, _) = found.ok_or_else(|| Refusal::no_such(Thing::Connection, id))?;
        Ok(connection)
    }

    /// `asked`: the connection with whose key Klaviyo was asked. `print`: a name for that key.
    async fn note_findings(
        &self,
        asked: &Connection,
        print: &str,
        found: &Findings,
    ) -> Result<Verified, Error> {
        let id = asked.id;
        let mut tx = self.store.begin().await?;
        let locked = connections::lock(&mut tx, id).await?;
        let (mut connection, sealed) =
            locked.ok_or_else(|| Refusal::no_such(Thing::Connection, id))?;
        let now = tx.now();
        // It may have been given another key meanwhile.
        let is_same = connection.key_since == asked.key_since;
        if let Some(kept) = &mut connection.reference
            && is_same
            && kept.print != print
        {
            // Somebody has put another key there: what the one before it may do says nothing of it.
            print.clone_into(&mut kept.print);
            connection.key_since = now;
            connections::update(&mut tx, &connection, &sealed).await?;
        }
        // That of another key proves nothing of this one.
        let taken = connections::last_acceptance(&mut tx, id).await?;
        let taken = taken.filter(|at| *at >= connection.key_since);
        // Whatever was seen after it, a look that only reads cannot refute.
        let forbidden = connection.problem.clone().filter(|problem| {
            let since = connection.checked;
            problem.reason == WRITE_FORBIDDEN && (taken.is_none() || taken < since)
        });
        let problem = found.problem(&connection.account_id);
        if is_same && (problem.is_some() || forbidden.is_none()) {
            connections::note_check(&mut tx, id, problem.as_ref()).await?;
            (connection.checked, connection.problem) = (Some(now), problem);
        }
        let limits = limits(&mut tx, &connection.account_id, found).await?;
        tx.commit().await?;
        tracing::info!(
            connection.id = %id,
            problem = connection.problem.as_ref().map(|it| it.reason.as_str()),
            "connection verified"
        );
        let mut found = found.clone();
        found.know_of_imports(taken, forbidden.as_ref());
        Ok(Verified {
            revision: found.revision(now),
            scopes: found.scopes("Klaviyo was not asked, since it does not accept the key"),
            limits,
            problem: connection.problem.as_ref().map(|it| it.detail.clone()),
            connection,
        })
    }

    /// Remembers with a connection why its key cannot be used. Nothing happens if the connection is gone.
    pub(crate) async fn note_problem(
        &self,
        id: ConnectionId,
        problem: &Problem,
    ) -> Result<(), Error> {
        self.store
            .retry("note_problem", || async {
                let mut tx = self.store.begin().await?;
                connections::note_check(&mut tx, id, Some(problem)).await?;
                tx.commit().await?;
                Ok(())
            })
            .await
    }
}

/// Klaviyo was not asked, since there is no key to ask with.
fn unasked(connection: Connection, words: String) -> Verified {
    let scopes = Findings::default().scopes("the key cannot be read");
    Verified { connection, revision: None, scopes, limits: Vec::new(), problem: Some(words) }
}

/// What was found out at Klaviyo.
#[derive(Debug, Clone, Default)]
struct Findings {
    answers: Vec<(Endpoint, ReplyMeta)>,
    states: BTreeMap<Scope, (ScopeState, String)>,
    refused: Option<KeyProblem>,
    account: Option<String>,
}

async fn look(asker: &Asker) -> Result<Findings, Error> {
    let mut found = Findings::default();
    let account = match asker.account().await {
        // Without an answer to this question nothing is known: neither good nor bad is remembered.
        Err(err) if !is_of_the_key(&err) => return Err(refused_key(KEY_FIELD, err)),
        answer => found.take(Scope::AccountsRead, Endpoint::Accounts, answer)?,
    };
    if found.refused.is_some() {
        return Ok(found);
    }
    let lists = asker.ask(Endpoint::Lists, |client: Client, key| async move {
        client.lists_from(&key, None, None, 1).await
    });
    let people = asker.ask(Endpoint::Profiles, |client: Client, key| async move {
        client.profiles_by_email(&key, &[NOBODY]).await
    });
    let (lists, people) = tokio::join!(lists, people);
    let lists = found.take(Scope::ListsRead, Endpoint::Lists, lists)?;
    found.take(Scope::ProfilesRead, Endpoint::Profiles, people)?;
    match lists.map(|page| page.lists.into_iter().next()) {
        Some(Some(list)) => {
            let flows = move |client: Client, key| {
                let id = list.id.clone();
                async move { client.flow_triggers_page(&key, &id, None).await }
            };
            let flows = asker.ask(Endpoint::FlowTriggers, flows).await;
            found.take(Scope::FlowsRead, Endpoint::FlowTriggers, flows)?;
        }
        Some(None) => {
            found.unknown(Scope::FlowsRead, "the account has no list by which it could be asked");
        }
        None => found.unknown(Scope::FlowsRead, "only a key with lists:read can ask"),
    }
    // Every answer names the account, in case the key may not ask for it.
    let named = found.answers.iter().find_map(|(_, meta)| meta.account_id.clone());
    found.account = account.map(|account| account.id).or(found.account).or(named);
    Ok(found)
}

/// Klaviyo has judged the key.
fn is_of_the_key(err: &AskError) -> bool {
    matches!(err, AskError::Klaviyo(CallError::Unauthorized(_) | CallError::Forbidden { .. }))
}

impl Findings {
    /// What an answer says of the scope that the call needs.
    fn take<T>(
        &mut self,
        scope: Scope,
        endpoint: Endpoint,
        asked: Result<Reply<T>, AskError>,
    ) -> Result<Option<T>, Error> {
        let err = match asked {
            Ok(Reply { value, meta }) => {
                let how = "Klaviyo has answered a question that needs it".to_owned();
                self.states.insert(scope, (ScopeState::Granted, how));
                self.answers.push((endpoint, meta));
                return Ok(Some(value));
            }
            Err(AskError::ControlPlane(err)) => return Err(err),
            Err(AskError::Busy) => {
                self.unknown(scope, "the limits of the account leave no place for the question");
                return Ok(None);
            }
            Err(AskError::Elsewhere(account)) => {
                self.account = Some(account);
                self.unknown(scope, "another account has answered");
                return Ok(None);
            }
            Err(AskError::Klaviyo(err)) => err,
        };
        match err {
            CallError::Unauthorized(problem) => {
                self.refused = Some(problem);
                self.unknown(scope, "Klaviyo does not accept the key");
            }
            CallError::Forbidden { .. } => {
                let how = "Klaviyo forbids a question that needs it".to_owned();
                self.states.insert(scope, (ScopeState::Missing, how));
            }
            err => self.unknown(scope, &format!("Klaviyo could not be asked: {err}")),
        }
        Ok(None)
    }

    fn unknown(&mut self, scope: Scope, why: &str) {
        self.states.insert(scope, (ScopeState::Unknown, why.to_owned()));
    }

    /// `taken`: when Klaviyo last took an import of a run that uses the connection. `forbidden`: it has refused one
    /// since.
    fn know_of_imports(&mut self, taken: Option<Micros>, forbidden: Option<&Problem>) {
        for scope in [Scope::ListsWrite, Scope::ProfilesWrite] {
            let known = match (forbidden, taken) {
                _ if self.refused.is_some() => continue,
                (Some(seen), _) => {
                    (ScopeState::Unknown, format!("Klaviyo has refused to write: {}", seen.detail))
                }
                (None, Some(at)) => {
                    (ScopeState::Granted, format!("Klaviyo took an import with this key at {at}"))
                }
                (None, None) => (
                    ScopeState::Unknown,
                    "no question that only reads needs it: the first batch of an export will show it"
                        .to_owned(),
                ),
            };
            self.states.insert(scope, known);
        }
    }

    /// `otherwise`: why nothing is known of the rest.
    fn scopes(&self, otherwise: &str) -> Vec<ScopeCheck> {
        let check = |scope: &Scope| {
            let known = self.states.get(scope).cloned();
            let (state, detail) =
                known.unwrap_or_else(|| (ScopeState::Unknown, otherwise.to_owned()));
            ScopeCheck { scope: *scope, state, detail }
        };
        Scope::ALL.iter().map(check).collect()
    }

    /// `account_id`: the account that the connection was made for.
    fn problem(&self, account_id: &str) -> Option<Problem> {
        let problem = |reason: &str, detail| Some(Problem { reason: reason.to_owned(), detail });
        if let Some(refused) = self.refused {
            return problem(KEY_REFUSED, refused_words(refused));
        }
        if let Some(now) = self.account.as_deref().filter(|now| *now != account_id) {
            return problem(ACCOUNT_CHANGED, moved_words(now, account_id));
        }
        let is_missing = |scope: &Scope| {
            let state = self.states.get(scope).map(|(state, _)| *state);
            scope.is_required() && state == Some(ScopeState::Missing)
        };
        let missing: Vec<Scope> = Scope::ALL.iter().copied().filter(is_missing).collect();
        if missing.is_empty() { None } else { problem(SCOPE_MISSING, missing_words(&missing)) }
    }

    fn revision(&self, now: Micros) -> Option<Revision> {
        let (_, meta) = self.answers.first()?;
        Some(Revision {
            asked: meta.sent_revision.to_string(),
            served: meta.served_revision.clone(),
            state: meta.revision_state(now),
            retires: meta.retires(),
        })
    }
}

/// What Klaviyo said in its answers, and what Segue counts by itself.
async fn limits(tx: &mut Tx, account_id: &str, found: &Findings) -> Result<Vec<LimitLeft>, Error> {
    let told = found.answers.iter().filter_map(|(endpoint, meta)| {
        let rate = meta.rate_limit?;
        Some(LimitLeft {
            endpoint: *endpoint,
            window: rate.window,
            limit: rate.limit,
            remaining: rate.remaining,
            source: LimitSource::Klaviyo,
            closed_until: None,
        })
    });
    let mut all: Vec<LimitLeft> = told.collect();
    let now = tx.now();
    for endpoint in Endpoint::ALL {
        let left = lanes::left(tx, account_id, *endpoint).await?;
        all.push(LimitLeft {
            endpoint: *endpoint,
            window: RateWindow::Steady,
            limit: left.limit,
            remaining: left.remaining,
            source: LimitSource::Segue,
            closed_until: Some(left.closed_until).filter(|until| *until > now),
        });
    }
    Ok(all)
}

pub(crate) fn moved_words(now: &str, then: &str) -> String {
    format!("the key belongs to the Klaviyo account {now}, and not to {then} any more")
}

pub(crate) fn refused_words(problem: KeyProblem) -> String {
    format!(
        "Klaviyo does not accept the key ({problem}): use a private key of the account (it begins with pk_) that \
         was not revoked"
    )
}

pub(crate) fn missing_words(scopes: &[Scope]) -> String {
    let names: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
    let (required, optional): (Vec<Scope>, Vec<Scope>) =
        Scope::ALL.iter().copied().partition(|scope| scope.is_required());
    let list =
        |scopes: &[Scope]| scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ");
    format!(
        "the key lacks the scope{} {}; scopes cannot be added later, so make a new key with {} (and {})",
        if names.len() == 1 { "" } else { "s" },
        names.join(", "),
        list(&required),
        list(&optional),
    )
}

#[cfg(test)]
mod tests {
    use super::{Scope, missing_words};

    #[test]
    fn whoever_makes_a_new_key_reads_all_that_it_needs() {
        let words = missing_words(&[Scope::ListsRead, Scope::ProfilesRead]);
        assert!(
            words.starts_with("the key lacks the scopes lists:read, profiles:read;"),
            "{words}"
        );
        for scope in Scope::ALL {
            assert!(words.contains(scope.name()), "{words}");
        }
        assert!(words.ends_with("profiles:write (and flows:read)"), "{words}");
    }
}
