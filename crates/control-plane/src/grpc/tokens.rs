use std::sync::Arc;

use prost::Message as _;
use secrecy::ExposeSecret as _;
use segue_access::{
    Principal, Role,
    token::{TokenId, TokenRecord},
};
use segue_model::{Id, Kind};
use segue_proto::{
    timestamp,
    v1::{
        self, CreateTokenRequest, CreateTokenResponse, GetCallerRequest, GetCallerResponse,
        ListTokensRequest, ListTokensResponse, RevokeTokenRequest, RevokeTokenResponse,
        token_service_server::TokenService,
    },
};
use tonic::{Request, Response, Status};

use super::{
    caller::caller,
    errors::{invalid, status},
    fields::{self, Problems},
    page::Page,
};
use crate::{
    ControlPlane, KeptToken, Violation, WantedToken, exports::check_display_name,
    tokens::EXPIRES_FIELD,
};

/// [`TokenService`] of a control-plane.
#[derive(Debug)]
pub struct Tokens(pub(super) Arc<ControlPlane>);

/// Tokens have ids of their own form, which sort by the same number.
enum Place {}

impl Kind for Place {
    const PREFIX: &'static str = "tok";
}

#[tonic::async_trait]
impl TokenService for Tokens {
    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let by = caller(&request)?.clone();
        let wanted = wanted(request.into_inner())?;
        let (made, text) = self.0.create_token(&wanted, &by).await.map_err(status)?;
        Ok(Response::new(CreateTokenResponse {
            token: Some(shown(made)),
            secret: text.expose_secret().to_owned(),
        }))
    }

    async fn list_tokens(
        &self,
        request: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let ListTokensRequest { page_size, page_token } = request.into_inner();
        let page = Page::<Place>::wanted(page_size, &page_token)?;
        let read = |after: Option<Id<Place>>, most| async move {
            let after = after.map(|place| TokenId::from_uuid(place.uuid()));
            let found = self.0.tokens(after, most).await.map_err(status)?;
            Ok(found.into_iter().map(|it| (it.record.id, shown(it))).collect())
        };
        let (found, next_page_token) = page
            .read(read, |(id, _)| Id::from_uuid(id.uuid()), |(_, shown)| shown.encoded_len())
            .await?;
        let tokens = found.into_iter().map(|(_, shown)| shown).collect();
        Ok(Response::new(ListTokensResponse { tokens, next_page_token }))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        let by = caller(&request)?.clone();
        let id = request.into_inner().id.parse();
        let id = id.map_err(|err| invalid(vec![Violation::new("id", format!("is {err}"))]))?;
        let revoked = self.0.revoke_token(id, &by).await.map_err(status)?;
        Ok(Response::new(RevokeTokenResponse { token: Some(shown(revoked)) }))
    }

    async fn get_caller(
        &self,
        request: Request<GetCallerRequest>,
    ) -> Result<Response<GetCallerResponse>, Status> {
        let Principal { subject, name, role } = caller(&request)?;
        Ok(Response::new(GetCallerResponse {
            subject: subject.to_string(),
            display_name: name.clone(),
            role: shown_role(*role).into(),
        }))
    }
}

fn wanted(request: CreateTokenRequest) -> Result<WantedToken, Status> {
    let Some(token) = request.token else {
        return Err(invalid(vec![Violation::new("token", "is missing")]));
    };
    let mut problems = Problems::default();
    problems.take("token.display_name", check_display_name(&token.display_name));
    let role = match v1::Role::try_from(token.role) {
        Ok(v1::Role::Viewer) => Role::Viewer,
        Ok(v1::Role::Contributor) => Role::Contributor,
        Ok(v1::Role::Administrator) => Role::Administrator,
        Ok(v1::Role::Unspecified) | Err(_) => {
            problems.note("token.role", "is none of viewer, contributor and administrator");
            Role::Viewer
        }
    };
    let expires = token.expires_at.map(fields::micros).transpose();
    let expires = problems.take(EXPIRES_FIELD, expires);
    problems.check()?;
    Ok(WantedToken { name: token.display_name, role, expires })
}

fn shown(token: KeptToken) -> v1::Token {
    // Destructured, so that a field that is added cannot be forgotten.
    let KeptToken { record, made_by } = token;
    let TokenRecord { id, name, role, hash: _, created, expires, revoked } = record;
    v1::Token {
        id: id.to_string(),
        display_name: name,
        role: shown_role(role).into(),
        expires_at: expires.map(timestamp),
        created_by: made_by,
        created_at: Some(timestamp(created)),
        revoked_at: revoked.map(timestamp),
    }
}

fn shown_role(role: Role) -> v1::Role {
    match role {
        Role::Viewer => v1::Role::Viewer,
        Role::Contributor => v1::Role::Contributor,
        Role::Administrator => v1::Role::Administrator,
    }
}
