//! A question, the worker that answers it, and whoever waits, at whichever instance.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use segue_model::{
    Pii,
    look::{Asked, Found, Listing},
    work::{Claimed, JobKind, Looked, Slots, Verdict, Work},
};
use segue_store::write::{
    looks::{self, Standing},
    workers,
};

use super::{MASTER_KEY, World};
use crate::{
    ControlPlane, Error, Refusal, Sealer, Settings,
    tests::{
        SLOTS,
        turns::{announced, claim},
    },
};

pub(super) const LOOKS: Slots = Slots { look: 1, ..SLOTS };

fn asked() -> Asked {
    Asked::List { within: "crm".into(), path: String::new() }
}

fn found(truncated: bool) -> Found {
    Found::Listed(Listing { entries: Vec::new(), truncated })
}

pub(super) fn answer(found: &Found) -> Verdict {
    Verdict::Looked(Looked::Found(Pii::new(serde_json::to_string(found).unwrap())))
}

pub(super) async fn worker_is_there(cp: &ControlPlane, slots: Slots) {
    let mut tx = cp.store().begin().await.unwrap();
    workers::seen(&mut tx, "one", slots).await.unwrap();
    tx.commit().await.unwrap();
}

type Asking = tokio::task::JoinHandle<Result<Result<Found, String>, Error>>;

/// Somebody asks at `cp`, and a worker has claimed the job at `other`.
async fn claimed(cp: &Arc<ControlPlane>, other: &ControlPlane) -> (Asking, Claimed) {
    worker_is_there(cp, LOOKS).await;
    let asking = tokio::spawn({
        let cp = Arc::clone(cp);
        async move { cp.look(&asked()).await }
    });
    (asking, next(other).await)
}

