//! What runs refuse to send, how old their sources may be, and who may say otherwise.

use std::time::Duration;

use segue_model::{
    BatchNo, Endpoint, Micros, RejectReason, SegmentSource, UndeliveredReason,
    work::{Claimed, JobKind, Next, PermitReply, ReadWork, StagedBatch, UploadWork, Verdict, Work},
};
use segue_proto::v1::{self, RunState, Trigger};
use segue_store::{read, read_admin, test_util::Engine, write::requests};
use serde_json::{Value, json};
use tonic::Code;

use super::{World, export, field_names, missing, obstacles, run_id, schedules::hourly};
use crate::tests::{accepted, confirmation, read_done, rejects, staged};

segue_store::on_both_engines! {
    run_past_a_guard_sends_nothing_and_says_which,
    run_is_measured_by_the_last_good_one,
    empty_segment_that_is_allowed_is_no_shrinkage,
    override_holds_for_one_run_and_is_on_record,
    trial_is_judged_by_its_rejects_only,
    request_is_known_again_with_what_is_out_of_the_ordinary,
    scheduled_run_waits_for_a_younger_source_and_then_fails,
    scheduled_run_that_found_a_younger_source_goes_on,
    run_on_demand_takes_any_source_and_says_how_old_it_is,
    source_of_the_last_good_run_is_known_again,
}

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn request(export: &v1::Export, id: &str) -> v1::StartRunRequest {
    v1::StartRunRequest {
        export_id: export.id.clone(),
        request_id: id.to_owned(),
        ..v1::StartRunRequest::default()
    }
}

fn batch(profiles: u64, rejected: u64) -> StagedBatch {
    StagedBatch {
        profiles,
        rows: profiles + rejected,
        duplicates: 0,
        rejects: rejects(RejectReason::EmailInvalid, rejected, "0-mapping"),
        ..staged(0)
    }
}

impl World {
    async fn started(&self, request: v1::StartRunRequest) -> v1::Run {
        self.runs().start_run(request).await.unwrap().into_inner().run.unwrap()
    }

    async fn seen(&self, run: &v1::Run) -> v1::Run {
        read::run(self.cp.store(), run_id(run)).await.unwrap().unwrap().into()
    }

    /// Starts a run and reads so many profiles and rejects in one batch; how it stands then.
    async fn has_read(&self, request: v1::StartRunRequest, profiles: u64, bad: u64) -> v1::Run {
        let run = self.started(request).await;
        let reader = self.claim(JobKind::Read).await.claim;
        if profiles + bad > 0 {
            assert_eq!(self.cp.stage(reader, &batch(profiles, bad)).await.unwrap(), Next::GoOn);
        }
        self.cp.finish(reader, read_done()).await.unwrap();
        self.seen(&run).await
    }

    /// As [`Self::has_read`], and Klaviyo takes all of it.
    async fn has_sent(&self, request: v1::StartRunRequest, profiles: u64, bad: u64) -> v1::Run {
        let run = self.has_read(request, profiles, bad).await;
        assert_eq!(run.state(), RunState::Running, "{run:?}");
        self.deliver(&run).await
    }

    async fn deliver(&self, run: &v1::Run) -> v1::Run {
        let Claimed { claim, work: Work::Upload(work) } = self.claim(JobKind::Upload).await else {
            panic!("no upload")
        };
        let UploadWork { profiles, batch, .. } = work;
        let job = format!("job-{}", run.id);
        let permit = self.cp.permit(claim, "SIMULA", Endpoint::Import).await.unwrap();
        let PermitReply::Granted(permit) = permit else { panic!("{permit:?}") };
        self.cp.answer(permit, &accepted(&job, profiles, 0)).await.unwrap();
        self.clock.advance(10 * Duration::from_secs(1));
        let claim = self.claim(JobKind::Confirm).await.claim;
        let confirmed = confirmation(run_id(run), batch, &job, 0, 0);
        self.cp.confirm(claim, &confirmed).await.unwrap();
        self.cp.finish(claim, Verdict::Passed { progress: true }).await.unwrap();
        let run = self.seen(run).await;
        assert!(matches!(run.state(), RunState::Succeeded | RunState::CompletedWithRejects));
        run
    }

    async fn guarded(&self, guards: v1::Guards) -> v1::Export {
        let connection = self.connection().await;
        let wanted = v1::Export { guards: Some(guards), ..export(&connection.id) };
        self.create_export(wanted, "").await.unwrap()
    }
}

