//! What a run of an export refuses to do, and how old its source may be.

use std::{collections::BTreeMap, time::Duration};

use segue_model::{
    BatchNo, FailReason, Freshness, Micros, RowCounts, SegmentSource,
    guards::{
        DEFAULT_MAX_GROWTH, DEFAULT_MAX_REJECTS, DEFAULT_MAX_SHRINKAGE, Guards as Held, Tripped,
    },
    source::{by_segment, source_modified},
    work::Rejects,
};
use segue_store::{
    Tx,
    write::{
        batches::Phase,
        exports::Export,
        guards::{self, Sighting},
        jobs::{self, Failures},
        runs, segments,
    },
};
use serde::Serialize;
use serde_json::Value;

use crate::{Error, exports::text};

/// What a run of an export refuses to do. Shares are in percent: `None` is what holds unless somebody says
/// otherwise, 0 is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Guards {
    pub allow_live_flows: bool,
    pub allow_empty: bool,
    /// `None`: no limit.
    pub max_profiles: Option<u64>,
    // Left out where they say nothing, as in what requests before there were such guards are remembered by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_growth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_shrinkage: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rejects: Option<u32>,
}

/// Percent. More is as good as no guard, which 0 is.
const MOST_GROWTH: u32 = 1_000_000;
const MOST_AGE: Duration = Duration::from_hours(366 * 24);
/// Well below the deadline of a run, which goes on while it waits.
const MOST_WAIT: Duration = Duration::from_hours(12);
/// How often a run that waits for a younger source looks.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

impl Guards {
    pub(crate) fn of_row(row: &Export) -> Self {
        Self {
            allow_live_flows: row.allow_live_flows,
            allow_empty: row.allow_empty,
            max_profiles: row.max_profiles,
            max_growth: row.max_growth,
            max_shrinkage: row.max_shrinkage,
            max_rejects: row.max_rejects,
        }
    }

    /// What holds for a run. `trial`: it reads a part, so nobody can say that it has grown or shrunk.
    pub(crate) fn of_run(&self, overridden: bool, trial: bool) -> Held {
        let judged = |given: Option<u32>, or: u32| Some(given.unwrap_or(or)).filter(|it| *it > 0);
        let Self { allow_live_flows: _, allow_empty, .. } = *self;
        if overridden {
            return Held { allow_empty, ..Held::default() };
        }
        Held {
            allow_empty,
            max_profiles: self.max_profiles,
            max_growth: judged(self.max_growth, DEFAULT_MAX_GROWTH).filter(|_| !trial),
            max_shrinkage: judged(self.max_shrinkage, DEFAULT_MAX_SHRINKAGE).filter(|_| !trial),
            max_rejects: judged(self.max_rejects, DEFAULT_MAX_REJECTS),
        }
    }

    pub(crate) fn check(&self, mut note: impl FnMut(&str, String)) {
        // What is kept is a number of 63 bits.
        if self.max_profiles.is_some_and(|most| i64::try_from(most).is_err()) {
            note("guards.max_profiles", "is too large; 0 means no limit".to_owned());
        }
        for (field, given, most) in [
            ("guards.max_growth_percent", self.max_growth, MOST_GROWTH),
            ("guards.max_shrinkage_percent", self.max_shrinkage, 100),
            ("guards.max_rejects_percent", self.max_rejects, 100),
        ] {
            if let Some(given) = given.filter(|given| *given > most) {
                note(field, format!("{given} is more than {most}; 0 means not judged"));
            }
        }
    }
}

pub(crate) fn check_freshness(freshness: &Freshness, mut note: impl FnMut(&str, String)) {
    let Freshness { max_source_age, wait } = *freshness;
    if !(Duration::from_secs(1)..=MOST_AGE).contains(&max_source_age) {
        let words = "is not between 1 second and 366 days".to_owned();
        note("freshness.max_source_age", words);
    }
    if wait > MOST_WAIT {
        note("freshness.wait", "is more than 12 hours".to_owned());
    }
}

