//! Sources: named places where segments are found. What lies there is told by `segments`.

use segue_access::Principal;
use segue_model::{Id, SourceId};
use segue_store::{
    StoreError, Tx, read_admin,
    write::{
        requests::{self, Made, RequestKind},
        settings,
        sources::{self, Source},
    },
};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    ControlPlane, Error, ExportFields, Refusal, SavedExport, Thing, Violation,
    audit::{Action, changes, note},
    exports::{check_display_name, check_segment, text},
    refusal::Obstacle,
};

/// What people decide about a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceFields {
    pub display_name: String,
    /// Below the workers' source folder; empty: that folder itself.
    pub folder: String,
}

const NAME_FIELD: &str = "source.display_name";
/// Nobody reads more of them in an error.
const SHOWN: u32 = 20;

impl ControlPlane {
    pub async fn create_source(
        &self,
        fields: &SourceFields,
        request_id: Option<&str>,
        by: &Principal,
    ) -> Result<Source, Error> {
        fields.check()?;
        let id: SourceId = Id::from_uuid(Uuid::now_v7());
        let content = text(fields)?;
        self.store
            .retry("create_source", || async {
                let mut tx = self.store.begin().await?;
                if let Some(request_id) = request_id {
                    let new = Made { made: id.to_string(), content: content.clone() };
                    let kind = RequestKind::Source;
                    if let Some(made) = requests::note(&mut tx, kind, request_id, &new).await? {
                        return source_of(&mut tx, request_id, made, &content).await;
                    }
                }
                need_free_name(&mut tx, &fields.display_name).await?;
                let now = tx.now();
                let SourceFields { display_name, folder } = fields.clone();
                let source = Source { id, display_name, folder, created: now, updated: now };
                sources::create(&mut tx, &source).await?;
                let detail = json!({ "after": fields });
                note(&mut tx, by, Action::SourceCreate, id, &detail).await?;
                tx.commit().await?;
                tracing::info!(source.id = %id, "source made");
                Ok(source)
            })
            .await
    }

    pub async fn source(&self, id: SourceId) -> Result<Source, Error> {
        let found = read_admin::source(&self.store, id).await?;
        found.ok_or_else(|| Refusal::no_such(Thing::Source, id).into())
    }

    /// At most `most` sources behind `after`, by id.
    pub async fn sources(&self, after: Option<SourceId>, most: u32) -> Result<Vec<Source>, Error> {
        Ok(read_admin::sources(&self.store, after, most).await?)
    }

    /// Applies `change` to a source, and so to what its exports read. A run that has begun keeps what it began with.
    pub async fn update_source(
        &self,
        id: SourceId,
        change: impl Fn(&mut SourceFields),
        by: &Principal,
    ) -> Result<Source, Error> {
        self.store
            .retry("update_source", || async {
                let mut tx = self.store.begin().await?;
                settings::lock(&mut tx, settings::SOURCES).await?;
                let mut source = lock_source(&mut tx, id).await?;
                let before = SourceFields::of(&source);
                let mut fields = before.clone();
                change(&mut fields);
                fields.check()?;
                if fields.display_name != before.display_name {
                    need_free_name(&mut tx, &fields.display_name).await?;
                }
                if fields != before {
                    let detail = changes(&before, &fields)?;
                    let SourceFields { display_name, folder } = fields;
                    source = Source { display_name, folder, updated: tx.now(), ..source };
                    sources::update(&mut tx, &source).await?;
                    note(&mut tx, by, Action::SourceUpdate, id, &detail).await?;
                }
                tx.commit().await?;
                Ok(source)
            })
            .await
    }

    /// Refused while an export uses it.
    pub async fn delete_source(&self, id: SourceId, by: &Principal) -> Result<(), Error> {
        self.store
            .retry("delete_source", || async {
                let mut tx = self.store.begin().await?;
                let source = lock_source(&mut tx, id).await?;
                refuse_while_used(&mut tx, id).await?;
                sources::delete(&mut tx, id).await?;
                let detail = json!({ "before": SourceFields::of(&source) });
                note(&mut tx, by, Action::SourceDelete, id, &detail).await?;
                tx.commit().await?;
                tracing::info!(source.id = %id, "source deleted");
                Ok(())
            })
            .await
    }
}

/// The source, locked: whoever saves an export that uses it keeps it from being deleted.
pub(crate) async fn lock_source(tx: &mut Tx, id: SourceId) -> Result<Source, Error> {
    let found = sources::lock(tx, id).await?;
    found.ok_or_else(|| Refusal::no_such(Thing::Source, id).into())
}

