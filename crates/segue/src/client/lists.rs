use std::process::ExitCode;

use anyhow::bail;
use segue_proto::v1;

use super::{
    Servers,
    args::{Lists, ListsArgs},
    asking, explain,
    output::{self, List, ListWithFlows},
    present,
    runs::id_of,
};

pub(super) async fn run(args: ListsArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    match args.command {
        Lists::List { connection, name } => {
            let request = v1::ListListsRequest {
                connection_id: connection,
                name_contains: name.unwrap_or_default(),
                page_size: 200,
                ..v1::ListListsRequest::default()
            };
            let lists: Vec<List> =
                all(&servers, request).await?.into_iter().map(List::from).collect();
            output::many(servers.output, &lists)?;
        }
        Lists::Get { connection, list } => {
            let found = get(&servers, connection, list).await?;
            output::one(servers.output, &ListWithFlows::try_from(found)?)?;
        }
        Lists::Create { connection, name, request_id } => {
            let request = v1::CreateListRequest {
                connection_id: connection,
                name,
                request_id: id_of(request_id),
            };
            let reply = servers.lists().create_list(asking(request)).await.map_err(explain)?;
            let made = present(reply.into_inner().list, "list")?;
            output::one(servers.output, &List::from(made))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// All pages of an answer.
async fn all(
    servers: &Servers,
    mut request: v1::ListListsRequest,
) -> anyhow::Result<Vec<v1::List>> {
    let mut all = Vec::new();
    loop {
        let page = servers.lists().list_lists(asking(request.clone())).await.map_err(explain)?;
        let page = page.into_inner();
        all.extend(page.lists);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(all);
        }
    }
}

async fn get(
    servers: &Servers,
    connection_id: String,
    list_id: String,
) -> anyhow::Result<v1::GetListResponse> {
    let request = v1::GetListRequest { connection_id, list_id };
    Ok(servers.lists().get_list(asking(request)).await.map_err(explain)?.into_inner())
}

/// The id of the list that an export is for, by its name if that is given.
pub(super) async fn pick(
    servers: &Servers,
    connection: &str,
    (id, name): (Option<String>, Option<String>),
) -> anyhow::Result<String> {
    match name {
        None => Ok(id.unwrap_or_default()),
        Some(name) => id_by_name(servers, connection, name).await,
    }
}

/// The id of the one list of exactly this name.
async fn id_by_name(servers: &Servers, connection: &str, name: String) -> anyhow::Result<String> {
    let request = v1::ListListsRequest {
        connection_id: connection.to_owned(),
        name: name.clone(),
        ..v1::ListListsRequest::default()
    };
    let found = all(servers, request).await?;
    match found.as_slice() {
        [list] => Ok(list.id.clone()),
        [] => bail!(
            "the account has no list {name:?}: `segue lists list` shows those that there are, `segue lists create` \
             makes one"
        ),
        several => {
            let ids: Vec<&str> = several.iter().map(|list| list.id.as_str()).collect();
            bail!("several lists are called {name:?}: say which one by --list: {}", ids.join(", "))
        }
    }
}
