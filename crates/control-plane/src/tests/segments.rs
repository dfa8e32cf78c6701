//! Rows are counted by segment, through all that can become of them.

use segue_model::{RowCounts, SegmentSource};
use segue_store::read;

use super::{
    Acceptance, Answer, BTreeMap, BatchNo, Confirmation, ContentHash, Duration, Endpoint, Engine,
    JobKind, NewRun, Next, RejectReason, Rejects, RunId, StagedBatch, Verdict, Work, World,
    confirmation, halves, new_run, read_done, staged,
};
use crate::work::Claimed;

segue_store::on_both_engines! {
    numbers_of_segments_are_those_of_the_run_through_all_that_becomes_of_a_batch,
    what_a_worker_of_the_first_version_says_is_of_no_segment,
    numbers_that_do_not_add_up_are_of_no_segment,
    held_reader_is_never_too_far_ahead,
}

/// Two segments: a glob that found two files, and a file.
fn segments() -> Vec<SegmentSource> {
    let segment =
        |name: &str, objects| SegmentSource { name: name.to_owned(), objects, modified: None };
    vec![segment("people/*.csv", 2), segment("others.csv", 1)]
}

fn counts(rows: u64, duplicates: u64, rejected: u64) -> RowCounts {
    RowCounts { rows, duplicates, rejected }
}

/// 13 rows, as [`staged`] has them, of the first and the last file.
fn spread(no: u32) -> StagedBatch {
    let objects = [(0, counts(6, 0, 1)), (2, counts(7, 2, 0))].into();
    StagedBatch { objects, ..staged(no) }
}

fn of_objects(reason: RejectReason, by_object: &[(u32, u64)]) -> Rejects {
    let n = by_object.iter().map(|(_, n)| n).sum();
    let by_object = by_object.iter().copied().collect();
    Rejects { by_reason: [(reason, n)].into(), report: Some(format!("{reason}-{n}")), by_object }
}

async fn begun(world: &World) -> (RunId, segue_model::ClaimId) {
    let run = world.start_with(NewRun { frozen: false, ..new_run(1) }).await;
    let reader = world.claim(JobKind::Read).await.claim;
    assert_eq!(world.cp.plan(reader, "{}", &segments()).await.unwrap(), Next::GoOn);
    (run, reader)
}

/// By segment, with what is of none last; the sums are those of the run.
async fn numbers(world: &World, run: RunId) -> Vec<RowCounts> {
    let view = read::run(world.cp.store(), run).await.unwrap().unwrap();
    let mut all: Vec<RowCounts> = view.segments.iter().map(|segment| segment.counts).collect();
    all.push(view.not_by_segment);
    let mut sum = RowCounts::default();
    for counts in &all {
        sum.add(*counts);
    }
    let of_run = &view.tally.counts;
    assert_eq!(sum, counts(of_run.rows_read, of_run.duplicates, of_run.rejected));
    all
}

async fn claim_upload(world: &World) -> (segue_model::ClaimId, BatchNo, u64) {
    let Claimed { claim, work: Work::Upload(work) } = world.claim(JobKind::Upload).await else {
        panic!("no upload");
    };
    (claim, work.batch, work.profiles)
}

async fn accept(world: &World, job: &str, refused: Rejects) -> BatchNo {
    let (claim, batch, profiles) = claim_upload(world).await;
    let permit = world.granted(claim, Endpoint::Import).await;
    let sent = profiles - refused.total();
    let job = job.to_owned();
    let accepted = Answer::Accepted(Acceptance { klaviyo_job: job, sent, bytes: 900, refused });
    world.answer(permit, accepted.clone()).await;
    // The same again changes nothing.
    world.answer(permit, accepted).await;
    batch
}

async fn confirm(world: &World, run: RunId, batch: BatchNo, job: &str, rejects: Rejects) {
    world.clock.advance(Duration::from_secs(10));
    let claim = world.claim(JobKind::Confirm).await.claim;
    let confirmed = Confirmation { rejects, ..confirmation(run, batch, job, 0, 0) };
    assert_eq!(world.cp.confirm(claim, &confirmed).await.unwrap(), Next::GoOn);
    // Nor does this.
    world.cp.confirm(claim, &confirmed).await.unwrap();
    world.finish(claim, Verdict::Passed { progress: true }).await;
}

