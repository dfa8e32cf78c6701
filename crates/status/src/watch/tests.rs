//! What can only be seen from within: who wakes whom, and that nothing is left behind.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _};
use segue_model::{Id, Micros, RunId, RunState};
use segue_proto::v1;
use segue_queue::{Event, Events as _, MemoryEvents};
use segue_staging::Staging;
use segue_store::{
    ManualClock, Reader, Store,
    test_util::{Engine, TestDatabase},
    write::{
        columns::RunColumns,
        runs::{self, NewRun, Origin},
    },
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Pace, Watches};
use crate::Status;

/// Longer than any test takes.
const NEVER: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(50);
/// Far beyond what anything takes, so that what does not come fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

struct Fixture {
    status: Status,
    watches: Arc<Watches>,
    store: Store,
    run: RunId,
    stop: CancellationToken,
    _database: TestDatabase,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new(pace: Pace) -> Self {
        let database = TestDatabase::new(Engine::Sqlite).await;
        let store = database.store(ManualClock::at(Micros(1_790_000_000_000_000))).await;
        let run = Id::from_uuid(Uuid::from_u128(1));
        let new = NewRun {
            run,
            account_id: "AbC123".to_owned(),
            list_id: "XyZ789".to_owned(),
            plan: "{}".to_owned(),
            hold: false,
            guards: segue_model::Guards::default(),
            guards_overridden: false,
            trial_rows: None,
            freshness: None,
            segments: None,
            columns: RunColumns::default(),
            confirm_timeout: NEVER,
            deadline: NEVER,
            splits: 1,
            frozen: true,
            origin: Origin::default(),
        };
        let mut tx = store.begin().await.unwrap();
        runs::create(&mut tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        let stop = CancellationToken::new();
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().to_owned(), 0).unwrap();
        let status = Status::with_pace(Reader::clone(&store), staging, pace, stop.clone());
        let watches = Arc::clone(&status.watches);
        Self { status, watches, store, run, stop, _database: database, _folder: folder }
    }

    async fn watch(&self) -> Watch {
        Watch(Box::pin(self.watches.watch(self.run).await.unwrap()))
    }

    async fn begin(&self) {
        let mut tx = self.store.begin().await.unwrap();
        runs::start(&mut tx, self.run).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn end(&self) {
        let mut tx = self.store.begin().await.unwrap();
        runs::end(&mut tx, self.run, RunState::Succeeded).await.unwrap();
        tx.commit().await.unwrap();
    }

    fn watched(&self) -> usize {
        self.watches.lock().len()
    }

    async fn until_nothing_is_watched(&self) {
        let forgotten = async {
            while self.watched() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, forgotten).await.unwrap();
    }
}

struct Watch(Pin<Box<dyn Stream<Item = Result<v1::WatchRunResponse, tonic::Status>> + Send>>);

impl Watch {
    async fn message(&mut self) -> Option<Result<v1::RunState, tonic::Status>> {
        let message = timeout(PATIENCE, self.0.next()).await.unwrap()?;
        Some(message.map(|message| message.run.unwrap().state()))
    }

