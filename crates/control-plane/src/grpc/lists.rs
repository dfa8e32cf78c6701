use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use segue_klaviyo::{Flow, List, ListId, Position};
use segue_model::ConnectionId;
use segue_proto::{
    timestamp,
    v1::{
        self, CreateListRequest, CreateListResponse, GetListRequest, GetListResponse,
        ListListsRequest, ListListsResponse, OptInProcess, list_service_server::ListService,
    },
};
use tonic::{Request, Response, Status};

use super::{
    caller::caller,
    errors::{invalid, status},
    fields::{self, Problems},
};
use crate::{
    ControlPlane, ListWithFlows, ListsWanted, NewList, Violation, exports::check_display_name,
};

/// [`ListService`] of a control-plane.
#[derive(Debug)]
pub struct Lists(pub(super) Arc<ControlPlane>);

const DEFAULT_SIZE: usize = 100;
const LARGEST_SIZE: usize = 200;
const MAX_NAME_CHARS: usize = 1000;
/// The form of the page tokens.
const VERSION: &str = "1";

#[tonic::async_trait]
impl ListService for Lists {
    async fn list_lists(
        &self,
        request: Request<ListListsRequest>,
    ) -> Result<Response<ListListsResponse>, Status> {
        let by = caller(&request)?.clone();
        let (connection, wanted) = wanted(request.into_inner())?;
        let found = self.0.lists(connection, &wanted, &by).await.map_err(status)?;
        Ok(Response::new(ListListsResponse {
            lists: found.lists.into_iter().map(shown).collect(),
            next_page_token: found.next.map(|next| token(connection, &next)).unwrap_or_default(),
        }))
    }

    async fn get_list(
        &self,
        request: Request<GetListRequest>,
    ) -> Result<Response<GetListResponse>, Status> {
        let by = caller(&request)?.clone();
        let GetListRequest { connection_id, list_id } = request.into_inner();
        let connection = fields::id("connection_id", &connection_id)?;
        let id: ListId = list_id.parse().map_err(|err: segue_klaviyo::InvalidKlaviyoId| {
            invalid(vec![Violation::new("list_id", format!("is {err}"))])
        })?;
        let ListWithFlows { list, live_flows } =
            self.0.list(connection, &id, &by).await.map_err(status)?;
        Ok(Response::new(GetListResponse {
            list: Some(shown(list)),
            flows_known: live_flows.is_some(),
            live_flows: live_flows.into_iter().flatten().map(shown_flow).collect(),
        }))
    }

    async fn create_list(
        &self,
        request: Request<CreateListRequest>,
    ) -> Result<Response<CreateListResponse>, Status> {
        let by = caller(&request)?.clone();
        let CreateListRequest { connection_id, name, request_id } = request.into_inner();
        let connection = fields::id("connection_id", &connection_id)?;
        let mut problems = Problems::default();
        problems.take("name", check_display_name(&name));
        problems.check()?;
        fields::needed_request_id(&request_id)?;
        let new = NewList { request_id, connection, name };
        let made = self.0.create_list(&new, &by).await.map_err(status)?;
        Ok(Response::new(CreateListResponse { list: Some(shown(made)) }))
    }
}

fn wanted(request: ListListsRequest) -> Result<(ConnectionId, ListsWanted), Status> {
    let ListListsRequest { connection_id, name_contains, page_size, page_token, name } = request;
    let connection: ConnectionId = fields::id("connection_id", &connection_id)?;
    let mut problems = Problems::default();
    problems.take("name_contains", check_part(&name_contains));
    problems.take("name", check_part(&name));
    let most = match usize::try_from(page_size) {
        Ok(0) => DEFAULT_SIZE,
        Ok(size) => size.min(LARGEST_SIZE),
        Err(_) => {
            problems.note("page_size", "is negative");
            DEFAULT_SIZE
        }
    };
    let from = problems.take("page_token", parse(connection, &page_token));
    problems.check()?;
    let some = |text: String| (!text.is_empty()).then_some(text);
    Ok((connection, ListsWanted { name: some(name), contains: some(name_contains), from, most }))
}

fn check_part(text: &str) -> Result<(), String> {
    match text.chars().count() {
        0..=MAX_NAME_CHARS if text.chars().any(char::is_control) => {
            Err("holds control characters".to_owned())
        }
        0..=MAX_NAME_CHARS => Ok(()),
        n => Err(format!("has {n} characters, which no name has")),
    }
}

/// Where a page begins, for one account. It holds no address: [`Position`] says why that matters.
fn token(connection: ConnectionId, from: &Position) -> String {
    BASE64.encode(format!("{VERSION} {connection} {}", from.as_str()))
}

/// `None`: at the beginning.
fn parse(connection: ConnectionId, token: &str) -> Result<Option<Position>, &'static str> {
    if token.is_empty() {
        return Ok(None);
    }
    let place = || {
        let text = String::from_utf8(BASE64.decode(token).ok()?).ok()?;
        let place = text.strip_prefix(&format!("{VERSION} {connection} "))?;
        place.parse().ok()
    };
    place().map(Some).ok_or("is not one that was given out for the lists of this connection")
}

fn shown(list: List) -> v1::List {
    let created_at = list.created_at().map(timestamp);
    // Destructured, so that a field that is added cannot be forgotten.
    let List { id, name, opt_in_process, created: _, updated: _ } = list;
    let opt_in_process = match opt_in_process.as_deref() {
        Some("single_opt_in") => OptInProcess::Single,
        Some("double_opt_in") => OptInProcess::Double,
        _ => OptInProcess::Unspecified,
    };
    v1::List {
        id: id.into(),
        name: name.unwrap_or_default(),
        created_at,
        opt_in_process: opt_in_process.into(),
    }
}

fn shown_flow(flow: Flow) -> v1::Flow {
    let Flow { id, name, status: _, archived: _ } = flow;
    v1::Flow { id, name: name.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use segue_model::{ConnectionId, Id};
    use uuid::Uuid;

    use base64::Engine as _;

    use super::{BASE64, parse, token};

    fn connection(n: u128) -> ConnectionId {
        Id::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn token_is_good_for_its_connection_only() {
        let place = "bmV4dDo6aWQ6OjE=".parse().unwrap();
        let token = token(connection(1), &place);
        assert_eq!(parse(connection(1), &token), Ok(Some(place)));
        assert!(parse(connection(2), &token).is_err());
        assert_eq!(parse(connection(1), ""), Ok(None));
        let id = connection(1);
        for text in [format!("1 {id} "), format!("1 {id} a b"), format!("2 {id} a"), "1".to_owned()]
        {
            assert!(parse(id, &BASE64.encode(&text)).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_token_breaks_the_reader(text in ".{0,80}") {
            if let Ok(Some(place)) = parse(connection(1), &text) {
                prop_assert_eq!(token(connection(1), &place), text);
            }
        }
    }
}