/// What a run of an export reads that begins now: patterns below the workers' source folder, as every worker
/// understands them.
pub(crate) async fn patterns_of(tx: &mut Tx, export: &SavedExport) -> Result<Vec<String>, Error> {
    let Some(id) = export.fields.source else { return Ok(patterns(&export.fields, None)) };
    // None is deleted while an export uses it.
    let lost = || StoreError::Inconsistent { what: format!("{id} of {} is lost", export.id) };
    let source = sources::find(tx, id).await?.ok_or_else(lost)?;
    Ok(patterns(&export.fields, Some(&source)))
}

/// The segments of an export, with the folder of its source in front of them.
fn patterns(export: &ExportFields, source: Option<&Source>) -> Vec<String> {
    match source.map_or("", |source| source.folder.as_str()) {
        "" => export.segments.clone(),
        folder => export.segments.iter().map(|segment| format!("{folder}/{segment}")).collect(),
    }
}

/// Holds the right to give names, so that nobody else gives this one meanwhile.
async fn need_free_name(tx: &mut Tx, name: &str) -> Result<(), Error> {
    settings::lock(tx, settings::SOURCES).await?;
    match sources::named(tx, name).await? {
        Some(other) => {
            let words = format!("is that of the source {other} already: take another");
            Err(Refusal::invalid(NAME_FIELD, words).into())
        }
        None => Ok(()),
    }
}

async fn refuse_while_used(tx: &mut Tx, id: SourceId) -> Result<(), Error> {
    let by = |export| {
        let words = format!("the export {export} uses the source: give it another, or delete it");
        Obstacle { code: "USED_BY_EXPORT", subject: export, words }
    };
    let users = sources::users(tx, id, SHOWN).await?;
    let obstacles: Vec<_> = users.into_iter().map(|export| by(export.to_string())).collect();
    if obstacles.is_empty() { Ok(()) } else { Err(Refusal::Blocked(obstacles).into()) }
}

/// What an earlier request made, if it asked for the same.
async fn source_of(
    tx: &mut Tx,
    request_id: &str,
    made: Made,
    content: &str,
) -> Result<Source, Error> {
    match made.made.parse() {
        Ok(id) if made.content == content => lock_source(tx, id).await,
        _ => Err(Refusal::RequestUsed {
            request_id: request_id.to_owned(),
            thing: Thing::Source,
            made: made.made,
        }
        .into()),
    }
}

impl SourceFields {
    fn of(source: &Source) -> Self {
        let Source { display_name, folder, .. } = source;
        Self { display_name: display_name.clone(), folder: folder.clone() }
    }

    /// All that can be said of a source without looking elsewhere.
    pub fn check(&self) -> Result<(), Refusal> {
        let violations = self.violations();
        if violations.is_empty() { Ok(()) } else { Err(Refusal::Invalid(violations)) }
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        let name = check_display_name(&self.display_name).err();
        let folder = check_folder(&self.folder).err();
        let name = name.map(|words| Violation::new(NAME_FIELD, words));
        let folder = folder.map(|words| Violation::new("source.folder", words));
        name.into_iter().chain(folder).collect()
    }
}

/// A folder that cannot lead out of the workers' source folder, and that may stand before a glob.
fn check_folder(folder: &str) -> Result<(), String> {
    if folder.is_empty() {
        return Ok(());
    }
    check_segment(folder)?;
    if folder.contains(['*', '?', '[']) {
        return Err("holds *, ? or [, which would be taken for globs: name one folder".to_owned());
    }
    if folder.split('/').any(|part| part.is_empty() || part == ".") {
        return Err(
            "has a slash too many, or a part that is only a dot: write crm/daily".to_owned()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_folder;

    #[test]
    fn a_folder_is_one_below_the_source_folder_and_no_glob() {
        for folder in ["", "crm", "crm/daily", "of 2026", "{a}", "a]", "ä"] {
            assert_eq!(check_folder(folder), Ok(()), "{folder}");
        }
        let refused = [
            ("crm/*", "globs"),
            ("cr?m", "globs"),
            ("[crm", "globs"),
            ("..", "leads out"),
            ("crm/../..", "leads out"),
            ("/crm", "no path below"),
            ("s3://crm", "no path below"),
            ("crm/", "slash too many"),
            ("crm//daily", "slash too many"),
            ("./crm", "only a dot"),
            ("a\nb", "control"),
        ];
        for (folder, words) in refused {
            assert!(check_folder(folder).unwrap_err().contains(words), "{folder}");
        }
        assert!(check_folder(&"x".repeat(1001)).is_err());
    }
}
