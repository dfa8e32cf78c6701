use segue_access::{Principal, Role, Subject};
use segue_klaviyo::ListId;
use segue_model::{ConnectionId, ExportId, Freshness, Id, Micros, SourceId, Who};
use segue_schedule::ExportSchedule;
use segue_store::{
    StoreError, Tx, read_admin,
    write::{
        columns, connections,
        exports::{self, Export, Timing},
        people,
        requests::{self, Made, RequestKind},
        sources, tokens,
    },
};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    ControlPlane, Error, Guards, Mapping, Refusal, Thing, Violation,
    audit::{Action, changes, note},
    guards::check_freshness,
    refusal::Obstacle,
    rights::{may_manage, may_use, owner},
    schedules::lock_system,
};

/// What people decide about an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportFields {
    pub display_name: String,
    /// `None`: it lost the one it had, and does not run until it has another.
    pub connection: Option<ConnectionId>,
    pub list_id: String,
    /// Where its segments are found; `None`: in the workers' source folder itself. Left out then, as in what
    /// requests before there were sources are remembered by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceId>,
    /// Files or globs below the folder of its source, in order.
    pub segments: Vec<String>,
    pub mapping: Mapping,
    pub guards: Guards,
    /// When it runs by itself. Left out where it says nothing of its own, as in what requests before there were
    /// schedules are remembered by.
    #[serde(skip_serializing_if = "is_of_system")]
    pub schedule: ExportSchedule,
    /// How old its source may be when it runs by its schedule. Left out for the same reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Freshness>,
    /// It does not run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

/// An export as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedExport {
    pub id: ExportId,
    pub fields: ExportFields,
    /// Whom its runs act for. Nobody: Segue itself.
    pub owner: Who,
    pub timing: Timing,
    pub created: Micros,
    pub updated: Micros,
}

pub(crate) const MAX_SEGMENTS: usize = 1000;
pub(crate) const MAX_NAME_CHARS: usize = 1000;
pub(crate) const CONNECTION_FIELD: &str = "export.connection_id";
pub(crate) const SOURCE_FIELD: &str = "export.source_id";
pub(crate) const OWNER_FIELD: &str = "export.owner.subject";
pub(crate) const RUN_UNDER_WAY: &str = "RUN_UNDER_WAY";

impl ControlPlane {
    /// Makes an export, and settles what becomes of its columns if a worker can tell.
    pub async fn create_export(
        &self,
        fields: &ExportFields,
        request_id: Option<&str>,
        by: &Principal,
    ) -> Result<SavedExport, Error> {
        let made = self.try_create(fields, request_id, by).await?;
        self.settle_saved(&made).await?;
        Ok(made)
    }

    async fn try_create(
        &self,
        fields: &ExportFields,
        request_id: Option<&str>,
        by: &Principal,
    ) -> Result<SavedExport, Error> {
        fields.check()?;
        let id: ExportId = Id::from_uuid(Uuid::now_v7());
        let content = text(fields)?;
        self.store
            .retry("create_export", || async {
                let mut tx = self.store.begin().await?;
                if let Some(request_id) = request_id {
                    let new = Made { made: id.to_string(), content: content.clone() };
                    let kind = RequestKind::Export;
                    if let Some(made) = requests::note(&mut tx, kind, request_id, &new).await? {
                        return export_of(&mut tx, request_id, made, &content).await;
                    }
                }
                let system = lock_system(&mut tx).await?;
                need_connection(&mut tx, fields, by).await?;
                need_source(&mut tx, fields).await?;
                let now = tx.now();
                let mut export = SavedExport {
                    id,
                    fields: fields.clone(),
                    owner: who(by),
                    timing: Timing::default(),
                    created: now,
                    updated: now,
                };
                export.plan_ahead(system.as_ref(), now);
                exports::create(&mut tx, &export.to_row()?).await?;
                let detail = json!({ "after": fields });
                note(&mut tx, by, Action::ExportCreate, id, &detail).await?;
                tx.commit().await?;
                tracing::info!(export.id = %id, "export made");
                Ok(export)
            })
            .await
    }