/// Why a run whose segment was read to its end must not send anything. `None`: it may, or has begun to.
pub(crate) async fn tripped(tx: &mut Tx, run: &runs::Run) -> Result<Option<Tripped>, Error> {
    if run.first_request.is_some() {
        return Ok(None);
    }
    let read = guards::read_so_far(tx, run.run).await?;
    let last = match run.export {
        Some(export) => guards::last_good(tx, export).await?,
        None => None,
    };
    Ok(run.guards.check(&read, last.map(|last| last.profiles)).err())
}

/// Notes what the first reading found, as it freezes the plan.
pub(crate) async fn note_source(
    tx: &mut Tx,
    run: &runs::Run,
    plan: &str,
    found: &[SegmentSource],
) -> Result<(), Error> {
    let last = match run.export {
        Some(export) => guards::last_good(tx, export).await?,
        None => None,
    };
    let now = manifest(plan);
    let same = now.is_some() && last.is_some_and(|last| manifest(&last.plan) == now);
    if found.is_empty() {
        // A worker of a version that does not say it.
        return Ok(guards::note_same(tx, run.run, same).await?);
    }
    Ok(guards::note_source(tx, run.run, &sighting(found, same)?).await?)
}

fn sighting(found: &[SegmentSource], same: bool) -> Result<Sighting, Error> {
    Ok(Sighting { segments: text(&found)?, modified: source_modified(found), same })
}

/// The manifest of a frozen plan. Without the numbers of devices: two machines that share a folder number it
/// differently.
fn manifest(plan: &str) -> Option<Value> {
    let mut plan: Value = serde_json::from_str(plan).ok()?;
    let mut manifest = plan.get_mut("manifest")?.take();
    for object in manifest.get_mut("objects")?.as_array_mut()? {
        object.get_mut("version")?.as_object_mut()?.remove("device");
    }
    Some(manifest)
}

/// Up to which age of its source a run that nobody has frozen yet may go on.
pub(crate) fn source_not_before(run: &runs::Run, now: Micros) -> Option<Micros> {
    let freshness = run.freshness.filter(|_| !run.frozen)?;
    Some(now - freshness.max_source_age)
}

/// The source of a run is too old: it looks again in a while, or fails if it has waited for long enough.
pub(crate) async fn wait_for_source(
    tx: &mut Tx,
    run: &runs::Run,
    job: segue_model::JobId,
    found: &[SegmentSource],
) -> Result<(), Error> {
    let now = tx.now();
    guards::note_source(tx, run.run, &sighting(found, false)?).await?;
    let Freshness { max_source_age, wait } =
        run.freshness.unwrap_or(Freshness { max_source_age: Duration::ZERO, wait: Duration::ZERO });
    let until = run.created + wait;
    if now < until {
        let after = LOOK_AGAIN.min(until.since(now));
        return Ok(jobs::release(tx, job, now + after, Failures::Keep).await?);
    }
    let oldest = found.iter().min_by_key(|segment| segment.modified);
    let detail = oldest.map_or_else(String::new, |SegmentSource { name, modified, .. }| {
        let at = modified.map(|at| at.to_string()).unwrap_or_default();
        let age = modified.map(|at| in_words(now.since(at))).unwrap_or_default();
        format!(
            "{name} was last written {age} ago, at {at}; at most {} are allowed, and {} were waited; nothing \
             was sent",
            in_words(max_source_age),
            in_words(wait),
        )
    });
    runs::fail(tx, run.run, FailReason::SourceStale, &detail).await?;
    Ok(jobs::done(tx, job).await?)
}

/// `26 h 5 min`: the two largest units of it.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (1.., _, _) => format!("{days} d {hours} h"),
        (0, 1.., _) => format!("{hours} h {minutes} min"),
        (0, 0, 1..) => format!("{minutes} min {} s", seconds % 60),
        (0, 0, 0) => format!("{seconds} s"),
    }
}