/// The reason of a run that failed with nothing sent.
#[track_caller]
fn stopped(run: &v1::Run) -> &str {
    assert_eq!((run.state(), run.first_request_at), (RunState::Failed, None), "{run:?}");
    let counts = run.counts.as_ref().unwrap();
    assert_eq!((counts.requests, counts.delivered), (0, 0));
    let failure = run.failure.as_ref().unwrap();
    assert!(failure.detail.contains("nothing was sent"), "{failure:?}");
    &failure.reason
}

async fn run_past_a_guard_sends_nothing_and_says_which(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.guarded(v1::Guards { max_profiles: 200, ..v1::Guards::default() }).await;
    world.has_sent(request(&export, "first"), 100, 25).await;
    for (id, (profiles, bad), reason) in [
        ("1", (151, 0), "grew_too_much"),
        ("2", (49, 0), "shrank_too_much"),
        ("3", (100, 26), "too_many_rejects"),
    ] {
        let run = world.has_read(request(&export, id), profiles, bad).await;
        assert_eq!(stopped(&run), reason);
        assert!(run.failure.unwrap().detail.contains("--override-guards"));
        assert!(world.announced().await.is_empty(), "somebody is to send something");
        // A retry is not guarded, so there is none.
        let (code, _) = obstacles(world.retry(&run.id, "again").await).remove(0);
        assert_eq!(code, "NOT_READ");
    }
    world.has_sent(request(&export, "last"), 150, 0).await;
    // This one is known before the end, so nobody reads on.
    let run = world.started(request(&export, "many")).await;
    let reader = world.claim(JobKind::Read).await.claim;
    assert_eq!(world.cp.stage(reader, &batch(201, 0)).await.unwrap(), Next::Stop);
    world.cp.finish(reader, Verdict::Retry).await.unwrap();
    assert_eq!(stopped(&world.seen(&run).await), "too_many_profiles");
}

async fn run_is_measured_by_the_last_good_one(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.guarded(v1::Guards::default()).await;
    // Nothing has grown that never was before.
    world.has_sent(request(&export, "1"), 100, 0).await;
    // Neither a run that failed nor its retry, which sends whatever was left, measures another.
    let failed = world.has_read(request(&export, "2"), 140, 0).await;
    let upload = world.claim(JobKind::Upload).await.claim;
    world.cp.finish(upload, Verdict::GiveUp(UndeliveredReason::NotSent)).await.unwrap();
    let retry = world.retry(&failed.id, "3").await.unwrap();
    let reader = world.claim(JobKind::Read).await.claim;
    assert_eq!(world.cp.stage(reader, &batch(140, 0)).await.unwrap(), Next::GoOn);
    world.cp.finish(reader, read_done()).await.unwrap();
    assert_eq!(world.deliver(&retry).await.state(), RunState::Succeeded);
    // By those 140 it would have shrunk.
    world.has_sent(request(&export, "4"), 60, 0).await;
    let run = world.has_read(request(&export, "5"), 91, 0).await;
    assert_eq!(stopped(&run), "grew_too_much");
    // What it read and where it went may have been another: a change that nobody meant is what guards are for.
    let changed = v1::Export { segments: vec!["others.csv".to_owned()], ..export.clone() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["segments".to_owned()] });
    let update = v1::UpdateExportRequest { export: Some(changed), update_mask };
    world.exports().update_export(update).await.unwrap();
    let run = world.has_read(request(&export, "6"), 91, 0).await;
    assert_eq!(stopped(&run), "grew_too_much");
}

async fn empty_segment_that_is_allowed_is_no_shrinkage(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.guarded(v1::Guards { allow_empty: true, ..v1::Guards::default() }).await;
    world.has_sent(request(&export, "1"), 100, 0).await;
    let empty = world.has_read(request(&export, "2"), 0, 0).await;
    assert_eq!(empty.state(), RunState::Succeeded);
    // Nor does it measure the next.
    world.has_sent(request(&export, "3"), 100, 0).await;
    let refused = world.guarded(v1::Guards::default()).await;
    let empty = world.has_read(request(&refused, "4"), 0, 0).await;
    assert_eq!(empty.failure.unwrap().reason, "segment_empty");
}

