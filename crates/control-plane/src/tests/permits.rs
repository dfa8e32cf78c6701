//! The pace.

use std::collections::BTreeSet;

use super::{
    ACCOUNT, Answer, ClaimId, Duration, Endpoint, Engine, INSTANT, JobKind, NewRun, PermitId,
    PermitReply, RunId, SECOND, Settings, Verdict, World, accepted, new_run,
};
use segue_model::FailReason;

segue_store::on_both_engines! {
    crowd_never_gets_more_places_than_a_second_or_a_minute_has,
    place_is_free_exactly_a_second_after_the_answer_was_recorded,
    request_that_was_never_made_holds_no_place,
    throttled_lane_is_closed_for_as_long_as_klaviyo_asks_and_then_half_as_wide,
    after_five_failures_one_request_at_a_time_finds_out_when_it_is_over,
    lanes_do_not_wait_for_each_other,
    no_request_is_allowed_for_a_run_that_has_stopped,
    permit_is_for_the_account_of_the_claim_only,
    who_waits_gets_the_place_as_soon_as_an_answer_gives_one_back,
    cancel_sends_away_who_waits_for_a_place,
    throttled_look_at_the_jobs_of_an_account_is_counted_in_its_runs,
    times_of_first_request_and_last_acceptance_are_kept,
    permit_whose_reply_was_lost_does_not_keep_a_run_from_ending,
    place_of_a_request_that_everybody_has_forgotten_is_given_back,
}

/// A run and a claim under which requests may be made.
async fn uploader(world: &World) -> (RunId, ClaimId) {
    let run = world.start(1).await;
    world.read(0..2).await;
    (run, world.claim(JobKind::Upload).await.claim)
}

async fn keep(world: &World, claim: ClaimId, by: Duration) {
    world.clock.advance(by);
    assert!(world.renew(&[claim]).await.is_empty());
}

/// Fifty tasks ask at once, as often as it takes until `wanted` places were given.
async fn crowd(world: &World, claim: ClaimId, wanted: usize) -> BTreeSet<PermitId> {
    let mut granted = BTreeSet::new();
    while granted.len() < wanted {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let cp = world.cp.clone();
            tasks.spawn(async move { cp.permit(claim, ACCOUNT, Endpoint::Import).await.unwrap() });
        }
        while let Some(reply) = tasks.join_next().await {
            match reply.unwrap() {
                PermitReply::Granted(permit) => assert!(granted.insert(permit)),
                PermitReply::Later(_) => {}
                PermitReply::Stop => panic!("the claim has ended"),
            }
        }
        assert!(granted.len() <= wanted, "{} at a time", granted.len());
    }
    granted
}

async fn crowd_never_gets_more_places_than_a_second_or_a_minute_has(engine: Engine) {
    let settings = Settings { permit_wait: Duration::from_millis(50), ..super::settings() };
    let world = World::with(engine, settings).await;
    let (_, claim) = uploader(&world).await;
    for _ in 0..15 {
        for permit in crowd(&world, claim, 10).await {
            world.answer(permit, Answer::NotApplied { status: 400 }).await;
        }
        keep(&world, claim, SECOND).await;
    }
    let PermitReply::Later(wait) = world.permit(claim, Endpoint::Import).await else {
        panic!("the minute is full");
    };
    // The first ten were answered 15 s ago.
    assert_eq!(wait, 45 * SECOND);
    for _ in 0..44 {
        keep(&world, claim, SECOND).await;
    }
    assert!(matches!(world.permit(claim, Endpoint::Import).await, PermitReply::Later(_)));
    keep(&world, claim, SECOND).await;
    crowd(&world, claim, 10).await;
}

async fn place_is_free_exactly_a_second_after_the_answer_was_recorded(engine: Engine) {
    let world = World::new(engine).await;
    let (_, claim) = uploader(&world).await;
    let mut permits = Vec::new();
    for _ in 0..10 {
        permits.push(world.granted(claim, Endpoint::Import).await);
    }
    // However long they take, without an answer they may still arrive.
    for _ in 0..3 {
        keep(&world, claim, SECOND).await;
    }
    assert!(matches!(world.permit(claim, Endpoint::Import).await, PermitReply::Later(_)));
    world.answer(permits[0], Answer::NotApplied { status: 400 }).await;
    assert_eq!(world.permit(claim, Endpoint::Import).await, PermitReply::Later(SECOND));
    keep(&world, claim, SECOND.saturating_sub(INSTANT)).await;
    assert_eq!(world.permit(claim, Endpoint::Import).await, PermitReply::Later(INSTANT));
    keep(&world, claim, INSTANT).await;
    world.granted(claim, Endpoint::Import).await;
    assert!(matches!(world.permit(claim, Endpoint::Import).await, PermitReply::Later(_)));
}