    async fn state(&mut self) -> Option<v1::RunState> {
        self.message().await.transpose().unwrap()
    }
}

#[tokio::test]
async fn event_wakes_those_who_watch_its_run() {
    let pace = Pace { without_events: NEVER, between_messages: SHORT, between_looks: SHORT };
    let fixture = Fixture::new(pace).await;
    let events = MemoryEvents::default();
    let (following, heard) = (fixture.status.clone(), events.clone());
    let following = tokio::spawn(async move { following.follow(&heard).await });
    // It subscribes, and looks for what it has not heard; then there is nothing to look for.
    tokio::task::yield_now().await;
    let mut watch = fixture.watch().await;
    assert_eq!(watch.state().await, Some(v1::RunState::Queued));
    fixture.begin().await;
    let event = Event { run: Some(fixture.run), ..Event::new("run.running", Micros(1)) };
    events.publish_event(&event).await.unwrap();
    assert_eq!(watch.state().await, Some(v1::RunState::Running));
    fixture.end().await;
    events.close();
    following.await.unwrap().unwrap();
    // When events were missed, everybody looks.
    fixture.watches.missed();
    assert_eq!(watch.state().await, Some(v1::RunState::Succeeded));
    assert_eq!(watch.state().await, None);
}

#[tokio::test]
async fn event_of_another_run_wakes_nobody() {
    let pace = Pace { without_events: NEVER, between_messages: SHORT, between_looks: SHORT };
    let fixture = Fixture::new(pace).await;
    let mut watch = fixture.watch().await;
    watch.state().await;
    fixture.begin().await;
    fixture.watches.heard(Id::from_uuid(Uuid::from_u128(2)));
    let heard = timeout(Duration::from_millis(500), watch.0.next()).await;
    assert!(heard.is_err(), "{heard:?}");
}

#[tokio::test]
async fn without_events_the_store_is_looked_at() {
    let pace = Pace { without_events: SHORT, between_messages: SHORT, between_looks: NEVER };
    let fixture = Fixture::new(pace).await;
    let mut watch = fixture.watch().await;
    assert_eq!(watch.state().await, Some(v1::RunState::Queued));
    fixture.begin().await;
    assert_eq!(watch.state().await, Some(v1::RunState::Running));
}

#[tokio::test]
async fn messages_keep_their_distance_however_often_something_changes() {
    let between_messages = Duration::from_millis(300);
    let pace = Pace { without_events: SHORT, between_messages, between_looks: SHORT };
    let fixture = Fixture::new(pace).await;
    let began = Instant::now();
    let mut watch = fixture.watch().await;
    watch.state().await;
    fixture.begin().await;
    assert_eq!(watch.state().await, Some(v1::RunState::Running));
    assert!(began.elapsed() >= between_messages);
    fixture.end().await;
    assert_eq!(watch.state().await, Some(v1::RunState::Succeeded));
    assert!(began.elapsed() >= 2 * between_messages);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_watch_one_run_share_one_look_and_the_last_to_go_ends_it() {
    let pace = Pace { without_events: SHORT, ..Pace::default() };
    let fixture = Fixture::new(pace).await;
    let mut watches = Vec::new();
    for _ in 0..100 {
        watches.push(fixture.watch().await);
    }
    assert_eq!(fixture.watched(), 1);
    let receivers = fixture.watches.lock()[&fixture.run].last.receiver_count();
    assert_eq!(receivers, 100);
    let last = watches.pop();
    drop(watches);
    sleep(4 * SHORT).await;
    assert_eq!(fixture.watched(), 1, "somebody still watches");
    drop(last);
    fixture.until_nothing_is_watched().await;
    // And it begins anew.
    assert_eq!(fixture.watch().await.state().await, Some(v1::RunState::Queued));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_come_and_go_at_any_time_are_all_served() {
    let pace = Pace { without_events: SHORT, between_messages: SHORT, between_looks: SHORT };
    let fixture = Arc::new(Fixture::new(pace).await);
    let mut visitors = tokio::task::JoinSet::new();
    for n in 0..8 {
        let fixture = Arc::clone(&fixture);
        visitors.spawn(async move {
            for round in 0..100 {
                let mut watch = fixture.watch().await;
                assert!(watch.state().await.is_some());
                if (n + round) % 5 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            let mut watch = fixture.watch().await;
            while watch.state().await.is_some() {}
        });
    }
    sleep(4 * SHORT).await;
    fixture.begin().await;
    fixture.end().await;
    while let Some(visitor) = visitors.join_next().await {
        visitor.unwrap();
    }
    fixture.until_nothing_is_watched().await;
}

/// Whoever comes while the last look at a run that has ended is under way gets one of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_come_at_the_end_are_served_too() {
    let fixture = Arc::new(Fixture::new(Pace::default()).await);
    fixture.end().await;
    let mut visitors = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let fixture = Arc::clone(&fixture);
        visitors.spawn(async move {
            for _ in 0..200 {
                let mut watch = fixture.watch().await;
                assert_eq!(watch.state().await, Some(v1::RunState::Succeeded));
                assert_eq!(watch.state().await, None);
            }
        });
    }
    while let Some(visitor) = visitors.join_next().await {
        visitor.unwrap();
    }
    fixture.until_nothing_is_watched().await;
}

#[tokio::test]
async fn stop_ends_every_watch_with_an_error() {
    let fixture = Fixture::new(Pace { without_events: NEVER, ..Pace::default() }).await;
    let mut watch = fixture.watch().await;
    watch.state().await;
    fixture.stop.cancel();
    let status = watch.message().await.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(watch.message().await.is_none());
    fixture.until_nothing_is_watched().await;
}
