//! When keys are asked for, and how long they are believed.

use std::{future::Future as _, pin::pin, task::Poll};

use segue_access::{
    Class,
    oidc::{FetchError, JwtError, KeysError, Oidc},
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    issuer::{BEGAN, Issuer, at, claims},
    keys::TestKey,
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// A token of `key` that does not expire within these tests.
fn token(key: &TestKey) -> String {
    key.token(&claims(&json!({"exp": BEGAN + 1000 * HOUR})))
}

async fn enters(oidc: &Oidc<Issuer>, key: &TestKey, seconds: i64) -> bool {
    oidc.verify(&token(key), at(seconds)).await.is_ok()
}

#[tokio::test]
async fn keys_are_fetched_once_in_ten_minutes() {
    let key = TestKey::p256("1");
    let issuer = Issuer::with(&[&key]);
    let oidc = issuer.trusted();
    for (seconds, asked) in [(0, 1), (1, 1), (599, 1), (600, 2), (1199, 2), (1200, 3)] {
        assert!(enters(&oidc, &key, seconds).await);
        assert_eq!(issuer.says().asked, asked, "after {seconds} s");
    }
}

#[tokio::test]
async fn a_new_key_is_found_when_a_token_names_it() {
    let (old, new) = (TestKey::p256("old"), TestKey::p256("new"));
    let issuer = Issuer::with(&[&old]);
    let oidc = issuer.trusted();
    assert!(enters(&oidc, &old, 0).await);
    issuer.publish(&[&old, &new]);
    assert!(enters(&oidc, &new, 31).await);
    assert!(enters(&oidc, &old, 31).await);
    assert_eq!(issuer.says().asked, 2);
}

#[tokio::test]
async fn a_key_that_was_taken_back_is_believed_for_ten_minutes_at_most() {
    let (old, new) = (TestKey::p256("old"), TestKey::p256("new"));
    let issuer = Issuer::with(&[&old, &new]);
    let oidc = issuer.trusted();
    assert!(enters(&oidc, &old, 0).await);
    issuer.publish(&[&new]);
    assert!(enters(&oidc, &old, 599).await);
    let err = oidc.verify(&token(&old), at(600)).await.unwrap_err();
    assert!(matches!(err, JwtError::UnknownKey), "{err}");
    assert!(enters(&oidc, &new, 600).await);
    // All of them, too.
    issuer.publish(&[]);
    let err = oidc.verify(&token(&new), at(1200)).await.unwrap_err();
    assert!(matches!(err, JwtError::UnknownKey), "{err}");
}

#[tokio::test]
async fn strangers_cannot_make_us_hammer_the_issuer() {
    let key = TestKey::p256("1");
    let issuer = Issuer::with(&[&key]);
    let oidc = issuer.trusted();
    assert!(enters(&oidc, &key, 0).await);
    for seconds in 0..90 {
        let stranger = TestKey::p256(&format!("made up {seconds}"));
        let err = oidc.verify(&token(&stranger), at(seconds)).await.unwrap_err();
        assert!(matches!(err, JwtError::UnknownKey), "{err}");
    }
    // At the beginning, and then after 30 and 60 seconds.
    assert_eq!(issuer.says().asked, 3);
}

#[tokio::test]
async fn known_keys_outlive_an_outage_by_a_day_and_no_longer() {
    let key = TestKey::p256("1");
    let issuer = Issuer::with(&[&key]);
    let oidc = issuer.trusted();
    assert!(enters(&oidc, &key, 0).await);
    issuer.says().down = true;
    for seconds in [600, 2 * HOUR, 24 * HOUR - 1] {
        assert!(enters(&oidc, &key, seconds).await, "after {seconds} s");
    }
    let err = oidc.verify(&token(&key), at(24 * HOUR)).await.unwrap_err();
    assert!(matches!(err, JwtError::Keys(_)) && err.class() == Class::Unavailable, "{err}");
    issuer.says().down = false;
    // 30 seconds after the last attempt.
    assert!(!enters(&oidc, &key, 24 * HOUR + 28).await);
    assert!(enters(&oidc, &key, 24 * HOUR + 29).await);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_asked_twice_a_minute() {
    let key = TestKey::p256("1");
    let issuer = Issuer::with(&[&key]);
    let oidc = issuer.trusted();
    issuer.says().down = true;
    for seconds in 0..60 {
        let err = oidc.verify(&token(&key), at(seconds)).await.unwrap_err();
        assert!(matches!(err, JwtError::Keys(_)), "{err}");
    }
    assert_eq!(issuer.says().asked, 2);
}

#[tokio::test]
async fn nobody_says_that_a_key_is_unknown_while_the_issuer_cannot_be_asked() {
    let (old, new) = (TestKey::p256("old"), TestKey::p256("new"));
    let issuer = Issuer::with(&[&old]);
    let oidc = issuer.trusted();
    assert!(enters(&oidc, &old, 0).await);
    issuer.says().down = true;
    let err = oidc.verify(&token(&new), at(30)).await.unwrap_err();
    assert!(matches!(err, JwtError::Keys(_)), "{err}");
    assert!(enters(&oidc, &old, 30).await);
}

#[tokio::test]
async fn callers_that_come_together_share_one_attempt() {
    let key = TestKey::p256("1");
    let issuer = Issuer::with(&[&key]);
    let oidc = issuer.trusted();
    let (one, two, three) =
        tokio::join!(enters(&oidc, &key, 0), enters(&oidc, &key, 0), enters(&oidc, &key, 1));
    assert!(one && two && three);
    assert_eq!(issuer.says().asked, 1);
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_end_the_attempt() {
    let key = TestKey::p256("1");
    let mut issuer = Issuer::with(&[&key]);
    issuer.answers = Semaphore::new(0).into();
    let oidc = issuer.trusted();
    {
        let mut call = pin!(enters(&oidc, &key, 0));
        let pending = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending()));
        assert!(pending.await);
    }
    issuer.answers.add_permits(2);
    assert!(enters(&oidc, &key, 1).await);
    assert_eq!(issuer.says().asked, 1);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_does_not_answer_is_not_waited_for() {
    let mut issuer = Issuer::with(&[]);
    issuer.answers = Semaphore::new(0).into();
    let begun = tokio::time::Instant::now();
    let err = issuer.trusted().check(at(0)).await.unwrap_err();
    assert!(matches!(&*err, KeysError::Discovery(FetchError::TimedOut(_))), "{err}");
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_check_says_what_is_wrong_with_the_issuer() {
    let key = TestKey::p256("1");
    let problem = async |change: fn(&mut crate::issuer::Says)| {
        let issuer = Issuer::with(&[&key]);
        change(&mut issuer.says());
        let oidc = issuer.trusted();
        let problem = oidc.check(at(0)).await.err();
        // Whatever it is, nobody gets in; unless all is well.
        assert_eq!(enters(&oidc, &key, 0).await, problem.is_none());
        problem.map(|err| err.to_string())
    };
    assert_eq!(problem(|_| {}).await, None);
    let other = problem(|says| says.discovery["issuer"] = "https://id.example.com/".into());
    assert!(other.await.unwrap().contains("https://id.example.com"));
    let http = problem(|says| says.discovery["jwks_uri"] = "http://id.example.com/keys".into());
    assert!(http.await.unwrap().contains("anybody in between"));
    let near = problem(|says| says.discovery["jwks_uri"] = "http://localhost/keys".into());
    assert!(near.await.unwrap().contains("anybody in between"));
    let words = problem(|says| says.discovery = json!("hello")).await.unwrap();
    assert!(words.contains("about itself"), "{words}");
    let words = problem(|says| says.jwks = json!("hello")).await.unwrap();
    assert!(words.contains("not a JSON web key set"), "{words}");
    let words = problem(|says| says.jwks = json!({"keys": []})).await.unwrap();
    assert!(words.contains("no key"), "{words}");
}