async fn request_that_was_never_made_holds_no_place(engine: Engine) {
    let world = World::new(engine).await;
    let (run, claim) = uploader(&world).await;
    for _ in 0..25 {
        let permit = world.granted(claim, Endpoint::Import).await;
        world.answer(permit, Answer::NotSent).await;
    }
    assert_eq!(world.report(run).await.requests, 0);
}

async fn throttled_lane_is_closed_for_as_long_as_klaviyo_asks_and_then_half_as_wide(
    engine: Engine,
) {
    let world = World::new(engine).await;
    let (run, claim) = uploader(&world).await;
    let permit = world.granted(claim, Endpoint::Import).await;
    let retry_after = Some(Duration::from_secs(3));
    world.answer(permit, Answer::Throttled { retry_after }).await;
    assert_eq!(world.permit(claim, Endpoint::Import).await, PermitReply::Later(3 * SECOND));
    keep(&world, claim, 3 * SECOND).await;
    for _ in 0..5 {
        world.granted(claim, Endpoint::Import).await;
    }
    assert!(matches!(world.permit(claim, Endpoint::Import).await, PermitReply::Later(_)));
    assert_eq!(world.report(run).await.throttled, 1);
}

async fn after_five_failures_one_request_at_a_time_finds_out_when_it_is_over(engine: Engine) {
    let world = World::new(engine).await;
    let (_, claim) = uploader(&world).await;
    for _ in 0..5 {
        let permit = world.granted(claim, Endpoint::Import).await;
        world.answer(permit, Answer::NotApplied { status: 503 }).await;
    }
    let probe = world.granted(claim, Endpoint::Import).await;
    assert!(matches!(world.permit(claim, Endpoint::Import).await, PermitReply::Later(_)));
    world.answer(probe, Answer::Fine).await;
    world.granted(claim, Endpoint::Import).await;
    world.granted(claim, Endpoint::Import).await;
}

async fn lanes_do_not_wait_for_each_other(engine: Engine) {
    let world = World::new(engine).await;
    let (_, claim) = uploader(&world).await;
    let permit = world.granted(claim, Endpoint::Import).await;
    world.answer(permit, Answer::Throttled { retry_after: None }).await;
    world.granted(claim, Endpoint::List).await;
    let other = world.cp.free_permit("other", Endpoint::Import).await.unwrap();
    assert!(matches!(other, PermitReply::Granted(_)));
    let same = world.cp.free_permit(ACCOUNT, Endpoint::Import).await.unwrap();
    assert_eq!(same, PermitReply::Later(SECOND));
}

async fn no_request_is_allowed_for_a_run_that_has_stopped(engine: Engine) {
    let world = World::new(engine).await;
    let (run, claim) = uploader(&world).await;
    let second = world.claim(JobKind::Upload).await.claim;
    let under_way = world.granted(second, Endpoint::Import).await;
    world.cp.cancel_run(run).await.unwrap();
    for endpoint in [Endpoint::Import, Endpoint::List, Endpoint::Accounts] {
        assert_eq!(world.permit(claim, endpoint).await, PermitReply::Stop, "cancelling");
    }
    world.answer(under_way, Answer::NotApplied { status: 503 }).await;
    assert_eq!(world.state(run).await, segue_model::RunState::Cancelled);
    assert_eq!(world.permit(claim, Endpoint::Import).await, PermitReply::Stop, "ended");

    world.start_with(NewRun { run: super::run_id(2), ..new_run(2) }).await;
    world.read(0..2).await;
    let (fails, other) =
        (world.claim(JobKind::Upload).await.claim, world.claim(JobKind::Upload).await.claim);
    let reason = FailReason::ListNotFound;
    world.finish(fails, Verdict::FailRun { reason, detail: String::new() }).await;
    assert_eq!(world.permit(other, Endpoint::Import).await, PermitReply::Stop, "failed");
}

