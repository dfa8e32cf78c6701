//! What an export keeps of its columns, so that no run decides by the rows of its day what becomes of them.
//!
//! A worker looks at the segments when an export is saved, and what it finds is kept. Where none could look, the first
//! run that reads them decides, and that is kept. From then on runs are given it: a column that came since is not sent,
//! and one that went fails the run with words. It is kept for what the export says of its segments and columns, so it
//! is found anew when somebody changes that, or asks for it.

use std::time::Duration;

use segue_access::Principal;
use segue_model::{
    ExportId, Micros, SourceId,
    look::{Asked, Found},
};
use segue_profile::Mapping;
use segue_store::{
    StoreError, Tx, read_admin,
    write::{
        columns::{self, ExportColumns, RunColumns},
        exports, runs,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    ControlPlane, Error, ExportFields, Refusal, SavedExport,
    audit::{Action, note},
    exports::{lock_export, text},
    rights::may_manage,
    segments::another_question,
    sources::patterns_of,
};

/// Whoever saves an export does not wait longer to hear what becomes of its columns.
const PATIENCE: Duration = Duration::from_secs(10);
const EXPORT_CHANGED: &str = "EXPORT_CHANGED";

/// What becomes of the columns of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// `None`: it is not known yet. The first run decides.
    pub mapping: Option<Mapping>,
    /// Why it is not known, in words; empty if it is.
    pub problem: String,
    /// Columns that a run has met since. They are not sent.
    pub new_columns: Vec<String>,
    /// When it was found, or when looking for it failed.
    pub settled: Micros,
}

/// What [`ExportFields::columns_key`] is made of. A struct, since its fields are written in one order by every build.
#[derive(Serialize)]
struct Key<'a> {
    source: Option<SourceId>,
    segments: &'a [String],
    mapping: &'a crate::Mapping,
}

/// What is wanted to be known of a frozen plan.
#[derive(Deserialize)]
struct Frozen {
    mapping: Mapping,
}

impl ControlPlane {
    /// What an export keeps of its columns. `None`: nobody has looked since it says what it does.
    pub async fn columns(&self, export: &SavedExport) -> Result<Option<Columns>, Error> {
        let kept = read_admin::columns(&self.store, export.id).await?;
        let key = export.fields.columns_key()?;
        kept.filter(|it| it.settled_for == key).map(|it| decode(export.id, it)).transpose()
    }

    /// Looks at the segments of an export again, and keeps what becomes of their columns.
    ///
    /// # Errors
    /// As [`ControlPlane::look`], and [`Refusal::Invalid`] if a worker cannot read them, in its words. What was kept
    /// stays then.
    pub async fn settle_columns(&self, id: ExportId, by: &Principal) -> Result<Columns, Error> {
        let export = self.managed(id, by).await?;
        match self.look(&self.wanted(&export).await?).await? {
            Ok(Found::Settled { mapping }) => self.keep_anew(&export, &mapping, by).await,
            Ok(_) => Err(another_question()),
            Err(words) => Err(Refusal::invalid("export.segments", words).into()),
        }
    }

    /// An export that `by` may change and run.
    pub(crate) async fn managed(&self, id: ExportId, by: &Principal) -> Result<SavedExport, Error> {
        self.store
            .retry("managed", || async {
                let mut tx = self.store.begin().await?;
                let export = lock_export(&mut tx, id).await?;
                may_manage(&mut tx, by, &export).await?;
                tx.commit().await?;
                Ok(export)
            })
            .await
    }

    /// Settles the columns of an export that was saved just now, unless they are. That nobody can tell is kept, too:
    /// it is no reason not to save.
    pub(crate) async fn settle_saved(&self, export: &SavedExport) -> Result<(), Error> {
        if self.columns(export).await?.is_some() {
            return Ok(());
        }
        let patience = PATIENCE.min(self.settings.look_patience);
        let found = match self.look_within(&self.wanted(export).await?, patience).await {
            Ok(Ok(Found::Settled { mapping })) => Ok(mapping),
            Ok(Ok(_)) => return Err(another_question()),
            Ok(Err(words)) | Err(Error::Refused(Refusal::Unreachable { words, .. })) => Err(words),
            Err(err) => return Err(err),
        };
        self.keep_first(export, &found).await
    }

    async fn wanted(&self, export: &SavedExport) -> Result<Asked, Error> {
        let options = export.fields.mapping.options().map_err(Refusal::Invalid)?;
        Ok(Asked::Settle {
            within: String::new(),
            sources: self.to_read(export).await?,
            options: text(&options)?,
        })
    }

    /// What a run of an export would read, by the same border: the workers' source folder.
    pub(crate) async fn to_read(&self, export: &SavedExport) -> Result<Vec<String>, Error> {
        let mut tx = self.store.begin().await?;
        patterns_of(&mut tx, export).await
    }

