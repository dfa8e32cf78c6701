//! API tokens.

use secrecy::SecretString;
use segue_access::{
    Part, Principal, Role,
    token::{NewToken, TokenId, TokenRecord},
};
use segue_model::Micros;
use segue_store::{
    Reader, StoreError, Tx, read_admin,
    write::tokens::{self, Token},
};

use serde_json::{Value, json};

use crate::{
    ControlPlane, Error, Refusal, Thing,
    audit::{Action, note},
};

/// A token that somebody wants to have.
#[derive(Debug, Clone)]
pub struct WantedToken {
    pub name: String,
    pub role: Role,
    /// `None`: never.
    pub expires: Option<Micros>,
}

/// A token as it is kept, and who made it.
#[derive(Debug, Clone)]
pub struct KeptToken {
    pub record: TokenRecord,
    /// `Subject` of whoever made it; empty for the first, which Segue makes.
    pub made_by: String,
}

pub(crate) const EXPIRES_FIELD: &str = "token.expires_at";

impl ControlPlane {
    /// Makes a token. Its text is in this answer and nowhere else.
    pub async fn create_token(
        &self,
        wanted: &WantedToken,
        by: &Principal,
    ) -> Result<(KeptToken, SecretString), Error> {
        let mut tx = self.store.begin().await?;
        if wanted.expires.is_some_and(|at| at <= tx.now()) {
            return Err(Refusal::invalid(EXPIRES_FIELD, "has passed already").into());
        }
        let made = create(&mut tx, wanted, by.subject.to_string()).await?;
        let id = made.0.record.id;
        note(&mut tx, by, Action::TokenCreate, id, &json!({ "after": told(wanted) })).await?;
        tx.commit().await?;
        tracing::info!(token.id = %made.0.record.id, role = %wanted.role, by = ?by.subject, "token made");
        Ok(made)
    }

    /// Makes the first token, an administrator's, if there is none. `hand_over` gets its text before it counts,
    /// so that no crash leaves a token that nobody has. `false`: there are tokens already.
    pub async fn create_first_token<E: From<Error>>(
        &self,
        hand_over: impl FnOnce(&SecretString) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut tx = self.store.begin().await.map_err(Error::from)?;
        if tokens::any(&mut tx).await.map_err(Error::from)? {
            return Ok(false);
        }
        let wanted = WantedToken {
            name: "First administrator".to_owned(),
            role: Role::Administrator,
            expires: None,
        };
        let (made, text) = create(&mut tx, &wanted, String::new()).await?;
        let (by, detail) = (Principal::segue(Part::Start), json!({ "after": told(&wanted) }));
        note(&mut tx, &by, Action::TokenCreate, made.record.id, &detail).await?;
        hand_over(&text)?;
        tx.commit().await.map_err(Error::from)?;
        Ok(true)
    }

    /// At most `most` tokens behind `after`, oldest first.
    pub async fn tokens(&self, after: Option<TokenId>, most: u32) -> Result<Vec<KeptToken>, Error> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows = read_admin::tokens(&self.store, &after, most).await?;
        rows.into_iter().map(|row| Ok(KeptToken::from_row(row)?)).collect()
    }

    pub async fn revoke_token(&self, id: TokenId, by: &Principal) -> Result<KeptToken, Error> {
        let mut tx = self.store.begin().await?;
        let row = tokens::revoke(&mut tx, &id.to_string()).await?;
        let row = row.ok_or_else(|| Refusal::no_such(Thing::Token, id))?;
        note(&mut tx, by, Action::TokenRevoke, id, &json!({ "before": { "name": row.name } }))
            .await?;
        tx.commit().await?;
        tracing::info!(token.id = %id, by = ?by.subject, "token revoked");
        Ok(KeptToken::from_row(row)?)
    }
}

async fn create(
    tx: &mut Tx,
    wanted: &WantedToken,
    made_by: String,
) -> Result<(KeptToken, SecretString), Error> {
    let now = tx.now();
    let NewToken { id, text, hash } = NewToken::generate(now).map_err(|_| Error::NoRandomness)?;
    let WantedToken { name, role, expires } = wanted.clone();
    let record = TokenRecord { id, name, role, hash, created: now, expires, revoked: None };
    let kept = KeptToken { record, made_by };
    tokens::create(tx, &kept.to_row()).await?;
    Ok((kept, text))
}

/// A token, as the audit record tells it.
fn told(token: &WantedToken) -> Value {
    let WantedToken { name, role, expires } = token;
    let expires = expires.map(|at| at.to_string());
    json!({ "name": name, "role": role.to_string(), "expires": expires })
}

/// What is kept of a token. `None`: there is no such token.
pub async fn token_record(store: &Reader, id: TokenId) -> Result<Option<TokenRecord>, StoreError> {
    let row = read_admin::token(store, &id.to_string()).await?;
    Ok(row.map(KeptToken::from_row).transpose()?.map(|kept| kept.record))
}

impl KeptToken {
    fn from_row(row: Token) -> Result<Self, StoreError> {
        let Token { id, name, role, hash, created_by, created, expires, revoked } = row;
        let damaged =
            |what: String| StoreError::Inconsistent { what: format!("token {id}: {what}") };
        let record = TokenRecord {
            id: id.parse().map_err(|err| damaged(format!("its id is {err}")))?,
            name,
            role: role.parse().map_err(|err| damaged(format!("{role:?} is {err}")))?,
            hash: hash.parse().map_err(|err| damaged(format!("its hash is {err}")))?,
            created,
            expires,
            revoked,
        };
        Ok(Self { record, made_by: created_by })
    }

    fn to_row(&self) -> Token {
        let TokenRecord { id, name, role, hash, created, expires, revoked } = &self.record;
        Token {
            id: id.to_string(),
            name: name.clone(),
            role: role.to_string(),
            hash: hash.to_string(),
            created_by: self.made_by.clone(),
            created: *created,
            expires: *expires,
            revoked: *revoked,
        }
    }
}
