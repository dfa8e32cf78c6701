use std::time::Duration;

use segue_model::{RunId, RunState};
use segue_proto::v1;
use segue_store::{test_util::Engine, write::runs::Origin};
use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Streaming};
use tonic_types::StatusExt as _;

use super::{Fixture, blamed, missed, of_export, run_id};

segue_store::on_both_engines! {
    watch_tells_the_present_then_each_change_at_most_once_a_second_and_ends_with_the_run,
    hundred_watchers_see_the_same_run_to_its_end,
}

async fn watch(
    fixture: &Fixture,
    run: RunId,
) -> Result<Streaming<v1::WatchRunResponse>, tonic::Status> {
    let request = v1::WatchRunRequest { run_id: run.to_string() };
    fixture.client().watch_run(request).await.map(tonic::Response::into_inner)
}

async fn next(watch: &mut Streaming<v1::WatchRunResponse>) -> Option<v1::Run> {
    // Far beyond what it takes: a watch that tells nothing fails here instead of hanging.
    let message = timeout(Duration::from_secs(30), watch.message()).await.unwrap();
    message.unwrap().map(|message| message.run.unwrap())
}

async fn watch_tells_the_present_then_each_change_at_most_once_a_second_and_ends_with_the_run(
    engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run(1, of_export(1)).await;
    let began = Instant::now();
    let mut watch = watch(&fixture, run).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap().state(), v1::RunState::Queued);
    fixture.begin(run).await;
    assert_eq!(next(&mut watch).await.unwrap().state(), v1::RunState::Running);
    // Many changes make one message: what they came to.
    for no in 0..20 {
        fixture.stage(run, no).await;
    }
    let mut rows = 0;
    let mut messages = 2;
    while rows < 260 {
        let told = next(&mut watch).await.unwrap();
        let counts = told.counts.unwrap();
        assert!(counts.rows_read > rows, "{} rows after {rows}", counts.rows_read);
        rows = counts.rows_read;
        messages += 1;
    }
    assert!(messages <= 5, "{messages} messages");
    fixture.end(run, RunState::Cancelled).await;
    let last = next(&mut watch).await.unwrap();
    assert_eq!(last.state(), v1::RunState::Cancelled);
    assert_eq!(next(&mut watch).await, None);
    // Four pauses at least lie between five messages.
    assert!(began.elapsed() >= Duration::from_secs(messages), "{:?}", began.elapsed());
}

async fn hundred_watchers_see_the_same_run_to_its_end(engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let run = fixture.run(1, of_export(1)).await;
    let mut watchers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut watch = watch(&fixture, run).await.unwrap();
        watchers.spawn(async move {
            let mut states = Vec::new();
            while let Some(run) = next(&mut watch).await {
                states.push(run.state());
            }
            states
        });
    }
    fixture.begin(run).await;
    fixture.stage(run, 0).await;
    fixture.end(run, RunState::Failed).await;
    while let Some(states) = watchers.join_next().await {
        let states = states.unwrap();
        assert_eq!(states.first(), Some(&v1::RunState::Queued));
        assert_eq!(states.last(), Some(&v1::RunState::Failed));
    }
}

#[tokio::test]
async fn run_that_has_ended_is_told_once() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.run(1, Origin::default()).await;
    fixture.end(run, RunState::Succeeded).await;
    let mut watch = watch(&fixture, run).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap().state(), v1::RunState::Succeeded);
    assert_eq!(next(&mut watch).await, None);
}

/// What a caller has done before it watches is in what it is told first, however many watch already.
#[tokio::test]
async fn first_message_is_newer_than_the_call() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.run(1, Origin::default()).await;
    let _other = watch(&fixture, run).await.unwrap();
    for no in 0..20 {
        fixture.stage(run, no).await;
        let mut watch = watch(&fixture, run).await.unwrap();
        let told = next(&mut watch).await.unwrap();
        assert_eq!(told.counts.unwrap().batches, u64::from(no) + 1);
    }
}

#[tokio::test]
async fn run_that_is_not_there_is_named() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let status = watch(&fixture, run_id(1)).await.unwrap_err();
    assert_eq!(missed(&status), ("segue.v1.Run".to_owned(), run_id(1).to_string()));
    let request = v1::WatchRunRequest { run_id: "run".to_owned() };
    assert_eq!(blamed(&fixture.client().watch_run(request).await.unwrap_err()), "run_id");
}

#[tokio::test]
async fn watch_ends_at_its_deadline() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.run(1, Origin::default()).await;
    let mut request = Request::new(v1::WatchRunRequest { run_id: run.to_string() });
    request.set_timeout(Duration::from_millis(500));
    let began = Instant::now();
    let mut watch = fixture.client().watch_run(request).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    let ended = timeout(Duration::from_secs(30), watch.message()).await.unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
    assert!(began.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn server_that_stops_ends_its_watches_and_says_when_to_come_back() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let run = fixture.run(1, Origin::default()).await;
    let mut watch = watch(&fixture, run).await.unwrap();
    next(&mut watch).await.unwrap();
    fixture.stop.cancel();
    let ended = timeout(Duration::from_secs(30), watch.message()).await.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    assert!(ended.get_error_details().retry_info().is_some());
}