/// Claims the job of a look, as soon as it is there.
pub(super) async fn next(cp: &ControlPlane) -> Claimed {
    let there = async {
        loop {
            if let [job] = announced(cp, LOOKS).await.as_slice() {
                assert_eq!((job.kind, job.run), (JobKind::Look, None));
                return claim(cp, job).await;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), there).await.expect("no job of a look")
}

/// On the same store.
fn instance(world: &World, settings: Settings) -> Arc<ControlPlane> {
    let url = world.sim.url().parse().unwrap();
    let client = segue_klaviyo::Client::new(&segue_klaviyo::Config::for_base_url(url)).unwrap();
    let sealer = Sealer::new(&MASTER_KEY);
    ControlPlane::for_services(world.cp.store().clone(), sealer, client, settings)
}

fn refused(result: Result<Result<Found, String>, Error>) -> String {
    match result {
        Err(Error::Refused(Refusal::Unreachable { words, .. })) => words,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nobody_waits_while_no_worker_looks() {
    let world = World::new().await;
    // As a worker of an earlier version says it.
    worker_is_there(&world.cp, SLOTS).await;
    assert!(refused(world.cp.look(&asked()).await).contains("no worker is there"));
}

#[tokio::test]
async fn paths_that_lead_out_and_too_many_are_refused_before_a_worker_is_asked() {
    let world = World::new().await;
    // There is none: to ask one would be refused as `Unreachable`.
    let fields = |err: Error| match err {
        Error::Refused(Refusal::Invalid(all)) => {
            all.into_iter().map(|it| it.field).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    for folder in ["..", "crm/../..", "/etc", "a\nb"] {
        let err = world.cp.list_segments(None, folder).await.unwrap_err();
        assert_eq!(fields(err), ["folder"], "{folder}");
    }
    let describe = |segments: &[&str]| {
        let segments = segments.iter().map(|it| (*it).to_owned()).collect();
        async { world.cp.describe_segment(None, segments).await.unwrap_err() }
    };
    assert_eq!(fields(describe(&[]).await), ["segments"]);
    assert_eq!(fields(describe(&["a.csv", "../b.csv", ""]).await), ["segments[1]", "segments[2]"]);
    assert_eq!(fields(describe(&["a.csv"; 1001]).await), ["segments"]);
    assert!(matches!(
        describe(&["a.csv"; 1000]).await,
        Error::Refused(Refusal::Unreachable { .. })
    ));
}

#[tokio::test]
async fn what_a_worker_says_of_a_segment_is_told_by_the_field_that_names_it() {
    let world = World::new().await;
    worker_is_there(&world.cp, LOOKS).await;
    let asking = tokio::spawn({
        let cp = Arc::clone(&world.cp);
        async move { cp.describe_segment(None, vec!["a.csv".to_owned()]).await }
    });
    let Claimed { claim, .. } = next(&world.cp).await;
    let failed = Looked::Failed("a.csv: there is no such file".to_owned());
    world.cp.finish(claim, Verdict::Looked(failed)).await.unwrap();
    let Err(Error::Refused(Refusal::Invalid(all))) = asking.await.unwrap() else { panic!() };
    assert_eq!(
        (all[0].field.as_str(), all[0].words.as_str()),
        ("segments", "a.csv: there is no such file")
    );
}

#[tokio::test]
async fn a_worker_is_asked_within_the_folder_of_the_source() {
    let world = World::new().await;
    worker_is_there(&world.cp, LOOKS).await;
    let source = world.source("CRM", "crm/daily").await.id.parse().unwrap();
    let asked_of = async |asking: Asking| {
        let Claimed { claim, work } = next(&world.cp).await;
        let Work::Look(work) = work else { panic!("{work:?}") };
        let failed = Looked::Failed("no".to_owned());
        world.cp.finish(claim, Verdict::Looked(failed)).await.unwrap();
        asking.await.unwrap().unwrap_err();
        serde_json::from_str::<Asked>(&work.asked).unwrap()
    };
    let cp = Arc::clone(&world.cp);
    let listing = tokio::spawn(async move {
        let listed = cp.list_segments(Some(source), "old").await;
        listed.map(|it| Ok(Found::Listed(it)))
    });
    let within = "crm/daily".to_owned();
    let list = Asked::List { within: within.clone(), path: "old".to_owned() };
    assert_eq!(asked_of(listing).await, list);
    let cp = Arc::clone(&world.cp);
    let describing = tokio::spawn(async move {
        let described = cp.describe_segment(Some(source), vec!["a.csv".to_owned()]).await;
        described.map(|it| Ok(Found::Described(it)))
    });
    let describe = Asked::Describe { within, sources: vec!["a.csv".to_owned()] };
    assert_eq!(asked_of(describing).await, describe);
}

#[tokio::test]
async fn answer_comes_by_any_instance_is_sealed_and_is_gone_once_told() {
    let world = World::new().await;
    let other = &world.cp;
    // It looks again only when it is told to.
    let cp = instance(&world, Settings { poll: Duration::from_hours(1), ..Settings::default() });
    let (asking, Claimed { claim, work }) = claimed(&cp, other).await;
    let Work::Look(work) = work else { panic!("{work:?}") };
    assert_eq!(serde_json::from_str::<Asked>(&work.asked).unwrap(), asked());
    assert!(work.patience <= Duration::from_mins(1));

    other.finish(claim, answer(&found(true))).await.unwrap();
    let mut tx = other.store().begin().await.unwrap();
    let Some(Standing::Found { sealed, .. }) = looks::standing(&mut tx, work.look).await.unwrap()
    else {
        panic!("nothing is there")
    };
    let sealed = STANDARD.decode(sealed).unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("listed"));
    drop(tx);
    cp.signals.look.notify_waiters();
    assert_eq!(asking.await.unwrap().unwrap(), Ok(found(true)));
    let mut tx = other.store().begin().await.unwrap();
    assert_eq!(looks::standing(&mut tx, work.look).await.unwrap(), None);
}

#[tokio::test]
async fn words_of_a_worker_that_cannot_answer_are_told() {
    let world = World::new().await;
    let (asking, Claimed { claim, .. }) = claimed(&world.cp, &world.cp).await;
    let failed = Looked::Failed("crm: there is no such file".to_owned());
    world.cp.finish(claim, Verdict::Looked(failed)).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), Err("crm: there is no such file".to_owned()));
}

#[tokio::test]
async fn a_worker_that_gives_up_its_claim_leaves_the_look_to_another() {
    let world = World::new().await;
    let (asking, first) = claimed(&world.cp, &world.cp).await;
    let deferred = Verdict::Deferred { after: Duration::ZERO };
    world.cp.finish(first.claim, deferred).await.unwrap();
    let second = next(&world.cp).await;
    // What the first says now is nobody's answer.
    world.cp.finish(first.claim, answer(&found(true))).await.unwrap();
    world.cp.finish(second.claim, answer(&found(false))).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), Ok(found(false)));
}

#[tokio::test]
async fn nobody_waits_for_ever_and_the_worker_is_told_to_stop() {
    let world = World::new().await;
    let patience = Duration::from_secs(2);
    let cp = instance(&world, Settings { look_patience: patience, ..Settings::default() });
    let (asking, Claimed { claim, .. }) = claimed(&cp, &cp).await;
    assert!(refused(asking.await.unwrap()).contains("no worker has answered"));
    assert_eq!(cp.renew("one", LOOKS, &[claim]).await.unwrap(), [claim]);
    cp.finish(claim, answer(&found(true))).await.unwrap();
}