async fn override_holds_for_one_run_and_is_on_record(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.guarded(v1::Guards { max_profiles: 150, ..v1::Guards::default() }).await;
    world.has_sent(request(&export, "1"), 100, 0).await;
    let overriding = v1::StartRunRequest { override_guards: true, ..request(&export, "2") };
    let run = world.started(overriding).await;
    let reader = world.claim(JobKind::Read).await.claim;
    assert_eq!(world.cp.stage(reader, &batch(400, 400)).await.unwrap(), Next::GoOn);
    // Nothing holds it, so it goes while it is still read.
    assert!(world.announced().await.iter().any(|job| job.kind == JobKind::Upload));
    world.cp.finish(reader, read_done()).await.unwrap();
    world.clock.advance(MINUTE);
    let run = world.deliver(&run).await;
    assert!(run.guards_overridden);
    let told = read_admin::audit(world.cp.store(), u64::MAX, &run.id, 9).await.unwrap();
    let told: Value = serde_json::from_str(&told[0].detail).unwrap();
    assert_eq!(told["override_guards"], true);
    // From now on it is what others are measured by, and nothing is overridden.
    let run = world.has_read(request(&export, "3"), 150, 0).await;
    assert_eq!((stopped(&run), run.guards_overridden), ("shrank_too_much", false));
    let told = read_admin::audit(world.cp.store(), u64::MAX, &run.id, 9).await.unwrap();
    assert!(!told[0].detail.contains("override_guards"));
}

