//! What there is on the server.

use segue_proto::v1;

use crate::client::{Servers, asking, explain, sources};

#[derive(Debug, Default)]
pub(super) struct Present {
    /// `None`: off.
    pub(super) system_schedule: Option<v1::Schedule>,
    pub(super) connections: Vec<v1::Connection>,
    pub(super) sources: Vec<v1::Source>,
    pub(super) exports: Vec<v1::Export>,
}

impl Present {
    pub(super) async fn read(servers: &Servers) -> anyhow::Result<Self> {
        let request = asking(v1::GetSystemScheduleRequest {});
        let reply = servers.schedule().get_system_schedule(request).await.map_err(explain)?;
        Ok(Self {
            system_schedule: reply.into_inner().schedule,
            connections: connections(servers).await?,
            sources: sources::all(servers).await?,
            exports: exports(servers).await?,
        })
    }
}

async fn connections(servers: &Servers) -> anyhow::Result<Vec<v1::Connection>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListConnectionsRequest { page_size: 1000, page_token };
        let reply = servers.connections().list_connections(asking(request)).await;
        let page = reply.map_err(explain)?.into_inner();
        all.extend(page.connections);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

async fn exports(servers: &Servers) -> anyhow::Result<Vec<v1::Export>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let connection_id = String::new();
        let request = v1::ListExportsRequest { page_size: 1000, page_token, connection_id };
        let reply = servers.exports().list_exports(asking(request)).await;
        let page = reply.map_err(explain)?.into_inner();
        all.extend(page.exports);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}