    pub async fn export(&self, id: ExportId) -> Result<SavedExport, Error> {
        match read_admin::export(&self.store, id).await? {
            Some(row) => SavedExport::from_row(row),
            None => Err(Refusal::no_such(Thing::Export, id).into()),
        }
    }

    /// At most `most` exports behind `after`, by id; `connection`: only those that use it.
    pub async fn exports(
        &self,
        after: Option<ExportId>,
        connection: Option<ConnectionId>,
        most: u32,
    ) -> Result<Vec<SavedExport>, Error> {
        let rows = read_admin::exports(&self.store, after, connection, most).await?;
        rows.into_iter().map(SavedExport::from_row).collect()
    }

    /// Applies `change` to an export, and gives it to `owner`. A run that has begun keeps what it began with. What
    /// becomes of its columns is settled anew if the change concerns them.
    pub async fn update_export(
        &self,
        id: ExportId,
        owner: Option<&Subject>,
        change: impl Fn(&mut ExportFields),
        by: &Principal,
    ) -> Result<SavedExport, Error> {
        let saved = self.try_update(id, owner, change, by).await?;
        self.settle_saved(&saved).await?;
        Ok(saved)
    }

    async fn try_update(
        &self,
        id: ExportId,
        owner: Option<&Subject>,
        change: impl Fn(&mut ExportFields),
        by: &Principal,
    ) -> Result<SavedExport, Error> {
        self.store
            .retry("update_export", || async {
                let mut tx = self.store.begin().await?;
                let system = lock_system(&mut tx).await?;
                let mut export = lock_export(&mut tx, id).await?;
                may_manage(&mut tx, by, &export).await?;
                let before = export.clone();
                change(&mut export.fields);
                export.fields.check()?;
                let to = |it: &SavedExport| (it.fields.connection, it.fields.list_id.clone());
                if to(&export) != to(&before) {
                    need_connection(&mut tx, &export.fields, by).await?;
                }
                if export.fields.source != before.fields.source {
                    need_source(&mut tx, &export.fields).await?;
                }
                if let Some(owner) = owner {
                    export.owner = hand_over(&mut tx, owner, by).await?;
                }
                // To plan it anew for any other reason would forget a time that has come just now.
                if export.by_itself(system.as_ref()) != before.by_itself(system.as_ref()) {
                    export.plan_ahead(system.as_ref(), tx.now());
                }
                if export != before {
                    export.updated = tx.now();
                    exports::update(&mut tx, &export.to_row()?).await?;
                    let detail = changes(&Told::of(&before), &Told::of(&export))?;
                    note(&mut tx, by, Action::ExportUpdate, id, &detail).await?;
                }
                tx.commit().await?;
                Ok(export)
            })
            .await
    }

    /// Refused while a run of it is under way.
    pub async fn delete_export(&self, id: ExportId, by: &Principal) -> Result<(), Error> {
        self.store
            .retry("delete_export", || async {
                let mut tx = self.store.begin().await?;
                let export = lock_export(&mut tx, id).await?;
                may_manage(&mut tx, by, &export).await?;
                refuse_second_run(&mut tx, id).await?;
                exports::delete(&mut tx, id).await?;
                columns::forget(&mut tx, id).await?;
                let detail = json!({ "before": Told::of(&export) });
                note(&mut tx, by, Action::ExportDelete, id, &detail).await?;
                tx.commit().await?;
                tracing::info!(export.id = %id, "export deleted");
                Ok(())
            })
            .await
    }
}

/// The export, locked.
pub(crate) async fn lock_export(tx: &mut Tx, id: ExportId) -> Result<SavedExport, Error> {
    match exports::lock(tx, id).await? {
        Some(row) => SavedExport::from_row(row),
        None => Err(Refusal::no_such(Thing::Export, id).into()),
    }
}

