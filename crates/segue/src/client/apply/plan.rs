//! What has to change so that the server has what the files say. Pure: no server, no clock, no key.

use std::collections::BTreeSet;

use segue_proto::v1::{self, key_reference::Place as KeyPlace};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    desired::{Connection, Desired, Export, KeySource, Place, Problems, Source, SystemSchedule},
    field::{self, Field, Names},
    present::Present,
};

/// One thing, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) kind: Kind,
    /// Empty for the schedule of the system, of which there is one.
    pub(super) name: String,
    /// Absent: the server does not have it.
    pub(super) id: Option<String>,
    pub(super) action: Action,
    /// Of something that is made: all that the file says. Of something that is changed: what differs.
    pub(super) fields: Vec<Difference>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    SystemSchedule,
    Connection,
    Source,
    Export,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Create,
    Update,
    Remove,
    /// It is as the file says.
    Keep,
    /// No file names it; it stays as it is.
    NotInFile,
}

impl Action {
    pub(super) fn changes_something(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Remove)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Difference {
    /// As the file names it.
    pub(super) field: &'static str,
    /// Null: the server does not have the thing.
    pub(super) server: Value,
    pub(super) file: Value,
    /// As an update mask names it.
    #[serde(skip)]
    pub(super) path: &'static str,
}

/// `known_consent` is the version of the text that somebody can have read. With `prune`, what no file names
/// goes; but of a part that no file has at all, nothing.
///
/// The order is that in which it can be done: connections and sources before the exports that use them, and what goes
/// after what no longer needs it.
pub(super) fn plan(
    desired: &Desired,
    present: &Present,
    known_consent: &str,
    prune: bool,
) -> anyhow::Result<Vec<Change>> {
    let mut planner = Planner { desired, present, known_consent, problems: Problems::default() };
    let mut changes = Vec::new();
    changes.extend(desired.system_schedule.as_ref().map(|wanted| system(wanted, present)));
    for wanted in desired.connections.iter().flatten() {
        changes.extend(planner.connection(wanted));
    }
    for wanted in desired.sources.iter().flatten() {
        changes.extend(planner.source(wanted));
    }
    for wanted in desired.exports.iter().flatten() {
        changes.extend(planner.export(wanted));
    }
    changes.extend(planner.others(prune));
    planner.problems.check()?;
    Ok(changes)
}

fn system(wanted: &SystemSchedule, present: &Present) -> Change {
    let (file, server) = (
        field::schedule(wanted.schedule.as_ref()),
        field::schedule(present.system_schedule.as_ref()),
    );
    let (action, fields) = if file == server {
        (Action::Keep, Vec::new())
    } else {
        (Action::Update, vec![Difference { field: "schedule", server, file, path: "" }])
    };
    Change { kind: Kind::SystemSchedule, name: String::new(), id: None, action, fields }
}

/// There is something wrong, and it is noted.
struct Noted;

struct Planner<'a> {
    desired: &'a Desired,
    present: &'a Present,
    known_consent: &'a str,
    problems: Problems,
}

impl<'a> Planner<'a> {
    fn connection(&mut self, wanted: &Connection) -> Result<Change, Noted> {
        let Connection { place, name, key, .. } = wanted;
        let found = self.connection_called(name, place)?;
        let fields = match found {
            None => {
                let new = |(field, file)| Difference { field, server: Value::Null, file, path: "" };
                let key = ("apiKey", place_of(key));
                let said = [key].into_iter().chain(said(wanted));
                said.map(new).collect::<Vec<_>>()
            }
            Some(found) => drift(wanted, found),
        };
        // Whoever agrees anew agrees to the text as it is now.
        let agrees = fields.iter().any(|it| it.field.starts_with("consent"));
        if agrees && wanted.consent_version != self.known_consent {
            let words = format!(
                "consent.version: {:?} is not the version of the text that this command knows: read \
                 docs/consent.md, and write {:?}",
                wanted.consent_version, self.known_consent
            );
            self.problems.note(place, words);
        }
        let action = match (found, fields.is_empty()) {
            (None, _) => Action::Create,
            (Some(_), true) => Action::Keep,
            (Some(_), false) => Action::Update,
        };
        let id = found.map(|it| it.id.clone());
        Ok(Change { kind: Kind::Connection, name: name.clone(), id, action, fields })
    }

    fn source(&mut self, wanted: &Source) -> Result<Change, Noted> {
        let Source { place, name, folder } = wanted;
        let found = self.source_called(name, place)?;
        let server = found.map(|it| Value::from(it.folder.as_str())).unwrap_or_default();
        let file = folder.as_str().into();
        let action = match found {
            None => Action::Create,
            Some(_) if server == file => Action::Keep,
            Some(_) => Action::Update,
        };
        let differs = (action != Action::Keep).then_some("folder");
        let fields = differs.map(|field| Difference { field, server, file, path: field });
        let (name, id) = (name.clone(), found.map(|it| it.id.clone()));
        let fields = fields.into_iter().collect();
        Ok(Change { kind: Kind::Source, name, id, action, fields })
    }

