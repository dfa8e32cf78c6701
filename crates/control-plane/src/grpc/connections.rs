use std::sync::Arc;

use prost::Message as _;
use secrecy::{SecretString, zeroize::Zeroize as _};
use segue_access::{Principal, Role};
use segue_klaviyo::ListId;
use segue_model::Micros;
use segue_proto::{
    timestamp,
    v1::{
        self, CreateConnectionRequest, CreateConnectionResponse, DeleteConnectionRequest,
        DeleteConnectionResponse, GetConnectionRequest, GetConnectionResponse,
        ListConnectionsRequest, ListConnectionsResponse, RotateKeysRequest, RotateKeysResponse,
        UpdateConnectionRequest, UpdateConnectionResponse, VerifyConnectionRequest,
        VerifyConnectionResponse, connection_service_server::ConnectionService,
        key_reference::Place,
    },
};
use tonic::{Request, Response, Status};

use super::{
    caller::caller,
    errors::{invalid, status},
    fields::{self, Problems},
    page::Page,
    verified::shown_verified,
};
use crate::{
    Connection, ConnectionChange, Consent, ControlPlane, GivenKey, KeyReference, NewConnection,
    Rotated, Sharing, Violation,
    connections::{KEY_FIELD, REFERENCE_FIELD},
    exports::check_display_name,
    key_reference::check_key,
};

/// [`ConnectionService`] of a control-plane.
#[derive(Debug)]
pub struct Connections(pub(super) Arc<ControlPlane>);

const MAX_LISTS: usize = 1000;
const MAX_CONSENT_CHARS: usize = 200;

#[tonic::async_trait]
impl ConnectionService for Connections {
    async fn create_connection(
        &self,
        request: Request<CreateConnectionRequest>,
    ) -> Result<Response<CreateConnectionResponse>, Status> {
        let by = caller(&request)?.clone();
        let new = wanted(request.into_inner())?;
        let made = self.0.create_connection(&new, &by).await.map_err(status)?;
        Ok(Response::new(CreateConnectionResponse { connection: Some(shown(made, &by)?) }))
    }

    async fn get_connection(
        &self,
        request: Request<GetConnectionRequest>,
    ) -> Result<Response<GetConnectionResponse>, Status> {
        let by = caller(&request)?.clone();
        let id = fields::id("id", &request.into_inner().id)?;
        let found = self.0.connection(id, &by).await.map_err(status)?;
        Ok(Response::new(GetConnectionResponse { connection: Some(shown(found, &by)?) }))
    }

