//! What is told to whoever listens.

use std::sync::atomic::{AtomicU32, Ordering};

use segue_model::FailReason;
use segue_queue::{Event, Events, MemoryEvents, QueueError, Subscription};
use segue_store::{
    on_both_engines,
    test_util::Engine,
    write::events::{self, Rejected},
};

use super::{
    ACCOUNT, BatchNo, Claimed, ControlPlane, Endpoint, JobKind, NewRun, PermitReply, RejectReason,
    RunState, SECOND, SLOTS, Settings, Verdict, Work, accepted, confirmation, halves, new_run,
    read_done, rejects, run_id, settings, staged,
    turns::{House, announced, claim},
};

fn with_events() -> Settings {
    Settings { events: true, ..settings() }
}

/// Everything that is published, kept. Fails when it is told to.
#[derive(Default)]
struct Kept {
    events: std::sync::Mutex<Vec<Event>>,
    /// So many more are published before one fails.
    good: Option<AtomicU32>,
}

impl Events for Kept {
    async fn publish_event(&self, event: &Event) -> Result<(), QueueError> {
        if let Some(good) = &self.good
            && good.fetch_sub(1, Ordering::SeqCst) == 0
        {
            let (broker, problem) = ("nowhere".to_owned(), "gone".to_owned());
            return Err(QueueError::Unavailable { broker, problem });
        }
        self.events.lock().unwrap().push(event.clone());
        Ok(())
    }

    async fn subscribe(&self) -> Result<Subscription, QueueError> {
        MemoryEvents::default().subscribe().await
    }
}

impl Kept {
    fn topics(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(|event| event.topic.clone()).collect()
    }
}

async fn published(cp: &ControlPlane) -> Vec<Event> {
    let kept = Kept::default();
    cp.publish_pending(&kept).await.unwrap();
    assert_eq!(cp.publish_pending(&Kept::default()).await.unwrap(), 0, "told twice");
    kept.events.into_inner().unwrap()
}

fn topics(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.topic.as_str()).collect()
}

/// One batch as far as Klaviyo's acceptance.
async fn upload(cp: &ControlPlane, klaviyo_job: &str) -> BatchNo {
    let jobs = announced(cp, SLOTS).await;
    let job = jobs.iter().find(|job| job.kind == JobKind::Upload).unwrap();
    let Claimed { claim, work: Work::Upload(work) } = claim(cp, job).await else {
        panic!("no upload");
    };
    let granted = cp.permit(claim, ACCOUNT, Endpoint::Import).await.unwrap();
    let PermitReply::Granted(permit) = granted else { panic!("{granted:?}") };
    cp.answer(permit, &accepted(klaviyo_job, work.profiles, 0)).await.unwrap();
    work.batch
}

async fn every_step_of_a_run_is_told_in_order_and_once(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(with_events()).await;
    let run = run_id(1);
    cp.start_run(&new_run(1)).await.unwrap();
    let reader = claim(&cp, &announced(&cp, SLOTS).await[0]).await.claim;
    cp.stage(reader, &staged(0)).await.unwrap();
    cp.finish(reader, read_done()).await.unwrap();
    let batch = upload(&cp, "k1").await;
    house.clock.advance(SECOND);
    let confirm = claim(&cp, &announced(&cp, SLOTS).await[0]).await.claim;
    cp.confirm(confirm, &confirmation(run, batch, "k1", 2, 0)).await.unwrap();
    let events = published(&cp).await;
    assert_eq!(
        topics(&events),
        [
            "run.queued",
            "run.running",
            "batch.ready",
            "batch.accepted",
            "batch.confirmed",
            "run.completed_with_rejects"
        ]
    );
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(events.iter().all(|event| event.run == Some(run)));
    assert_eq!(
        (events[0].state, events[5].state),
        (Some(RunState::Queued), Some(RunState::CompletedWithRejects))
    );
    let batch = events[3].batch.as_ref().unwrap();
    assert_eq!((batch.state.as_str(), batch.profiles), ("accepted", 10));
    let counts = events[5].tally.as_ref().unwrap().counts;
    assert_eq!((counts.rows_read, counts.delivered, counts.rejected), (13, 8, 3));
    assert!(published(&cp).await.is_empty());
}

