use std::process::ExitCode;

use anyhow::bail;
use secrecy::ExposeSecret as _;
use segue_proto::v1;

use super::{
    Servers,
    args::{Connections, ConnectionsArgs},
    args_admin::SharingArgs,
    asking, explain,
    output::{self, Connection},
    present,
};
use crate::{key, ui};

/// The text that whoever makes a connection agrees to.
const CONSENT: &str = include_str!("../../../../docs/consent.md");
const CONSENT_VERSION: &str = "2026-11";

pub(super) async fn run(args: ConnectionsArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    let mut client = servers.connections();
    match args.command {
        Connections::Create {
            display_name,
            api_key_file,
            accept_consent,
            accepted_by,
            sharing,
            request_id,
        } => {
            if !accept_consent {
                ui::note(CONSENT.trim_end());
                bail!("nothing was saved: if you agree to the text above, add --accept-consent");
            }
            let key = key::read(api_key_file.as_deref())?;
            let consent = v1::Consent {
                text_version: CONSENT_VERSION.to_owned(),
                accepted_by,
                accepted_at: None,
            };
            let connection = v1::Connection {
                display_name,
                api_key: key.expose_secret().to_owned(),
                consent: Some(consent),
                sharing: Some(sharing_of(sharing)),
                ..v1::Connection::default()
            };
            let request = v1::CreateConnectionRequest {
                connection: Some(connection),
                request_id: request_id.unwrap_or_default(),
            };
            let reply = client.create_connection(asking(request)).await.map_err(explain)?;
            show(&servers, reply.into_inner().connection)?;
        }
        Connections::Get { connection: id } => {
            let request = v1::GetConnectionRequest { id };
            let reply = client.get_connection(asking(request)).await.map_err(explain)?;
            show(&servers, reply.into_inner().connection)?;
        }
        Connections::List => {
            let mut all: Vec<Connection> = Vec::new();
            let mut page_token = String::new();
            loop {
                let request = v1::ListConnectionsRequest { page_size: 1000, page_token };
                let reply = client.list_connections(asking(request)).await.map_err(explain)?;
                let page = reply.into_inner();
                all.extend(page.connections.into_iter().map(Connection::from));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            output::many(servers.output, &all)?;
        }
        Connections::Verify { connection: id } => {
            let request = v1::VerifyConnectionRequest { id };
            let reply =
                client.verify_connection(asking(request)).await.map_err(explain)?.into_inner();
            show(&servers, reply.connection)?;
            if !reply.problem.is_empty() {
                bail!("{}", reply.problem);
            }
            ui::note(format_args!(
                "the key is good; Klaviyo answers with revision {}",
                reply.revision
            ));
        }
        Connections::Update {
            connection,
            display_name,
            new_key,
            api_key_file,
            sharing,
            unshare,
        } => {
            let mut changed = v1::Connection { id: connection, ..v1::Connection::default() };
            let mut paths = Vec::new();
            if let Some(name) = display_name {
                changed.display_name = name;
                paths.push("display_name".to_owned());
            }
            if new_key {
                key::read(api_key_file.as_deref())?
                    .expose_secret()
                    .clone_into(&mut changed.api_key);
                paths.push("api_key".to_owned());
            }
            if sharing.share || unshare {
                changed.sharing = Some(sharing_of(sharing));
                paths.push("sharing".to_owned());
            }
            if paths.is_empty() {
                bail!("nothing to change was given");
            }
            let request = v1::UpdateConnectionRequest {
                connection: Some(changed),
                update_mask: Some(prost_types::FieldMask { paths }),
            };
            let reply = client.update_connection(asking(request)).await.map_err(explain)?;
            show(&servers, reply.into_inner().connection)?;
        }
        Connections::Delete { connection: id, detach } => {
            let request = v1::DeleteConnectionRequest { id: id.clone(), detach };
            let reply = client.delete_connection(asking(request)).await.map_err(explain)?;
            ui::note(format_args!("{id} is deleted, and its key with it"));
            for export in reply.into_inner().detached_export_ids {
                ui::note(format_args!("{export} has no connection any more"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn sharing_of(args: SharingArgs) -> v1::Sharing {
    v1::Sharing { contributors: args.share, list_ids: args.only_lists }
}

fn show(servers: &Servers, connection: Option<v1::Connection>) -> anyhow::Result<()> {
    output::one(servers.output, &Connection::from(present(connection, "connection")?))
}

#[cfg(test)]
mod tests {
    use super::{CONSENT, CONSENT_VERSION};

    #[test]
    fn consent_text_names_the_version_that_is_recorded() {
        assert!(CONSENT.contains(CONSENT_VERSION));
    }
}
