use segue_model::work::JobKind;

use super::{consumers, with};
use crate::{
    Queue as _, QueueError,
    rabbit::{
        RabbitQueue, RabbitSettings,
        testing::{self, eventually},
    },
};

async fn refused(settings: RabbitSettings) -> QueueError {
    RabbitQueue::connect(settings).await.map(drop).unwrap_err()
}

fn at(url: &str) -> RabbitSettings {
    RabbitSettings { url: url.to_owned(), ..testing::settings() }
}

#[tokio::test]
async fn errors_of_connecting_say_where_and_what_to_do_and_never_the_password() {
    let real = url::Url::parse(&testing::url()).unwrap();
    let host = format!("{}:{}", real.host_str().unwrap(), real.port().unwrap_or(5672));
    // A port that nobody listens on: it was ours a moment ago.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (url, config, words) in [
        (format!("amqp://nobody:s3cret@{host}/%2f"), true, "refuses the user \"nobody\""),
        (format!("amqp://guest:guest@{host}/s3cretless"), true, "virtual host"),
        (format!("amqp://guest:s3cret@{free}/%2f"), false, "is it running"),
        ("amqp:s3cret".to_owned(), true, "amqp://user:password@host"),
        ("http://guest:s3cret@localhost/".to_owned(), true, "amqp://user:password@host"),
        ("amqp://guest:s3cret@[::1]/".to_owned(), true, "IPv6"),
        // No TLS there: an error, not a panic for want of a provider.
        (format!("amqps://guest:s3cret@{host}/%2f"), false, "reached"),
    ] {
        let err = refused(at(&url)).await;
        assert_eq!(matches!(err, QueueError::Config { .. }), config, "{err:?}");
        let shown = format!("{err} {err:?}");
        assert!(shown.contains(words), "{shown}");
        assert!(!shown.contains("s3cret@") && !shown.contains(":s3cret"), "{shown}");
    }
    let settings = at("amqp://guest:s3cret@localhost/");
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[tokio::test]
async fn prefix_that_is_no_name_is_refused() {
    for prefix in ["", "a b", "a/b", "ä", &"x".repeat(101)] {
        let settings = RabbitSettings { prefix: (*prefix).to_owned(), ..testing::settings() };
        let err = refused(settings).await;
        assert!(matches!(err, QueueError::Config { .. }), "{prefix}: {err:?}");
    }
}

#[tokio::test]
async fn queues_with_other_settings_are_an_error_that_names_them() {
    let settings = testing::settings();
    with(settings.clone(), async |_queue| {
        let err = refused(RabbitSettings { delivery_limit: 3, ..settings }).await;
        assert!(matches!(err, QueueError::Config { .. }), "{err:?}");
        assert!(err.to_string().contains("jobs.read"), "{err}");
    })
    .await;
}

#[tokio::test]
async fn connection_that_is_let_go_ends_the_consumers() {
    let settings = testing::settings();
    with(settings.clone(), async |queue| {
        let other = RabbitQueue::connect(settings).await.unwrap();
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { other.receive(JobKind::Upload).await.map(drop) }
        });
        eventually("consumer", async || consumers(&queue).await == 1).await;
        waiting.abort();
        drop(waiting.await);
        drop(other);
        eventually("no consumer", async || consumers(&queue).await == 0).await;
    })
    .await;
}
