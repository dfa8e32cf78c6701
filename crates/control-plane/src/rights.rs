//! Who may use which connection, and so which exports.
//!
//! Administrators may use all. Contributors may use those that are shared with them, with the lists that they are
//! shared for, and all exports on these: to see one is not to use it. Which role a call needs at all is decided
//! before it comes here.

use segue_access::{Principal, Role, Subject};
use segue_model::{ConnectionId, Micros, Who};
use segue_store::{
    StoreError, Tx, read_admin,
    write::{
        connections::{self, Connection},
        people::{self, Person},
        tokens,
    },
};
use serde::{Deserialize, Serialize};

use crate::{ControlPlane, Error, Refusal, SavedExport, exports::text};

/// Who may use a connection besides administrators.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sharing {
    pub contributors: bool,
    /// Klaviyo's ids of the only lists that they may use; none: any.
    pub lists: Vec<String>,
}

impl Sharing {
    pub(crate) fn of(connection: &Connection) -> Result<Self, Error> {
        let connections::Sharing { contributors, only_lists } = &connection.sharing;
        let damaged = |err| StoreError::Inconsistent {
            what: format!("the lists of the connection {}: {err}", connection.id),
        };
        let lists = serde_json::from_str(only_lists).map_err(damaged)?;
        Ok(Self { contributors: *contributors, lists })
    }

    pub(crate) fn to_row(&self) -> Result<connections::Sharing, Error> {
        Ok(connections::Sharing { contributors: self.contributors, only_lists: text(&self.lists)? })
    }
}

/// Refused unless `by` may make and run exports with this connection to this list.
pub(crate) fn may_use(by: &Principal, connection: &Connection, list: &str) -> Result<(), Error> {
    if by.role >= Role::Administrator {
        return Ok(());
    }
    let Sharing { contributors, lists } = Sharing::of(connection)?;
    let words = if !contributors || by.role < Role::Contributor {
        format!(
            "the connection {} is not shared with you: ask an administrator to share it with contributors",
            connection.id
        )
    } else if !lists.is_empty() && !lists.iter().any(|it| it == list) {
        format!(
            "the connection {} is shared with you for other lists than {list}: {}; ask an administrator for more",
            connection.id,
            lists.join(", ")
        )
    } else {
        return Ok(());
    };
    Err(Refusal::Denied(words).into())
}

/// Refused unless `by` may use the connection of an export as it is. One that has none is anybody's to mend.
pub(crate) async fn may_manage(
    tx: &mut Tx,
    by: &Principal,
    export: &SavedExport,
) -> Result<(), Error> {
    may_use_id(tx, by, export.fields.connection, &export.fields.list_id).await
}

/// As [`may_use`]. A connection that was removed is nobody's.
pub(crate) async fn may_use_id(
    tx: &mut Tx,
    by: &Principal,
    id: Option<ConnectionId>,
    list: &str,
) -> Result<(), Error> {
    let Some(id) = id.filter(|_| by.role < Role::Administrator) else { return Ok(()) };
    match connections::lock(tx, id).await? {
        Some((connection, _)) => may_use(by, &connection, list),
        None => Ok(()),
    }
}

/// The owner of an export, as somebody who may do something now. `Err` with words: they may do nothing any more.
pub(crate) async fn owner(
    tx: &mut Tx,
    owner: &Who,
    now: Micros,
) -> Result<Result<Principal, String>, Error> {
    let Who { subject, name } = owner;
    if subject.is_empty() {
        return Ok(Ok(Principal::segue(segue_access::Part::Schedule)));
    }
    let damaged = |what: String| StoreError::Inconsistent { what };
    let subject: Subject = subject.parse().map_err(|err| damaged(format!("an owner is {err}")))?;
    let role = match &subject {
        Subject::Segue(_) => Ok(Role::Administrator),
        // That of `admin_token_file`, which has no row.
        Subject::Token(id) if id.uuid().is_nil() => Ok(Role::Administrator),
        Subject::Token(id) => match tokens::find(tx, &id.to_string()).await? {
            None => Err("their token is not there any more"),
            Some(token) if token.revoked.is_some() => Err("their token was revoked"),
            Some(token) if token.expires.is_some_and(|at| at <= now) => Err("their token expired"),
            Some(token) => Ok(role(&token.role)?),
        },
        Subject::Oidc(_) => match people::find(tx, &subject.to_string()).await? {
            None => Err("nobody has seen them"),
            Some(person) => Ok(role(&person.role)?),
        },
    };
    let name = name.clone();
    Ok(match role {
        Ok(role) if role < Role::Contributor => Err("they are a viewer now".to_owned()),
        Ok(role) => Ok(Principal { subject, name, role }),
        Err(words) => Err(words.to_owned()),
    })
}

fn role(text: &str) -> Result<Role, StoreError> {
    let damaged = |err| StoreError::Inconsistent { what: format!("the role {text:?} is {err}") };
    text.parse().map_err(damaged)
}

impl ControlPlane {
    /// Remembers whom an identity provider vouches for, and as what: exports that run for them go by it.
    pub async fn note_person(&self, who: &Principal) -> Result<(), Error> {
        let Subject::Oidc(_) = who.subject else { return Ok(()) };
        let person = Person {
            subject: who.subject.to_string(),
            name: who.name.clone(),
            role: who.role.to_string(),
        };
        // Nearly always nothing has changed, and then nothing is written.
        if read_admin::person(&self.store, &person.subject).await?.as_ref() == Some(&person) {
            return Ok(());
        }
        self.store
            .retry("note_person", || async {
                let mut tx = self.store.begin().await?;
                people::seen(&mut tx, &person).await?;
                Ok(tx.commit().await?)
            })
            .await
    }
}
