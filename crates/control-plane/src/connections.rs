use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ring::digest::{SHA256, digest};
use secrecy::SecretString;
use segue_access::Principal;
use segue_klaviyo::{Account, CallError, Client};
use segue_model::{ConnectionId, Id, Micros, work::Credentials};
use segue_store::{
    Tx, read_admin,
    write::{
        connections::{self, Connection, Consent, KeptElsewhere, KeyReference, Problem, SealedKey},
        requests::{self, Made, RequestKind},
    },
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    ControlPlane, Error, Refusal, Sealer, Sharing, Thing, Violation,
    ask::AskError,
    audit::{Action, note},
    connection_changes::told,
    seal::{SealError, fingerprint, hex},
    verify::{Scope, missing_words, refused_words},
};

/// What the services need beyond `segue export`: the keys of connections, and somebody to ask about them.
#[derive(Debug)]
pub(crate) struct Vault {
    pub(crate) sealer: Sealer,
    pub(crate) klaviyo: Client,
}

/// A connection that somebody wants to have.
#[derive(Debug, Clone)]
pub struct NewConnection {
    pub display_name: String,
    pub key: GivenKey,
    pub consent_version: String,
    pub consent_by: String,
    /// `None`: now.
    pub consent_at: Option<Micros>,
    pub sharing: Sharing,
    /// As whoever asks gave it: the same request makes nothing more.
    pub request_id: Option<String>,
}

/// The key of a connection, or where it is.
#[derive(Debug, Clone)]
pub enum GivenKey {
    /// To be kept sealed.
    Value(SecretString),
    /// To be looked up whenever it is needed.
    Reference(KeyReference),
}

impl GivenKey {
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::Value(_) => KEY_FIELD,
            Self::Reference(_) => REFERENCE_FIELD,
        }
    }
}

/// A key that Klaviyo has taken, as it is going to be kept.
#[derive(Debug)]
pub(crate) struct TriedKey {
    pub(crate) sealed: SealedKey,
    pub(crate) reference: Option<KeptElsewhere>,
    pub(crate) account: Account,
}

pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(5);
pub(crate) const KEY_FIELD: &str = "connection.api_key";
pub(crate) const REFERENCE_FIELD: &str = "connection.key_reference";
/// What is known against a key that is not where the connection refers to.
const KEY_UNREADABLE: &str = "key_unreadable";
const CONSENT_TIME_FIELD: &str = "connection.consent.accepted_at";

impl ControlPlane {
    /// Asks Klaviyo whose key it is, and keeps it sealed together with the consent.
    pub async fn create_connection(
        self: &Arc<Self>,
        new: &NewConnection,
        by: &Principal,
    ) -> Result<Connection, Error> {
        let content = content_of(new);
        if let Some(made) = self.made_before(new, &content).await? {
            return Ok(made);
        }
        let id = Id::from_uuid(Uuid::now_v7());
        let TriedKey { sealed: key, reference, account } = self.try_key(id, &new.key).await?;
        self.store
            .retry("create_connection", || async {
                let mut tx = self.store.begin().await?;
                let now = tx.now();
                let connection = Connection {
                    id,
                    display_name: new.display_name.clone(),
                    account_id: account.id.clone(),
                    account_name: account.name.clone().unwrap_or_default(),
                    consent: Consent {
                        text_version: new.consent_version.clone(),
                        accepted_by: new.consent_by.clone(),
                        accepted: new.consent_at.unwrap_or(now),
                    },
                    sharing: new.sharing.to_row()?,
                    reference: reference.clone(),
                    created: now,
                    key_since: now,
                    checked: Some(now),
                    problem: None,
                };
                if let Some(request_id) = &new.request_id {
                    let wanted = Made { made: id.to_string(), content: content.clone() };
                    let kind = RequestKind::Connection;
                    if let Some(made) = requests::note(&mut tx, kind, request_id, &wanted).await? {
                        return connection_of(&mut tx, request_id, made, &content).await;
                    }
                }
                connections::create(&mut tx, &connection, &key).await?;
                let detail = json!({ "after": told(&connection, &key)? });
                note(&mut tx, by, Action::ConnectionCreate, id, &detail).await?;
                tx.commit().await?;
                tracing::info!(
                    connection.id = %id, klaviyo.account = connection.account_id, "connection made"
                );
                Ok(connection)
            })
            .await
    }

