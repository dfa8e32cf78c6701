//! The lists of the Klaviyo accounts that connections lead to, for whoever picks one or makes one.

use std::{sync::Arc, time::Duration};

use segue_access::Principal;
use segue_klaviyo::{
    CallError, Client, Cursor, Flow, List, ListId, ListsPage, MAX_LISTS, Position, Reply,
};
use segue_model::{ConnectionId, Endpoint};
use segue_store::{
    read_admin,
    write::{
        connections::{Connection, Problem},
        new_lists::{self, NewList, Standing},
    },
};
use serde_json::json;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    ControlPlane, Error, Refusal, Sharing, Thing,
    ask::{AskError, Asker},
    audit::{Action, note},
    connection_changes::{is_administrator, sees},
    connections::{ASK_AGAIN, revision_retired, unreadable},
    rights::may_use,
    verify::{
        ACCOUNT_CHANGED, KEY_REFUSED, SCOPE_MISSING, Scope, WRITE_FORBIDDEN, missing_words,
        moved_words, refused_words,
    },
};

/// Which lists somebody wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListsWanted {
    /// Only those of exactly this name.
    pub name: Option<String>,
    /// Only those with this in their name, in upper or lower case.
    pub contains: Option<String>,
    /// From a place on that an earlier page gave.
    pub from: Option<Position>,
    /// At most so many; at least 1.
    pub most: usize,
}

/// Some of the lists, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListsFound {
    pub lists: Vec<List>,
    /// Where to go on; `None`: there are no more. A page with fewer than were wanted, or none, need not be the last.
    pub next: Option<Position>,
}

/// A list, and what joining it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListWithFlows {
    pub list: List,
    /// `None`: the key may not read flows.
    pub live_flows: Option<Vec<Flow>>,
}

/// Looking for a name goes on for so long within one call; then whoever wants more asks for the next page.
const WALK: Duration = Duration::from_secs(8);
/// Longer than it takes to make a list: nobody else is about the request meanwhile.
const HOLD: Duration = Duration::from_mins(1);

/// Why no list is known to be made.
enum NotMade {
    /// Klaviyo was not asked, or has refused.
    Surely(Error),
    /// Klaviyo was asked, and nobody heard its answer.
    Perhaps(Error),
}

impl ControlPlane {
    /// Lists of the account, by name, from all pages of Klaviyo.
    pub async fn lists(
        self: &Arc<Self>,
        connection: ConnectionId,
        wanted: &ListsWanted,
        by: &Principal,
    ) -> Result<ListsFound, Error> {
        let account = self.account_of(connection, by).await?;
        let size = wanted.most.clamp(1, MAX_LISTS);
        let (mut lists, mut from) = (Vec::new(), wanted.from.clone());
        let begun = Instant::now();
        loop {
            let page = match account.page(wanted.name.as_deref(), from.as_ref(), size).await {
                Ok(page) => page,
                // What was found is told. Whoever asks for the next page waits, or hears that there is no place.
                Err(AskError::Busy) if from != wanted.from => {
                    return Ok(ListsFound { lists, next: from });
                }
                Err(AskError::Klaviyo(CallError::Refused(_))) if from.is_some() => {
                    let words = "is not known to Klaviyo any more: begin again without it";
                    return Err(Refusal::invalid("page_token", words).into());
                }
                Err(err) => return Err(self.explain(&account, err, Scope::ListsRead).await?),
            };
            lists
                .extend(page.lists.into_iter().filter(|it| wanted.takes(it) && account.offers(it)));
            from = page.next;
            // Pages of Klaviyo's are told whole, since nobody can begin within one.
            let is_full = lists.len() + size > wanted.most;
            if from.is_none() || is_full || begun.elapsed() > WALK {
                return Ok(ListsFound { lists, next: from });
            }
        }
    }