async fn numbers_of_segments_are_those_of_the_run_through_all_that_becomes_of_a_batch(
    engine: Engine,
) {
    let world = World::new(engine).await;
    let (run, reader) = begun(&world).await;
    for no in 0..3 {
        assert_eq!(world.cp.stage(reader, &spread(no)).await.unwrap(), Next::GoOn);
        // Told twice, because an answer was lost; and once more by whoever reads it again.
        assert_eq!(world.cp.stage(reader, &spread(no)).await.unwrap(), Next::GoOn);
    }
    let none = RowCounts::default();
    assert_eq!(numbers(&world, run).await, [counts(18, 0, 3), counts(21, 6, 0), none]);
    world.finish(reader, read_done()).await;

    // Klaviyo refuses rows of the first batch when it is handed over, and fails to import others.
    let refused = of_objects(RejectReason::RefusedByKlaviyo, &[(0, 1), (2, 2)]);
    let batch = accept(&world, "job-0", refused).await;
    assert_eq!(numbers(&world, run).await, [counts(18, 0, 4), counts(21, 6, 2), none]);
    let failed = of_objects(RejectReason::ImportFailed, &[(1, 1)]);
    confirm(&world, run, batch, "job-0", failed).await;
    assert_eq!(numbers(&world, run).await, [counts(18, 0, 5), counts(21, 6, 2), none]);

    // The second is split, with one row left out, and each half has a fate of its own.
    let (claim, _, profiles) = claim_upload(&world).await;
    let refused = of_objects(RejectReason::RefusedByKlaviyo, &[(2, 1)]);
    let children = halves(100, profiles - 1);
    world.finish(claim, Verdict::Split { children, refused }).await;
    assert_eq!(numbers(&world, run).await, [counts(18, 0, 5), counts(21, 6, 3), none]);
    // The third, and the halves behind it.
    let batch = accept(&world, "job-2", Rejects::default()).await;
    confirm(&world, run, batch, "job-2", Rejects::default()).await;
    let (claim, _, profiles) = claim_upload(&world).await;
    let all = of_objects(RejectReason::RefusedByKlaviyo, &[(0, 1), (2, profiles - 1)]);
    world.finish(claim, Verdict::AllRefused(all)).await;
    let batch = accept(&world, "job-3", Rejects::default()).await;
    let view = read::run(world.cp.store(), run).await.unwrap().unwrap();
    assert!(view.segments.iter().all(|segment| segment.delivered.is_none()), "not known yet");
    confirm(&world, run, batch, "job-3", Rejects::default()).await;

    let rejected = 3 + profiles - 1;
    assert_eq!(numbers(&world, run).await, [counts(18, 0, 6), counts(21, 6, rejected), none]);
    let view = read::run(world.cp.store(), run).await.unwrap().unwrap();
    assert!(view.state.is_terminal());
    let delivered: Vec<_> = view.segments.iter().map(|segment| segment.delivered).collect();
    assert_eq!(delivered, [Some(12), Some(15 - rejected)]);
    assert_eq!(delivered.into_iter().flatten().sum::<u64>(), view.tally.counts.delivered);
}

async fn what_a_worker_of_the_first_version_says_is_of_no_segment(engine: Engine) {
    let world = World::new(engine).await;
    let (run, reader) = begun(&world).await;
    world.cp.stage(reader, &spread(0)).await.unwrap();
    world.cp.stage(reader, &staged(1)).await.unwrap();
    world.finish(reader, read_done()).await;
    let told = [counts(6, 0, 1), counts(7, 2, 0), counts(13, 2, 1)];
    assert_eq!(numbers(&world, run).await, told);
    // Whose rows it refused, nobody says either.
    let refused =
        Rejects { by_object: BTreeMap::new(), ..of_objects(RejectReason::ImportFailed, &[(0, 2)]) };
    let batch = accept(&world, "job-0", refused).await;
    confirm(&world, run, batch, "job-0", Rejects::default()).await;
    let batch = accept(&world, "job-1", Rejects::default()).await;
    confirm(&world, run, batch, "job-1", Rejects::default()).await;
    let told = [counts(6, 0, 1), counts(7, 2, 0), counts(13, 2, 3)];
    assert_eq!(numbers(&world, run).await, told);
    let view = read::run(world.cp.store(), run).await.unwrap().unwrap();
    assert!(view.segments.iter().all(|segment| segment.delivered.is_none()));

    // Of a run that such a worker planned, nothing is known by segment.
    let run = world.start_with(NewRun { frozen: false, ..new_run(2) }).await;
    let reader = world.claim(JobKind::Read).await.claim;
    assert_eq!(world.cp.plan(reader, "{}", &[]).await.unwrap(), Next::GoOn);
    world.cp.stage(reader, &spread(0)).await.unwrap();
    assert_eq!(numbers(&world, run).await, [counts(13, 2, 1)]);
}

async fn numbers_that_do_not_add_up_are_of_no_segment(engine: Engine) {
    let world = World::new(engine).await;
    let (run, reader) = begun(&world).await;
    for (no, objects) in [
        (0, [(0, counts(6, 0, 1)), (2, counts(8, 2, 0))]),
        (1, [(0, counts(6, 0, 1)), (3, counts(7, 2, 0))]),
        (2, [(0, counts(u64::MAX, 0, 1)), (1, counts(u64::MAX, 2, 0))]),
    ] {
        let batch =
            StagedBatch { objects: objects.into(), hash: ContentHash(no.into()), ..staged(no) };
        assert_eq!(world.cp.stage(reader, &batch).await.unwrap(), Next::GoOn);
    }
    let none = RowCounts::default();
    assert_eq!(numbers(&world, run).await, [none, none, counts(39, 6, 3)]);
}

async fn held_reader_is_never_too_far_ahead(engine: Engine) {
    let settings = crate::Settings { batches_ahead: 2, bytes_ahead: 1, ..super::settings() };
    let world = World::with(engine, settings).await;
    let ahead = |cp: std::sync::Arc<crate::ControlPlane>, reader, no| async move {
        cp.stage_within(reader, &staged(no), Duration::ZERO).await.unwrap()
    };
    world.start_with(NewRun { hold: true, ..new_run(1) }).await;
    let reader = world.claim(JobKind::Read).await.claim;
    for no in 0..5 {
        assert_eq!(ahead(world.cp.clone(), reader, no).await, Some(Next::GoOn));
    }
    // One that is not held has to wait.
    world.start(2).await;
    let reader = world.claim(JobKind::Read).await.claim;
    assert_eq!(ahead(world.cp.clone(), reader, 0).await, None);
}