    /// Looks, before Klaviyo is asked, at what only the store knows: the time, and earlier requests.
    async fn made_before(
        &self,
        new: &NewConnection,
        content: &str,
    ) -> Result<Option<Connection>, Error> {
        let mut tx = self.store.begin().await?;
        if let Some(request_id) = &new.request_id
            && let Some(made) = requests::find(&mut tx, RequestKind::Connection, request_id).await?
        {
            return connection_of(&mut tx, request_id, made, content).await.map(Some);
        }
        refuse_future(new.consent_at, tx.now())?;
        tx.commit().await?;
        Ok(None)
    }

    /// Asks Klaviyo whose key it is.
    pub(crate) async fn try_key(
        self: &Arc<Self>,
        id: ConnectionId,
        given: &GivenKey,
    ) -> Result<TriedKey, Error> {
        let vault = self.vault()?;
        let found = match given {
            GivenKey::Value(key) => key.clone(),
            GivenKey::Reference(at) => {
                let places = &self.settings.key_places;
                let invalid = |words| Refusal::invalid(REFERENCE_FIELD, words);
                places.allows(at).map_err(invalid)?;
                places.read(at).await.map_err(|err| invalid(err.to_string()))?
            }
        };
        let print = fingerprint(&found);
        let lane = format!("key {print}");
        let asked = self.asker(&vault.klaviyo, &found, lane).account().await;
        let account = asked.map_err(|err| refused_key(given.field(), err))?.value;
        let (sealed, reference) = match given {
            GivenKey::Value(key) => (vault.sealer.seal(id, key)?, None),
            GivenKey::Reference(at) => {
                (SealedKey::default(), Some(KeptElsewhere { at: at.clone(), print }))
            }
        };
        Ok(TriedKey { sealed, reference, account })
    }

    /// The key of a connection: it is opened, or looked up now, so that one that was replaced is found.
    pub(crate) async fn key_of(
        &self,
        connection: &Connection,
        sealed: &SealedKey,
    ) -> Result<SecretString, Error> {
        let vault = self.vault()?;
        let Some(kept) = &connection.reference else {
            return Ok(vault.sealer.open(connection.id, sealed)?);
        };
        let read = self.settings.key_places.read(&kept.at).await;
        read.map_err(|source| Error::Elsewhere { connection: connection.id, source })
    }

    /// Remembers of a key that was not where the connection refers to that it was not, as of one that was revoked.
    /// Outside of the transaction that found it out, which is undone.
    pub(crate) async fn remembering<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Elsewhere { connection, source }) = &result {
            tracing::warn!(connection.id = %connection, error = %source, "key not found");
            let problem = Problem { reason: KEY_UNREADABLE.to_owned(), detail: source.to_string() };
            self.note_problem(*connection, &problem).await?;
        }
        result
    }

    /// What is known against the keys of connections, in words.
    pub async fn connection_problems(&self) -> Result<BTreeMap<ConnectionId, String>, Error> {
        Ok(read_admin::connection_problems(&self.store).await?)
    }

    /// The key for a run. `connection`: the run's; without one it is a run of `segue export`, whose key is in
    /// memory.
    pub(crate) async fn credentials(
        &self,
        tx: &mut Tx,
        account_id: &str,
        connection: Option<ConnectionId>,
    ) -> Result<Credentials, Error> {
        let Some(id) = connection else { return self.keys.credentials(account_id) };
        let Some((connection, sealed)) = connections::key(tx, id).await? else {
            return Err(Error::NoKey { account_id: account_id.to_owned() });
        };
        let key = self.key_of(&connection, &sealed).await?;
        Ok(Credentials { account_id: connection.account_id, key })
    }

    /// The key to ask an account what became of what it accepted: that of any run that waits for it.
    pub(crate) async fn credentials_to_confirm(
        &self,
        tx: &mut Tx,
        account_id: &str,
    ) -> Result<Credentials, Error> {
        if let Ok(credentials) = self.keys.credentials(account_id) {
            return Ok(credentials);
        }
        match connections::waiting(tx, account_id).await? {
            Some(id) => self.credentials(tx, account_id, Some(id)).await,
            None => Err(Error::NoKey { account_id: account_id.to_owned() }),
        }
    }

    pub(crate) fn vault(&self) -> Result<&Vault, Error> {
        self.vault.as_ref().ok_or(Error::NoVault)
    }
}

