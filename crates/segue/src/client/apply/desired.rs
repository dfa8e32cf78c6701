//! What the files say, together and checked as far as it can be without a server.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use segue_control_plane::{
    ExportFields, Freshness, Guards, Mapping, Properties, Refusal, SourceFields, Violation, grpc,
};
use segue_klaviyo::ListId;
use segue_proto::v1::{self, key_reference::Place as KeyPlace};
use segue_schedule::ExportSchedule;
use serde_saphyr::Spanned;

use super::{
    document::{self, Document, VERSION, WordOr},
    field::Field,
    lines::Lines,
    timing,
};
use crate::cli::duration;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    file: Rc<str>,
    line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What there should be. A part that no file names is `None`, and is not looked at.
#[derive(Debug, Default)]
pub(super) struct Desired {
    pub(super) system_schedule: Option<SystemSchedule>,
    pub(super) connections: Option<Vec<Connection>>,
    pub(super) sources: Option<Vec<Source>>,
    pub(super) exports: Option<Vec<Export>>,
}

#[derive(Debug)]
pub(super) struct SystemSchedule {
    pub(super) place: Place,
    /// `None`: off.
    pub(super) schedule: Option<v1::Schedule>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) key: KeySource,
    pub(super) consent_version: String,
    pub(super) accepted_by: String,
    pub(super) sharing: Option<v1::Sharing>,
}

/// Where the key of a connection is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum KeySource {
    /// On the machine where the command runs.
    Variable(String),
    /// On that machine too.
    File(PathBuf),
    /// Where the control-plane runs, which looks there whenever it needs the key.
    OfServer(KeyPlace),
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) folder: String,
}

#[derive(Debug)]
pub(super) struct Export {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) connection: String,
    pub(super) connection_place: Place,
    /// Empty: none, or the file does not say.
    pub(super) source: String,
    pub(super) source_place: Place,
    /// Without ids, which the file does not know.
    pub(super) fields: v1::Export,
    /// Which of its fields the file says.
    pub(super) said: BTreeSet<Field>,
}

/// What is wrong, each with its place.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    pub(super) fn note(&mut self, place: &Place, what: impl fmt::Display) {
        self.0.push(format!("{place}: {what}"));
    }

    /// Of what stands in no file.
    pub(super) fn note_of_all(&mut self, what: String) {
        self.0.push(what);
    }

    /// All of them, if there are any.
    pub(super) fn check(self) -> anyhow::Result<()> {
        match self.0.as_slice() {
            [] => Ok(()),
            [only] => Err(anyhow::anyhow!("{only}")),
            many => {
                let words = format!("{} things are wrong\n  {}", many.len(), many.join("\n  "));
                Err(anyhow::anyhow!(words))
            }
        }
    }
}

impl Desired {
    /// Adds what a file says. `folder` is where paths in it start.
    pub(super) fn add(
        &mut self,
        file: &str,
        folder: &Path,
        document: Document,
        problems: &mut Problems,
    ) {
        let mut reader = Reader { file: file.into(), folder, problems };
        let Document { api_version, system_schedule, connections, sources, exports } = document;
        if api_version.value != VERSION {
            let words = format!("apiVersion: {:?} is not {VERSION}", api_version.value);
            reader.problems.note(&reader.place(&api_version), words);
        }
        if let Some(given) = system_schedule {
            let schedule = reader.system_schedule(given);
            match &self.system_schedule {
                Some(first) => {
                    let words = format!("systemSchedule: {} has one already", first.place);
                    reader.problems.note(&schedule.place, words);
                }
                None => self.system_schedule = Some(schedule),
            }
        }
        if let Some(given) = connections {
            let all = self.connections.get_or_insert_default();
            for connection in given {
                let connection = reader.connection(connection);
                let same = all.iter().find(|it| it.name == connection.name).map(|it| &it.place);
                reader.once("connection", &connection.name, &connection.place, same);
                all.push(connection);
            }
        }
        if let Some(given) = sources {
            let all = self.sources.get_or_insert_default();
            for source in given {
                let source = reader.source(source);
                let same = all.iter().find(|it| it.name == source.name).map(|it| &it.place);
                reader.once("source", &source.name, &source.place, same);
                all.push(source);
            }
        }
        if let Some(given) = exports {
            let all = self.exports.get_or_insert_default();
            for export in given {
                let export = reader.export(export);
                let same = all.iter().find(|it| it.name == export.name).map(|it| &it.place);
                reader.once("export", &export.name, &export.place, same);
                all.push(export);
            }
        }
    }
}

