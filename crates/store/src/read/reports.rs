use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use segue_model::RunId;

use super::numbers::counts;
use crate::{
    Reader, StoreError,
    sql::{args, text},
    tx::View,
};

/// Of what report objects tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// Rows that were not delivered.
    Rejects,
    /// Fields that were left out.
    Warnings,
}

/// Where the report objects of a run are, and what is needed to say where their rows come from.
#[derive(Debug, Clone)]
pub struct Reports {
    /// Names of objects in groups, in the order of the source: every row that a group tells of stands before
    /// each row of the next. A group is what one batch, as first cut, came to: at most that many rows, and
    /// those that were rejected while it was filled.
    pub groups: Vec<Vec<String>>,
    /// The run's plan, as JSON.
    pub plan: String,
    /// The run of which it is a retry.
    pub retry_of: Option<RunId>,
    pub removed: Option<Removed>,
}

/// The reports of a run were removed, because it had ended long before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// So long before.
    pub after: Duration,
    /// How many rows they told of, of the kind that was asked for.
    pub rows: u64,
}

/// The reports that are there now. `None`: there is no such run.
pub async fn reports(
    store: &Reader,
    run: RunId,
    kind: ReportKind,
) -> Result<Option<Reports>, StoreError> {
    const RUN: &str =
        "SELECT plan, retry_of, reports_removed_us, ended_us FROM runs WHERE run_id = $1";
    let mut view = store.view().await?;
    let Some(mut row) = view.row(RUN, args![text(run)]).await? else {
        view.end().await?;
        return Ok(None);
    };
    let (plan, retry_of, removed) = (row.string()?, row.opt_parsed()?, row.opt_time()?);
    let removed = match removed {
        None => None,
        Some(at) => Some(Removed {
            after: row.opt_time()?.map(|ended| at.since(ended)).unwrap_or_default(),
            rows: told_of(&mut view, run, kind).await?,
        }),
    };
    let groups = names(&mut view, run, kind).await?;
    view.end().await?;
    Ok(Some(Reports { groups, plan, retry_of, removed }))
}

/// How many rows there are to tell of.
async fn told_of(view: &mut View, run: RunId, kind: ReportKind) -> Result<u64, StoreError> {
    let counts = counts(view, run).await?;
    Ok(match kind {
        ReportKind::Rejects => counts.rejected,
        ReportKind::Warnings => counts.warnings,
    })
}

/// Names of report objects, those of each batch as first cut together.
pub(super) async fn names(
    view: &mut View,
    run: RunId,
    kind: ReportKind,
) -> Result<Vec<Vec<String>>, StoreError> {
    const NAMES: &str = "SELECT batch_no, name FROM reports WHERE run_id = $1 \
         AND CASE WHEN phase = 'warnings' THEN 'warnings' ELSE 'rejects' END = $2 \
         ORDER BY batch_no, CASE phase WHEN 'mapping' THEN 0 WHEN 'upload' THEN 1 ELSE 2 END";
    // The halves of a split batch are numbered behind all batches, but their rows are its rows.
    const HALVES: &str = "SELECT batch_no, parent FROM batches \
         WHERE run_id = $1 AND parent IS NOT NULL";
    let mut parents = HashMap::new();
    for mut row in view.rows(HALVES, args![text(run)]).await? {
        parents.insert(row.small()?, row.small()?);
    }
    let which = match kind {
        ReportKind::Rejects => "rejects",
        ReportKind::Warnings => "warnings",
    };
    let mut groups: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for mut row in view.rows(NAMES, args![text(run), which]).await? {
        let mut batch = row.small()?;
        while let Some(parent) = parents.get(&batch) {
            batch = *parent;
        }
        groups.entry(batch).or_default().push(row.string()?);
    }
    Ok(groups.into_values().collect())
}