/// Nobody has accepted anything yet at a time that is still to come.
pub(crate) fn refuse_future(accepted: Option<Micros>, now: Micros) -> Result<(), Refusal> {
    match accepted {
        Some(at) if at > now => Err(Refusal::invalid(CONSENT_TIME_FIELD, "lies in the future")),
        _ => Ok(()),
    }
}

/// What an earlier request made, if it asked for the same.
async fn connection_of(
    tx: &mut Tx,
    request_id: &str,
    made: Made,
    content: &str,
) -> Result<Connection, Error> {
    let used = |made| Refusal::RequestUsed {
        request_id: request_id.to_owned(),
        thing: Thing::Connection,
        made,
    };
    if made.content != content {
        return Err(used(made.made).into());
    }
    let Ok(id) = made.made.parse() else { return Err(used(made.made).into()) };
    match connections::lock(tx, id).await? {
        Some((connection, _)) => Ok(connection),
        // It was deleted since. To make it again would be to do what was asked for twice.
        None => Err(Refusal::no_such(Thing::Connection, id).into()),
    }
}

/// What was asked for, in a form that can be compared and from which nobody learns the key.
fn content_of(new: &NewConnection) -> String {
    let NewConnection { display_name, key, consent_version, consent_by, consent_at, .. } = new;
    let at = consent_at.map(|at| at.0);
    let key = match key {
        GivenKey::Value(key) => fingerprint(key),
        GivenKey::Reference(at) => at.to_string(),
    };
    let mut all = vec![json!([display_name, key, consent_version, consent_by, at])];
    // What is shared with nobody is remembered as it was before there was sharing.
    if new.sharing != Sharing::default() {
        all.push(json!(new.sharing));
    }
    let all = all.iter().map(ToString::to_string).collect::<String>();
    hex(digest(&SHA256, all.as_bytes()).as_ref())
}

/// Why a key cannot be read, as a refusal; other errors stay what they are.
pub(crate) fn unreadable(id: ConnectionId, err: Error) -> Error {
    let words = match &err {
        Error::Seal(err) => err.to_string(),
        Error::Elsewhere { source, .. } => source.to_string(),
        _ => return err,
    };
    Refusal::blocked("KEY_UNREADABLE", id, words).into()
}

/// Says in words what Klaviyo thinks of a key. `field`: where it was given.
pub(crate) fn refused_key(field: &'static str, err: AskError) -> Error {
    let err = match err {
        AskError::ControlPlane(err) => return err,
        AskError::Busy => {
            let words =
                "the limits of the Klaviyo account leave no place for the question whose key it \
                 is; ask again later"
                    .to_owned();
            return Refusal::Unreachable { words, after: ASK_AGAIN }.into();
        }
        AskError::Elsewhere(_) => return Refusal::invalid(field, err.to_string()).into(),
        AskError::Klaviyo(err) => err,
    };
    let words = match &err {
        CallError::Unauthorized(problem) => refused_words(*problem),
        CallError::Forbidden { .. } => missing_words(&[Scope::AccountsRead]),
        CallError::RevisionRetired => return revision_retired().into(),
        _ => {
            let words = format!("Klaviyo cannot be asked whose key it is: {err}; ask again later");
            return Refusal::Unreachable { words, after: ASK_AGAIN }.into();
        }
    };
    Refusal::Invalid(vec![Violation::new(field, words)]).into()
}

pub(crate) fn revision_retired() -> Refusal {
    let words = "Klaviyo has retired the revision of its API that this version of segue asks for: update segue";
    Refusal::blocked("REVISION_RETIRED", "klaviyo", words)
}

impl From<SealError> for Error {
    fn from(err: SealError) -> Self {
        Self::Seal(err)
    }
}