pub(crate) async fn refuse_second_run(tx: &mut Tx, export: ExportId) -> Result<(), Error> {
    let Some(run) = exports::live_run(tx, export).await? else { return Ok(()) };
    let words = format!("{run} of the export {export} is under way: wait for its end or cancel it");
    let subject = run.to_string();
    Err(Refusal::Blocked(vec![Obstacle { code: RUN_UNDER_WAY, subject, words }]).into())
}

/// The connection of an export is there, and `by` may use it for the export's list.
async fn need_connection(tx: &mut Tx, fields: &ExportFields, by: &Principal) -> Result<(), Error> {
    let invalid = |words: String| Err(Refusal::invalid(CONNECTION_FIELD, words).into());
    let Some(id) = fields.connection else { return invalid("is missing".to_owned()) };
    match connections::lock(tx, id).await? {
        Some((connection, _)) => may_use(by, &connection, &fields.list_id),
        None => invalid(format!("there is no connection {id}")),
    }
}

/// The source of an export is there, and stays until the export is saved.
async fn need_source(tx: &mut Tx, fields: &ExportFields) -> Result<(), Error> {
    let Some(id) = fields.source else { return Ok(()) };
    if sources::lock(tx, id).await?.is_none() {
        return Err(Refusal::invalid(SOURCE_FIELD, format!("there is no source {id}")).into());
    }
    Ok(())
}

/// Whom an export is given to: somebody who is known and may run it.
async fn hand_over(tx: &mut Tx, to: &Subject, by: &Principal) -> Result<Who, Error> {
    let invalid = |words: String| Err(Refusal::invalid(OWNER_FIELD, words).into());
    if *to != by.subject && by.require(Role::Administrator).is_err() {
        let words = "only an administrator gives an export to somebody else";
        return Err(Refusal::Denied(words.to_owned()).into());
    }
    let name = match to {
        subject if *subject == by.subject => by.name.clone(),
        Subject::Token(id) => match tokens::find(tx, &id.to_string()).await? {
            Some(token) => token.name,
            None => return invalid(format!("there is no {to}")),
        },
        Subject::Oidc(_) => match people::find(tx, &to.to_string()).await? {
            Some(person) => person.name,
            None => return invalid("nobody has seen them: they have to sign in once".to_owned()),
        },
        Subject::Segue(_) => return invalid("is Segue itself".to_owned()),
    };
    let who = Who { subject: to.to_string(), name };
    match owner(tx, &who, tx.now()).await? {
        Ok(_) => Ok(who),
        Err(words) => invalid(format!("they cannot run exports: {words}")),
    }
}

pub(crate) fn who(by: &Principal) -> Who {
    Who { subject: by.subject.to_string(), name: by.name.clone() }
}

/// An export, as the audit record tells it.
#[derive(Serialize)]
pub(crate) struct Told<'a> {
    #[serde(flatten)]
    fields: &'a ExportFields,
    owner: &'a str,
}

impl<'a> Told<'a> {
    pub(crate) fn of(export: &'a SavedExport) -> Self {
        Self { fields: &export.fields, owner: &export.owner.subject }
    }
}

/// What an earlier request made, if it asked for the same.
async fn export_of(
    tx: &mut Tx,
    request_id: &str,
    made: Made,
    content: &str,
) -> Result<SavedExport, Error> {
    match made.made.parse() {
        Ok(id) if made.content == content => lock_export(tx, id).await,
        _ => Err(Refusal::RequestUsed {
            request_id: request_id.to_owned(),
            thing: Thing::Export,
            made: made.made,
        }
        .into()),
    }
}

impl SavedExport {
    pub(crate) fn from_row(row: Export) -> Result<Self, Error> {
        let damaged = |err: serde_json::Error| StoreError::Inconsistent {
            what: format!("export {}: {err}", row.id),
        };
        let guards = Guards::of_row(&row);
        let fields = ExportFields {
            display_name: row.display_name,
            connection: row.connection,
            list_id: row.list_id,
            source: row.source,
            segments: serde_json::from_str(&row.segments).map_err(damaged)?,
            mapping: serde_json::from_str(&row.mapping).map_err(damaged)?,
            guards,
            freshness: row.freshness,
            schedule: serde_json::from_str(&row.schedule).map_err(damaged)?,
            disabled: row.disabled,
        };
        let Export { id, owner, timing, created, updated, .. } = row;
        Ok(Self { id, fields, owner, timing, created, updated })
    }

