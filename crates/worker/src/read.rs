//! The read job: a segment becomes batches in staging.

mod buffers;
mod cutter;
mod person;
mod plan;
mod prepare;
mod progress;
mod retry;
mod stage;
mod tally;

use segue_klaviyo::ListId;
use segue_model::{
    FailReason, MAX_BATCH_PROFILES, RunId,
    source::source_modified,
    work::{Next, ReadWork, Verdict},
};
use segue_profile::FieldStats;
use segue_source::{Segment, SourceError};
use tokio::{sync::mpsc, task::JoinError};
use tracing::Span;

pub(crate) use cutter::identity_at;
pub use cutter::{Cut, CutOptions, Cutter, ReadError, Sink};
pub use person::{Person, is_rejects_file, person_columns};
pub use plan::{Plan, ReadPlan, RetryBatch, RetryPlan, UnknownPlan, WantedPlan};
pub use prepare::{PrepareError, Sources, infer_mapping, segment_sources};
pub(crate) use prepare::{sample_of, settled_mapping};
pub use progress::{ReadProgress, Readers};
pub(crate) use stage::put_report;
pub use tally::{Kept, Tally};

use crate::{
    ControlPlane,
    error::{End, Failure, words},
    lease::Held,
    target,
    worker::Shared,
};
use stage::Stage;

/// The seed of a run's fingerprints: the random part of its id.
pub fn seed_of(run: RunId) -> u64 {
    let (_, low) = run.uuid().as_u64_pair();
    low
}

/// Reads, stages, and says how it went.
pub(crate) async fn read<C: ControlPlane>(
    shared: &Shared<C>,
    held: &Held,
    work: ReadWork,
) -> Result<Verdict, Failure> {
    let run = work.run;
    let ended = match (Plan::parse(&work.plan), work.list_id.parse::<ListId>()) {
        (Ok(Plan::Frozen(plan)), Ok(list)) => {
            read_segment(shared, held, work, list, plan, None).await
        }
        (Ok(Plan::Wanted(wanted)), Ok(list)) => {
            match freeze(shared, held, &work, &list, wanted).await {
                Ok((plan, segment)) => {
                    read_segment(shared, held, work, list, plan, Some(segment)).await
                }
                Err(end) => end.verdict(),
            }
        }
        (Ok(Plan::Retry(plan)), Ok(list)) => retry::stage(shared, held, &work, &list, &plan).await,
        (Err(unknown), _) => Ok(unreadable(unknown.to_string())),
        (_, Err(_)) => Ok(unreadable("the run has no valid list".to_owned())),
    };
    shared.readers.ended(run);
    ended
}

/// Looks at the segment and asks Klaviyo where it would go; freezes what was found.
async fn freeze<C: ControlPlane>(
    shared: &Shared<C>,
    held: &Held,
    work: &ReadWork,
    list: &ListId,
    wanted: WantedPlan,
) -> Result<(ReadPlan, Segment), End> {
    let (sources, span) = (shared.settings.sources.clone(), Span::current());
    let batch_profiles = Some(shared.settings.batch_profiles).filter(|it| *it < MAX_BATCH_PROFILES);
    let WantedPlan { sources: patterns, options, allow_live_flows, limit } = wanted;
    let (not_before, columns) = (work.source_not_before, work.columns.clone());
    let opened = tokio::task::spawn_blocking({
        let span = span.clone();
        move || {
            span.in_scope(|| {
                let segment = sources.open(&patterns)?;
                let found = segment_sources(&segment, &patterns);
                Ok::<_, PrepareError>((segment, found, patterns))
            })
        }
    });
    let (segment, found, patterns) = match opened.await {
        Ok(opened) => opened.map_err(|err| End::Verdict(unprepared(&err)))?,
        Err(panic) => return Err(End::Verdict(panicked(&panic, work.run))),
    };
    if let Some(modified) = source_modified(&found)
        && not_before.is_some_and(|earliest| modified < earliest)
    {
        return Err(End::Verdict(Verdict::Stale { segments: found }));
    }
    let look = tokio::task::spawn_blocking(move || {
        span.in_scope(|| {
            let mapping = match columns {
                Some(settled) => settled_mapping(&segment, &settled)?,
                None => infer_mapping(&segment, &options)?,
            };
            let (rules_version, manifest) = (ReadPlan::RULES_VERSION, segment.manifest());
            let plan = ReadPlan {
                rules_version,
                sources: patterns,
                manifest,
                mapping,
                limit,
                batch_profiles,
            };
            Ok::<_, PrepareError>((plan, segment))
        })
    });
    // Neither waits for the other.
    let check = target::check(shared, held, &work.credentials, list, allow_live_flows);
    let (looked, checked) = tokio::join!(look, check);
    let (plan, segment) = match looked {
        Ok(looked) => looked.map_err(|err| End::Verdict(unprepared(&err)))?,
        Err(panic) => return Err(End::Verdict(panicked(&panic, work.run))),
    };
    checked?;
    let json = Plan::Frozen(plan.clone()).to_json();
    let json = json.map_err(|err| End::Verdict(unreadable(words(&err))))?;
    match shared.control_plane.plan(held.claim(), &json, &found).await? {
        Next::GoOn => {
            kill_points::at("worker.plan_frozen");
            Ok((plan, segment))
        }
        Next::Stop => Err(End::Verdict(Verdict::Retry)),
    }
}