    fn export(&mut self, wanted: &Export) -> Result<Change, Noted> {
        let sourced = self.need_source(&wanted.source, &wanted.source_place);
        let connected = self.need_connection(&wanted.connection, &wanted.connection_place);
        let named = |it: &&v1::Export| it.display_name == wanted.name;
        let found = self.present.exports.iter().filter(named).map(|it| (it.id.as_str(), it));
        let found = self.only(found.collect(), "export", &wanted.name, &wanted.place)?;
        connected?;
        sourced?;
        let said = Field::ALL.into_iter().filter(|field| wanted.said.contains(field));
        let before = found.map(|export| (export, self.names_of(export)));
        let called = Names { connection: &wanted.connection, source: &wanted.source };
        let differences = said.filter_map(|field| {
            let server = before.map(|(export, names)| field.value(export, names));
            let file = field.value(&wanted.fields, called);
            let differs = server.as_ref() != Some(&file);
            let server = server.unwrap_or_default();
            differs.then(|| Difference { field: field.name(), server, file, path: field.path() })
        });
        let fields: Vec<Difference> = differences.collect();
        let action = match (found, fields.is_empty()) {
            (None, _) => Action::Create,
            (Some(_), true) => Action::Keep,
            (Some(_), false) => Action::Update,
        };
        let (name, id) = (wanted.name.clone(), found.map(|it| it.id.clone()));
        Ok(Change { kind: Kind::Export, name, id, action, fields })
    }

    /// What the server has and no file names: exports first, since they hold their connections and sources.
    fn others(&mut self, prune: bool) -> Vec<Change> {
        let action = if prune { Action::Remove } else { Action::NotInFile };
        let other = |kind, name: &str, id: &str| {
            let (name, id) = (name.to_owned(), Some(id.to_owned()));
            Change { kind, name, id, action, fields: Vec::new() }
        };
        let mut changes = Vec::new();
        if let Some(wanted) = &self.desired.exports {
            let named: BTreeSet<&str> = wanted.iter().map(|it| it.name.as_str()).collect();
            let present = self.present.exports.iter();
            let others = present.filter(|it| !named.contains(it.display_name.as_str()));
            changes.extend(others.map(|it| other(Kind::Export, &it.display_name, &it.id)));
        }
        changes.extend(
            self.other_connections(prune)
                .into_iter()
                .map(|it| other(Kind::Connection, &it.display_name, &it.id)),
        );
        changes.extend(
            self.other_sources(prune)
                .into_iter()
                .map(|it| other(Kind::Source, &it.display_name, &it.id)),
        );
        changes
    }

    fn other_connections(&mut self, prune: bool) -> Vec<&'a v1::Connection> {
        let Some(wanted) = &self.desired.connections else { return Vec::new() };
        let exports = self.desired.exports.iter().flatten();
        let named = wanted.iter().map(|it| it.name.as_str());
        let named: BTreeSet<&str> = named.chain(exports.map(|it| it.connection.as_str())).collect();
        let others = self.present.connections.iter();
        let others: Vec<_> =
            others.filter(|it| !named.contains(it.display_name.as_str())).collect();
        for it in &others {
            let by = self.present.exports.iter().find(|by| by.connection_id == it.id);
            if let (true, None, Some(by)) = (prune, &self.desired.exports, by) {
                self.problems.note_of_all(format!(
                    "the connection {:?} ({}) cannot go: the export {:?} uses it, and no file has a part \
                     for exports",
                    it.display_name, it.id, by.display_name
                ));
            }
        }
        others
    }

    fn other_sources(&mut self, prune: bool) -> Vec<&'a v1::Source> {
        let Some(wanted) = &self.desired.sources else { return Vec::new() };
        let exports = self.desired.exports.iter().flatten();
        let named = wanted.iter().map(|it| it.name.as_str());
        let named: BTreeSet<&str> = named.chain(exports.map(|it| it.source.as_str())).collect();
        let others = self.present.sources.iter();
        let others: Vec<_> =
            others.filter(|it| !named.contains(it.display_name.as_str())).collect();
        for it in &others {
            let mut exports = self.present.exports.iter();
            let by = exports.find(|by| by.source_id == it.id && self.keeps_source(by));
            if let (true, Some(by)) = (prune, by) {
                self.problems.note_of_all(format!(
                    "the source {:?} ({}) cannot go: the export {:?} uses it, and no file gives it another; \
                     write source: \"\" for none",
                    it.display_name, it.id, by.display_name
                ));
            }
        }
        others
    }

    /// Whether an export has the same source afterwards: it stays, and no file says which it has.
    fn keeps_source(&self, export: &v1::Export) -> bool {
        let silent =
            |it: &Export| it.name == export.display_name && !it.said.contains(&Field::Source);
        self.desired.exports.as_ref().is_none_or(|exports| exports.iter().any(silent))
    }

    /// That of this name, if the server has one.
    fn connection_called(
        &mut self,
        name: &str,
        place: &Place,
    ) -> Result<Option<&'a v1::Connection>, Noted> {
        let named = self.present.connections.iter().filter(|it| it.display_name == name);
        let found = named.map(|it| (it.id.as_str(), it)).collect();
        self.only(found, "connection", name, place)
    }

    /// Those that files make are among those that an export can use.
    fn need_connection(&mut self, name: &str, place: &Place) -> Result<(), Noted> {
        if self.desired.connections.iter().flatten().any(|it| it.name == name) {
            return Ok(());
        }
        if self.connection_called(name, place)?.is_some() {
            return Ok(());
        }
        let words = "connection: neither the files nor the server have one that is called";
        self.problems.note(place, format!("{words} {name:?}"));
        Err(Noted)
    }

    /// That of this name, if the server has one.
    fn source_called(
        &mut self,
        name: &str,
        place: &Place,
    ) -> Result<Option<&'a v1::Source>, Noted> {
        let named = self.present.sources.iter().filter(|it| it.display_name == name);
        let found = named.map(|it| (it.id.as_str(), it)).collect();
        self.only(found, "source", name, place)
    }

    /// As of a connection; but an export needs none.
    fn need_source(&mut self, name: &str, place: &Place) -> Result<(), Noted> {
        if name.is_empty() || self.desired.sources.iter().flatten().any(|it| it.name == name) {
            return Ok(());
        }
        if self.source_called(name, place)?.is_some() {
            return Ok(());
        }
        let words = "source: neither the files nor the server have one that is called";
        self.problems.note(place, format!("{words} {name:?}"));
        Err(Noted)
    }

    /// Things are known by their names; so where two have one name, nobody knows which is meant.
    fn only<T>(
        &mut self,
        found: Vec<(&str, T)>,
        thing: &str,
        name: &str,
        place: &Place,
    ) -> Result<Option<T>, Noted> {
        if found.len() > 1 {
            let ids: Vec<&str> = found.iter().map(|(id, _)| *id).collect();
            let words = format!(
                "the server has {} {thing}s that are called {name:?} ({}): which is meant? Give them \
                 different names",
                ids.len(),
                ids.join(", ")
            );
            self.problems.note(place, words);
            return Err(Noted);
        }
        Ok(found.into_iter().next().map(|(_, it)| it))
    }

    /// Their ids, should nobody be able to see them.
    fn names_of(&self, export: &'a v1::Export) -> Names<'a> {
        let connection = self.present.connections.iter().find(|it| it.id == export.connection_id);
        let source = self.present.sources.iter().find(|it| it.id == export.source_id);
        Names {
            connection: connection.map_or(&export.connection_id, |it| &it.display_name),
            source: source.map_or(&export.source_id, |it| &it.display_name),
        }
    }
}

