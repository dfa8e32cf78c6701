use std::sync::Arc;

use prost::Message as _;
use secrecy::{SecretString, zeroize::Zeroize as _};
use segue_proto::{
    timestamp,
    v1::{
        self, CreateConnectionRequest, CreateConnectionResponse, DeleteConnectionRequest,
        DeleteConnectionResponse, GetConnectionRequest, GetConnectionResponse,
        ListConnectionsRequest, ListConnectionsResponse, VerifyConnectionRequest,
        VerifyConnectionResponse, connection_service_server::ConnectionService,
    },
};
use tonic::{Request, Response, Status};

use super::{
    errors::{invalid, status},
    fields::{self, Problems},
    page::Page,
};
use crate::{
    Connection, Consent, ControlPlane, NewConnection, Violation, connections::KEY_FIELD,
    exports::check_display_name,
};

/// [`ConnectionService`] of a control-plane.
#[derive(Debug)]
pub struct Connections(pub(super) Arc<ControlPlane>);

const MAX_KEY_BYTES: usize = 1000;
const MAX_CONSENT_CHARS: usize = 200;

#[tonic::async_trait]
impl ConnectionService for Connections {
    async fn create_connection(
        &self,
        request: Request<CreateConnectionRequest>,
    ) -> Result<Response<CreateConnectionResponse>, Status> {
        let new = wanted(request.into_inner())?;
        let made = self.0.create_connection(&new).await.map_err(status)?;
        Ok(Response::new(CreateConnectionResponse { connection: Some(shown(made)) }))
    }

    async fn get_connection(
        &self,
        request: Request<GetConnectionRequest>,
    ) -> Result<Response<GetConnectionResponse>, Status> {
        let id = fields::id("id", &request.into_inner().id)?;
        let found = self.0.connection(id).await.map_err(status)?;
        Ok(Response::new(GetConnectionResponse { connection: Some(shown(found)) }))
    }

    async fn list_connections(
        &self,
        request: Request<ListConnectionsRequest>,
    ) -> Result<Response<ListConnectionsResponse>, Status> {
        let ListConnectionsRequest { page_size, page_token } = request.into_inner();
        let page = Page::wanted(page_size, &page_token)?;
        let read = |after, most| async move {
            let found = self.0.connections(after, most).await.map_err(status)?;
            Ok(found.into_iter().map(|it| (it.id, shown(it))).collect())
        };
        let (found, next_page_token) =
            page.read(read, |(id, _)| *id, |(_, shown)| shown.encoded_len()).await?;
        let connections = found.into_iter().map(|(_, shown)| shown).collect();
        Ok(Response::new(ListConnectionsResponse { connections, next_page_token }))
    }

    async fn verify_connection(
        &self,
        request: Request<VerifyConnectionRequest>,
    ) -> Result<Response<VerifyConnectionResponse>, Status> {
        let id = fields::id("id", &request.into_inner().id)?;
        let verified = self.0.verify_connection(id).await.map_err(status)?;
        Ok(Response::new(VerifyConnectionResponse {
            connection: Some(shown(verified.connection)),
            revision: verified.revision.unwrap_or_default(),
            problem: verified.problem.unwrap_or_default(),
        }))
    }

    async fn delete_connection(
        &self,
        request: Request<DeleteConnectionRequest>,
    ) -> Result<Response<DeleteConnectionResponse>, Status> {
        let id = fields::id("id", &request.into_inner().id)?;
        self.0.delete_connection(id).await.map_err(status)?;
        Ok(Response::new(DeleteConnectionResponse {}))
    }
}

fn wanted(request: CreateConnectionRequest) -> Result<NewConnection, Status> {
    let CreateConnectionRequest { connection, request_id } = request;
    let Some(mut connection) = connection else {
        return Err(invalid(vec![Violation::new("connection", "is missing")]));
    };
    let mut problems = Problems::default();
    problems.take("request_id", fields::request_id(&request_id));
    problems.take("connection.display_name", check_display_name(&connection.display_name));
    problems.take(KEY_FIELD, check_key(&connection.api_key));
    // Exactly as long as it is, so that no copy is left behind.
    let api_key = SecretString::from(connection.api_key.as_str());
    connection.api_key.zeroize();
    let consent = connection.consent.take().unwrap_or_else(|| {
        let words = "is missing: somebody has to agree that personal data is sent to Klaviyo";
        problems.note("connection.consent", words);
        v1::Consent { text_version: "-".to_owned(), accepted_by: "-".to_owned(), accepted_at: None }
    });
    let v1::Consent { text_version, accepted_by, accepted_at } = consent;
    problems.take("connection.consent.text_version", check_words(&text_version));
    problems.take("connection.consent.accepted_by", check_words(&accepted_by));
    let accepted = accepted_at.map(fields::micros).transpose();
    let consent_at = problems.take("connection.consent.accepted_at", accepted);
    problems.check()?;
    Ok(NewConnection {
        display_name: std::mem::take(&mut connection.display_name),
        api_key,
        consent_version: text_version,
        consent_by: accepted_by,
        consent_at,
        request_id: (!request_id.is_empty()).then_some(request_id),
    })
}

fn check_key(key: &str) -> Result<(), &'static str> {
    match key.len() {
        0 => Err(
            "is empty: it has to be a private key of the Klaviyo account, which begins with pk_",
        ),
        1..=MAX_KEY_BYTES if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("has spaces or other characters that no key has: copy it again")
        }
        1..=MAX_KEY_BYTES => Ok(()),
        _ => Err("is longer than any key"),
    }
}

fn check_words(text: &str) -> Result<(), &'static str> {
    match text.chars().count() {
        _ if text.trim().is_empty() => Err("is empty"),
        _ if text.chars().any(char::is_control) => Err("holds control characters"),
        0..=MAX_CONSENT_CHARS => Ok(()),
        _ => Err("has more than 200 characters"),
    }
}

fn shown(connection: Connection) -> v1::Connection {
    // Destructured, so that a field that is added cannot be forgotten.
    let Connection { id, display_name, account_id, account_name, consent, created } = connection;
    let Consent { text_version, accepted_by, accepted } = consent;
    v1::Connection {
        id: id.to_string(),
        display_name,
        api_key: String::new(),
        account_id,
        account_name,
        consent: Some(v1::Consent {
            text_version,
            accepted_by,
            accepted_at: Some(timestamp(accepted)),
        }),
        created_at: Some(timestamp(created)),
    }
}