/// Of one file.
struct Reader<'a> {
    file: Rc<str>,
    folder: &'a Path,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn place<T>(&self, value: &Spanned<T>) -> Place {
        Place { file: Rc::clone(&self.file), line: value.referenced.line() }
    }

    /// Things are known by their names, so a name is there once.
    fn once(&mut self, thing: &str, name: &str, place: &Place, same: Option<&Place>) {
        if let Some(same) = same {
            let words = format!("name: {same} has the {thing} {name:?} already");
            self.problems.note(place, words);
        }
    }

    fn system_schedule(&mut self, given: Spanned<document::Timing>) -> SystemSchedule {
        let place = self.place(&given);
        let schedule = timing::of_system(given.value).unwrap_or_else(|words| {
            self.problems.note(&place, format!("systemSchedule{words}"));
            None
        });
        SystemSchedule { place, schedule: schedule.as_ref().map(grpc::schedule_message) }
    }

    fn connection(&mut self, given: document::Connection) -> Connection {
        let document::Connection { name, api_key, consent, sharing } = given;
        let place = self.place(&name);
        if name.value.trim().is_empty() {
            self.problems.note(&place, "name: is blank");
        }
        let key = self.key(&api_key);
        let consent_place = self.place(&consent);
        let document::Consent { version, accepted_by } = consent.value;
        if accepted_by.trim().is_empty() {
            self.problems.note(&consent_place, "consent.acceptedBy: is blank: who agrees?");
        }
        let sharing = sharing.map(|given| self.sharing(given));
        let name = name.value;
        Connection { place, name, key, consent_version: version, accepted_by, sharing }
    }

    fn sharing(&mut self, given: Spanned<document::Sharing>) -> v1::Sharing {
        let place = self.place(&given);
        let document::Sharing { contributors, lists } = given.value;
        let list_ids = lists.unwrap_or_default();
        for list in &list_ids {
            if let Err(err) = list.parse::<ListId>() {
                self.problems.note(&place, format!("sharing.lists: {err}"));
            }
        }
        if !contributors && !list_ids.is_empty() {
            let words = "sharing.lists: are for a connection that contributors may use";
            self.problems.note(&place, words);
        }
        v1::Sharing { contributors, list_ids }
    }

    fn key(&mut self, given: &Spanned<document::ApiKey>) -> KeySource {
        let advice = "say where the key is: {env: VARIABLE} or {file: PATH} of this machine, or {serverEnv: VARIABLE} \
                      or {serverFile: PATH} of the control-plane's";
        let place = self.place(given);
        match &given.value.0 {
            None => {
                let words = format!("apiKey: a key does not stand in this file; {advice}");
                self.problems.note(&place, words);
            }
            Some(document::KeyPlace {
                env: Some(name),
                file: None,
                server_env: None,
                server_file: None,
            }) => {
                if !name.is_empty() && !name.contains(['=', '\0']) {
                    return KeySource::Variable(name.clone());
                }
                self.problems.note(&place, "apiKey.env: is no name of a variable");
            }
            Some(document::KeyPlace {
                env: None,
                file: Some(path),
                server_env: None,
                server_file: None,
            }) => {
                if !path.as_os_str().is_empty() {
                    return KeySource::File(self.folder.join(path));
                }
                self.problems.note(&place, "apiKey.file: is empty");
            }
            // What may be referred to only the server knows.
            Some(document::KeyPlace {
                env: None,
                file: None,
                server_env: Some(name),
                server_file: None,
            }) => {
                if !name.is_empty() {
                    return KeySource::OfServer(KeyPlace::Env(name.clone()));
                }
                self.problems.note(&place, "apiKey.serverEnv: is empty");
            }
            Some(document::KeyPlace {
                env: None,
                file: None,
                server_env: None,
                server_file: Some(path),
            }) => {
                if !path.is_empty() {
                    return KeySource::OfServer(KeyPlace::File(path.clone()));
                }
                self.problems.note(&place, "apiKey.serverFile: is empty");
            }
            Some(_) => self.problems.note(&place, format!("apiKey: {advice}")),
        }
        KeySource::Variable(String::new())
    }

    fn source(&mut self, given: document::Source) -> Source {
        let document::Source { name, folder } = given;
        let (place, folder_place) = (self.place(&name), self.place(&folder));
        let fields = SourceFields { display_name: name.value, folder: folder.value };
        for Violation { field, words } in violations(fields.check()) {
            match field.as_str() {
                "source.folder" => self.problems.note(&folder_place, format!("folder: {words}")),
                _ => self.problems.note(&place, format!("name: {words}")),
            }
        }
        let SourceFields { display_name: name, folder } = fields;
        Source { place, name, folder }
    }

    fn export(&mut self, given: document::Export) -> Export {
        let place = self.place(&given.name);
        let source_place = given.source.as_ref().map_or(place.clone(), |it| self.place(it));
        let connection_place = self.place(&given.connection);
        if given.connection.value.trim().is_empty() {
            self.problems.note(&connection_place, "connection: is blank");
        }
        let lines = Lines::of(&given);
        let document::Export {
            name,
            connection,
            list,
            source,
            segments,
            mapping,
            guards,
            freshness,
            schedule,
            disabled,
            owner,
        } = given;
        let mut said = BTreeSet::from([Field::Connection, Field::List, Field::Segments]);
        said.extend(source.as_ref().map(|_| Field::Source));
        said.extend(freshness.as_ref().map(|_| Field::Freshness));
        said.extend(schedule.as_ref().map(|_| Field::Schedule));
        said.extend(disabled.map(|_| Field::Disabled));
        said.extend(owner.as_ref().map(|_| Field::Owner));
        let schedule = schedule.map(|given| self.schedule(given)).unwrap_or_default();
        let owner = owner.map(|given| self.owner(given));
        let fields = ExportFields {
            display_name: name.value,
            // Which one has this name only the server knows.
            connection: None,
            list_id: list.value,
            source: None,
            segments: segments.value,
            mapping: self.mapping(mapping, &mut said),
            guards: guards.map(|given| guards_of(&given.value, &mut said)).unwrap_or_default(),
            freshness: freshness.and_then(|given| self.freshness(given)),
            schedule,
            disabled: disabled.unwrap_or_default(),
        };
        for violation in violations(fields.check()) {
            let (field, line) = lines.of_violation(&violation.field);
            let place = Place { file: Rc::clone(&self.file), line };
            self.problems.note(&place, format!("{field}: {}", violation.words));
        }
        let connection = connection.value;
        let name = fields.display_name.clone();
        let mut fields = grpc::export_message(fields);
        fields.owner = owner.map(|subject| v1::Owner { subject, ..v1::Owner::default() });
        let source = source.map(|given| given.value).unwrap_or_default();
        Export { place, name, connection, connection_place, source, source_place, fields, said }
    }

    fn schedule(&mut self, given: Spanned<document::Timing>) -> ExportSchedule {
        let place = self.place(&given);
        timing::of_export(given.value).unwrap_or_else(|words| {
            self.problems.note(&place, format!("schedule{words}"));
            ExportSchedule::System
        })
    }

    fn freshness(
        &mut self,
        given: Spanned<document::WordOr<document::Freshness>>,
    ) -> Option<Freshness> {
        let place = self.place(&given);
        let document::Freshness { max_source_age, wait } = match given.value {
            WordOr::Word(word) if word == "any" => return None,
            WordOr::Word(word) => {
                let words = format!("freshness: {word:?} is neither any nor {{maxSourceAge: 26h}}");
                self.problems.note(&place, words);
                return None;
            }
            WordOr::Other(given) => given,
        };
        let mut read = |field: &str, text: &str| {
            duration(text).unwrap_or_else(|words| {
                self.problems.note(&place, format!("freshness.{field}: {words}"));
                // Nothing else is wrong with it.
                Duration::from_secs(1)
            })
        };
        Some(Freshness {
            max_source_age: read("maxSourceAge", &max_source_age),
            wait: wait.map(|wait| read("wait", &wait)).unwrap_or_default(),
        })
    }

    fn owner(&mut self, given: Spanned<String>) -> String {
        if given.value.trim().is_empty() {
            let words = "owner: is blank; write a subject, as segue tokens whoami tells it";
            self.problems.note(&self.place(&given), words);
        }
        given.value
    }

    fn mapping(
        &mut self,
        given: Option<Spanned<document::Mapping>>,
        said: &mut BTreeSet<Field>,
    ) -> Mapping {
        let Some(given) = given else { return Mapping::default() };
        let place = self.place(&given);
        let document::Mapping { email, attributes, properties, default_country } = given.value;
        said.extend(email.as_ref().map(|_| Field::Email));
        said.extend(attributes.as_ref().map(|_| Field::Attributes));
        said.extend(properties.as_ref().map(|_| Field::Properties));
        said.extend(default_country.as_ref().map(|_| Field::DefaultCountry));
        let properties = match properties {
            None => Properties::All,
            Some(WordOr::Other(columns)) if columns.is_empty() => Properties::None,
            Some(WordOr::Other(columns)) => Properties::Only(columns),
            Some(WordOr::Word(word)) => match word.as_str() {
                "all" => Properties::All,
                "none" => Properties::None,
                _ => {
                    let words = format!(
                        "mapping.properties: {word:?} is neither all nor none nor a list of columns"
                    );
                    self.problems.note(&place, words);
                    Properties::All
                }
            },
        };
        Mapping {
            email: email.unwrap_or_default(),
            attributes: attributes.unwrap_or_default(),
            properties,
            default_country: default_country.unwrap_or_default(),
        }
    }
}

