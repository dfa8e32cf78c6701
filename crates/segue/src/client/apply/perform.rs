//! Makes the server what the plan says, one call after the other.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use segue_proto::v1;

use super::{
    desired::{Connection, Desired, Export, KeySource, Source},
    field::Field,
    plan::{Action, Change, Kind},
    present::Present,
    show,
};
use crate::{
    client::{Servers, asking, explain, present},
    key, ui,
};

/// Keys of the connections that are made or get another, by their names.
pub(super) type Keys = BTreeMap<String, SecretString>;

/// Reads the keys that will be sent: before anything is changed, so that a key that is not there leaves the
/// server as it was.
pub(super) fn keys(desired: &Desired, changes: &[Change]) -> anyhow::Result<Keys> {
    let needs_key = |it: &&Change| {
        let gets_another = it.fields.iter().any(|field| field.path == "api_key");
        it.kind == Kind::Connection && (it.action == Action::Create || gets_another)
    };
    let mut keys = Keys::new();
    for change in changes.iter().filter(needs_key) {
        let Connection { place, key, .. } = connection(desired, &change.name)?;
        let key = match key {
            KeySource::Variable(name) => key::of_variable(name),
            KeySource::File(path) => key::of_file(path),
            KeySource::OfServer(_) => continue,
        };
        let key = key.with_context(|| {
            format!("{place}: the key of the connection {:?} cannot be had", change.name)
        })?;
        keys.insert(change.name.clone(), key);
    }
    Ok(keys)
}

/// Does what the plan says, and notes the ids of what it makes in it. What was done before an error is done.
pub(super) async fn perform(
    servers: &Servers,
    desired: &Desired,
    present: &Present,
    keys: &Keys,
    changes: &mut [Change],
) -> anyhow::Result<()> {
    let known = present.connections.iter();
    let known = known.map(|it| (it.display_name.clone(), it.id.clone())).collect();
    let sources = present.sources.iter();
    let sources = sources.map(|it| (it.display_name.clone(), it.id.clone())).collect();
    let mut performer = Performer { servers, desired, keys, connections: known, sources };
    for change in changes.iter_mut().filter(|it| it.action.changes_something()) {
        let done = performer.perform(change).await;
        done.with_context(|| {
            let what = show::headline(change);
            format!("{what}: not done, and nothing after it; apply again to do the rest")
        })?;
        ui::note(format_args!("done: {}", show::headline(change)));
    }
    Ok(())
}

struct Performer<'a> {
    servers: &'a Servers,
    desired: &'a Desired,
    keys: &'a Keys,
    /// Their ids by their names. Of two with one name the plan lets nobody use either.
    connections: BTreeMap<String, String>,
    sources: BTreeMap<String, String>,
}

