//! Rejected rows and warnings of a run, out of its report objects.

use std::{collections::VecDeque, fmt, sync::Arc};

use futures::{Stream, stream};
use prost::Message as _;
use segue_model::{Position, RejectReason, RunId, WarningReason};
use segue_proto::v1;
use segue_staging::{InvalidRecord, Key, Record, Staging, StagingError, read};
use segue_store::{
    Reader,
    read::{ReportKind, Reports, reports},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use crate::error;

/// A message holds at most so many rows, and no further row once it has so many bytes.
const MOST_ROWS: usize = 500;
const FULL: usize = 1 << 20;

/// A retry of a retry of … is followed so far back.
const MOST_RETRIES: usize = 1000;

/// Why rows cannot be told.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("the report {0} is gone")]
    Gone(Key),
    #[error("the store names a report that cannot be")]
    Name,
    #[error("the report {0} cannot be understood")]
    Record(Key, #[source] InvalidRecord),
    #[error(transparent)]
    Staging(#[from] StagingError),
}

/// Every row of the reports that are there now, in the order of the source. One group of reports is in
/// memory at a time: what one batch came to.
pub(crate) async fn rows(
    store: &Reader,
    staging: Staging,
    run: RunId,
    kind: ReportKind,
    permit: OwnedSemaphorePermit,
) -> Result<impl Stream<Item = Result<v1::ListRejectsResponse, Status>> + Send + use<>, Status> {
    let found = reports(store, run, kind).await.map_err(|err| error::store(&err))?;
    let Reports { groups, plan, retry_of, removed } = found.ok_or_else(|| error::no_run(run))?;
    if let Some(removed) = removed.filter(|removed| removed.rows > 0) {
        return Err(error::removed(run, removed));
    }
    // Without a row there is nothing to name a source of.
    let sources =
        if groups.is_empty() { Vec::new() } else { source_names(store, plan, retry_of).await? };
    let left = Left {
        store: store.clone(),
        staging,
        kind,
        run,
        sources: sources.into(),
        groups: groups.into(),
        rows: VecDeque::new(),
        _permit: permit,
    };
    Ok(stream::try_unfold(left, |mut left| async move {
        Ok(left.next().await?.map(|message| (message, left)))
    }))
}

/// What a stream still has to tell.
struct Left {
    store: Reader,
    staging: Staging,
    kind: ReportKind,
    run: RunId,
    sources: Arc<[String]>,
    /// Groups of names of report objects.
    groups: VecDeque<Vec<String>>,
    /// Of the group that was read last.
    rows: VecDeque<v1::RowReport>,
    /// How many streams there may be.
    _permit: OwnedSemaphorePermit,
}

impl Left {
    async fn next(&mut self) -> Result<Option<v1::ListRejectsResponse>, Status> {
        let mut message = v1::ListRejectsResponse::default();
        let mut bytes = 0;
        while message.rows.len() < MOST_ROWS && bytes < FULL {
            let Some(row) = self.rows.pop_front() else {
                let Some(names) = self.groups.pop_front() else { break };
                self.rows = self.read(names).await?;
                continue;
            };
            bytes += row.encoded_len();
            if bytes > FULL && !message.rows.is_empty() {
                self.rows.push_front(row);
                break;
            }
            message.rows.push(row);
        }
        Ok((!message.rows.is_empty()).then_some(message))
    }

    async fn read(&self, names: Vec<String>) -> Result<VecDeque<v1::RowReport>, Status> {
        let (kind, sources) = (self.kind, Arc::clone(&self.sources));
        let read = move |staging: &Staging| {
            Ok(match kind {
                ReportKind::Rejects => group::<RejectReason>(staging, &names, &sources),
                ReportKind::Warnings => group::<WarningReason>(staging, &names, &sources),
            })
        };
        let read = self.staging.off_thread(read).await;
        match read.map_err(ReportError::from).flatten() {
            Ok(rows) => Ok(rows),
            Err(err) => Err(self.failed(&err).await),
        }
    }

    async fn failed(&self, err: &ReportError) -> Status {
        let run = self.run;
        if matches!(err, ReportError::Gone(_))
            && let Ok(Some(Reports { removed: Some(removed), .. })) =
                reports(&self.store, run, self.kind).await
        {
            return error::removed(run, removed); // while they were read
        }
        tracing::error!(error = %error::chain(err), run.id = %run, "a report cannot be read");
        match err {
            ReportError::Gone(_) => Status::data_loss(format!(
                "a report of {run} is gone: its rows are counted, but nobody can tell them any more"
            )),
            ReportError::Name | ReportError::Record(..) => {
                Status::data_loss(format!("a report of {run} cannot be understood"))
            }
            ReportError::Staging(StagingError::Corrupt { .. }) => {
                Status::data_loss(format!("a report of {run} was damaged at rest"))
            }
            ReportError::Staging(_) => {
                error::unavailable("the reports cannot be read at the moment: try again")
            }
        }
    }
}

/// All rows of a group, in the order of the source. Blocking.
fn group<R: DeserializeOwned + fmt::Display>(
    staging: &Staging,
    names: &[String],
    sources: &[String],
) -> Result<VecDeque<v1::RowReport>, ReportError> {
    let mut rows = Vec::new();
    for name in names {
        let key: Key = name.parse().map_err(|_| ReportError::Name)?;
        let lines = staging.get(&key)?.ok_or_else(|| ReportError::Gone(key.clone()))?;
        for record in read::<R>(&lines[..]) {
            let record = record.map_err(|err| ReportError::Record(key.clone(), err))?;
            let position = Position { object: record.object, row: record.row };
            rows.push((position, row_report(record, sources)));
        }
    }
    // Klaviyo tells import errors in an order of its own. Equal positions stay as they were told.
    rows.sort_by_key(|(position, _)| *position);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn row_report<R: fmt::Display>(record: Record<R>, sources: &[String]) -> v1::RowReport {
    let Record { object, row, identifier, field, reason, detail } = record;
    let source = usize::try_from(object).ok().and_then(|object| sources.get(object));
    v1::RowReport {
        source: source.cloned().unwrap_or_default(),
        row,
        // The one place where it leaves the service: whoever asked for the rejects wants to find the person.
        identifier: identifier.expose().clone(),
        field,
        reason: reason.to_string(),
        detail,
    }
}

/// What of a plan says where rows come from. A plan that was not frozen yet has none.
#[derive(Deserialize)]
struct Planned {
    #[serde(default)]
    manifest: Option<Manifest>,
}

#[derive(Deserialize)]
struct Manifest {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    name: String,
}

/// The names of the objects of a run's segment. A retry has none of its own: its rows are those of the run
/// that left them.
async fn source_names(
    store: &Reader,
    mut plan: String,
    mut retry_of: Option<RunId>,
) -> Result<Vec<String>, Status> {
    for _ in 0..MOST_RETRIES {
        if let Some(names) = manifest(&plan) {
            return Ok(names);
        }
        let Some(run) = retry_of else { break };
        let earlier = reports(store, run, ReportKind::Rejects).await;
        let earlier = earlier.map_err(|err| error::store(&err))?;
        let Some(earlier) = earlier else { break };
        (plan, retry_of) = (earlier.plan, earlier.retry_of);
    }
    Ok(Vec::new())
}

fn manifest(plan: &str) -> Option<Vec<String>> {
    let planned: Planned = serde_json::from_str(plan).ok()?;
    Some(planned.manifest?.objects.into_iter().map(|object| object.name).collect())
}

#[cfg(test)]
mod tests {
    use segue_source::{ReadOptions, Segment};

    use super::manifest;

    #[test]
    fn names_of_objects_are_found_in_the_manifest_that_a_plan_freezes() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.csv", "b.csv"].map(|name| folder.path().join(name));
        for path in &paths {
            std::fs::write(path, "email\na@example.com\n").unwrap();
        }
        let names = paths.map(|path| path.display().to_string());
        let segment = Segment::open(&names, &ReadOptions::default()).unwrap();
        let frozen = serde_json::to_string(&segment.manifest()).unwrap();
        let plan = format!(r#"{{"kind":"frozen","rules_version":2,"manifest":{frozen}}}"#);
        assert_eq!(manifest(&plan).unwrap(), names);
    }

    #[test]
    fn plan_without_a_manifest_names_nothing() {
        assert_eq!(manifest(r#"{"kind":"wanted","sources":["a.csv"]}"#), None);
        assert_eq!(manifest(r#"{"kind":"retry","manifest":null}"#), None);
        assert_eq!(manifest("{"), None);
    }
}