    /// Keeps what saving has found, unless a run has decided meanwhile: what one has gone by stays.
    async fn keep_first(
        &self,
        export: &SavedExport,
        found: &Result<String, String>,
    ) -> Result<(), Error> {
        let settled_for = export.fields.columns_key()?;
        self.store
            .retry("keep_columns", || async {
                let mut tx = self.store.begin().await?;
                // Whoever has changed it meanwhile settles it, too.
                let now = lock_export(&mut tx, export.id).await?;
                let kept = columns::of(&mut tx, export.id).await?;
                let is_settled =
                    kept.is_some_and(|it| it.settled_for == settled_for && it.mapping.is_some());
                if now.fields.columns_key()? == settled_for && !is_settled {
                    let kept = kept_now(&tx, settled_for.clone(), found);
                    columns::keep(&mut tx, export.id, &kept).await?;
                }
                Ok(tx.commit().await?)
            })
            .await
    }

    /// Replaces what is kept by what somebody wanted to be found anew.
    async fn keep_anew(
        &self,
        export: &SavedExport,
        mapping: &str,
        by: &Principal,
    ) -> Result<Columns, Error> {
        let id = export.id;
        let settled_for = export.fields.columns_key()?;
        self.store
            .retry("settle_columns", || async {
                let mut tx = self.store.begin().await?;
                let now = lock_export(&mut tx, id).await?;
                may_manage(&mut tx, by, &now).await?;
                if now.fields.columns_key()? != settled_for {
                    let words =
                        "somebody has changed the export meanwhile: look at it, and ask again";
                    return Err(Refusal::blocked(EXPORT_CHANGED, id, words.to_owned()).into());
                }
                let kept = kept_now(&tx, settled_for.clone(), &Ok(mapping.to_owned()));
                columns::keep(&mut tx, id, &kept).await?;
                let columns = decode(id, kept)?;
                let detail = json!({ "after": columns.mapping });
                note(&mut tx, by, Action::ExportSettle, id, &detail).await?;
                tx.commit().await?;
                Ok(columns)
            })
            .await
    }
}

/// What is kept of `found`: the mapping, or why there is none.
fn kept_now(tx: &Tx, settled_for: String, found: &Result<String, String>) -> ExportColumns {
    ExportColumns {
        settled_for,
        mapping: found.as_ref().ok().cloned(),
        problem: found.as_ref().err().cloned().unwrap_or_default(),
        new_columns: "[]".to_owned(),
        settled: tx.now(),
    }
}

impl ExportFields {
    /// What decides over the columns: as long as it is the same, they stay settled.
    pub(crate) fn columns_key(&self) -> Result<String, Error> {
        let Self { source, segments, mapping, .. } = self;
        text(&Key { source: *source, segments, mapping })
    }
}

fn decode(export: ExportId, kept: ExportColumns) -> Result<Columns, Error> {
    let damaged =
        |err| StoreError::Inconsistent { what: format!("the columns of {export}: {err}") };
    let ExportColumns { settled_for: _, mapping, problem, new_columns, settled } = kept;
    Ok(Columns {
        mapping: mapping.map(|json| serde_json::from_str(&json)).transpose().map_err(damaged)?,
        problem,
        new_columns: serde_json::from_str(&new_columns).map_err(damaged)?,
        settled,
    })
}

/// What a run of an export begins with.
pub(crate) async fn of_run(tx: &mut Tx, export: &SavedExport) -> Result<RunColumns, Error> {
    let settled_for = export.fields.columns_key()?;
    let kept = columns::of(tx, export.id).await?;
    let mapping = kept.filter(|it| it.settled_for == settled_for).and_then(|it| it.mapping);
    Ok(RunColumns { mapping, settled_for })
}

/// A run was read for the first time: what it has decided is kept if nobody had, and what it met that is new.
pub(crate) async fn note_read(tx: &mut Tx, run: &runs::Run, plan: &str) -> Result<(), Error> {
    let RunColumns { mapping: settled, settled_for } = &run.columns;
    let Some(id) = run.export.filter(|_| !settled_for.is_empty()) else { return Ok(()) };
    // Not locked: exports are locked before runs. If it changes just now, what is kept here is not of it any more.
    let Some(export) = exports::find(tx, id).await? else { return Ok(()) };
    let kept = columns::of(tx, id).await?.filter(|it| it.settled_for == *settled_for);
    let is_settled = kept.as_ref().is_some_and(|it| it.mapping.is_some());
    if SavedExport::from_row(export)?.fields.columns_key()? != *settled_for
        || is_settled != settled.is_some()
    {
        return Ok(());
    }
    // Of a reader that says it in another way nothing is kept.
    let Ok(Frozen { mapping: read }) = serde_json::from_str(plan) else { return Ok(()) };
    let kept = match kept {
        Some(kept) if is_settled => {
            ExportColumns { new_columns: new_columns(id, &kept, &read)?, ..kept }
        }
        _ => kept_now(tx, settled_for.clone(), &Ok(text(&read)?)),
    };
    Ok(columns::keep(tx, id, &kept).await?)
}

fn new_columns(id: ExportId, kept: &ExportColumns, read: &Mapping) -> Result<String, Error> {
    let settled = decode(id, kept.clone())?.mapping;
    let is_known =
        |column: &String| settled.as_ref().is_some_and(|it| it.unsent().contains(column));
    let new: Vec<&String> = read.unsent().iter().filter(|column| !is_known(column)).collect();
    text(&new)
}