    async fn list_connections(
        &self,
        request: Request<ListConnectionsRequest>,
    ) -> Result<Response<ListConnectionsResponse>, Status> {
        let by = &caller(&request)?.clone();
        let ListConnectionsRequest { page_size, page_token } = request.into_inner();
        let page = Page::wanted(page_size, &page_token)?;
        let read = |after, most| async move {
            let found = self.0.connections(after, most, by).await.map_err(status)?;
            found.into_iter().map(|it| Ok((it.id, shown(it, by)?))).collect()
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
        let by = caller(&request)?.clone();
        let id = fields::id("id", &request.into_inner().id)?;
        let verified = self.0.verify_connection(id).await.map_err(status)?;
        Ok(Response::new(shown_verified(verified, &by)?))
    }

    async fn update_connection(
        &self,
        request: Request<UpdateConnectionRequest>,
    ) -> Result<Response<UpdateConnectionResponse>, Status> {
        let by = caller(&request)?.clone();
        let UpdateConnectionRequest { connection, update_mask } = request.into_inner();
        let Some(connection) = connection else {
            return Err(invalid(vec![Violation::new("connection", "is missing")]));
        };
        let id = fields::id("connection.id", &connection.id)?;
        let change = change(connection, &update_mask.unwrap_or_default().paths)?;
        let changed = self.0.update_connection(id, &change, &by).await.map_err(status)?;
        Ok(Response::new(UpdateConnectionResponse { connection: Some(shown(changed, &by)?) }))
    }

    async fn delete_connection(
        &self,
        request: Request<DeleteConnectionRequest>,
    ) -> Result<Response<DeleteConnectionResponse>, Status> {
        let by = caller(&request)?.clone();
        let DeleteConnectionRequest { id, detach } = request.into_inner();
        let id = fields::id("id", &id)?;
        let detached = self.0.delete_connection(id, detach, &by).await.map_err(status)?;
        let detached_export_ids = detached.into_iter().map(|id| id.to_string()).collect();
        Ok(Response::new(DeleteConnectionResponse { detached_export_ids }))
    }

    async fn rotate_keys(
        &self,
        request: Request<RotateKeysRequest>,
    ) -> Result<Response<RotateKeysResponse>, Status> {
        let by = caller(&request)?.clone();
        let Rotated { resealed, current, unreadable, elsewhere } =
            self.0.rotate_keys(&by).await.map_err(status)?;
        let unreadable_connection_ids = unreadable.into_iter().map(|id| id.to_string()).collect();
        Ok(Response::new(RotateKeysResponse {
            resealed,
            current,
            unreadable_connection_ids,
            elsewhere,
        }))
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
    let key = match (connection.api_key.is_empty(), connection.key_reference.take()) {
        (true, Some(reference)) => problems.reference(reference).map(GivenKey::Reference),
        (false, Some(_)) => {
            problems.note(REFERENCE_FIELD, "is given, and a key too: give one of both");
            None
        }
        (_, None) => Some(GivenKey::Value(problems.key(&mut connection))),
    };
    let (consent_version, consent_by, consent_at) = problems.consent(connection.consent.take());
    let sharing = problems.sharing(connection.sharing.take());
    problems.check()?;
    let Some(key) = key else {
        return Err(invalid(vec![Violation::new(REFERENCE_FIELD, "is missing")]));
    };
    Ok(NewConnection {
        display_name: std::mem::take(&mut connection.display_name),
        key,
        consent_version,
        consent_by,
        consent_at,
        sharing,
        request_id: (!request_id.is_empty()).then_some(request_id),
    })
}

fn change(mut connection: v1::Connection, paths: &[String]) -> Result<ConnectionChange, Status> {
    let mut problems = Problems::default();
    let mut change = ConnectionChange::default();
    if paths.is_empty() {
        problems.note("update_mask", "is missing: name the fields that change");
    }
    if ["api_key", "key_reference"].iter().all(|both| paths.iter().any(|path| path == both)) {
        problems.note("update_mask", "names api_key and key_reference: give one of both");
    }
    for path in paths {
        match path.as_str() {
            "display_name" => {
                let name = std::mem::take(&mut connection.display_name);
                problems.take("connection.display_name", check_display_name(&name));
                change.display_name = Some(name);
            }
            "api_key" => change.key = Some(GivenKey::Value(problems.key(&mut connection))),
            "key_reference" => {
                let given = connection.key_reference.take().unwrap_or_default();
                change.key = problems.reference(given).map(GivenKey::Reference);
            }
            "consent" => change.consent = Some(problems.consent(connection.consent.take())),
            "sharing" => change.sharing = Some(problems.sharing(connection.sharing.take())),
            "id" | "account_id" | "account_name" | "created_at" => {
                problems.note("update_mask", format!("{path} is given by the server"));
            }
            other => problems.note("update_mask", format!("a connection has no field {other:?}")),
        }
    }
    problems.check()?;
    Ok(change)
}

impl Problems {
    fn key(&mut self, connection: &mut v1::Connection) -> SecretString {
        self.take(KEY_FIELD, check_key(&connection.api_key));
        // Exactly as long as it is, so that no copy is left behind.
        let api_key = SecretString::from(connection.api_key.as_str());
        connection.api_key.zeroize();
        api_key
    }

    fn reference(&mut self, given: v1::KeyReference) -> Option<KeyReference> {
        match given.place {
            Some(Place::Env(name)) => Some(KeyReference::Variable(name)),
            Some(Place::File(path)) => Some(KeyReference::File(path)),
            None => {
                self.note(REFERENCE_FIELD, "names neither a variable nor a file");
                None
            }
        }
    }

    fn consent(&mut self, consent: Option<v1::Consent>) -> (String, String, Option<Micros>) {
        let Some(v1::Consent { text_version, accepted_by, accepted_at }) = consent else {
            let words = "is missing: somebody has to agree that personal data is sent to Klaviyo";
            self.note("connection.consent", words);
            return (String::new(), String::new(), None);
        };
        self.take("connection.consent.text_version", check_words(&text_version));
        self.take("connection.consent.accepted_by", check_words(&accepted_by));
        let accepted = accepted_at.map(fields::micros).transpose();
        (text_version, accepted_by, self.take("connection.consent.accepted_at", accepted))
    }

    fn sharing(&mut self, sharing: Option<v1::Sharing>) -> Sharing {
        let v1::Sharing { contributors, list_ids: lists } = sharing.unwrap_or_default();
        for (i, list) in lists.iter().enumerate() {
            if let Err(err) = list.parse::<ListId>() {
                self.note(format!("connection.sharing.list_ids[{i}]"), err.to_string());
            }
        }
        if lists.len() > MAX_LISTS {
            let words = format!("{} are more than {MAX_LISTS}", lists.len());
            self.note("connection.sharing.list_ids", words);
        }
        if !contributors && !lists.is_empty() {
            self.note("connection.sharing.list_ids", "are for a connection that is shared");
        }
        Sharing { contributors, lists }
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

/// What `by` may see of it: whoever may use it learns what it is called, and for which lists.
pub(super) fn shown(connection: Connection, by: &Principal) -> Result<v1::Connection, Status> {
    let Sharing { contributors, lists } = Sharing::of(&connection).map_err(status)?;
    let sharing = Some(v1::Sharing { contributors, list_ids: lists });
    // Destructured, so that a field that is added cannot be forgotten.
    let Connection {
        id,
        display_name,
        account_id,
        account_name,
        consent,
        sharing: _,
        reference,
        created,
        key_since: _,
        checked,
        problem,
    } = connection;
    if by.require(Role::Administrator).is_err() {
        let id = id.to_string();
        return Ok(v1::Connection { id, display_name, sharing, ..v1::Connection::default() });
    }
    let Consent { text_version, accepted_by, accepted } = consent;
    Ok(v1::Connection {
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
        sharing,
        problem: problem.map(|it| it.detail).unwrap_or_default(),
        checked_at: checked.map(timestamp),
        key_reference: reference.map(|it| v1::KeyReference {
            place: Some(match it.at {
                KeyReference::Variable(name) => Place::Env(name),
                KeyReference::File(path) => Place::File(path),
            }),
        }),
    })
}