async fn halves_and_what_is_left_of_a_failed_run_are_told(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(with_events()).await;
    cp.start_run(&NewRun { hold: true, ..new_run(1) }).await.unwrap();
    let reader = claim(&cp, &announced(&cp, SLOTS).await[0]).await.claim;
    for no in 0..2 {
        cp.stage(reader, &staged(no)).await.unwrap();
    }
    assert_eq!(topics(&published(&cp).await), ["run.queued", "run.running"], "nothing may go yet");
    cp.finish(reader, read_done()).await.unwrap();
    assert_eq!(topics(&published(&cp).await), ["batch.ready", "batch.ready"]);
    let jobs = announced(&cp, SLOTS).await;
    let splitter = claim(&cp, &jobs[0]).await.claim;
    let refused = rejects(RejectReason::RefusedByKlaviyo, 2, "refused");
    let split = Verdict::Split { children: halves(100, 8), refused };
    cp.finish(splitter, split).await.unwrap();
    assert_eq!(topics(&published(&cp).await), ["batch.split", "batch.ready", "batch.ready"]);
    let other = claim(&cp, &jobs[1]).await.claim;
    let refused = rejects(RejectReason::RefusedByKlaviyo, 10, "all");
    cp.finish(other, Verdict::AllRefused(refused)).await.unwrap();
    assert_eq!(topics(&published(&cp).await), ["batch.confirmed"]);
    let half = claim(&cp, &announced(&cp, SLOTS).await[0]).await.claim;
    let (reason, detail) = (FailReason::ListNotFound, "gone".to_owned());
    cp.finish(half, Verdict::FailRun { reason, detail }).await.unwrap();
    let events = published(&cp).await;
    assert_eq!(topics(&events), ["batch.given_up", "batch.given_up", "run.failed"]);
    let failure = events[2].failure.as_ref().unwrap();
    assert_eq!((failure.reason.as_str(), failure.detail.as_str()), ("list_not_found", "gone"));
}

async fn cancelled_run_tells_so_and_its_batch_that_nobody_confirms_is_given_up(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(with_events()).await;
    cp.start_run(&new_run(1)).await.unwrap();
    let reader = claim(&cp, &announced(&cp, SLOTS).await[0]).await.claim;
    cp.stage(reader, &staged(0)).await.unwrap();
    upload(&cp, "k1").await;
    assert!(cp.cancel_run(run_id(1)).await.unwrap());
    published(&cp).await;
    house.clock.advance(3 * 3600 * SECOND);
    cp.sweep_runs().await.unwrap();
    assert_eq!(topics(&published(&cp).await), ["batch.given_up", "run.cancelled"]);
    cp.start_run(&new_run(2)).await.unwrap();
    cp.cancel_run(run_id(2)).await.unwrap();
    let events = published(&cp).await;
    assert_eq!(topics(&events), ["run.queued", "run.cancelling", "run.cancelled"]);
    assert_eq!(events[0].state, Some(RunState::Queued), "as it was then");
}

async fn what_could_not_be_published_comes_again_and_nothing_is_left_out(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(with_events()).await;
    for n in 1..=3 {
        cp.start_run(&new_run(n)).await.unwrap();
        house.clock.advance(SECOND);
    }
    let kept = Kept { good: Some(1.into()), ..Kept::default() };
    cp.publish_pending(&kept).await.unwrap_err();
    assert_eq!(kept.topics().len(), 1);
    let events = published(&cp).await;
    let runs: Vec<_> = events.iter().filter_map(|event| event.run).collect();
    assert_eq!(runs, [run_id(1), run_id(2), run_id(3)]);
}

async fn command_that_was_not_obeyed_is_answered_once(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(with_events()).await;
    let (request_id, reason) = (Some("r-1"), "malformed");
    let rejected = Rejected { run: None, request_id, reason, detail: "no export_id" };
    for _ in 0..2 {
        let mut tx = cp.store().begin().await.unwrap();
        events::rejected(&mut tx, "command/1", &rejected).await.unwrap();
        tx.commit().await.unwrap();
    }
    let events = published(&cp).await;
    assert_eq!(topics(&events), ["command.rejected"]);
    assert_eq!((events[0].run, events[0].request_id.as_deref()), (None, Some("r-1")));
    assert_eq!(events[0].failure.as_ref().unwrap().detail, "no export_id");
}

async fn nothing_is_noted_where_nobody_publishes(engine: Engine) {
    let house = House::new(engine).await;
    let cp = house.instance(settings()).await;
    cp.start_run(&new_run(1)).await.unwrap();
    cp.cancel_run(run_id(1)).await.unwrap();
    assert!(published(&cp).await.is_empty());
}

on_both_engines!(
    every_step_of_a_run_is_told_in_order_and_once,
    halves_and_what_is_left_of_a_failed_run_are_told,
    cancelled_run_tells_so_and_its_batch_that_nobody_confirms_is_given_up,
    what_could_not_be_published_comes_again_and_nothing_is_left_out,
    command_that_was_not_obeyed_is_answered_once,
    nothing_is_noted_where_nobody_publishes,
);
