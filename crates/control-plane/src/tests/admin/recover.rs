//! All services in one process, after that process died.

use segue_model::{
    Endpoint,
    work::{JobKind, PermitReply},
};
use segue_store::read;

use super::{MASTER_KEY, World, run_id};
use crate::tests::{
    SLOTS, accepted, new_run, read_done, staged,
    turns::{announced, claim},
};

const ACCOUNT: &str = "SIMULA";

#[tokio::test]
async fn runs_of_exports_go_on_by_themselves_and_what_was_under_way_is_sent_again() {
    let world = World::new().await;
    let export = world.export().await;
    let run = run_id(&world.start(&export.id, "r").await.unwrap());
    let reader = world.claim(JobKind::Read).await.claim;
    for no in 0..3 {
        world.cp.stage(reader, &staged(no)).await.unwrap();
    }
    world.cp.finish(reader, read_done()).await.unwrap();
    let uploader = world.claim(JobKind::Upload).await.claim;
    let granted = world.cp.permit(uploader, ACCOUNT, Endpoint::Import).await.unwrap();
    assert!(matches!(granted, PermitReply::Granted(_)), "{granted:?}");
    // Of `segue export`, in the same folder.
    world.cp.start_run(&new_run(7)).await.unwrap();

    let cp = world.another(&MASTER_KEY).await;
    cp.recover().await.unwrap();
    assert_eq!(cp.renew("one", SLOTS, &[uploader]).await.unwrap(), [uploader]);
    let jobs = announced(&cp, SLOTS).await;
    assert!(jobs.iter().all(|job| (job.run, job.kind) == (Some(run), JobKind::Upload)), "{jobs:?}");
    assert_eq!(jobs.len(), 3, "nothing has to be read again");
    let again = claim(&cp, &jobs[0]).await.claim;
    let granted = cp.permit(again, ACCOUNT, Endpoint::Import).await.unwrap();
    let PermitReply::Granted(permit) = granted else { panic!("{granted:?}") };
    cp.answer(permit, &accepted("k1", 10, 0)).await.unwrap();
    let report = read::report(cp.store(), run).await.unwrap().unwrap();
    assert_eq!((report.requests, report.repeated_sends), (2, 1));
}

#[tokio::test]
async fn run_that_a_command_line_has_parked_in_between_goes_on() {
    let world = World::new().await;
    let export = world.export().await;
    let run = run_id(&world.start(&export.id, "r").await.unwrap());
    let reader = world.claim(JobKind::Read).await.claim;
    world.cp.stage(reader, &staged(0)).await.unwrap();
    world.cp.take_over().await.unwrap();
    assert!(announced(&world.cp, SLOTS).await.is_empty());
    let cp = world.another(&MASTER_KEY).await;
    cp.recover().await.unwrap();
    let jobs = announced(&cp, SLOTS).await;
    assert_eq!(jobs.len(), 1);
    assert_eq!((jobs[0].run, jobs[0].kind), (Some(run), JobKind::Read));
    claim(&cp, &jobs[0]).await;
}