async fn permit_is_for_the_account_of_the_claim_only(engine: Engine) {
    let world = World::new(engine).await;
    let (_, claim) = uploader(&world).await;
    let other = world.cp.permit(claim, "other", Endpoint::Import).await.unwrap();
    assert_eq!(other, PermitReply::Stop);
}

async fn who_waits_gets_the_place_as_soon_as_an_answer_gives_one_back(engine: Engine) {
    let settings = Settings { permit_wait: Duration::from_mins(1), ..super::settings() };
    let world = World::with(engine, settings).await;
    let (_, claim) = uploader(&world).await;
    let mut permits = Vec::new();
    for _ in 0..10 {
        permits.push(world.granted(claim, Endpoint::Import).await);
    }
    let cp = world.cp.clone();
    let waiting = tokio::spawn(async move { cp.permit(claim, ACCOUNT, Endpoint::Import).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    world.answer(permits[0], Answer::NotSent).await;
    assert!(matches!(waiting.await.unwrap().unwrap(), PermitReply::Granted(_)));
}

async fn cancel_sends_away_who_waits_for_a_place(engine: Engine) {
    let settings = Settings { permit_wait: Duration::from_mins(1), ..super::settings() };
    let world = World::with(engine, settings).await;
    let (run, claim) = uploader(&world).await;
    for _ in 0..10 {
        world.granted(claim, Endpoint::Import).await;
    }
    let cp = world.cp.clone();
    let waiting = tokio::spawn(async move { cp.permit(claim, ACCOUNT, Endpoint::Import).await });
    tokio::task::yield_now().await;
    world.cp.cancel_run(run).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), PermitReply::Stop);
}

async fn throttled_look_at_the_jobs_of_an_account_is_counted_in_its_runs(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    world.upload("k1").await;
    world.clock.advance(SECOND);
    let confirmer = world.claim(JobKind::Confirm).await.claim;
    let permit = world.granted(confirmer, Endpoint::ImportJobs).await;
    world.answer(permit, Answer::Throttled { retry_after: None }).await;
    let report = world.report(run).await;
    assert_eq!((report.throttled, report.requests), (1, 1));
}

async fn times_of_first_request_and_last_acceptance_are_kept(engine: Engine) {
    let world = World::new(engine).await;
    let (run, claim) = uploader(&world).await;
    let first = segue_store::Clock::now(&world.clock);
    let permit = world.granted(claim, Endpoint::Import).await;
    world.clock.advance(SECOND);
    world.answer(permit, accepted("k1", 10, 0)).await;
    let report = world.report(run).await;
    assert_eq!(report.first_request, Some(first));
    assert_eq!(report.last_accepted, Some(first + SECOND));
}

async fn permit_whose_reply_was_lost_does_not_keep_a_run_from_ending(engine: Engine) {
    let world = World::new(engine).await;
    let run = world.start(1).await;
    world.read(0..1).await;
    let claim = world.claim(JobKind::Upload).await.claim;
    world.granted(claim, Endpoint::Import).await;
    let permit = world.granted(claim, Endpoint::Import).await;
    world.answer(permit, accepted("k1", 10, 0)).await;
    world.confirm(run, segue_model::BatchNo(0), "k1", 0, 0).await;
    let report = world.report(run).await;
    assert!(report.state.is_terminal(), "{}", report.state);
    assert_eq!(report.repeated_sends, 1, "nobody knows that it was not sent");
}

async fn place_of_a_request_that_everybody_has_forgotten_is_given_back(engine: Engine) {
    let world = World::new(engine).await;
    let free = async || world.cp.free_permit(ACCOUNT, Endpoint::Accounts).await.unwrap();
    assert!(matches!(free().await, PermitReply::Granted(_)));
    for minutes in [1, 1] {
        world.clock.advance(Duration::from_mins(minutes));
        world.cp.sweep_runs().await.unwrap();
        assert!(matches!(free().await, PermitReply::Later(_)), "it may still arrive");
    }
    world.clock.advance(INSTANT);
    world.cp.sweep_runs().await.unwrap();
    world.clock.advance(SECOND);
    assert!(matches!(free().await, PermitReply::Granted(_)));
}