/// Notes of which segments the rejects of a part of a batch's life are.
pub(crate) async fn note_rejects(
    tx: &mut Tx,
    run: &runs::Run,
    no: BatchNo,
    phase: Phase,
    rejects: &Rejects,
) -> Result<(), Error> {
    let one =
        |(object, n): (&u32, &u64)| (*object, RowCounts { rejected: *n, ..RowCounts::default() });
    let objects: BTreeMap<u32, RowCounts> = rejects.by_object.iter().map(one).collect();
    let all = RowCounts { rejected: rejects.total(), ..RowCounts::default() };
    note_rows(tx, run, no, phase, &objects, all).await
}

/// Notes of which segments the rows of a part of a batch's life are. `all`: how many there are. What does not fit
/// it is not believed, and stays of no segment.
pub(crate) async fn note_rows(
    tx: &mut Tx,
    run: &runs::Run,
    no: BatchNo,
    phase: Phase,
    objects: &BTreeMap<u32, RowCounts>,
    all: RowCounts,
) -> Result<(), Error> {
    if objects.is_empty() {
        return Ok(());
    }
    let found: Vec<SegmentSource> =
        run.segments.as_deref().and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    // Nobody has said which segments there are.
    if found.is_empty() {
        return Ok(());
    }
    let counted = by_segment(&found, objects.iter().map(|(object, counts)| (*object, *counts)));
    let Some(counted) = counted.filter(|counted| sum(counted) == Some(all)) else {
        tracing::error!(run.id = %run.run, batch = no.0, "rows of objects that do not add up");
        return Ok(());
    };
    Ok(segments::note(tx, run.run, no, phase, &counted).await?)
}

/// `None`: it is beyond all numbers.
fn sum(counted: &[(u32, RowCounts)]) -> Option<RowCounts> {
    counted.iter().try_fold(RowCounts::default(), |sum, (_, more)| {
        Some(RowCounts {
            rows: sum.rows.checked_add(more.rows)?,
            duplicates: sum.duplicates.checked_add(more.duplicates)?,
            rejected: sum.rejected.checked_add(more.rejected)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use segue_model::guards::Guards as Held;

    use super::{Guards, in_words, manifest};

    #[test]
    fn guards_that_nobody_has_set_hold_and_zero_turns_them_off() {
        let default = Guards::default();
        let (growth, shrinkage, rejects) = (Some(50), Some(50), Some(20));
        let all = Held {
            max_growth: growth,
            max_shrinkage: shrinkage,
            max_rejects: rejects,
            ..Held::default()
        };
        assert_eq!(default.of_run(false, false), all);
        let trial = Held { max_growth: None, max_shrinkage: None, ..all };
        assert_eq!(default.of_run(false, true), trial);
        let zero = Some(0);
        let off = Guards {
            max_growth: zero,
            max_shrinkage: zero,
            max_rejects: zero,
            ..Guards::default()
        };
        assert_eq!(off.of_run(false, false), Held::default());
        let some = Guards { allow_empty: true, max_profiles: Some(3), ..off };
        assert_eq!(some.of_run(true, false), Held { allow_empty: true, ..Held::default() });
        let most = Held { allow_empty: true, max_profiles: Some(3), ..Held::default() };
        assert_eq!(some.of_run(false, true), most);
    }

    #[test]
    fn manifests_are_the_same_on_every_machine_that_shares_the_folder() {
        let plan = |device, size| {
            format!(
                r#"{{"kind":"frozen","manifest":{{"objects":[{{"name":"a.csv","version":{{"size_bytes":{size},"device":{device}}}}}]}}}}"#
            )
        };
        assert!(manifest(&plan(1, 5)).is_some());
        assert_eq!(manifest(&plan(1, 5)), manifest(&plan(2, 5)));
        assert_ne!(manifest(&plan(1, 5)), manifest(&plan(1, 6)));
        assert_eq!(manifest("{}"), None);
    }

    #[test]
    fn durations_are_told_by_their_two_largest_units() {
        let words = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(words(93_900), "1 d 2 h");
        assert_eq!(words(7_260), "2 h 1 min");
        assert_eq!(words(61), "1 min 1 s");
        assert_eq!(words(0), "0 s");
    }
}