/// Cuts the segment of a frozen plan into batches. It is opened and compared with the plan, unless it was
/// opened for it.
async fn read_segment<C: ControlPlane>(
    shared: &Shared<C>,
    held: &Held,
    work: ReadWork,
    list: ListId,
    plan: ReadPlan,
    opened: Option<Segment>,
) -> Result<Verdict, Failure> {
    let (cuts, mut staged) = mpsc::channel(1);
    let reader = {
        let (sources, span) = (shared.settings.sources.clone(), Span::current());
        let options = CutOptions {
            list,
            seed: seed_of(work.run),
            dedupe_memory: shared.settings.dedupe_memory,
            // A reader whose claim has ended may still be at work.
            scratch: shared.settings.scratch.join(held.claim().to_string()),
            limit: plan.limit,
            batch_profiles: plan.batch_profiles.unwrap_or(MAX_BATCH_PROFILES),
        };
        let mut stage = Stage {
            staged: cuts,
            staging: shared.staging.clone(),
            durable: !shared.settings.rereadable,
            run: work.run,
            known: work.known,
            progress: shared.readers.of(work.run),
        };
        tokio::task::spawn_blocking(move || {
            span.in_scope(|| {
                let segment = match opened {
                    Some(segment) => segment,
                    None => sources.open(&plan.sources)?,
                };
                segment.check(&plan.manifest)?;
                Cutter::new(&segment, &plan.mapping, &options).run(&mut stage)
            })
        })
    };
    while let Some(batch) = staged.recv().await {
        kill_points::at("worker.batch_staged");
        // To leave drops the channel, which stops the reader.
        if shared.control_plane.stage(held.claim(), &batch).await? == Next::Stop {
            return Ok(Verdict::Retry);
        }
    }
    kill_points::at("worker.segment_read");
    Ok(match reader.await {
        Ok(Ok(stats)) => Verdict::ReadDone { summary: summary(&stats) },
        Ok(Err(err)) => verdict_of(&err),
        Err(panic) => panicked(&panic, work.run),
    })
}

fn summary(stats: &FieldStats) -> String {
    serde_json::to_string(stats).unwrap_or_default()
}

fn verdict_of(err: &ReadError) -> Verdict {
    let reason = match err {
        ReadError::Source(err) => reason_of(err),
        ReadError::Mapping(_) => FailReason::SourceUnreadable,
        ReadError::Dedupe(_) | ReadError::Staging(_) => FailReason::StagingFailed,
        ReadError::Stopped => return Verdict::Retry,
    };
    Verdict::FailRun { reason, detail: words(err) }
}

fn unprepared(err: &PrepareError) -> Verdict {
    let reason = match err {
        PrepareError::Source(err) => reason_of(err),
        PrepareError::Mapping(_)
        | PrepareError::MixedKinds { .. }
        | PrepareError::Unmappable { .. }
        | PrepareError::ColumnAbsent { .. }
        | PrepareError::ColumnGone { .. }
        | PrepareError::UnknownColumns
        | PrepareError::ColumnUnknown { .. } => FailReason::SourceUnreadable,
    };
    Verdict::FailRun { reason, detail: words(err) }
}

fn reason_of(err: &SourceError) -> FailReason {
    match err {
        SourceError::Changed { .. } | SourceError::Differs { .. } => FailReason::SourceChanged,
        _ => FailReason::SourceUnreadable,
    }
}

fn unreadable(detail: String) -> Verdict {
    Verdict::FailRun { reason: FailReason::SourceUnreadable, detail }
}

fn panicked(panic: &JoinError, run: RunId) -> Verdict {
    tracing::error!(error = %panic, run.id = %run, "the reader panicked");
    unreadable("the reader panicked: this is a bug in segue, please report it".to_owned())
}