async fn trial_is_judged_by_its_rejects_only(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.guarded(v1::Guards::default()).await;
    world.has_sent(request(&export, "1"), 100, 0).await;
    let trial = |id: &str| v1::StartRunRequest { trial_rows: 5, ..request(&export, id) };
    let run = world.has_sent(trial("2"), 5, 0).await;
    assert_eq!(run.trial_rows, 5);
    let plan = read::planned(world.cp.store(), run_id(&run)).await.unwrap().unwrap().plan;
    assert_eq!(serde_json::from_str::<Value>(&plan).unwrap()["limit"], 5);
    let told = read_admin::audit(world.cp.store(), u64::MAX, &run.id, 9).await.unwrap();
    assert!(told[0].detail.contains(r#""trial_rows":5"#));
    let run = world.has_read(trial("3"), 3, 2).await;
    assert_eq!(stopped(&run), "too_many_rejects");
    // Five are not what this one is measured by.
    world.has_sent(request(&export, "4"), 100, 0).await;
    let wrong = v1::StartRunRequest { trial_rows: u64::MAX, ..request(&export, "5") };
    assert_eq!(field_names(world.runs().start_run(wrong).await), ["trial_rows"]);
}

async fn request_is_known_again_with_what_is_out_of_the_ordinary(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.guarded(v1::Guards::default()).await;
    let plain = request(&export, "once");
    let trial = v1::StartRunRequest { trial_rows: 5, ..plain.clone() };
    let other = v1::StartRunRequest { trial_rows: 6, ..plain.clone() };
    let overriding = v1::StartRunRequest { override_guards: true, ..plain.clone() };
    let both = v1::StartRunRequest { override_guards: true, ..trial.clone() };
    let all = [plain, trial, other, overriding, both];
    for first in &all {
        let id = uuid::Uuid::now_v7().to_string();
        let with =
            |it: &v1::StartRunRequest| v1::StartRunRequest { request_id: id.clone(), ..it.clone() };
        let run = world.started(with(first)).await;
        for second in &all {
            let again = world.runs().start_run(with(second)).await;
            if first == second {
                assert_eq!(again.unwrap().into_inner().run.unwrap().id, run.id);
            } else {
                assert_eq!(missing(again, Code::AlreadyExists).1, run.id);
            }
        }
        world.cancel(&run.id).await.unwrap();
        // As earlier versions have it, so that their requests are known again.
        if first.trial_rows == 0 && !first.override_guards {
            let mut tx = world.cp.store().begin().await.unwrap();
            let kind = requests::RequestKind::Run;
            let made = requests::find(&mut tx, kind, &id).await.unwrap().unwrap();
            assert_eq!(made.content, format!("start {}", export.id));
        }
    }
}

fn found(modified: Micros) -> Vec<SegmentSource> {
    let segment = |name: &str, modified| SegmentSource {
        name: name.to_owned(),
        objects: 1,
        modified: Some(modified),
    };
    vec![segment("new.csv", modified + HOUR), segment("people/*.csv", modified)]
}

/// Of an export whose source may be two hours old and is waited for for 150 seconds.
async fn scheduled(world: &World) -> v1::Run {
    let connection = world.connection().await;
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let freshness = v1::Freshness { max_source_age: seconds(7200), wait: seconds(150) };
    let wanted = v1::Export {
        freshness: Some(freshness),
        schedule: Some(hourly()),
        ..export(&connection.id)
    };
    let made = world.create_export(wanted, "").await.unwrap();
    assert_eq!(made.freshness, Some(freshness));
    world.clock.advance(HOUR);
    world.swept().await.remove(0)
}

async fn read_work(world: &World) -> (segue_model::ClaimId, ReadWork) {
    match world.claim(JobKind::Read).await {
        Claimed { claim, work: Work::Read(work) } => (claim, work),
        other => panic!("{other:?}"),
    }
}

async fn scheduled_run_waits_for_a_younger_source_and_then_fails(engine: Engine) {
    let world = World::on(engine).await;
    let run = scheduled(&world).await;
    assert_eq!(run.trigger(), Trigger::Schedule);
    let modified = world.cp.now().await.unwrap() - 3 * HOUR;
    for wait in [MINUTE, MINUTE, MINUTE / 2] {
        let now = world.cp.now().await.unwrap();
        let (claim, work) = read_work(&world).await;
        assert_eq!(work.source_not_before, Some(now - 2 * HOUR));
        world.cp.finish(claim, Verdict::Stale { segments: found(modified) }).await.unwrap();
        assert!(world.announced().await.is_empty(), "it waits");
        assert_eq!(world.seen(&run).await.state(), RunState::Running);
        world.clock.advance(wait);
    }
    let (claim, _) = read_work(&world).await;
    world.cp.finish(claim, Verdict::Stale { segments: found(modified) }).await.unwrap();
    let run = world.seen(&run).await;
    assert_eq!(stopped(&run), "source_stale");
    let detail = run.failure.unwrap().detail;
    for words in ["people/*.csv", "3 h 2 min ago", "at most 2 h 0 min", "2 min 30 s were waited"] {
        assert!(detail.contains(words), "{detail}");
    }
    assert_eq!(run.source_age.unwrap().seconds, 3 * 3600 + 150);
    assert_eq!(run.segments.len(), 2);
}

async fn scheduled_run_that_found_a_younger_source_goes_on(engine: Engine) {
    let world = World::on(engine).await;
    let run = scheduled(&world).await;
    let now = world.cp.now().await.unwrap();
    let (claim, _) = read_work(&world).await;
    world.cp.finish(claim, Verdict::Stale { segments: found(now - 3 * HOUR) }).await.unwrap();
    world.clock.advance(MINUTE);
    let (claim, _) = read_work(&world).await;
    let next = world.cp.plan(claim, "{}", &found(now - HOUR)).await.unwrap();
    assert_eq!(next, Next::GoOn);
    assert_eq!(world.seen(&run).await.source_age.unwrap().seconds, 3660);
    // Whoever reads the frozen plan later reads what was young enough.
    world.cp.finish(claim, Verdict::Deferred { after: Duration::ZERO }).await.unwrap();
    world.clock.advance(12 * HOUR);
    let (claim, work) = read_work(&world).await;
    assert_eq!(work.source_not_before, None);
    world.cp.plan(claim, "{}", &found(now)).await.unwrap();
    assert_eq!(world.seen(&run).await.source_age.unwrap().seconds, 3660);
}

async fn run_on_demand_takes_any_source_and_says_how_old_it_is(engine: Engine) {
    let world = World::on(engine).await;
    let run = scheduled(&world).await;
    world.cancel(&run.id).await.unwrap();
    let export = v1::Export { id: run.export_id, ..v1::Export::default() };
    let run = world.started(request(&export, "now")).await;
    let (claim, work) = read_work(&world).await;
    assert_eq!(work.source_not_before, None);
    let modified = world.cp.now().await.unwrap() - 72 * HOUR;
    assert_eq!(world.cp.plan(claim, "{}", &found(modified)).await.unwrap(), Next::GoOn);
    let run = world.seen(&run).await;
    assert_eq!(run.source_age.unwrap().seconds, 72 * 3600);
    assert_eq!(run.source_modified_at, Some(segue_proto::timestamp(modified)));
}

async fn source_of_the_last_good_run_is_known_again(engine: Engine) {
    let world = World::on(engine).await;
    let export = world.guarded(v1::Guards::default()).await;
    let plan = |device: u64, size: u64| {
        let version = json!({"size_bytes": size, "device": device});
        json!({"kind": "frozen", "manifest": {"objects": [{"name": "a", "version": version}]}})
    };
    for (id, plan, same) in [
        ("1", plan(1, 5), false),
        // Another machine of those that share the folder.
        ("2", plan(2, 5), true),
        ("3", plan(2, 6), false),
    ] {
        let run = world.started(request(&export, id)).await;
        let reader = world.claim(JobKind::Read).await.claim;
        world.cp.plan(reader, &plan.to_string(), &found(Micros(0))).await.unwrap();
        assert_eq!(world.seen(&run).await.same_source, same, "{id}");
        world.cp.stage(reader, &StagedBatch { batch: BatchNo(0), ..batch(10, 0) }).await.unwrap();
        world.cp.finish(reader, read_done()).await.unwrap();
        world.deliver(&run).await;
    }
}