    pub(crate) fn to_row(&self) -> Result<Export, Error> {
        let fields = &self.fields;
        Ok(Export {
            id: self.id,
            display_name: fields.display_name.clone(),
            connection: fields.connection,
            list_id: fields.list_id.clone(),
            source: fields.source,
            segments: text(&fields.segments)?,
            mapping: text(&fields.mapping)?,
            allow_live_flows: fields.guards.allow_live_flows,
            allow_empty: fields.guards.allow_empty,
            max_profiles: fields.guards.max_profiles,
            max_growth: fields.guards.max_growth,
            max_shrinkage: fields.guards.max_shrinkage,
            max_rejects: fields.guards.max_rejects,
            freshness: fields.freshness,
            schedule: text(&fields.schedule)?,
            owner: self.owner.clone(),
            disabled: fields.disabled,
            timing: self.timing.clone(),
            created: self.created,
            updated: self.updated,
        })
    }
}

fn is_of_system(schedule: &ExportSchedule) -> bool {
    *schedule == ExportSchedule::System
}

pub(crate) fn text(value: &impl Serialize) -> Result<String, Error> {
    let unwritable = |err| StoreError::Inconsistent { what: format!("not to be written: {err}") };
    Ok(serde_json::to_string(value).map_err(unwritable)?)
}

impl ExportFields {
    /// All that can be said of an export without looking elsewhere.
    pub fn check(&self) -> Result<(), Refusal> {
        let violations = self.violations();
        if violations.is_empty() { Ok(()) } else { Err(Refusal::Invalid(violations)) }
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut note = |field: &str, words: String| {
            violations.push(Violation::new(format!("export.{field}"), words));
        };
        if let Err(words) = check_display_name(&self.display_name) {
            note("display_name", words);
        }
        if let Err(err) = self.list_id.parse::<ListId>() {
            note("list_id", err.to_string());
        }
        match self.segments.len() {
            0 => note("segments", "at least one is needed".to_owned()),
            1..=MAX_SEGMENTS => {}
            n => note("segments", format!("{n} are more than {MAX_SEGMENTS}")),
        }
        for (i, segment) in self.segments.iter().enumerate() {
            if let Err(words) = check_segment(segment) {
                note(&format!("segments[{i}]"), words);
            }
        }
        self.guards.check(&mut note);
        if let Some(freshness) = &self.freshness {
            check_freshness(freshness, &mut note);
        }
        if let Err(more) = self.mapping.options() {
            violations.extend(more);
        }
        violations
    }
}

/// 1 to 100 characters, for people.
pub(crate) fn check_display_name(name: &str) -> Result<(), String> {
    match name.chars().count() {
        0 => Err("is empty".to_owned()),
        1..=100 if name.trim().is_empty() => Err("is blank".to_owned()),
        1..=100 if name.chars().any(char::is_control) => Err("holds control characters".to_owned()),
        1..=100 => Ok(()),
        n => Err(format!("has {n} characters, 100 are allowed")),
    }
}

/// A file or a glob that cannot lead out of the folder that it is below. The worker looks again, at what the
/// name leads to.
pub(crate) fn check_segment(segment: &str) -> Result<(), String> {
    if segment.is_empty() {
        return Err("is empty".to_owned());
    }
    if segment.chars().count() > MAX_NAME_CHARS {
        return Err(format!("has more than {MAX_NAME_CHARS} characters"));
    }
    if segment.chars().any(char::is_control) {
        return Err("holds control characters".to_owned());
    }
    if segment.starts_with('/') || segment.contains('\\') || segment.contains("://") {
        return Err("is no path below the source folder, as in people/2026-*.csv".to_owned());
    }
    if segment.split('/').any(|part| part == "..") {
        return Err("leads out of the source folder by ..".to_owned());
    }
    Ok(())
}
