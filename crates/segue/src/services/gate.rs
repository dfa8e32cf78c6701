//! Who may call what, on the listeners of people and programs.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use jiff::Timestamp;
use segue_access::{
    Class, Denied, Principal, Role, Rule, Subject,
    oidc::{Oidc, OidcConfig},
    rules::rule_of,
    token::{TokenId, TokenText, admit, is_api_token},
};
use segue_control_plane::{ControlPlane, token_record};
use segue_model::Micros;
use segue_service::{
    config::Config,
    grpc::{Admission, Gate, Token},
};
use segue_store::Reader;
use tonic::{
    Status,
    codegen::http::{Extensions, HeaderMap, header::AUTHORIZATION},
};
use uuid::Uuid;

/// Lets in whoever has a token of Segue's, that of `admin_token_file`, or one of the identity provider.
#[derive(Debug)]
pub(super) struct People {
    store: Reader,
    admin: Option<Token>,
    oidc: Option<Oidc>,
    /// Whoever remembers people that an identity provider vouches for.
    memory: Option<Arc<ControlPlane>>,
}

const SCHEME: &str = "Bearer ";

impl People {
    pub(super) fn new(
        config: &Config,
        store: Reader,
        memory: Option<&Arc<ControlPlane>>,
    ) -> anyhow::Result<Arc<Self>> {
        let admin = config.admin_token_file.get().map(|file| admin_token(file)).transpose()?;
        let oidc = config.oidc_file.get().map(|file| oidc(file)).transpose()?;
        Ok(Arc::new(Self { store, admin, oidc, memory: memory.cloned() }))
    }

    async fn who(&self, headers: &HeaderMap) -> Result<Principal, Status> {
        if self.admin.as_ref().is_some_and(|token| token.is_in(headers)) {
            return Ok(administrator());
        }
        let Some(token) = bearer(headers) else {
            let words = "this needs a token: `authorization: Bearer <token>`, which --token-file or \
                 SEGUE_TOKEN give to the command line";
            return Err(Status::unauthenticated(words));
        };
        // The time of day, which the issuers of tokens go by too, also after this machine was asleep. Nothing
        // that is kept depends on it.
        let now = Micros(Timestamp::now().as_microsecond());
        let admitted = if is_api_token(token) {
            let presented = TokenText::parse(token).map_err(|err| status(&err.into()))?;
            let record = token_record(&self.store, presented.id).await;
            let record = record.map_err(|err| unanswered(&err))?;
            admit(record.as_ref(), &presented, now)
        } else if let Some(oidc) = &self.oidc {
            let who = oidc.verify(token, now).await.map_err(|err| status(&err.into()))?;
            if let Some(memory) = &self.memory {
                memory.note_person(&who).await.map_err(|err| unanswered(&err))?;
            }
            Ok(who)
        } else {
            Err(Denied::Unknown)
        };
        admitted.map_err(|denied| status(&denied))
    }
}

impl Gate for People {
    fn admit<'a>(
        &'a self,
        path: &'a str,
        headers: &'a HeaderMap,
        extensions: &'a mut Extensions,
    ) -> Admission<'a> {
        Box::pin(async move {
            let needs = match rule_of(path) {
                Ok(Rule::Public) => return Ok(()),
                Ok(Rule::Role(role)) => role,
                // Workers have a listener of their own, and what has no rule does not exist.
                Ok(Rule::Worker) | Err(_) => {
                    return Err(Status::unimplemented("there is no such method here"));
                }
            };
            let principal = self.who(headers).await?;
            principal.require(needs).map_err(|denied| status(&denied))?;
            extensions.insert(principal);
            Ok(())
        })
    }
}

/// Whoever has the token of `admin_token_file`, which has no row in the store.
fn administrator() -> Principal {
    Principal {
        subject: Subject::Token(TokenId::from_uuid(Uuid::nil())),
        name: "admin_token_file".to_owned(),
        role: Role::Administrator,
    }
}

fn unanswered(err: &(dyn std::error::Error + 'static)) -> Status {
    tracing::warn!(error = err, "nobody can be let in");
    Status::unavailable("the database that knows who may do what does not answer; ask again later")
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
}

fn status(denied: &Denied) -> Status {
    let words = denied.to_string();
    match denied.class() {
        Class::Unauthenticated => Status::unauthenticated(words),
        Class::Forbidden => Status::permission_denied(words),
        Class::Unavailable => Status::unavailable(words),
    }
}

fn admin_token(file: &Path) -> anyhow::Result<Token> {
    Token::new(&segue_service::admin_token(file)?)
        .with_context(|| format!("{} holds characters that no token has", file.display()))
}

fn oidc(file: &Path) -> anyhow::Result<Oidc> {
    let wrong = || format!("{} names no identity provider", file.display());
    let text = std::fs::read_to_string(file).with_context(wrong)?;
    let config: OidcConfig = toml::from_str(&text).with_context(wrong)?;
    Oidc::new(config).with_context(wrong)
}