/// What a file says of a connection besides where its key is, by the names of the fields.
fn said(wanted: &Connection) -> Vec<(&'static str, Value)> {
    let mut said = vec![
        ("consent.version", wanted.consent_version.as_str().into()),
        ("consent.acceptedBy", wanted.accepted_by.as_str().into()),
    ];
    said.extend(wanted.sharing.as_ref().map(|it| ("sharing", shared(it))));
    said
}

fn shared(sharing: &v1::Sharing) -> Value {
    json!({ "contributors": sharing.contributors, "lists": sharing.list_ids })
}

/// Where a connection is not as the file says. Of a sealed key nobody can tell.
fn drift(wanted: &Connection, found: &v1::Connection) -> Vec<Difference> {
    let differences = said(wanted).into_iter().filter_map(|(field, file)| {
        let (server, path) = match (field, &found.consent) {
            ("sharing", _) => (shared(&found.sharing.clone().unwrap_or_default()), "sharing"),
            ("consent.version", Some(given)) => (given.text_version.as_str().into(), "consent"),
            (_, Some(given)) => (given.accepted_by.as_str().into(), "consent"),
            // Whoever is no administrator does not see it.
            (_, None) => return None,
        };
        (server != file).then_some(Difference { field, server, file, path })
    });
    key_drift(&wanted.key, found).into_iter().chain(differences).collect()
}

/// Whether the server keeps the key, or looks it up elsewhere, as the file says.
fn key_drift(wanted: &KeySource, found: &v1::Connection) -> Option<Difference> {
    // Whoever is no administrator does not see it.
    found.consent.as_ref()?;
    let kept =
        found.key_reference.as_ref().and_then(|it| it.place.clone()).map(KeySource::OfServer);
    let path = match (wanted, &kept) {
        (KeySource::OfServer(_), kept) if kept.as_ref() != Some(wanted) => "key_reference",
        (KeySource::Variable(_) | KeySource::File(_), Some(_)) => "api_key",
        _ => return None,
    };
    let server = kept.as_ref().map_or_else(|| "sealed".into(), place_of);
    Some(Difference { field: "apiKey", server, file: place_of(wanted), path })
}

/// As the file says it: where the key is, and never the key.
fn place_of(key: &KeySource) -> Value {
    match key {
        KeySource::Variable(name) => json!({ "env": name }),
        KeySource::File(path) => json!({ "file": path.display().to_string() }),
        KeySource::OfServer(KeyPlace::Env(name)) => json!({ "serverEnv": name }),
        KeySource::OfServer(KeyPlace::File(path)) => json!({ "serverFile": path }),
    }
}

#[cfg(test)]
mod tests;
