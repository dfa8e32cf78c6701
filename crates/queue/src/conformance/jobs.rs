use std::{collections::BTreeSet, time::Duration};

use segue_model::{
    Id, JobId,
    work::{Job, JobKind},
};

use super::{LATE, SOON};
use crate::{DeadJobs, Queue, Receipt as _};

fn job(n: u128, kind: JobKind) -> Job {
    let id: JobId = Id::from_uuid(uuid::Uuid::from_u128(n));
    Job { id, attempt: 1, kind, run: None, trace: None }
}

pub async fn published_job_is_received_by_its_kind_only(queue: impl Queue) {
    queue.publish(job(1, JobKind::Upload)).await.unwrap();
    assert!(tokio::time::timeout(SOON, queue.receive(JobKind::Read)).await.is_err());
    assert_eq!(queue.receive(JobKind::Upload).await.unwrap().0, job(1, JobKind::Upload));
}

pub async fn job_arrives_as_it_was_published(queue: impl Queue) {
    let trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let run = Some(Id::from_uuid(uuid::Uuid::from_u128(9)));
    for kind in JobKind::ALL {
        for (attempt, run, trace) in [(1, None, None), (u32::MAX, run, trace.clone())] {
            let job = Job { attempt, run, trace, ..job(7, *kind) };
            queue.publish(job.clone()).await.unwrap();
            let (got, receipt) = queue.receive(*kind).await.unwrap();
            assert_eq!(got, job);
            receipt.ack().await.unwrap();
        }
    }
}

pub async fn acknowledged_job_is_gone(queue: impl Queue) {
    queue.publish(job(1, JobKind::Read)).await.unwrap();
    let (_, receipt) = queue.receive(JobKind::Read).await.unwrap();
    receipt.ack().await.unwrap();
    assert!(tokio::time::timeout(SOON, queue.receive(JobKind::Read)).await.is_err());
}

pub async fn dropped_receipt_delivers_again(queue: impl Queue) {
    queue.publish(job(1, JobKind::Confirm)).await.unwrap();
    let (first, receipt) = queue.receive(JobKind::Confirm).await.unwrap();
    drop(receipt);
    assert_eq!(queue.receive(JobKind::Confirm).await.unwrap().0, first);
}

/// However often somebody gives a job back who could not claim it: that is no fault of the job.
pub async fn dropped_receipt_delivers_again_however_often(queue: impl Queue) {
    queue.publish(job(1, JobKind::Upload)).await.unwrap();
    for _ in 0..50 {
        let received = tokio::time::timeout(LATE, queue.receive(JobKind::Upload)).await;
        drop(received.expect("it did not come back").unwrap());
    }
    let (got, receipt) = queue.receive(JobKind::Upload).await.unwrap();
    assert_eq!(got, job(1, JobKind::Upload));
    receipt.ack().await.unwrap();
    assert!(tokio::time::timeout(SOON, queue.receive(JobKind::Upload)).await.is_err());
}

pub async fn dropped_receive_loses_nothing(queue: impl Queue) {
    for n in 0..10 {
        let receive = queue.receive(JobKind::Upload);
        assert!(tokio::time::timeout(Duration::from_millis(5), receive).await.is_err());
        queue.publish(job(n, JobKind::Upload)).await.unwrap();
        let (got, receipt) = queue.receive(JobKind::Upload).await.unwrap();
        assert_eq!(got, job(n, JobKind::Upload));
        receipt.ack().await.unwrap();
    }
}

pub async fn every_job_goes_to_one_receiver(queue: impl Queue) {
    for n in 0..20 {
        queue.publish(job(n, JobKind::Upload)).await.unwrap();
    }
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let (job, receipt) = queue.receive(JobKind::Upload).await.unwrap();
        receipt.ack().await.unwrap();
        assert!(seen.insert(job.id), "delivered twice");
    }
}

/// Many put and many take at the same time, some of those who take give up waiting, and some drop what they
/// got: nothing is lost, and nobody sleeps while there is something to take.
pub async fn nothing_is_lost_in_a_crowd(queue: impl Queue + Clone) {
    const PRODUCERS: u128 = 8;
    const EACH: u128 = 250;
    let mut producers = tokio::task::JoinSet::new();
    for producer in 0..PRODUCERS {
        let queue = queue.clone();
        producers.spawn(async move {
            for n in 0..EACH {
                let kind = if n % 2 == 0 { JobKind::Upload } else { JobKind::Confirm };
                queue.publish(job(producer * EACH + n, kind)).await.unwrap();
                if n % 16 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    let (done, mut settled) = tokio::sync::mpsc::unbounded_channel();
    let mut consumers = tokio::task::JoinSet::new();
    for consumer in 0..8_u32 {
        let (queue, done) = (queue.clone(), done.clone());
        let kind = if consumer % 2 == 0 { JobKind::Upload } else { JobKind::Confirm };
        consumers.spawn(async move {
            for turn in 0_u32.. {
                let receive = queue.receive(kind);
                let received = if turn % 3 == 0 {
                    let impatient = Duration::from_micros(u64::from(turn % 7) * 50);
                    match tokio::time::timeout(impatient, receive).await {
                        Ok(received) => received,
                        Err(_) => continue,
                    }
                } else {
                    receive.await
                };
                let (job, receipt) = received.unwrap();
                if turn % 5 == 0 {
                    drop(receipt);
                } else {
                    receipt.ack().await.unwrap();
                    done.send(job.id).unwrap();
                }
            }
        });
    }
    let mut seen = BTreeSet::new();
    while seen.len() < usize::try_from(PRODUCERS * EACH).unwrap() {
        let next = tokio::time::timeout(LATE, settled.recv()).await;
        let id = next.expect("somebody sleeps although there is something to take").unwrap();
        assert!(seen.insert(id), "settled twice");
    }
    while producers.join_next().await.is_some() {}
    consumers.shutdown().await;
}

pub async fn living_jobs_are_not_among_the_dead(queue: impl Queue + DeadJobs) {
    queue.publish(job(1, JobKind::Read)).await.unwrap();
    drop(queue.receive(JobKind::Read).await.unwrap());
    assert!(tokio::time::timeout(SOON, queue.receive_dead()).await.is_err());
    queue.receive(JobKind::Read).await.unwrap().1.ack().await.unwrap();
}
