use std::process::ExitCode;

use anyhow::bail;
use secrecy::ExposeSecret as _;
use segue_proto::v1::{self, key_reference::Place};
use serde_json::json;

use super::{
    Servers,
    args::{Connections, ConnectionsArgs},
    args_admin::{KeyReferenceArgs, SharingArgs},
    asking, explain,
    output::{self, Connection, Verified},
    present,
};
use crate::{key, ui};

/// The text that whoever makes a connection agrees to.
const CONSENT: &str = include_str!("../../../../docs/consent.md");
pub(super) const CONSENT_VERSION: &str = "2026-11";

pub(super) async fn run(args: ConnectionsArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    let mut client = servers.connections();
    match args.command {
        Connections::Create {
            display_name,
            api_key_file,
            reference,
            accept_consent,
            accepted_by,
            sharing,
            request_id,
        } => {
            if !accept_consent {
                ui::note(CONSENT.trim_end());
                bail!("nothing was saved: if you agree to the text above, add --accept-consent");
            }
            let key_reference = reference_of(reference);
            let api_key = match key_reference {
                Some(_) => String::new(),
                None => key::read(api_key_file.as_deref())?.expose_secret().to_owned(),
            };
            let consent = v1::Consent {
                text_version: CONSENT_VERSION.to_owned(),
                accepted_by,
                accepted_at: None,
            };
            let connection = v1::Connection {
                display_name,
                api_key,
                key_reference,
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
            output::many(servers.output, &all(&servers).await?)?;
        }
        Connections::Verify { connection: id } => {
            let request = v1::VerifyConnectionRequest { id };
            let reply =
                client.verify_connection(asking(request)).await.map_err(explain)?.into_inner();
            let verified = Verified::try_from(reply)?;
            verified.show(servers.output)?;
            if let Some(problem) = verified.problem() {
                bail!("{}", ui::plain(problem));
            }
            ui::note("nothing is known against the key");
        }
        Connections::Update {
            connection: id,
            display_name,
            new_key,
            api_key_file,
            reference,
            sharing,
            unshare,
        } => {
            let key = new_key.then(|| key::read(api_key_file.as_deref())).transpose()?;
            let changed = v1::Connection {
                id,
                display_name: display_name.unwrap_or_default(),
                api_key: key.map(|key| key.expose_secret().to_owned()).unwrap_or_default(),
                key_reference: reference_of(reference),
                sharing: (sharing.share || unshare).then(|| sharing_of(sharing)),
                ..v1::Connection::default()
            };
            show(&servers, update(&servers, changed).await?)?;
        }
        Connections::Delete { connection: id, detach } => {
            let request = v1::DeleteConnectionRequest { id: id.clone(), detach };
            let reply = client.delete_connection(asking(request)).await.map_err(explain)?;
            let detached = reply.into_inner().detached_export_ids;
            let json = json!({ "id": id, "deleted": true, "detached_export_ids": detached });
            let words = format_args!("{id} is deleted, and its key with it");
            output::done(servers.output, &json, words)?;
            for export in detached {
                ui::note(format_args!("{export} has no connection any more"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(servers: &Servers) -> anyhow::Result<Vec<Connection>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListConnectionsRequest { page_size: 1000, page_token };
        let reply = servers.connections().list_connections(asking(request)).await;
        let page = reply.map_err(explain)?.into_inner();
        all.extend(page.connections.into_iter().map(Connection::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// Changes what is given.
async fn update(
    servers: &Servers,
    changed: v1::Connection,
) -> anyhow::Result<Option<v1::Connection>> {
    let given = [
        ("display_name", !changed.display_name.is_empty()),
        ("api_key", !changed.api_key.is_empty()),
        ("key_reference", changed.key_reference.is_some()),
        ("sharing", changed.sharing.is_some()),
    ];
    let paths: Vec<String> =
        given.iter().filter(|(_, given)| *given).map(|(path, _)| (*path).to_owned()).collect();
    if paths.is_empty() {
        bail!(
            "nothing to change: give --display-name, --new-key, --key-env, --key-file, --share or --unshare"
        );
    }
    let request = v1::UpdateConnectionRequest {
        connection: Some(changed),
        update_mask: Some(prost_types::FieldMask { paths }),
    };
    let reply = servers.connections().update_connection(asking(request)).await.map_err(explain)?;
    Ok(reply.into_inner().connection)
}

fn reference_of(args: KeyReferenceArgs) -> Option<v1::KeyReference> {
    let KeyReferenceArgs { key_env, key_file } = args;
    let place = key_env.map(Place::Env).or(key_file.map(Place::File))?;
    Some(v1::KeyReference { place: Some(place) })
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