    /// One list, and the live flows that start for people who join it.
    pub async fn list(
        self: &Arc<Self>,
        connection: ConnectionId,
        id: &ListId,
        by: &Principal,
    ) -> Result<ListWithFlows, Error> {
        let account = self.account_of(connection, by).await?;
        may_use(by, &account.connection, id.as_str())?;
        let list = self.known_list(&account, id).await?;
        let live_flows = match account.live_flows(id).await {
            Ok(flows) => Some(flows),
            Err(AskError::Klaviyo(CallError::Forbidden { .. })) => None,
            Err(AskError::Klaviyo(CallError::NotFound)) => {
                return Err(Refusal::no_such(Thing::List, id).into());
            }
            Err(err) => return Err(self.explain(&account, err, Scope::FlowsRead).await?),
        };
        Ok(ListWithFlows { list, live_flows })
    }

    /// Makes a list, or returns the one that the same request has made.
    pub async fn create_list(
        self: &Arc<Self>,
        new: &NewList,
        by: &Principal,
    ) -> Result<List, Error> {
        let (control_plane, new, by) = (Arc::clone(self), new.clone(), by.clone());
        let made = async move { control_plane.make_list(&new, &by).await };
        // In a task of its own: what came of it is written down although whoever asked has gone.
        match tokio::spawn(made.in_current_span()).await {
            Ok(made) => made,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    async fn make_list(self: &Arc<Self>, new: &NewList, by: &Principal) -> Result<List, Error> {
        let account = self.account_of(new.connection, by).await?;
        if account.only.is_some() {
            let words = format!(
                "the connection {} is shared with you for certain lists only: ask an administrator to make another",
                new.connection
            );
            return Err(Refusal::Denied(words).into());
        }
        let asked = match self.store.retry("hold_list", || self.hold_list(new)).await? {
            Standing::Held { asked } => asked,
            Standing::Made { list_id } => {
                let id = list_id.parse();
                let id = id.map_err(|_| Refusal::no_such(Thing::List, &list_id))?;
                return self.known_list(&account, &id).await;
            }
            Standing::Busy { .. } => {
                let words = "the same request is under way; repeat it later".to_owned();
                return Err(Refusal::Unreachable { words, after: ASK_AGAIN }.into());
            }
            Standing::Other { list_id } => {
                let known = Some(list_id).filter(|id| !id.is_empty());
                let made = known.unwrap_or_else(|| "a list of another name".to_owned());
                let request_id = new.request_id.clone();
                return Err(Refusal::RequestUsed { request_id, thing: Thing::List, made }.into());
            }
        };
        let made = self.make_once(&account, new, asked).await;
        self.store.retry("note_list", || self.note_list(new, asked, &made, by)).await?;
        match made {
            Ok(list) => {
                tracing::info!(connection.id = %new.connection, klaviyo.list = %list.id, "list made");
                Ok(list)
            }
            Err(NotMade::Surely(err) | NotMade::Perhaps(err)) => Err(err),
        }
    }

    /// `asked`: an earlier attempt may have made it.
    async fn make_once(
        self: &Arc<Self>,
        account: &Account,
        new: &NewList,
        asked: bool,
    ) -> Result<List, NotMade> {
        match account.oldest(&new.name).await {
            Ok(Some(list)) if asked => return Ok(list),
            Ok(Some(list)) => {
                let words = format!("the account has a list of this name already: {}", list.id);
                return Err(NotMade::Surely(
                    Refusal::blocked("LIST_EXISTS", &list.id, words).into(),
                ));
            }
            Ok(None) => {}
            Err(err) => return Err(self.not_made(account, err, Scope::ListsRead).await),
        }
        let noted = self.store.retry("ask_for_list", || self.ask_for_list(new)).await;
        noted.map_err(NotMade::Surely)?;
        let name = new.name.clone();
        let create = move |client: Client, key| {
            let name = name.clone();
            async move { client.create_list(&key, &name).await }
        };
        let lost = match account.asker.ask(Endpoint::CreateList, create).await {
            Ok(reply) => match account.here(reply) {
                Ok(list) => return Ok(list),
                Err(err) => return Err(self.not_made(account, err, Scope::ListsWrite).await),
            },
            Err(AskError::Klaviyo(err)) if err.may_have_been_applied() => err,
            // The answer may have come and not been written down.
            Err(AskError::ControlPlane(err)) => return Err(NotMade::Perhaps(err)),
            Err(err) => return Err(self.not_made(account, err, Scope::ListsWrite).await),
        };
        tracing::warn!(call.outcome = lost.code(), "nobody heard whether klaviyo made a list");
        if let Ok(Some(list)) = account.oldest(&new.name).await {
            return Ok(list);
        }
        let words = format!(
            "Klaviyo did not say whether it has made the list ({lost}); repeat the request with the same request id, \
             which looks for the list before it asks for another"
        );
        Err(NotMade::Perhaps(Refusal::Unreachable { words, after: ASK_AGAIN }.into()))
    }

    async fn not_made(&self, account: &Account, err: AskError, scope: Scope) -> NotMade {
        NotMade::Surely(self.explain(account, err, scope).await.unwrap_or_else(|err| err))
    }

    async fn hold_list(&self, new: &NewList) -> Result<Standing, Error> {
        let mut tx = self.store.begin().await?;
        let standing = new_lists::hold(&mut tx, new, HOLD).await?;
        tx.commit().await?;
        Ok(standing)
    }

    async fn ask_for_list(&self, new: &NewList) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        new_lists::ask(&mut tx, &new.request_id).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn note_list(
        &self,
        new: &NewList,
        asked: bool,
        made: &Result<List, NotMade>,
        by: &Principal,
    ) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let request_id = &new.request_id;
        match made {
            Ok(list) => {
                new_lists::made(&mut tx, request_id, list.id.as_str()).await?;
                let detail = json!({ "after": { "connection": new.connection, "name": new.name } });
                note(&mut tx, by, Action::ListCreate, &list.id, &detail).await?;
            }
            Err(NotMade::Surely(_)) if !asked => new_lists::forget(&mut tx, request_id).await?,
            Err(_) => new_lists::release(&mut tx, request_id).await?,
        }
        tx.commit().await?;
        Ok(())
    }

    async fn known_list(&self, account: &Account, id: &ListId) -> Result<List, Error> {
        match account.list(id).await {
            Ok(list) => Ok(list),
            Err(AskError::Klaviyo(CallError::NotFound)) => {
                Err(Refusal::no_such(Thing::List, id).into())
            }
            Err(err) => Err(self.explain(account, err, Scope::ListsRead).await?),
        }
    }

    /// The account of a connection, with its key, if `by` may know of it.
    pub(crate) async fn account_of(
        self: &Arc<Self>,
        id: ConnectionId,
        by: &Principal,
    ) -> Result<Account, Error> {
        let vault = self.vault()?;
        let found = read_admin::connection(&self.store, id).await?;
        let found = found.filter(|(connection, _)| sees(by, connection));
        let (connection, sealed) = found.ok_or_else(|| Refusal::no_such(Thing::Connection, id))?;
        let key = self.remembering(self.key_of(&connection, &sealed).await).await;
        let key = key.map_err(|err| unreadable(id, err))?;
        let asker = self.asker(&vault.klaviyo, &key, connection.account_id.clone());
        let lists = Sharing::of(&connection)?.lists;
        let only = (!is_administrator(by) && !lists.is_empty()).then_some(lists);
        Ok(Account { connection, asker, only })
    }

    /// Says what kept Klaviyo from answering. What that says of the key is remembered with its connection. `scope`: what
    /// the call needs.
    pub(crate) async fn explain(
        &self,
        account: &Account,
        err: AskError,
        scope: Scope,
    ) -> Result<Error, Error> {
        let connection = &account.connection;
        let later = |words: String| Refusal::Unreachable { words, after: ASK_AGAIN }.into();
        let (code, reason, words) = match err {
            AskError::ControlPlane(err) => return Ok(err),
            AskError::Busy => {
                return Ok(later(
                    "the limits of the Klaviyo account leave no place for the question; ask again later".to_owned(),
                ));
            }
            AskError::Elsewhere(now) => {
                let words = moved_words(&now, &connection.account_id);
                ("ACCOUNT_CHANGED", ACCOUNT_CHANGED, words)
            }
            AskError::Klaviyo(CallError::Unauthorized(problem)) => {
                ("KEY_REFUSED", KEY_REFUSED, refused_words(problem))
            }
            AskError::Klaviyo(CallError::Forbidden { .. }) => {
                let writes = scope == Scope::ListsWrite;
                let reason = if writes { WRITE_FORBIDDEN } else { SCOPE_MISSING };
                ("SCOPE_MISSING", reason, missing_words(&[scope]))
            }
            AskError::Klaviyo(CallError::RevisionRetired) => return Ok(revision_retired().into()),
            AskError::Klaviyo(err) => {
                return Ok(later(format!(
                    "Klaviyo cannot be asked for lists: {err}; ask again later"
                )));
            }
        };
        let problem = Problem { reason: reason.to_owned(), detail: words.clone() };
        self.note_problem(connection.id, &problem).await?;
        Ok(Refusal::blocked(code, connection.id, words).into())
    }
}

impl ListsWanted {
    fn takes(&self, list: &List) -> bool {
        let name = list.name.as_deref().unwrap_or_default();
        self.name.as_deref().is_none_or(|wanted| name == wanted)
            && self.contains.as_deref().is_none_or(|part| contains(name, part))
    }
}

/// As people look for words.
fn contains(name: &str, part: &str) -> bool {
    name.to_lowercase().contains(&part.to_lowercase())
}

/// The account that a connection leads to.
pub(crate) struct Account {
    connection: Connection,
    pub(crate) asker: Asker,
    /// The lists that whoever asks may use; `None`: any.
    only: Option<Vec<String>>,
}

impl Account {
    fn offers(&self, list: &List) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|id| id == list.id.as_str()))
    }

    /// The answer, unless another account has given it: by then the key is of that one.
    fn here<T>(&self, reply: Reply<T>) -> Result<T, AskError> {
        match reply.meta.account_id {
            Some(id) if id != self.connection.account_id => Err(AskError::Elsewhere(id)),
            _ => Ok(reply.value),
        }
    }

    async fn page(
        &self,
        name: Option<&str>,
        from: Option<&Position>,
        most: usize,
    ) -> Result<ListsPage, AskError> {
        let (name, from) = (name.map(str::to_owned), from.cloned());
        let page = move |client: Client, key| {
            let (name, from) = (name.clone(), from.clone());
            async move { client.lists_from(&key, name.as_deref(), from.as_ref(), most).await }
        };
        self.here(self.asker.ask(Endpoint::Lists, page).await?)
    }

    async fn list(&self, id: &ListId) -> Result<List, AskError> {
        let id = id.clone();
        let list = move |client: Client, key| {
            let id = id.clone();
            async move { client.list(&key, &id).await }
        };
        self.here(self.asker.ask(Endpoint::List, list).await?)
    }

    /// Of the lists with exactly this name the one that was made first.
    async fn oldest(&self, name: &str) -> Result<Option<List>, AskError> {
        let (mut oldest, mut from): (Option<List>, Option<Position>) = (None, None);
        loop {
            let page = self.page(Some(name), from.as_ref(), MAX_LISTS).await?;
            let lists = page.lists.into_iter().chain(oldest);
            oldest = lists
                .filter(|list| list.name.as_deref() == Some(name))
                .min_by_key(|list| (list.created_at(), list.id.clone()));
            from = page.next;
            if from.is_none() {
                return Ok(oldest);
            }
        }
    }

    async fn live_flows(&self, id: &ListId) -> Result<Vec<Flow>, AskError> {
        let (mut live, mut cursor): (Vec<Flow>, Option<Cursor>) = (Vec::new(), None);
        loop {
            let (id, from) = (id.clone(), cursor);
            let page = move |client: Client, key| {
                let (id, from) = (id.clone(), from.clone());
                async move { client.flow_triggers_page(&key, &id, from.as_ref()).await }
            };
            let page = self.here(self.asker.ask(Endpoint::FlowTriggers, page).await?)?;
            live.extend(page.items.into_iter().filter(Flow::is_live));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(live);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn names_are_found_by_any_part_of_them() {
        assert!(
            contains("Käufer 2026", "ÄUF") && contains("Newsletter", "") && contains("A B", " b")
        );
        assert!(!contains("Newsletter", "letters") && !contains("", "a"));
    }
}