fn guards_of(given: &document::Guards, said: &mut BTreeSet<Field>) -> Guards {
    let document::Guards {
        allow_live_flows,
        allow_empty,
        max_profiles,
        max_growth_percent: max_growth,
        max_shrinkage_percent: max_shrinkage,
        max_rejects_percent: max_rejects,
    } = *given;
    said.extend(allow_live_flows.map(|_| Field::AllowLiveFlows));
    said.extend(allow_empty.map(|_| Field::AllowEmpty));
    said.extend(max_profiles.map(|_| Field::MaxProfiles));
    said.extend(max_growth.map(|_| Field::MaxGrowth));
    said.extend(max_shrinkage.map(|_| Field::MaxShrinkage));
    said.extend(max_rejects.map(|_| Field::MaxRejects));
    Guards {
        allow_live_flows: allow_live_flows.unwrap_or_default(),
        allow_empty: allow_empty.unwrap_or_default(),
        max_profiles: max_profiles.filter(|most| *most > 0),
        max_growth,
        max_shrinkage,
        max_rejects,
    }
}

/// By the rules of the server, so that most of what it would refuse is told with its line.
fn violations(checked: Result<(), Refusal>) -> Vec<Violation> {
    match checked {
        Err(Refusal::Invalid(violations)) => violations,
        Ok(()) | Err(_) => Vec::new(),
    }
}