impl Performer<'_> {
    async fn perform(&mut self, change: &mut Change) -> anyhow::Result<()> {
        match (change.kind, change.action) {
            (Kind::SystemSchedule, _) => self.set_system_schedule().await,
            (Kind::Connection, Action::Create) => {
                let id = self.create_connection(&change.name).await?;
                self.connections.insert(change.name.clone(), id.clone());
                change.id = Some(id);
                Ok(())
            }
            (Kind::Connection, Action::Update) => self.update_connection(change).await,
            (Kind::Connection, Action::Remove) => self.delete_connection(id_of(change)?).await,
            (Kind::Source, Action::Create) => {
                let id = self.create_source(&change.name).await?;
                self.sources.insert(change.name.clone(), id.clone());
                change.id = Some(id);
                Ok(())
            }
            (Kind::Source, Action::Update) => self.update_source(change).await,
            (Kind::Source, Action::Remove) => self.delete_source(id_of(change)?).await,
            (Kind::Export, Action::Create) => {
                change.id = Some(self.create_export(&change.name).await?);
                Ok(())
            }
            (Kind::Export, Action::Update) => self.update_export(change).await,
            (Kind::Export, Action::Remove) => self.delete_export(id_of(change)?).await,
            (_, Action::Keep | Action::NotInFile) => Ok(()),
        }
    }

    async fn set_system_schedule(&self) -> anyhow::Result<()> {
        let wanted = self.desired.system_schedule.as_ref().context("no file has it")?;
        let request = v1::SetSystemScheduleRequest { schedule: wanted.schedule.clone() };
        let mut client = self.servers.schedule();
        client.set_system_schedule(asking(request)).await.map_err(explain)?;
        Ok(())
    }

    async fn create_connection(&self, name: &str) -> anyhow::Result<String> {
        let wanted = connection(self.desired, name)?;
        let connection = self.with_key(wanted)?;
        let request =
            v1::CreateConnectionRequest { connection: Some(connection), request_id: String::new() };
        let mut client = self.servers.connections();
        let reply = client.create_connection(asking(request)).await.map_err(explain)?;
        Ok(present(reply.into_inner().connection, "connection")?.id)
    }

    async fn update_connection(&self, change: &Change) -> anyhow::Result<()> {
        let wanted = connection(self.desired, &change.name)?;
        let is_of_key = change.fields.iter().any(|it| it.field == "apiKey");
        let wanted = if is_of_key { self.with_key(wanted)? } else { without_key(wanted) };
        let request = v1::UpdateConnectionRequest {
            connection: Some(v1::Connection { id: id_of(change)?, ..wanted }),
            update_mask: Some(mask_of(change)),
        };
        let mut client = self.servers.connections();
        client.update_connection(asking(request)).await.map_err(explain)?;
        Ok(())
    }

    /// As the file says it, with its key or where the server finds it.
    fn with_key(&self, wanted: &Connection) -> anyhow::Result<v1::Connection> {
        let connection = without_key(wanted);
        if let KeySource::OfServer(place) = &wanted.key {
            let key_reference = Some(v1::KeyReference { place: Some(place.clone()) });
            return Ok(v1::Connection { key_reference, ..connection });
        }
        let key = self.keys.get(&wanted.name).context("its key was not read")?;
        Ok(v1::Connection { api_key: key.expose_secret().to_owned(), ..connection })
    }

    /// Refused while something uses it: exports do not lose their connection by a file that forgot it.
    async fn delete_connection(&self, id: String) -> anyhow::Result<()> {
        let request = v1::DeleteConnectionRequest { id, detach: false };
        let mut client = self.servers.connections();
        client.delete_connection(asking(request)).await.map_err(explain)?;
        Ok(())
    }

    async fn create_source(&self, name: &str) -> anyhow::Result<String> {
        let source = Some(self.source(name)?);
        let request = v1::CreateSourceRequest { source, request_id: String::new() };
        let reply = self.servers.sources().create_source(asking(request)).await.map_err(explain)?;
        Ok(present(reply.into_inner().source, "source")?.id)
    }

    async fn update_source(&self, change: &Change) -> anyhow::Result<()> {
        let source = v1::Source { id: id_of(change)?, ..self.source(&change.name)? };
        let request =
            v1::UpdateSourceRequest { source: Some(source), update_mask: Some(mask_of(change)) };
        self.servers.sources().update_source(asking(request)).await.map_err(explain)?;
        Ok(())
    }

    async fn delete_source(&self, id: String) -> anyhow::Result<()> {
        let request = v1::DeleteSourceRequest { id };
        self.servers.sources().delete_source(asking(request)).await.map_err(explain)?;
        Ok(())
    }

    /// As the file says it.
    fn source(&self, name: &str) -> anyhow::Result<v1::Source> {
        let mut all = self.desired.sources.iter().flatten();
        let wanted: &Source = all.find(|it| it.name == name).context("no file has it")?;
        let (display_name, folder) = (wanted.name.clone(), wanted.folder.clone());
        Ok(v1::Source { display_name, folder, ..v1::Source::default() })
    }

    async fn create_export(&self, name: &str) -> anyhow::Result<String> {
        let mut export = self.export(name)?;
        let owner = export.owner.take();
        let request = v1::CreateExportRequest { export: Some(export), request_id: String::new() };
        let reply = self.servers.exports().create_export(asking(request)).await;
        let made = present(reply.map_err(explain)?.into_inner().export, "export")?;
        // It belongs to whoever makes it, until it is given to somebody else.
        if let Some(owner) = owner
            && made.owner.as_ref().is_none_or(|made| made.subject != owner.subject)
        {
            let export = v1::Export { owner: Some(owner), ..made.clone() };
            let paths = vec![Field::Owner.path().to_owned()];
            let update_mask = Some(prost_types::FieldMask { paths });
            let request = v1::UpdateExportRequest { export: Some(export), update_mask };
            self.servers.exports().update_export(asking(request)).await.map_err(explain)?;
        }
        Ok(made.id)
    }

    /// Only what differs: whatever else somebody has changed meanwhile stays.
    async fn update_export(&self, change: &Change) -> anyhow::Result<()> {
        let export = v1::Export { id: id_of(change)?, ..self.export(&change.name)? };
        let request =
            v1::UpdateExportRequest { export: Some(export), update_mask: Some(mask_of(change)) };
        self.servers.exports().update_export(asking(request)).await.map_err(explain)?;
        Ok(())
    }

    async fn delete_export(&self, id: String) -> anyhow::Result<()> {
        let request = v1::DeleteExportRequest { id };
        self.servers.exports().delete_export(asking(request)).await.map_err(explain)?;
        Ok(())
    }

    /// As the file says it, with the ids of its connection and its source.
    fn export(&self, name: &str) -> anyhow::Result<v1::Export> {
        let mut all = self.desired.exports.iter().flatten();
        let wanted: &Export = all.find(|it| it.name == name).context("no file has it")?;
        let connection_id = self.connections.get(&wanted.connection);
        let connection_id = connection_id.context("its connection was not made")?.clone();
        let source_id = match wanted.source.as_str() {
            "" => String::new(),
            name => self.sources.get(name).context("its source was not made")?.clone(),
        };
        Ok(v1::Export { connection_id, source_id, ..wanted.fields.clone() })
    }
}

fn connection<'a>(desired: &'a Desired, name: &str) -> anyhow::Result<&'a Connection> {
    let mut all = desired.connections.iter().flatten();
    all.find(|it| it.name == name).context("no file has it")
}

/// As the file says it.
fn without_key(wanted: &Connection) -> v1::Connection {
    let consent = v1::Consent {
        text_version: wanted.consent_version.clone(),
        accepted_by: wanted.accepted_by.clone(),
        accepted_at: None,
    };
    v1::Connection {
        display_name: wanted.name.clone(),
        consent: Some(consent),
        sharing: wanted.sharing.clone(),
        ..v1::Connection::default()
    }
}

/// What differs. Several fields of a file may be one of the contract.
fn mask_of(change: &Change) -> prost_types::FieldMask {
    let paths: BTreeSet<&str> = change.fields.iter().map(|it| it.path).collect();
    prost_types::FieldMask { paths: paths.into_iter().map(str::to_owned).collect() }
}

fn id_of(change: &Change) -> anyhow::Result<String> {
    change.id.clone().context("the server gave it no id")
}
