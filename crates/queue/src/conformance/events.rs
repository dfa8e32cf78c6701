use futures::StreamExt as _;
use segue_model::{Id, Micros, RunState};
use uuid::Uuid;

use super::{LATE, SOON};
use crate::{Event, Events, Heard, Subscription};

fn event(seq: u64) -> Event {
    let mut event = Event::new("run.running", Micros(5));
    event.run = Some(Id::from_uuid(Uuid::from_u128(1)));
    (event.seq, event.state) = (seq, Some(RunState::Running));
    event
}

async fn next(heard: &mut Subscription) -> Event {
    match tokio::time::timeout(LATE, heard.next()).await.expect("no event came") {
        Some(Heard::Event(event)) => *event,
        other => panic!("{other:?}"),
    }
}

pub async fn event_reaches_every_subscriber_in_order(events: impl Events) {
    let mut one = events.subscribe().await.unwrap();
    let mut other = events.subscribe().await.unwrap();
    for seq in 0..20 {
        events.publish_event(&event(seq)).await.unwrap();
    }
    for seq in 0..20 {
        assert_eq!(next(&mut one).await, event(seq));
        assert_eq!(next(&mut other).await, event(seq));
    }
}

pub async fn event_without_subscribers_is_published(events: impl Events) {
    events.publish_event(&event(1)).await.unwrap();
    drop(events.subscribe().await.unwrap());
    events.publish_event(&event(2)).await.unwrap();
}

pub async fn event_before_the_subscription_is_not_heard(events: impl Events) {
    events.publish_event(&event(1)).await.unwrap();
    let mut heard = events.subscribe().await.unwrap();
    events.publish_event(&event(2)).await.unwrap();
    assert_eq!(next(&mut heard).await, event(2));
    assert!(tokio::time::timeout(SOON, heard.next()).await.is_err());
}
